"""Command: put the features of a folder of images into a cache, `python -m vislang.features.extract --help`."""

import argparse
import glob
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_batch_size,
    add_json,
    add_strict,
    add_weights,
    command_parser,
    import_backend_quietly,
    progress_is_shown,
    run_command,
)
from vislang.core.errors import DataError

SHOWN = 10  # skipped images named on the screen; --json names all


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser(
        "vislang.features.extract",
        "Compute CNN features of images and add them to a feature cache. Interrupted, it goes on when "
        "called again. Unreadable images are left out and listed; the exit code is then 3.",
    )
    parser.add_argument("--list", action="store_true", help="list backbones, their layers and preprocessing, and stop")
    parser.add_argument("--images", metavar="WHERE", help="folder, pattern, image, or text file with a path a line")
    parser.add_argument("--root", metavar="DIR", help="what paths in a text file are relative to (default: its folder)")
    parser.add_argument(
        "--ids",
        choices=("path", "name"),
        default="path",
        help="what the cache calls an image: its path below --images, or its file name alone, as COCO's splits do"
        " (default: %(default)s)",
    )
    parser.add_argument("--backbone", metavar="NAME", help="a name of --list, hub:HANDLE, or a model file or folder")
    parser.add_argument(
        "--layers",
        default="pooled,grid",
        help="layers, with commas; of 20 regions: regions-KIND, crops-KIND, boxes-KIND with KIND grid,"
        " selective, edges or detector (default: %(default)s)",
    )
    parser.add_argument(
        "--proposals", metavar="WHERE", help="where the detector is: detector:FILE.pb, FOLDER, hub:NAME"
    )
    parser.add_argument("--cache", metavar="FILE", help="the cache to make or to add to, such as runs/f8k.h5")
    add_weights(parser)
    parser.add_argument(
        "--preprocessing", metavar="NAME", help="other than the backbone's own: its name, or a size such as 320"
    )
    add_batch_size(parser, 32)
    add_strict(parser)
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.list:
        return run_command(lambda: _list_backbones(args.json))
    missing = []
    for name in ("images", "backbone", "cache"):
        if not getattr(args, name):
            missing.append(f"--{name}")
    if missing:
        parser.error(f"missing {' '.join(missing)}; see --help, or --list for the backbones")
    return run_command(lambda: _extract(args))


def _list_backbones(as_json: bool) -> int:
    from vislang.backbones.registry import BACKBONES

    rows: dict[str, dict[str, Any]] = {}
    for name, backbone in BACKBONES.items():
        shapes = {layer: where.shape for layer, where in backbone.layers.items()}
        rows[name] = {"size": backbone.size, "preprocessing": backbone.preprocessing, "layers": shapes}
    if as_json:
        print(json.dumps(rows))
        return DONE
    for name, row in rows.items():
        layers = "  ".join(f"{layer} {'x'.join(map(str, shape))}" for layer, shape in row["layers"].items())
        print(f"{name:20} {row['preprocessing']:26} {layers}")
    print("and every layer by its Keras name; hub:HANDLE, SavedModel folders, .keras, .h5 and .tflite files")
    return DONE


def _extract(args: argparse.Namespace) -> int:
    from vislang.backbones.registry import load_backbone
    from vislang.features.cache.reader import feature_key, open_cache
    from vislang.features.regions.region_features import with_regions

    paths, skipped = _images_by_id(args.images, args.root, by_name=args.ids == "name")
    cache = None
    if Path(args.cache).exists():
        cache = open_cache(args.cache)
    if cache is not None:
        paths, extra = _as_cached(cache, paths, args.images)
        skipped += extra
    import_backend_quietly()
    backbone = load_backbone(args.backbone, weights=args.weights, preprocessing=args.preprocessing)
    layers = dict.fromkeys(backbone.own_name(layer.strip()) for layer in args.layers.split(",") if layer.strip())
    if not layers:
        raise DataError("--layers names no feature layer, expected some such as pooled,grid; see --list")
    backbone = with_regions(backbone, list(layers), args.proposals)
    wanted = [feature_key(backbone, layer) for layer in layers]
    keys = []
    for key in wanted:
        if cache is None or not cache.holds(key):
            keys.append(key)
    started = time.monotonic()
    computed = 0
    if keys:
        computed = _compute(args, backbone, keys, paths, skipped, may_drop=cache is None)
    seconds = time.monotonic() - started
    summary = {
        "cache": args.cache,
        "backbone": args.backbone,
        "preprocessing": backbone.preprocessing.name,
        "weights": backbone.fingerprint,
        "added": [key.layer for key in keys],
        "images": len(paths) if cache is not None else len(open_cache(args.cache).ids),
        "computed": computed,
        "seconds": round(seconds, 2),
        "skipped": [{"source": source, "reason": reason} for source, reason in skipped],
    }
    _report(summary, as_json=args.json)
    if skipped:
        return SKIPPED_SOME
    return DONE


def _compute(
    args: argparse.Namespace, backbone: Any, keys: list, paths: dict[str, Path], skipped: list, *, may_drop: bool
) -> int:
    """Encode what is not yet encoded, write the cache, add to `skipped`, and return how many images were encoded."""
    from tqdm import tqdm

    from vislang.features.cache.reader import CacheWriter
    from vislang.features.pipeline import encode_batches

    ids = list(paths)
    layers = [key.layer for key in keys]
    job = {"sources": _digest(paths), "batch": args.batch_size}
    with CacheWriter(args.cache, keys, job) as writer:
        first = writer.done
        files = [paths[name] for name in ids[first:]]
        with tqdm(total=len(ids), initial=first, unit="image", disable=not progress_is_shown()) as bar:
            for batch in encode_batches(backbone, files, layers, batch_size=args.batch_size, strict=args.strict):
                if batch.skipped and not may_drop:
                    raise DataError(f"{batch.skipped[0].reason}; the cache holds this image, so it is needed")
                writer.append(
                    [ids[first + number] for number in batch.kept],
                    batch.features,
                    done=min(writer.done + args.batch_size, len(ids)),
                    skipped=[(one.source, one.reason) for one in batch.skipped],
                )
                bar.update(len(batch.kept) + len(batch.skipped))
        writer.finish()
        skipped += list(map(tuple, writer.skipped))
    return len(files)


def _images_by_id(where: str, root: str | None, *, by_name: bool) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Name every image by its path relative to where was looked, or by its file name; only UTF-8 can be stored."""
    from vislang.features.pipeline import list_images

    base = _base(where, root)
    images: dict[str, Path] = {}
    skipped = []
    for path in list_images(where, root=root):
        name = path.name if by_name else (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()
        if name in images:
            raise DataError(f"{where}: lists {name} twice; remove the repetition")
        if name.encode("utf-8", "replace") != os.fsencode(name):
            skipped.append((ascii(name), "its name is not UTF-8; rename it"))
            continue
        images[name] = path
    return images, skipped


def _base(where: str, root: str | None) -> Path:
    path = Path(where)
    if path.is_dir():
        return path
    if path.is_file():
        if root:
            return Path(root)
        return path.parent
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def _as_cached(cache: Any, paths: dict[str, Path], where: str) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Give the images in the cache's own order, and those it does not hold as skipped."""
    missing = []
    for name in cache.ids:
        if name not in paths:
            missing.append(name)
    if missing:
        raise DataError(
            f"{cache.path}: holds {missing[0]!r} and {len(missing) - 1} more images that are not in {where};"
            " give the folder the cache was made from, or another --cache"
        )
    held = set(cache.ids)
    reason = "not in the cache, whose images are those its first extraction could read; use a new --cache"
    return {name: paths[name] for name in cache.ids}, [(name, reason) for name in paths if name not in held]


def _digest(paths: dict[str, Path]) -> str:
    """Give a hash that changes when the list or any file changes, so that a resumed run never mixes two versions."""
    digest = hashlib.sha256()
    for name, path in paths.items():
        stat = None
        if path.exists():
            stat = path.stat()
        digest.update(f"{name}\0{stat and (stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def _report(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
    elif not summary["added"]:
        print(f"nothing to do: {summary['cache']} holds these features of {summary['images']} images")
    else:
        rate = summary["computed"] / max(summary["seconds"], 0.01)
        print(
            f"{summary['cache']}: {', '.join(summary['added'])} of {summary['backbone']} for {summary['images']} images"
            f" in {summary['seconds']:.1f} s ({rate:.0f} images/s)"
        )
    skipped = summary["skipped"]
    for one in skipped[:SHOWN]:
        print(f"skipped: {one['source']}: {one['reason'].removeprefix(one['source'] + ': ')}", file=sys.stderr)
    if len(skipped) > SHOWN:
        print(f"skipped: {len(skipped) - SHOWN} more; --json lists all", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
