"""The fixations part of eval.run: anyone's maps against where people looked, beside bottom-up saliency and people."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vislang.core.cli import DONE, SKIPPED_SOME, progress_is_shown
from vislang.core.files import file_name

_SHOWN = 12  # pictures on the page
_SIDE = 320  # pixels of their longer side
_SUFFIXES = (".npy", ".png")

MapOf = Callable[[Any], Any]  # a record of `datasets.fixations.records`: its map, float [h, w]


def evaluate_fixations(args: argparse.Namespace) -> int:
    """Judge every method and the baselines on a data set of fixations, and write results, one table and a page."""
    import json

    from datasets.registry import read_fixations
    from eval.metrics.fixations.evaluate import FixationProtocol
    from eval.tables.fixations import build_fixations, fixations_table, protocol_suffix, read_fixation_results
    from vislang.core.files import require_writable_folder, write_json, write_text

    started = time.perf_counter()
    protocol = FixationProtocol(blur=args.blur, centre_prior=args.centre_prior, seed=args.seed)
    methods = map_methods(args)
    require_writable_folder(args.out)
    data = read_fixations(args.dataset or "osie", args.data, **_options(args))
    records = data.records[: args.limit]
    baselines = baseline_methods(protocol)
    scores, people = judge_all(records, methods, baselines, protocol)
    of_baselines = {row: scores[row] for name in baselines for row in rows_of(name, protocol) if row in scores} | people
    place, spent = _place(args, records), time.perf_counter() - started
    suffix = f"{place['dataset']}{protocol_suffix(protocol.to_json())}"
    results = []
    for name in methods or ["baselines"]:
        rows = {row: scores[row] for row in rows_of(name, protocol) if row in scores}
        results.append(build_fixations({"name": name, **place}, protocol, rows, of_baselines, seconds=spent))
        write_json(args.out / f"{file_name(f'fixations-{name}-{suffix}')}.json", results[-1])
    table = fixations_table(read_fixation_results(args.out, results[-1]), results[-1])
    stem = args.out / file_name(f"fixations-{suffix}")
    write_text(f"{stem}.md", table)
    write_page(Path(f"{stem}.html"), place["dataset"], records, methods | baselines, protocol)
    print(json.dumps(results, indent=1) if args.json else table, end="\n" if args.json else "")
    return tell_skipped(data.skipped, scores)


def map_methods(args: argparse.Namespace) -> dict[str, MapOf]:
    """Give {name: function of a record} of all that is to be judged: one for each folder of maps and each checkpoint.

    Raises:
        DataError: not a folder.
        ConfigError: two of one name.
    """
    from vislang.core.errors import ConfigError, DataError

    methods: dict[str, MapOf] = {}
    for text in args.maps:
        name, equals, folder = text.partition("=")
        folder = Path(folder if equals else text)
        name = name if equals else args.name or folder.resolve().name
        if not folder.is_dir():
            raise DataError(f"--maps got {folder}, expected a folder with one .npy or .png for each picture")
        if name in methods:
            raise ConfigError(f"--maps got the name {name!r} twice; give them other names: --maps NAME=DIR")
        methods[name] = stored_maps(folder)
    for checkpoint in args.models:
        name, map_of = unnaturalness_of(checkpoint)
        if name in methods:
            raise ConfigError(f"two methods are called {name!r}; judge {checkpoint} alone, or name its maps")
        methods[name] = map_of
    return methods


def unnaturalness_of(checkpoint: Path) -> tuple[str, MapOf]:
    """Give the name of a trained visual language model, and its maps."""
    from vislang.core.cli import import_backend_quietly

    import_backend_quietly()
    from naturalness.api import load_model, unnaturalness_map

    model = load_model(checkpoint)
    name = f"{model.description['preset']}-{model.description['backbone']['name']}"
    return name, lambda record: unnaturalness_map(model, record.path)


def stored_maps(folder: Path) -> MapOf:
    """Return a function that reads the map of a record: <image_id, with or without its suffix>.npy or .png."""

    def map_of(record: Any) -> Any:
        from vislang.core.errors import DataError

        stem = Path(record.image_id).with_suffix("")
        for name in (record.image_id, stem):
            for suffix in _SUFFIXES:
                if (folder / f"{name}{suffix}").is_file():
                    return read_map(folder / f"{name}{suffix}")
        raise DataError(f"{folder} holds neither {stem}.npy nor {stem}.png; write a map for each picture")

    return map_of


def read_map(path: Path) -> Any:
    """Read a map, float [h, w], from a NumPy file or a picture, whose channels are averaged.

    Raises:
        DataError: damaged, or not of two dimensions.
    """
    import numpy as np
    from PIL import Image

    from vislang.core.errors import DataError

    try:
        if path.suffix == ".npy":
            scores = np.load(path, allow_pickle=False).squeeze()
        else:
            with Image.open(path) as picture:
                grey = picture if picture.mode in ("L", "F") or picture.mode.startswith("I") else picture.convert("RGB")
                scores = np.asarray(grey, np.float64)
            scores = scores.mean(axis=2) if scores.ndim == 3 else scores
        if scores.ndim != 2 or scores.dtype.kind not in "fiub":
            raise ValueError(f"{scores.dtype} {list(scores.shape)}, expected numbers [height, width]")
    except Exception as error:  # NumPy and Pillow raise a dozen kinds on damaged files
        raise DataError(f"{path} is no map ({' '.join(str(error).split())}); write it again") from error
    return scores.astype(np.float64)


def baseline_methods(protocol: Any) -> dict[str, MapOf]:
    """Give {name: function of a record} of methods that know no model: uniform, the centre, OpenCV's saliency."""
    import numpy as np

    from eval.metrics.pointing_game import centre_map
    from eval.tasks.bottom_up_saliency import BOTTOM_UP, bottom_up_maps, opencv
    from vislang.images.decode import decode_image

    latest: dict[str, dict[str, Any]] = {}  # of one picture only: all methods are asked for it one after another

    def bottom_up(name: str) -> MapOf:
        def map_of(record: Any) -> Any:
            if record.image_id not in latest:
                latest.clear()
                latest[record.image_id] = bottom_up_maps(np.asarray(decode_image(record.path)))
            return latest[record.image_id][name]

        return map_of

    return {
        "uniform": lambda record: np.zeros((1, 1)),
        "centre": lambda record: centre_map(*record.size[::-1], deviation=protocol.centre_deviation),
        **({name: bottom_up(name) for name in BOTTOM_UP} if opencv() is not None else {}),
    }


def rows_of(name: str, protocol: Any) -> list[str]:
    """Give the names of the rows of one method: as it is, and with the centre where that is asked for."""
    return [name] if protocol.centre_prior == "none" else [name, f"{name} + centre ({protocol.centre_prior})"]


def judge_all(
    records: Sequence[Any], methods: Mapping[str, MapOf], baselines: Mapping[str, MapOf], protocol: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the scores of every row, and those of people; with a centre prior, every method but the centre has two rows.

    Raises:
        ConfigError: a method has the name of a baseline.
    """
    from eval.metrics.fixations.evaluate import evaluate_maps, evaluate_people
    from eval.tables.fixations import PEOPLE
    from vislang.core.errors import ConfigError

    taken = set(methods) & {*baselines, PEOPLE, "baselines"}
    if taken:
        raise ConfigError(f"--maps got the name {sorted(taken)[0]!r}, which a baseline has; give it another: NAME=DIR")
    everyone = {**methods, **baselines}
    bare = dataclasses.replace(protocol, centre_prior="none")
    scores = evaluate_maps(records, everyone, bare, progress=_watched("maps"))
    if protocol.centre_prior != "none":
        centred = {name: one for name, one in everyone.items() if name not in ("centre", "uniform")}
        found = evaluate_maps(records, centred, protocol, progress=_watched("maps with the centre"))
        scores |= {rows_of(name, protocol)[1]: one for name, one in found.items()}
    return scores, {PEOPLE: evaluate_people(records, protocol, progress=_watched("people"))}


def write_page(path: Path, dataset: str, records: Sequence[Any], methods: Mapping[str, MapOf], protocol: Any) -> None:
    """Write a page of pictures picked at random, each beside its fixations and its maps."""
    from eval.pages.fixations import fixations_page
    from vislang.core.seeds import stream

    chosen = stream(0, "gallery", "fixations").permutation(len(records))[:_SHOWN]
    names = [name for name in methods if name != "uniform"]
    rows = [looked_at(records[row], {name: methods[name] for name in names}, protocol) for row in chosen]
    tags = [dataset, "picked at random", f"maps smoothed by {protocol.blur:.1%} of the width"]
    fixations_page("Where people look", rows, tags=tags).write(path)
    print(f"wrote {path.with_suffix('.md')} and {path}", file=sys.stderr)


def looked_at(record: Any, methods: Mapping[str, MapOf], protocol: Any) -> Any:
    """Give the row of one picture; a map that cannot be had is left out."""
    import numpy as np

    from eval.metrics.fixations.auc import places_inside
    from eval.metrics.fixations.evaluate import prepared
    from eval.metrics.fixations.maps import people_map, unit_range
    from eval.pages.fixations import MapRow
    from vislang.core.errors import ToolkitError
    from vislang.draw.heatmap import overlay
    from vislang.draw.html.thumbnails import data_uri
    from vislang.images.decode import decode_image

    bare = dataclasses.replace(protocol, centre_prior="none")
    picture = decode_image(record.path)
    places, _ = places_inside(np.concatenate(record.subjects), record.size)
    maps = {"people": people_map(places, record.size[::-1], protocol.people_blur * record.size[0])}
    for name, map_of in methods.items():
        try:
            maps[name] = prepared(map_of(record), record.size, bare)
        except ToolkitError:
            continue
    shown = [("image", data_uri(picture, side=_SIDE))]
    for name, scores in maps.items():
        drawn = overlay(picture, unit_range(scores), alpha=0.6)
        shown.append((name, data_uri(drawn, side=_SIDE)))
    return MapRow(record.image_id, shown)


def tell_skipped(files: Sequence[tuple[str, str]], scores: Mapping[str, Any]) -> int:
    """Say on stderr what was left out, the first few of it, and give the exit code."""
    missing = [*files, *[(f"{name}, {image}", reason) for name, one in scores.items() for image, reason in one.skipped]]
    for name, reason in missing[:5]:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if len(missing) > 5:
        print(f"left out: {len(missing) - 5} more", file=sys.stderr)
    return SKIPPED_SOME if missing else DONE


def _place(args: argparse.Namespace, records: Sequence[Any]) -> dict[str, Any]:
    from datasets.fixations.records import fixations_fingerprint

    return {
        "dataset": args.dataset_name or args.dataset or "osie",
        "data_fingerprint": fixations_fingerprint(records),
        "pictures": len(records),
        "fixations": sum(len(points) for record in records for points in record.subjects),
        "outside": sum(record.outside for record in records),
        "reader": _options(args),
    }


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Read the reader's own options; drop_first is yes or no."""
    from datasets.registry import reader_options
    from vislang.core.errors import ConfigError

    options: dict[str, Any] = reader_options(args.option)
    for name, value in options.items():
        if name != "drop_first" or value not in ("yes", "no"):
            raise ConfigError(f"--option got {name}={value}, expected drop_first=yes or drop_first=no")
    return {name: value == "yes" for name, value in options.items()}


def _watched(what: str) -> Callable[[Any], Any]:
    """Give a wrapper that draws a progress bar over records, where a person looks."""
    from tqdm import tqdm

    return lambda records: tqdm(records, desc=what, disable=not progress_is_shown())
