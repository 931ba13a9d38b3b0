"""Command: put the features of frames of videos into a cache, `python -m vislang.features.extract_videos --help`.

Of each video 26 frames, spread evenly from the first to the last, become one row of the layer "frames", [26, features].
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_json,
    add_weights,
    command_parser,
    import_backend_quietly,
    progress_is_shown,
    run_command,
)
from vislang.core.errors import DataError

LAYER = "frames"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("vislang.features.extract_videos", __doc__)
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder, searched to the bottom")
    parser.add_argument("--backbone", required=True, metavar="NAME", help="as in vislang.features.extract")
    parser.add_argument("--cache", required=True, metavar="FILE", help="the cache to make")
    parser.add_argument("--frames", type=int, default=26, metavar="N", help="of each video (default: %(default)s)")
    add_weights(parser)
    parser.add_argument(
        "--preprocessing", metavar="NAME", help="other than the backbone's own: its name, or a size such as 320"
    )
    parser.add_argument("--strict", action="store_true", help="end at the first video that cannot be read")
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: extract(args))


def extract(args: argparse.Namespace) -> int:
    """Encode the frames of every video, one video in memory at a time; interrupted, go on when called again."""
    from dataclasses import replace

    from tqdm import tqdm

    from vislang.backbones.registry import load_backbone
    from vislang.features.cache.reader import CacheWriter, feature_key
    from vislang.images.video import list_videos

    if args.frames < 1:
        raise DataError(f"--frames got {args.frames}, expected 1 or more")
    paths = videos_by_name(list_videos(args.videos))
    import_backend_quietly()
    backbone = load_backbone(args.backbone, weights=args.weights, preprocessing=args.preprocessing)
    key = replace(feature_key(backbone, "pooled"), layer=LAYER)
    started = time.monotonic()
    names = list(paths)
    with CacheWriter(args.cache, [key], {"videos": names, "frames": args.frames}) as writer:
        todo = names[writer.done :]
        for name in tqdm(todo, initial=writer.done, total=len(names), unit="video", disable=not progress_is_shown()):
            rows, reason = encoded(backbone, paths[name], args.frames)
            if reason and args.strict:
                raise DataError(f"{reason} (strict: the first bad video ends the run)")
            kept = [name]
            if reason:
                kept = []
            skipped = []
            if reason:
                skipped = [(str(paths[name]), reason)]
            writer.append(kept, {LAYER: rows}, done=writer.done + 1, skipped=skipped)
        writer.finish()
        listed = [{"source": source, "reason": reason} for source, reason in writer.skipped]
    summary = {
        "cache": args.cache,
        "backbone": args.backbone,
        "preprocessing": backbone.preprocessing.name,
        "videos": len(names) - len(listed),
        "frames": args.frames,
        "seconds": round(time.monotonic() - started, 2),
        "skipped": listed,
    }
    report(summary, as_json=args.json)
    if listed:
        return SKIPPED_SOME
    return DONE


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


def encoded(backbone: Any, path: Any, count: int) -> tuple[Any, str]:
    """Give float32 [1, count, features] of one video, or why it cannot be used."""
    from vislang.features.pipeline import encode_images
    from vislang.images.video import spread_frames

    try:
        frames = encode_images(backbone, spread_frames(path, count), ["pooled"], strict=True)
    except DataError as error:
        return None, str(error)
    return frames.features["pooled"][None], ""


def report(summary: dict[str, Any], *, as_json: bool) -> None:
    """Print what was done, and what was left out."""
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{summary['cache']}: {summary['frames']} frames of {summary['videos']} videos, {summary['backbone']}, in"
            f" {summary['seconds']:.1f} s"
        )
    for one in summary["skipped"]:
        print(f"skipped: {one['reason']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
