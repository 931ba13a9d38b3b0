"""Get a data set: `python -m datasets.fetch flickr8k --out data/flickr8k`, or check and link a copy with `--from DIR`.

Interrupted downloads resume; every archive is checked before it is unpacked, and the result is read with its reader.
"""

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.captions.flickr import FLICKR8K, read_flickr8k, read_flickr30k, read_token_file
from datasets.captions.msrvtt import read_msrvtt
from datasets.download.http import Archive, download
from datasets.download.zip_files import unpack
from datasets.records import ImageRecord, captions_of
from vislang.core.cli import DONE, command_parser, run_command
from vislang.core.errors import DataError, look_up
from vislang.core.files import read_json, require_writable_folder, write_json

_RECORD = "fetched.json"  # names and sha256 of what was unpacked; a finished archive is not fetched again
_RELEASE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_COCO = "http://images.cocodataset.org/zips"
_SPLITS = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"


def _read_coco(folder: str | Path) -> tuple[ImageRecord, ...]:
    """Read COCO with Karpathy's splits, all further images in train."""
    from datasets.captions.karpathy import read_karpathy

    return read_karpathy(Path(folder) / "dataset_coco.json", restval="train")


@dataclass(frozen=True)
class Source:
    """A data set that can be fetched, or one that its owners give to those who ask, without `archives`."""

    archives: tuple[Archive, ...]
    images_of_split: Mapping[str, int]  # number of images (or clips) of a complete copy
    captioned_images: int | None  # number of images in the token file of Flickr8K; None: not counted
    terms: str  # of use, printed after fetching
    read: Callable[[str | Path], tuple[ImageRecord, ...]] = functools.partial(read_flickr8k, keep_unused=True)
    target: str = "data-f8k"  # of the Makefile
    by_hand: str = ""  # how to get what has no archives


# The releases give no checksums. Without one the sizes and CRCs inside the archive and the counts below are checked;
# fetched.json records the sha256 of what came, for pinning it here.
SOURCES = {
    "flickr8k": Source(
        archives=(
            Archive("Flickr8k_text.zip", (f"{_RELEASE}/Flickr8k_text.zip",), sha256=None, max_unpacked=100 * 2**20),
            Archive("Flickr8k_Dataset.zip", (f"{_RELEASE}/Flickr8k_Dataset.zip",), sha256=None, max_unpacked=4 * 2**30),
        ),
        images_of_split={"train": 6000, "dev": 1000, "test": 1000, "unused": 91},
        captioned_images=8092,  # 40,460 lines, five an image; one image was never published
        terms="photographs are for non-commercial research; cite Hodosh, Young and Hockenmaier 2013",
    ),
    "flickr30k": Source(
        archives=(),
        images_of_split={"train": 29000, "dev": 1014, "test": 1000},
        captioned_images=None,
        terms="photographs are for non-commercial research; cite Young et al. 2014",
        read=read_flickr30k,
        target="data-f30k",
        by_hand="ask for flickr30k-images.tar.gz and results_20130124.token with the form at"
        " https://shannon.cs.illinois.edu/DenotationGraph/, unpack both into one folder, and put the lists of"
        " Karpathy's splits beside them as imgs_train.txt, imgs_val.txt and imgs_test.txt (file names,"
        f" one a line, by split in dataset_flickr30k.json of {_SPLITS})",
    ),
    "coco": Source(
        archives=(
            Archive("caption_datasets.zip", (_SPLITS,), sha256=None, max_unpacked=500 * 2**20),
            Archive("val2014.zip", (f"{_COCO}/val2014.zip",), sha256=None, max_unpacked=10 * 2**30),
            Archive("train2014.zip", (f"{_COCO}/train2014.zip",), sha256=None, max_unpacked=20 * 2**30),
        ),
        images_of_split={"train": 113287, "dev": 5000, "test": 5000},
        captioned_images=None,
        terms="photographs have their owners' Flickr licences, captions are CC BY 4.0; cite Chen et al. 2015 and, for"
        " the splits, Karpathy and Fei-Fei 2015",
        read=_read_coco,
        target="data-coco",
    ),
    "msrvtt": Source(
        archives=(),
        images_of_split={"train": 6513, "dev": 497, "test": 2990},
        captioned_images=None,
        terms="clips are for research; cite Xu et al. 2016",
        read=read_msrvtt,
        target="data-msrvtt",
        by_hand="its site (ms-multimedia-challenge.com) is gone and Microsoft gives no copy: ask a laboratory that has"
        " one for train_val_videodatainfo.json, test_videodatainfo.json and the clips, and put the clips into the"
        " folders TrainValVideo and TestVideo beside the two files",
    ),
}


def fetch(source: Source, folder: str | Path, *, timeout: float = 30.0) -> tuple[ImageRecord, ...]:
    """Download what is missing, unpack it into `folder` and check it; an interrupted fetch resumes where it stopped.

    Raises:
        DataError: no mirror answers within `timeout` seconds, an archive is damaged or unsafe, or the result is
            incomplete.
    """
    if not source.archives:
        raise DataError(f"this data set cannot be downloaded: {source.by_hand}; then: make {source.target}")
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
    """Read a folder and compare its counts with the published ones.

    Raises:
        DataError: it cannot be read, or is incomplete.
    """
    folder = Path(folder)
    records = source.read(folder)
    got = dict(Counter(record.split for record in records))
    if got != dict(source.images_of_split):
        raise DataError(f"{folder} holds {got} images, expected {dict(source.images_of_split)}; {_again(source)}")
    without_file = [record.image_id for record in records if record.path is None]
    if without_file:
        raise DataError(
            f"{folder} lacks {len(without_file)} files, first that of {without_file[0]!r}; {_again(source)}"
        )
    if source.captioned_images is not None:
        _, captions = read_token_file(folder, FLICKR8K)
        if len(captions) != source.captioned_images:
            raise DataError(
                f"{folder} holds captions of {len(captions)} images, expected {source.captioned_images};"
                f" {_again(source)}"
            )
    return records


def _again(source: Source) -> str:
    if source.by_hand:
        return source.by_hand
    return f"delete the folder and run: make {source.target}"


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
