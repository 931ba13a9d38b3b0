"""Command: train a visual language model on photographs, or on maps of a feature cache. Killed, the LSTMs' goes on."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from naturalness.config import CONFIGS
from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_preset,
    chosen_config,
    command_parser,
    import_backend_quietly,
    progress_is_shown,
    run_command,
)

_BATCH = 32
_TRIMMED = 2  # cells at the edges of cached maps


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("naturalness.train", __doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", metavar="WHERE", help="folder, pattern, or text file with a path a line")
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of a data set, whose training split is taken")
    parser.add_argument("--dataset", default="flickr8k", help="name of its reader (default: %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FILE",
        help="take the maps of --data from this cache (vislang.features.extract --layers LAYER)",
    )
    parser.add_argument("--backbone", default="mobilenet_0.75", help="whose layers (default: %(default)s)")
    parser.add_argument("--weights", metavar="FILE", help="weights of the backbone (default: VISLANG_WEIGHTS)")
    add_preset(parser, CONFIGS, "best")
    parser.add_argument("--limit", type=int, metavar="N", help="this many pictures, picked at random (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, type=Path, help="checkpoint folder")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Read pictures, fit statistics, train LSTMs where the preset has them, and say where the checkpoint lies."""
    import json
    import time

    from naturalness.feature_maps import FrozenTaps
    from naturalness.model import VisualLanguageModel
    from vislang.core.files import require_writable_folder
    from vislang.core.seeds import seed_everything
    from vislang.training.checkpoints import start_or_continue

    started = time.monotonic()
    config = chosen_config(args, CONFIGS)
    names, paths = pictures(args)
    require_writable_folder(args.out)
    import_backend_quietly()
    seed_everything(args.seed)
    network = FrozenTaps(args.backbone, config.layers, mirrored=config.mirror_padding, weights=args.weights)
    model = VisualLanguageModel(config, network.channels)
    skipped: list[tuple[str, str]] = []
    source = Source(args, network, names, paths, skipped)
    description = describe(args, config, network, names)
    start_or_continue(args.out, description, None)
    fit(args, model, source, len(names))
    done = {
        "out": str(args.out),
        "pictures": len(names) - len(skipped),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(done) if args.json else f"{args.out}: {done['pictures']} pictures in {done['seconds']} s")
    for name, reason in skipped[:10]:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    if skipped:
        return SKIPPED_SOME
    return DONE


def pictures(args: argparse.Namespace) -> tuple[list[str], list[Path | None]]:
    """Give names and places of the training pictures."""
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.seeds import stream

    if args.cache and not args.data:
        raise ConfigError("--cache holds the maps of a data set; name it with --data DIR")
    if args.data:
        from datasets.records import of_split
        from datasets.registry import read_dataset

        records = of_split(read_dataset(args.dataset, args.data), "train")
        found = [(record.image_id, record.path) for record in records]
    else:
        from vislang.features.pipeline import list_images

        found = [(str(path), path) for path in list_images(args.images)]
    if args.limit is not None:
        if args.limit < 1:
            raise ConfigError(f"--limit got {args.limit}, expected 1 or more")
        chosen = stream(args.seed, "limit").permutation(len(found))[: args.limit]
        found = [found[row] for row in sorted(chosen)]
    if not found:
        raise DataError("there is no picture to learn from; name a folder with photographs")
    return [name for name, _ in found], [path for _, path in found]


class Source:
    """The maps of the training pictures, batch by batch, from the CNN or from a cache; each call begins anew."""

    def __init__(
        self, args: argparse.Namespace, network: Any, names: list[str], paths: list[Path | None], skipped: list
    ):
        self.args = args
        self.network = network
        self.names = names
        self.paths = paths
        self.skipped = skipped

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Go through all pictures."""
        from tqdm import tqdm

        with tqdm(total=len(self.names), unit="picture", disable=not progress_is_shown()) as bar:
            for maps in self._cached() if self.args.cache else self._computed():
                bar.update(len(next(iter(maps.values()))))
                yield maps

    def _computed(self) -> Iterator[dict[str, Any]]:
        import numpy as np

        from vislang.core.errors import DataError
        from vislang.images.decode import decode_image

        side = self.network.loaded.recipe.size
        self.skipped[:] = []
        for start in range(0, len(self.paths), _BATCH):
            batch = []
            for path in self.paths[start : start + _BATCH]:
                try:
                    picture = decode_image(path or self.names[start], shorter_side=side)
                    batch.append(np.asarray(picture.resize((side, side)), np.float32))
                except DataError as error:
                    self.skipped.append((str(path), str(error)))
            if batch:
                yield {tap: np.asarray(maps) for tap, maps in self.network.tensors(np.stack(batch)).items()}

    def _cached(self) -> Iterator[Any]:
        from naturalness.training import batches_of
        from vislang.features.cache.reader import open_cache

        with open_cache(self.args.cache) as cache:

            def rows() -> Iterator[dict[str, Any]]:
                for start in range(0, len(self.names), _BATCH):
                    ids = self.names[start : start + _BATCH]
                    yield {tap: cache.read(self.args.backbone, tap, ids) for tap in self.network.taps}

            yield from batches_of(rows(), _TRIMMED if self.network.mirrored else 0)


def describe(args: argparse.Namespace, config: Any, network: Any, names: list[str]) -> dict[str, Any]:
    """Give the config.json of the checkpoint."""
    import hashlib

    from naturalness.inference import KIND
    from vislang.core.config import to_json

    loaded = network.loaded
    fingerprint = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    return {
        "kind": KIND,
        "preset": args.preset,
        "config": to_json(config),
        "seed": args.seed,
        "channels": list(network.channels),
        "backbone": {"name": loaded.name, "recipe": loaded.recipe.name, "fingerprint": loaded.fingerprint},
        "data": {
            "dataset": args.dataset if args.data else "images",
            "pictures": len(names),
            "fingerprint": fingerprint,
        },
    }


def fit(args: argparse.Namespace, model: Any, source: Source, count: int) -> None:
    """Fit everything and save it."""
    from naturalness.training import MomentumForgotten, PredictionTask, ProjectedMaps, fit_statistics
    from vislang.training.callbacks import ResumableTraining, fit_resumably
    from vislang.training.checkpoints import save_weights

    config = model.config
    fit_statistics(model, source, count, args.seed)
    task = PredictionTask(model)
    if not task.experts:
        save_weights(model, args.out)
        return
    batches = ProjectedMaps(task.experts, source, config, args.seed)
    task.prepare(config)
    batch, _ = batches.batch(batches.plan(0)[0])

    def validate() -> dict[str, float]:
        loss = float(task(batch).numpy().mean())
        return {"score": -loss, "first_pictures": loss}

    keeper = ResumableTraining(args.out, validate, score="score", saved_model=model)
    forgets = MomentumForgotten(config.drop_every // config.save_every)
    fit_resumably(task, batches, keeper, epochs=config.updates // config.save_every, callbacks=[forgets])
    save_weights(model, args.out)


if __name__ == "__main__":
    sys.exit(main())
