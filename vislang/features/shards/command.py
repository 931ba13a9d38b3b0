"""The options of commands that work on shards, and what they print."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vislang.core import cli

_SHARD_SIZE = 10_000  # images, as in img2dataset's tar files: minutes of work, and a file that is quickly copied


def add_shards(parser: argparse.ArgumentParser) -> None:
    """Add `--shards` and what belongs to it; `check_shards` checks them after parsing."""
    group = parser.add_argument_group("many images, or tar files of images")
    group.add_argument(
        "--shards", type=Path, metavar="FOLDER",
        help="write into this folder a file for each shard, a tar file or a part of the images, and manifest.json",
    )  # fmt: skip
    group.add_argument("--jobs", type=int, metavar="N", help="processes that work on shards (default: 1)")
    group.add_argument(
        "--shard-size", type=int, metavar="N", help=f"images in a part (default: {_SHARD_SIZE}); a tar file stays whole"
    )
    group.add_argument(
        "--apache-beam", nargs=argparse.REMAINDER, metavar="OPTION",
        help="work on shards with Apache Beam; all that follows are options of Beam, such as --runner FlinkRunner",
    )  # fmt: skip


def check_shards(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with an error where options for shards come without --shards, or do not go together."""
    if args.shards is None:
        for option in ("jobs", "shard_size", "apache_beam"):
            if getattr(args, option) is not None:
                name = f"--{option.replace('_', '-')}"
                parser.error(f"got {name} without --shards, which names the folder of the shards")
    if args.jobs is not None and args.apache_beam is not None:
        parser.error("got --jobs and --apache-beam, expected one of them; Beam has --direct_num_workers")
    for option in ("jobs", "shard_size"):
        value = getattr(args, option)
        if value is not None and value < 1:
            parser.error(f"--{option.replace('_', '-')} got {value}, expected 1 or more")


def refuse_beside_shards(parser: argparse.ArgumentParser, args: argparse.Namespace, names: Sequence[str]) -> None:
    """End with an error where options that only work without --shards are given, or not one name of images."""
    for name in names:
        if getattr(args, name) not in (None, False):
            parser.error(f"got --{name.replace('_', '-')} and --shards, which writes one line of JSON for each image")
    if len(args.images) != 1:
        parser.error(f"--shards got {len(args.images)} names, expected one folder, pattern, tar file or list of images")


def named_images(args: argparse.Namespace, where: str, *, root: str | None = None, ids: str = "path") -> Any:
    """Return the `Input` of a command.

    Args:
        args: the command line, with the options of `add_shards`.
        where: folder, pattern, tar file or list of images.
        root: what the paths in a list are relative to.
        ids: how images are named, "path" or "name".
    """
    from vislang.features.shards.job import Input

    return Input(where, root, ids, args.shard_size or _SHARD_SIZE)


def run_and_report(
    job: Any, args: argparse.Namespace, *, as_json: bool, check: Callable[[], Any] = lambda: None
) -> int:
    """Do a `ShardJob` for all shards, and print what was done; return the exit code.

    Args:
        job: what is done.
        args: the command line, with the options of `add_shards`.
        as_json: print one JSON document.
        check: is called at the end, and raises an error if the results do not belong together.
    """
    from vislang.features.cache.manifest import DAMAGED, FINISHED
    from vislang.features.shards.run import Engine, run_shards

    engine = Engine(args.jobs or 1, None if args.apache_beam is None else tuple(args.apache_beam))
    started = time.monotonic()
    done = run_shards(job, engine, progress=cli.progress_is_shown())
    check()
    seconds = time.monotonic() - started
    shards = done.manifest.shards
    finished, damaged = done.manifest.of_state(FINISHED), done.manifest.of_state(DAMAGED)
    skipped = done.skipped + [one for shard in finished for one in shard.skipped]
    summary = {
        "shards": str(args.shards),
        "finished": len(finished),
        "worked_on": done.worked_on,
        "images": sum(shard.rows for shard in finished),
        "damaged": [{"shard": shard.name, "source": shard.source, "reason": shard.reason} for shard in damaged],
        "seconds": round(seconds, 2),
        "skipped": [asdict(one) for one in skipped],
    }
    if as_json:
        cli.print_json(summary)
    else:
        which = f"{done.worked_on} of {len(shards)} shards in {seconds:.1f} s"
        if not done.worked_on:
            which = f"nothing to do, all {len(shards)} shards are finished"
        print(f"{cli.printable(str(args.shards))}: {which}; {summary['images']} images in {len(finished)} shards")
        cli.print_some_skipped([f"shard {shard.name}: {shard.reason}" for shard in damaged])
        cli.print_some_skipped([one.reason for one in skipped])
    if skipped or damaged:
        return cli.SKIPPED_SOME
    return cli.DONE
