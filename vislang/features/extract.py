"""Command: put the features of images into a cache.

Resumable: rerun the same command. Unreadable images are left out and listed; the exit code is then 3.

Many images, or tar files of webdataset and img2dataset, go into a folder of shards, which every --cache takes:
    python -m vislang.features.extract --images DIR --shards runs/features/many --jobs 2
    python -m vislang.features.extract --images TARS --shards runs/features/many --apache-beam --runner FlinkRunner
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DEFAULT_BACKBONE,
    DONE,
    SKIPPED_SOME,
    add_batch_size,
    add_json,
    add_preprocessing,
    add_strict,
    add_weights,
    command_parser,
    print_some_skipped,
    progress_is_shown,
    run_command,
)
from vislang.core.errors import DataError
from vislang.features.shards.command import add_shards, check_shards, named_images, run_and_report


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("vislang.features.extract", __doc__)
    parser.add_argument("--list", action="store_true", help="list backbones, their layers and preprocessing, and stop")
    parser.add_argument(
        "--images", metavar="WHERE",
        help="folder, pattern, image, or text file with a path a line; with --shards also tar files",
    )  # fmt: skip
    parser.add_argument("--root", metavar="DIR", help="what paths in a text file are relative to (default: its folder)")
    parser.add_argument(
        "--ids",
        choices=("path", "name"),
        default="path",
        help="what the cache calls an image: its path below --images, or its file name alone, as COCO's splits do"
        " (default: %(default)s); a path into a tar file is 00000.tar/a.jpg",
    )
    parser.add_argument(
        "--backbone", default=DEFAULT_BACKBONE, metavar="NAME",
        help="a name of --list, hub:HANDLE, or a model file or folder (default: %(default)s)",
    )  # fmt: skip
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
    add_shards(parser)
    add_weights(parser)
    add_preprocessing(parser)
    add_batch_size(parser, 32)
    add_strict(parser)
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.list:
        return run_command(lambda: _list_backbones(args.json))
    missing = [f"--{name}" for name in ("images", "cache") if not getattr(args, name)]
    if args.shards is not None:
        missing = [name for name in missing if name != "--cache"]
        if args.cache:
            parser.error("got --cache and --shards, expected one of them")
    if missing:
        parser.error(f"missing {' '.join(missing)}")
    check_shards(parser, args)
    return run_command(lambda: _extract(args) if args.shards is None else _extract_shards(args))


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
    from vislang.features.cache.reader import feature_key, open_cache
    from vislang.features.cached_extraction import add_to_cache
    from vislang.features.extraction import files_by_name, files_of_cache
    from vislang.features.reading_options import ReadingOptions
    from vislang.features.regions.region_features import load_for_layers

    options = ReadingOptions(args.weights, args.proposals, args.batch_size, args.strict, progress_is_shown())
    cache = Path(args.cache)
    files, skipped = files_by_name(args.images, root=args.root, by_file_name=args.ids == "name")
    files, skipped = files_of_cache(cache, files, skipped, args.images)
    layers = _layers(args)
    backbone = load_for_layers(args.backbone, layers, args.preprocessing, options)
    keys = [feature_key(backbone, layer) for layer in layers]
    started = time.monotonic()
    written = add_to_cache(cache, backbone, keys, files, options)
    skipped = skipped + written.skipped
    summary = {
        "cache": args.cache,
        "backbone": args.backbone,
        "preprocessing": backbone.preprocessing.name,
        "weights": backbone.fingerprint,
        "added": [key.layer for key in written.keys],
        "changed": written.changed,
        "images": len(open_cache(cache).ids),
        "computed": written.computed,
        "seconds": round(time.monotonic() - started, 2),
        "skipped": list(map(asdict, skipped)),
    }
    if args.json:
        print(json.dumps(summary))
    elif not written.keys and not written.changed:
        print(f"nothing to do: {cache} holds these features of {summary['images']} images")
    elif not written.keys:
        print(f"{cache}: all layers again, images that changed: {len(written.changed)}, in {summary['seconds']:.1f} s")
    else:
        print(
            f"{cache}: {', '.join(summary['added'])} of {args.backbone} for {summary['images']} images"
            f" in {summary['seconds']:.1f} s ({written.computed / max(summary['seconds'], 0.01):.0f} images/s)"
        )
    print_some_skipped([one.reason for one in skipped])
    return SKIPPED_SOME if skipped else DONE


def _extract_shards(args: argparse.Namespace) -> int:
    from vislang.features.cache.reader import open_cache
    from vislang.features.reading_options import ReadingOptions
    from vislang.features.shards.feature_job import FeatureJob

    options = ReadingOptions(args.weights, args.proposals, args.batch_size, args.strict)
    images = named_images(args, args.images, root=args.root, ids=args.ids)
    layers = tuple(_layers(args))
    job = FeatureJob(args.shards, images, args.strict, args.backbone, layers, args.preprocessing, options)
    return run_and_report(job, args, as_json=args.json, check=lambda: open_cache(args.shards))


def _layers(args: argparse.Namespace) -> list[str]:
    layers = [layer.strip() for layer in args.layers.split(",") if layer.strip()]
    if not layers:
        raise DataError("--layers names no feature layer, expected some such as pooled,grid; see --list")
    return layers


if __name__ == "__main__":
    sys.exit(main())
