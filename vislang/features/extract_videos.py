"""Command: put the features of frames of videos into a cache.

Of each video 26 frames, spread evenly from the first to the last, become one row of the layer "frames", [26, features].
"""

import argparse
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
    from vislang.features.cache.reader import feature_key
    from vislang.features.extraction import write_rows
    from vislang.images.video import list_videos

    if args.frames < 1:
        raise DataError(f"--frames got {args.frames}, expected 1 or more")
    videos = videos_by_name(list_videos(args.videos))
    backbone = load_backbone(args.backbone, weights=args.weights, preprocessing=args.preprocessing)
    started = time.monotonic()
    written = write_rows(
        Path(args.cache),
        [replace(feature_key(backbone, "pooled"), layer=LAYER)],
        videos,
        lambda paths: encode_videos(backbone, paths, args.frames, strict=args.strict),
        job={"frames": args.frames},
        unit="video",
        progress=progress_is_shown(),
    )
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
