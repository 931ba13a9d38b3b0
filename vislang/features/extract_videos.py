"""Command: put the features of frames of videos into a cache.

Of each video 26 frames, spread evenly from the first to the last, become one row of the layer "frames", [26, features].
"""

import argparse
import functools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DEFAULT_BACKBONE,
    DONE,
    SKIPPED_SOME,
    add_json,
    add_preprocessing,
    add_weights,
    command_parser,
    print_some_skipped,
    progress_is_shown,
    run_command,
)
from vislang.core.errors import DataError

LAYER = "frames"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("vislang.features.extract_videos", __doc__)
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder, searched to the bottom")
    parser.add_argument(
        "--backbone", default=DEFAULT_BACKBONE, metavar="NAME", help="as in vislang.features.extract (%(default)s)"
    )
    parser.add_argument("--cache", required=True, metavar="FILE", help="the cache to make")
    parser.add_argument("--frames", type=int, default=26, metavar="N", help="of each video (default: %(default)s)")
    add_weights(parser)
    add_preprocessing(parser)
    parser.add_argument("--strict", action="store_true", help="end at the first video that cannot be read")
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: extract(args))


def extract(args: argparse.Namespace) -> int:
    """Encode the frames of every video, one video in memory at a time."""
    from vislang.backbones.registry import load_backbone
    from vislang.features.cache.reader import feature_key, open_cache
    from vislang.features.cached_extraction import Sources, add_layers
    from vislang.features.extraction import files_of_cache
    from vislang.images.video import list_videos

    if args.frames < 1:
        raise DataError(f"--frames got {args.frames}, expected 1 or more")
    cache = Path(args.cache)
    videos, skipped = files_of_cache(cache, videos_by_name(list_videos(args.videos)), [], args.videos, unit="video")
    backbone = load_backbone(args.backbone, weights=args.weights, preprocessing=args.preprocessing)
    key = replace(feature_key(backbone, "pooled"), layer=LAYER)
    needed = cache.exists()
    if needed:
        _require_count(cache, key, args.frames)
    started = time.monotonic()
    written = add_layers(
        cache,
        [key],
        Sources(videos, "video", {"frames": args.frames}, progress_is_shown()),
        lambda _: functools.partial(_encode_frames, [(backbone, key, args.frames)], args.strict, needed),
        lambda keys: functools.partial(_encode_frames, _stored_frames(cache, keys, backbone), args.strict, needed),
    )
    skipped = skipped + written.skipped
    summary = {
        "cache": args.cache,
        "backbone": args.backbone,
        "preprocessing": backbone.preprocessing.name,
        "changed": written.changed,
        "videos": len(open_cache(cache).ids),
        "computed": written.computed,
        "frames": args.frames,
        "seconds": round(time.monotonic() - started, 2),
        "skipped": list(map(asdict, skipped)),
    }
    if args.json:
        print(json.dumps(summary))
    elif not written.keys and not written.changed:
        print(f"nothing to do: {cache} holds {args.frames} frames of {summary['videos']} videos")
    else:
        print(
            f"{args.cache}: {args.frames} frames of {summary['videos']} videos, {args.backbone}, in"
            f" {summary['seconds']:.1f} s"
        )
    print_some_skipped([one.reason for one in skipped])
    return SKIPPED_SOME if skipped else DONE


def videos_by_name(videos: Sequence[Path]) -> dict[str, Path]:
    """Return the videos by their names without suffix, which are what the cache calls them.

    Raises:
        DataError: two videos have the same name.
    """
    paths: dict[str, Path] = {}
    for path in videos:
        if path.stem in paths:
            raise DataError(
                f"{path} and {paths[path.stem]} have the same name, expected one video of each name; rename one of them"
            )
        paths[path.stem] = path
    return paths


def _require_count(path: Path, key: Any, count: int) -> None:
    """Refuse a cache that holds another number of frames of each video."""
    from vislang.features.cache.layout import group_name
    from vislang.features.cache.reader import open_cache

    cache = open_cache(path)
    if cache.holds(key):
        stored = cache.shape(group_name(key), LAYER)[1]
        if stored != count:
            raise DataError(f"{path}: holds {stored} frames of each video, not {count}; use another --cache")


def _stored_frames(path: Path, keys: Sequence[Any], given: Any) -> list[tuple[Any, Any, int]]:
    """Return what computes the layers of a cache: backbone, key and number of frames of each.

    Args:
        path: the cache.
        keys: of its layers.
        given: the backbone that the user named.

    Raises:
        ToolkitError: a backbone cannot be loaded, or computes other features by now.
    """
    from vislang.features.cache.layout import group_name
    from vislang.features.cache.reader import open_cache
    from vislang.features.cached_extraction import backbones_of
    from vislang.features.reading_options import ReadingOptions

    cache = open_cache(path)
    pooled = {replace(key, layer="pooled"): key for key in keys}
    layers = []
    for backbone, some in backbones_of(list(pooled), given, ReadingOptions()):
        for key in (pooled[one] for one in some):
            layers.append((backbone, key, cache.shape(group_name(key), key.layer)[1]))
    return layers


def _encode_frames(
    layers: Sequence[tuple[Any, Any, int]], strict: bool, needed: bool, paths: Sequence[Path]
) -> Iterator[Any]:
    """Encode videos for layers, each of a backbone, with a key and a number of frames; the rest is as in `joined`."""
    from vislang.features.cached_extraction import joined

    streams = [encode_videos(backbone, paths, count, strict=strict) for backbone, _, count in layers]
    return joined(streams, [[key] for _, key, _ in layers], unit="video", needed=needed)


def encode_videos(backbone: Any, paths: Sequence[Path], count: int, *, strict: bool) -> Iterator[Any]:
    """Yield a `FeatureBatch` of each video: float32 [1, count, features], or why it cannot be used."""
    from vislang.features.pipeline import FeatureBatch, encode_images
    from vislang.images.sources import Skipped
    from vislang.images.video import spread_frames

    for row, path in enumerate(paths):
        try:
            frames = encode_images(backbone, spread_frames(path, count), ["pooled"], strict=True)
        except DataError as error:
            if strict:
                raise DataError(f"{error} (strict: the first bad video ends the run)") from error
            yield FeatureBatch({}, [], [Skipped(str(path), str(error))])
        else:
            yield FeatureBatch({LAYER: frames.features["pooled"][None]}, [row], [])


if __name__ == "__main__":
    sys.exit(main())
