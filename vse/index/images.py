"""Image files in a store: encoded once, and again only where a file is new or changed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.core.files import cache_folder
from vislang.features.cache.records import file_records, with_digests
from vislang.features.reading_options import ReadingOptions
from vislang.images.decode import date_taken
from vislang.images.sources import Skipped
from vse.api import EncodedImages
from vse.index.folder import FolderStore, remove_files
from vse.index.image_files import (
    ImageFiles,
    NamedFiles,
    captions_of_ids,
    compare_files,
    cut_records,
    image_ids,
    named_files,
    times_of,
)
from vse.index.store import (
    ADDED_TOGETHER,
    Collection,
    DamagedStoreError,
    Record,
    VectorStore,
)

if TYPE_CHECKING:
    from vse.inference import TrainedRanker

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Updated:
    """What `update_store` did: numbers of images, those that could not be read, and captions of none of the images."""

    encoded: int
    unchanged: int
    removed: int
    skipped: list[Skipped]
    unused_captions: list[str]  # their paths


@dataclass(frozen=True)
class _Encoded:
    """Some of the images that were to be encoded."""

    numbers: list[int]  # of K of them, among all
    records: list[Record]
    vectors: np.ndarray  # float32 [K, D]
    skipped: list[Skipped]


def collection_of(model: "TrainedRanker") -> Collection:
    """Return the collection that the vectors of a ranker belong to."""
    return Collection(model.fingerprint, model.width)


def default_place(model: "TrainedRanker", folder: Path | None = None) -> Path | None:
    """Return the folder of the index of a ranker that is kept where no store is named; None where there is no place.

    Args:
        model: the ranker.
        folder: of the indexes; None: VISLANG_INDEX, or ~/.cache/vislang/index.
    """
    folder = folder or cache_folder("VISLANG_INDEX", "index")
    if folder is None:
        return None
    place = folder / model.fingerprint[:24]
    old = list(folder.glob("*.npz"))
    if old and not place.exists():
        _log.warning(
            "%s: %d indexes of vislang 0.1 (*.npz) are not read, images are encoded once more; delete those files",
            printable(str(folder)),
            len(old),
        )
    return place


def own_place(model: "TrainedRanker") -> Path:
    """Return the folder of the index of a ranker where no store is named.

    Raises:
        DataError: there is no place for it.
    """
    place = default_place(model)
    if place is None:
        raise DataError("there is no home folder for an index; set VISLANG_INDEX to a folder, or name one by --store")
    return place


def update_store(
    store: VectorStore,
    model: "TrainedRanker",
    images: str | Path | Sequence[str | Path],
    *,
    captions: Mapping[str, str] = {},
    watching: bool = False,
    options: ReadingOptions = ReadingOptions(),
) -> Updated:
    """Bring a store up to date with image files: encode what is new or changed, remove what is gone.

    Gone are stored images whose files are absent: of the folders that are named, and of names where nothing is.

    Killed at any moment and called again it goes on; at most ADDED_TOGETHER encoded images are lost.

    Args:
        store: of the ranker's collection.
        model: the ranker.
        images: files, folders, patterns or text files of paths, or one of these.
        captions: {path: caption} to be stored with the images; those of the others stay.
        watching: called again and again; compact the store only after a change, and keep the images of names where
            nothing is, such as on a disk that is away for now.
        options: how they are read.

    Raises:
        DataError: no image and none gone, or the store cannot be written.
    """
    named = named_files(images, strict=options.strict, store=store, keep_absent=watching)
    paths, skipped = named.paths, list(named.skipped)
    files = ImageFiles(paths, image_ids(paths), captions_of_ids(captions))
    compared = compare_files(store, files)
    for records in cut_records(compared.outdated):
        store.add(records, store.vectors([record.id for record in records]))
    unreadable = set(compared.new)
    for some in _encode(model, files, compared.new, options):
        store.add(some.records, some.vectors)
        skipped += some.skipped
        unreadable.difference_update(some.numbers)
    outdated = store.records([files.ids[number] for number in sorted(unreadable)])  # what they held before they changed
    gone = [*named.gone, *outdated]
    if gone:
        store.delete(gone)
    encoded = len(compared.new) - len(unreadable)
    if encoded or gone or compared.outdated or not watching:
        store.compact()
    named_ids = set(files.ids)
    unused = [name for name, one in zip(captions, files.captions, strict=True) if one not in named_ids]
    return Updated(encoded, len(paths) - len(compared.new), len(named.gone), skipped, unused)


def index_images(
    model: "TrainedRanker",
    images: str | Path | Sequence[str | Path],
    *,
    folder: Path | None = None,
    options: ReadingOptions = ReadingOptions(),
) -> EncodedImages:
    """Encode image files, reusing what earlier calls stored in the ranker's own index.

    Args:
        model: the ranker.
        images: files, folders, patterns or text files of paths.
        folder: of the indexes, as for `default_place`. Where it cannot be written, a warning says so, and the
            images are encoded again next time. A damaged index is made anew.
        options: how they are read.

    Raises:
        DataError: no usable image.
    """
    named = named_files(images, strict=options.strict)
    place = default_place(model, folder)
    try:
        return _index_images(model, place, named, options)
    except DamagedStoreError as error:
        _log.warning("%s; it is made anew", printable(str(error)))
        assert place is not None  # else there is nothing to be damaged
        remove_files(place)
        return _index_images(model, place, named, options)


def _index_images(
    model: "TrainedRanker", place: Path | None, named: NamedFiles, options: ReadingOptions
) -> EncodedImages:
    paths, skipped = named.paths, list(named.skipped)
    files = ImageFiles(paths, image_ids(paths), {})
    index = _OwnIndex(place, collection_of(model))
    new = index.compare(files)
    kept = sorted(set(range(len(paths))).difference(new))
    unkept: dict[int, np.ndarray] = {}
    for some in _encode(model, files, new, options):
        skipped += some.skipped
        kept += some.numbers
        if not index.add(some.records, some.vectors):
            unkept.update(zip(some.numbers, some.vectors, strict=True))
    if not kept:
        raise DataError(f"none of {len(paths)} images could be encoded; the first: {skipped[0].reason}")
    kept.sort()
    vectors = np.zeros((len(kept), model.width), np.float32)
    is_stored = np.array([number not in unkept for number in kept])
    vectors[is_stored] = index.vectors([files.ids[number] for number in kept if number not in unkept])
    for row in np.flatnonzero(~is_stored).tolist():
        vectors[row] = unkept[kept[row]]
    return EncodedImages(vectors, [str(paths[number]) for number in kept], skipped)


class _OwnIndex:
    """The index of a search, which costs a warning and not the search where it cannot be kept."""

    def __init__(self, place: Path | None, collection: Collection):
        self._store: FolderStore | None = None
        self._is_writable = place is not None
        self._width = collection.width
        if place is not None:
            try:
                self._store = FolderStore(place, collection)
            except DamagedStoreError:
                raise
            except DataError as error:
                self._give_up(error)

    def compare(self, files: ImageFiles) -> list[int]:
        """Return the numbers of the files to encode; what only looks changed is stored with its times of now."""
        if self._store is None:
            return list(range(len(files.paths)))
        compared = compare_files(self._store, files)
        for records in cut_records(compared.outdated):
            self.add(records, self.vectors([record.id for record in records]))
        return compared.new

    def add(self, records: Sequence[Record], vectors: np.ndarray) -> bool:
        """Store images, and return whether that was possible."""
        if self._store is None or not self._is_writable:
            return False
        try:
            self._store.add(records, vectors)
        except DamagedStoreError:
            raise
        except DataError as error:
            self._give_up(error)
        return self._is_writable

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return stored vectors, float32 [N, D]."""
        if self._store is None:
            return np.zeros((0, self._width), np.float32)
        return self._store.vectors(ids)

    def _give_up(self, error: DataError) -> None:
        self._is_writable = False
        _log.warning("the index is not kept, only this search has it: %s", printable(str(error)))


def _encode(
    model: "TrainedRanker", files: ImageFiles, numbers: Sequence[int], options: ReadingOptions
) -> Iterator[_Encoded]:
    """Encode the images of some numbers, and yield them ADDED_TOGETHER at a time."""
    paths = [files.paths[number] for number in numbers]
    # Before they are read: what changes meanwhile is encoded again next time.
    status = file_records(paths)
    batches: list[tuple[np.ndarray, list[int], list[Skipped]]] = []
    waiting = 0
    for batch in model.encode_images(paths, options):
        batches.append(batch)
        waiting += len(batch[1])
        if waiting >= ADDED_TOGETHER:
            yield _joined(files, numbers, status, batches)
            batches = []
            waiting = 0
    if batches:
        yield _joined(files, numbers, status, batches)


def _joined(
    files: ImageFiles,
    numbers: Sequence[int],
    status: np.ndarray,
    batches: Sequence[tuple[np.ndarray, list[int], list[Skipped]]],
) -> _Encoded:
    """Join batches of encoded images, and add what is known of their files.

    Args:
        files: all files.
        numbers: of the N files that are encoded.
        status: RECORD [N], their sizes and times.
        batches: vectors, their indices among the N, and the images that could not be read.
    """
    usable = [index for _, some, _ in batches for index in some]
    kept = [numbers[index] for index in usable]
    paths = [files.paths[number] for number in kept]
    records = []
    for number, path, about in zip(kept, paths, with_digests(status[usable], paths), strict=True):
        name = files.ids[number]
        caption = files.captions.get(name, "")
        sha256 = about["sha256"].decode()
        records.append(Record(name, sha256=sha256, taken=date_taken(path), caption=caption, **times_of(about)))
    vectors = np.concatenate([part for part, _, _ in batches])
    return _Encoded(kept, records, vectors, [one for _, _, bad in batches for one in bad])
