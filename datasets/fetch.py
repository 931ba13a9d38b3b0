"""Get a data set: `python -m datasets.fetch flickr8k --out data/flickr8k`, or check and link a copy with `--from DIR`.

Interrupted downloads resume; every archive is checked before it is unpacked, and the result is read with its reader.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.captions.flickr import FLICKR8K, read_flickr8k, read_token_file
from datasets.download.http import Archive, download
from datasets.download.zip_files import unpack
from datasets.records import ImageRecord, captions_of
from vislang.core.cli import DONE, command_parser, run_command
from vislang.core.errors import DataError, look_up
from vislang.core.files import read_json, require_writable_folder, write_json

_RECORD = "fetched.json"  # names and sha256 of what was unpacked; a finished archive is not fetched again
_RELEASE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched."""

    archives: tuple[Archive, ...]
    images_of_split: Mapping[str, int]  # number of images of a complete copy
    captioned_images: int  # number of images in its caption file
    terms: str  # of use, printed after fetching


SOURCES = {
    "flickr8k": Source(
        archives=(
            # The release gives no checksums. Without one the sizes and CRCs inside the archive and the counts below
            # are checked; fetched.json records the sha256 of what came, for pinning it here.
            Archive("Flickr8k_text.zip", (f"{_RELEASE}/Flickr8k_text.zip",), sha256=None, max_unpacked=100 * 2**20),
            Archive("Flickr8k_Dataset.zip", (f"{_RELEASE}/Flickr8k_Dataset.zip",), sha256=None, max_unpacked=4 * 2**30),
        ),
        images_of_split={"train": 6000, "dev": 1000, "test": 1000, "unused": 91},
        captioned_images=8092,  # 40,460 lines, five an image; one image was never published
        terms="photographs are for non-commercial research; cite Hodosh, Young and Hockenmaier 2013",
    )
}


def fetch(source: Source, folder: str | Path, *, timeout: float = 30.0) -> tuple[ImageRecord, ...]:
    """Download what is missing, unpack it into `folder` and check it; an interrupted fetch resumes where it stopped.

    Raises:
        DataError: no mirror answers within `timeout` seconds, an archive is damaged or unsafe, or the result is
            incomplete.
    """
    folder = require_writable_folder(folder)
    record = folder / _RECORD
    done: dict[str, str] = {}
    if record.exists():
        done = read_json(record, "record of downloads", "delete it")
    for archive in source.archives:
        if archive.name in done:
            continue
        path, digest = download(archive, folder, timeout=timeout)
        unpack(path, folder, max_bytes=archive.max_unpacked)
        done[archive.name] = digest
        write_json(record, done)
        path.unlink()
    return check_copy(source, folder)


def link_copy(source: Source, origin: str | Path, folder: str | Path) -> tuple[ImageRecord, ...]:
    """Check a copy that is on this machine, and make `folder` a link to it.

    Raises:
        DataError: the copy is incomplete, or `folder` holds something else.
    """
    origin = Path(origin).resolve()
    folder = Path(folder)
    records = check_copy(source, origin)
    if folder.is_symlink():
        folder.unlink()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if folder.resolve() == origin:
            return records
        raise DataError(f"--out got {folder}, which holds other files; delete it or give another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            folder.rmdir()
        folder.symlink_to(origin, target_is_directory=True)
    except OSError as error:  # links are not allowed, as on many Windows machines
        raise DataError(f"cannot link {folder} to {origin}: {error.strerror}; give {origin} itself as data") from error
    return records


def check_copy(source: Source, folder: str | Path) -> tuple[ImageRecord, ...]:
    """Read a Flickr8K folder and compare its counts with the published ones.

    Raises:
        DataError: it cannot be read, or is incomplete.
    """
    folder = Path(folder)
    records = read_flickr8k(folder, keep_unused=True)
    got = dict(Counter(record.split for record in records))
    _, captions = read_token_file(folder, FLICKR8K)
    if got != dict(source.images_of_split) or len(captions) != source.captioned_images:
        raise DataError(
            f"{folder} holds {got} images and captions of {len(captions)}, expected {dict(source.images_of_split)} and"
            f" {source.captioned_images}; delete the folder and run: make data-f8k"
        )
    return records


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("datasets.fetch", "Download and check a data set.")
    parser.add_argument("name", help=f"which: {', '.join(SOURCES)}")
    parser.add_argument("--out", required=True, help="folder to put it in")
    parser.add_argument("--from", dest="origin", metavar="DIR", help="check and link this copy, download nothing")
    parser.add_argument("--mirror", help="folder URL to try before the known mirrors")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for an answer (default 30)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Fetch or link the data set, and print what it holds."""
    source = look_up(SOURCES, args.name, "data set to fetch")
    if args.mirror:
        source = replace(source, archives=tuple(archive.also_from(args.mirror) for archive in source.archives))
    records = link_copy(source, args.origin, args.out) if args.origin else fetch(source, args.out, timeout=args.timeout)
    sentences, _ = captions_of(records)
    print(f"{len(records)} images with {len(sentences)} captions in {args.out}")
    print(f"note: {source.terms}", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
