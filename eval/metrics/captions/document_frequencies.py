"""Document frequencies of n-grams among the references of many images: the weights of CIDEr.

By default CIDEr counts them in the set that it scores, so one image scores 0 and scores of small sets depend on the
set. With a stored table of a training split, scores of single images and small sets are comparable.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.ngrams import ORDERS, count_ngrams
from vislang.core.errors import EvalError
from vislang.core.files import parse_json, whole_file

_FORMAT = "caption-document-frequencies/1"
_COMMAND = "python -m eval.document_frequencies"
_NEXT = f"make a new one with: {_COMMAND} --dataset NAME --data DIR --split train --out FILE"


@dataclass(frozen=True)
class DocumentFrequencies:
    """Number of images of a collection in which each n-gram occurs.

    Attributes:
        num_images: size of the collection, 2 or more.
        counts: images for each n-gram of 1 to 4 words joined by spaces; n-grams of a single image are left out, since
            CIDEr treats them like unseen ones.
        tokenizer: which made the words, "ptb" or "treebank".
    """

    num_images: int
    counts: Mapping[str, int]
    tokenizer: str = "ptb"

    @classmethod
    def fit(cls, references: Iterable[Sequence[str]], *, tokenizer: str = "ptb") -> "DocumentFrequencies":
        """Count over a collection: for each image its tokenized captions, one or more.

        Raises:
            EvalError: fewer than 2 images, or an image without captions.
        """
        images = list(references)
        if len(images) < 2:
            raise EvalError(
                f"got {len(images)} image(s), expected 2 or more, best a whole training split; "
                "every n-gram would weigh 0"
            )
        ngrams = count_ngrams([""] * len(images), images)
        counts: dict[str, int] = {}
        for order, grams in enumerate(ngrams.orders, start=1):
            for gram, images_with in zip(ngrams.spelled(order), grams.images_with.tolist(), strict=True):
                if images_with > 1:
                    counts[gram] = images_with
        return cls(len(images), counts, tokenizer)

    def images_with(self, grams: Sequence[str]) -> NDArray[np.int64]:
        """Return int64 [G], the number of images with each n-gram; 1 also stands for 0."""
        return np.array([self.counts.get(gram, 1) for gram in grams], np.int64)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, compressed when the name ends in .gz; the same table gives the same bytes.

        Raises:
            DataError: the file cannot be written.
        """
        document = {"format": _FORMAT, "num_images": self.num_images, "tokenizer": self.tokenizer}
        text = json.dumps({**document, "counts": dict(sorted(self.counts.items()))}, ensure_ascii=False, indent=0)
        content = text.encode()
        if Path(path).suffix == ".gz":
            content = gzip.compress(content, mtime=0)
        with whole_file(path) as part:
            part.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path) -> "DocumentFrequencies":
        """Read a table that `save` wrote.

        Raises:
            EvalError: the file is missing, damaged or something else.
        """
        try:
            content = Path(path).read_bytes()
            if content[:2] == b"\x1f\x8b":
                content = gzip.decompress(content)
            document = parse_json(content)
        except (OSError, ValueError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or f"damaged ({error})"
            raise EvalError(f"document frequencies {path}: {reason}; {_NEXT}") from error
        if not _is_table(document):
            raise EvalError(f"document frequencies {path}: not a table of format {_FORMAT!r}; {_NEXT}")
        return cls(document["num_images"], document["counts"], document["tokenizer"])


def table_path(name: str) -> Path:
    """Return the path of a stored table such as "flickr8k-train": in `$VISLANG_DF`, else in `runs/df`."""
    return Path(os.environ.get("VISLANG_DF") or Path("runs") / "df") / f"{name}.json.gz"


def find_table(name: str) -> DocumentFrequencies:
    """Read a stored table from a file, .json or .json.gz, or by a name for `table_path`.

    Raises:
        EvalError: there is none, or it is damaged; the message names the command that makes one.
    """
    if Path(name).suffix in (".gz", ".json"):
        return DocumentFrequencies.load(name)
    path = table_path(name)
    if not path.is_file():
        dataset, _, split = name.rpartition("-")
        held = sorted(table.name.removesuffix(".json.gz") for table in path.parent.glob("*.json.gz"))
        raise EvalError(
            f"no document frequencies {name!r}, {path.parent} holds {', '.join(held) or 'none'}; make them with: "
            f"{_COMMAND} --dataset {dataset or 'NAME'} --data DIR --split {split or 'train'} --out {path}"
        )
    return DocumentFrequencies.load(path)


def _is_table(document: Any) -> bool:
    """Return whether a document holds plausible counts: one above the number of images would be a negative weight."""
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        return False
    images = document.get("num_images")
    counts = document.get("counts")
    if type(images) is not int or images < 2 or not isinstance(counts, dict):
        return False
    if not isinstance(document.get("tokenizer"), str):
        return False
    for gram, count in counts.items():
        if type(count) is not int or not 1 <= count <= images or not 1 <= len(gram.split()) <= ORDERS:
            return False
    return True
