"""Command: put the features of frames of videos into a cache.

Of each video 26 frames, spread evenly from the first to the last, become one row of the layer "frames", [26, features].
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
    from vislang.features.cache.reader import feature_key
    from vislang.features.cached_extraction import joined, update_changed, write_rows
    from vislang.images.video import list_videos

    if args.frames < 1:
        raise DataError(f"--frames got {args.frames}, expected 1 or more")
    videos = videos_by_name(list_videos(args.videos))
    backbone = load_backbone(args.backbone, weights=args.weights, preprocessing=args.preprocessing)
    started = time.monotonic()
    key = replace(feature_key(backbone, "pooled"), layer=LAYER)
    cache = Path(args.cache)
    more: dict[str, Any] = {"job": {"frames": args.frames}, "unit": "video", "progress": progress_is_shown()}

    def encode(paths: Sequence[Path]) -> Iterator[Any]:
        return joined([encode_videos(backbone, paths, args.frames, strict=args.strict)], [[key]], needed=False)

    if cache.exists():
        update_changed(cache, videos, lambda keys: encode_frames_of(cache, keys, backbone), **more)
    written = write_rows(cache, [key], videos, encode, **more)
    summary = {
        "cache": args.cache,
        "backbone": args.backbone,
        "preprocessing": backbone.preprocessing.name,
        "videos": len(videos) - len(written.skipped),
        "frames": args.frames,
        "seconds": round(time.monotonic() - started, 2),
        "skipped": list(map(asdict, written.skipped)),
    }
    if args.json:
        print(json.dumps(summary))
    else:
        print(
            f"{args.cache}: {args.frames} frames of {summary['videos']} videos, {args.backbone}, in"
            f" {summary['seconds']:.1f} s"
        )
    print_some_skipped([one.reason for one in written.skipped])
    return SKIPPED_SOME if written.skipped else DONE


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


def encode_frames_of(cache: Path, keys: Sequence[Any], given: Any) -> Callable[[Sequence[Path]], Iterator[Any]]:
    """Return what encodes videos for the layers of a cache, each with its number of frames.

    Args:
        cache: its file.
        keys: of its layers.
        given: the backbone that the user named.

    Raises:
        ToolkitError: a backbone cannot be loaded, or computes other features by now.
    """
    from vislang.features.cache.layout import group_name
    from vislang.features.cache.reader import open_cache
    from vislang.features.cached_extraction import backbones_of, joined
    from vislang.features.reading_options import ReadingOptions

    stored = open_cache(cache)
    pooled = {replace(key, layer="pooled"): key for key in keys}
    parts = backbones_of(list(pooled), given, ReadingOptions())
    layers = [(backbone, pooled[one]) for backbone, some in parts for one in some]

    def encode(paths: Sequence[Path]) -> Iterator[Any]:
        streams = []
        for backbone, key in layers:
            streams.append(encode_videos(backbone, paths, stored.shape(group_name(key), key.layer)[1], strict=True))
        return joined(streams, [[key] for _, key in layers], needed=True)

    return encode


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
