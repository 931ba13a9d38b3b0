"""Flickr30k Entities: the phrases of captions that name something, and the boxes that people drew around it.

References: Plummer et al. 2015, arXiv:1505.04870. Flickr8K's images are among Flickr30K's; the splits of Entities cut
across those of Flickr8K, so images are read by name and never by an Entities split.
"""

import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import keyed

KINDS = ("people", "clothing", "bodyparts", "animals", "vehicles", "instruments", "scene", "other")

_NEXT = "get annotations.zip from the authors of Flickr30k Entities, or unpack it: Annotations/*.xml, Sentences/*.txt"
_OPENING = re.compile(r"\[/EN#(\d+)((?:/\w+)*)")
_LARGEST = 2**20  # bytes of one file


@dataclass(frozen=True)
class EntityPhrase:
    """Words of a sentence that name something."""

    entity: str  # its id; phrases of one image with the same id name the same thing
    kind: str  # one of KINDS; of several the first
    sentence: int  # index of the sentence among the image's
    words: tuple[int, int]  # (first, after the last) word in it
    boxes: np.ndarray  # float32 [K, 4], x0, y0, x1, y1 as shares of the image's sides; K is 0 for what has no box


@dataclass(frozen=True)
class EntityNotes:
    """The annotations of one image: sentences as words, including punctuation, and their phrases in reading order."""

    sentences: tuple[tuple[str, ...], ...]
    phrases: tuple[EntityPhrase, ...]

    def words(self, phrase: EntityPhrase) -> str:
        """Return a phrase as text."""
        return " ".join(self.sentences[phrase.sentence][slice(*phrase.words)])


def read_entities(folder: str | Path, image_ids: Iterable[str]) -> dict[str, EntityNotes]:
    """Read the annotations of images: {image_id: notes}, in the order of `image_ids`.

    The folder holds `annotations.zip`, or `Annotations` and `Sentences`. The stem of an id up to the first "_" is
    Flickr's number of the photograph.

    Raises:
        DataError: missing or damaged files, an image without annotations, or two images of one number.
    """
    read = _reader(Path(folder))
    notes = {}
    numbered = ((PurePosixPath(image_id).stem.partition("_")[0], image_id) for image_id in image_ids)
    for number, image_id in keyed(numbered, f"{folder}, numbers of photographs", "rename one of the images").items():
        boxes = _boxes(f"Annotations/{number}.xml", read(f"Annotations/{number}.xml"))
        notes[image_id] = _notes(f"Sentences/{number}.txt", read(f"Sentences/{number}.txt"), boxes)
    return notes


def _reader(folder: Path) -> Callable[[str], str]:
    """Return a function that reads a file by its name in the archive."""
    archive_path = folder / "annotations.zip"
    if archive_path.is_file():
        try:
            archive = zipfile.ZipFile(archive_path)
            members = keyed(((one.filename, one) for one in archive.infolist()), f"{archive_path}, files", _NEXT)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise DataError(f"{archive_path} is no zip file ({error}); {_NEXT}") from error
    elif (folder / "Annotations").is_dir() and (folder / "Sentences").is_dir():
        archive = None
    else:
        raise DataError(f"{folder} holds neither annotations.zip nor Annotations and Sentences; {_NEXT}")

    def read(name: str) -> str:
        try:
            if archive is None:
                content = (folder / name).read_bytes()
            else:
                if members[name].file_size > _LARGEST:
                    raise DataError(f"{archive_path}: {name} is larger than {_LARGEST} bytes; {_NEXT}")
                content = archive.read(members[name])
            return content.decode()
        except (KeyError, OSError) as error:
            raise DataError(f"{folder} holds no {name}: this image has no annotations; {_NEXT}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
            raise DataError(f"{folder}: {name} is damaged ({error}); {_NEXT}") from error

    return read


def _boxes(name: str, text: str) -> dict[str, np.ndarray]:
    """Return {entity: float32 [K, 4]} as shares of the image's sides."""
    found: dict[str, list[list[float]]] = {}
    try:
        root = ET.fromstring(text)
        width = float(root.findtext("size/width", ""))
        height = float(root.findtext("size/height", ""))
        for thing in root.findall("object"):
            box = thing.find("bndbox")
            if box is None:
                continue
            corners = [float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax")]
            for entity in thing.findall("name"):
                found.setdefault(entity.text or "", []).append(corners)
        sides = np.array([width, height, width, height], np.float32)
        return {entity: np.array(rows, np.float32) / sides for entity, rows in found.items()}
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{name} is no annotation of boxes ({error}); {_NEXT}") from error


def _notes(name: str, text: str, boxes: dict[str, np.ndarray]) -> EntityNotes:
    """Parse sentences such as "[/EN#1/people A man] sits on [/EN#2/other a bench] ."."""
    sentences = []
    phrases = []
    no_boxes = np.zeros((0, 4), np.float32)
    for sentence, line in enumerate(text.splitlines()):
        words: list[str] = []
        opened = None  # the match of the phrase that is being read
        start = 0
        for token in line.split():
            opening = _OPENING.fullmatch(token)
            if opening:
                opened = opening
                start = len(words)
                continue
            if opened is None or not token.endswith("]"):
                words.append(token)
                continue
            words.append(token[:-1])
            entity = opened[1]
            span = (start, len(words))
            phrases.append(EntityPhrase(entity, _kind(opened[2]), sentence, span, boxes.get(entity, no_boxes)))
            opened = None
        if opened is not None:
            raise DataError(f"{name}: a phrase of sentence {sentence + 1} has no end; {_NEXT}")
        sentences.append(tuple(words))
    return EntityNotes(tuple(sentences), tuple(phrases))


def _kind(path: str) -> str:
    """Return the first kind of a path such as "/people/clothing"."""
    kind = path.strip("/").partition("/")[0]
    if kind in KINDS:
        return kind
    return "other"
