"""PACS: images of seven classes as photographs, paintings, cartoons and sketches; and folders with the same layout.

References: Li et al. 2017, Deeper, broader and artier domain generalization, arXiv:1710.03077.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.records import SPLITS, ImageRecord, check_splits
from vislang.core.errors import ConfigError, DataError, unknown_name

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")  # in the order of the paper
_HELD_OUT = {"test": 0.25, "dev": 0.15}  # shares of the images of each class in each domain
_FEWEST = 4  # images that can be split
_SUFFIXES = (".jpg", ".jpeg", ".png")
_NEXT = "expected DOMAIN/CLASS/*.jpg, such as photo/dog/1.jpg, with the same classes in each domain"


@dataclass(frozen=True)
class LabelledRecord(ImageRecord):
    """An image with a class label such as "dog" and a domain such as "sketch"; its id is DOMAIN/CLASS/NAME."""

    domain: str
    label: str


def read_pacs(folder: str | Path) -> tuple[LabelledRecord, ...]:
    """Read the images of all domains and split them, in the order of domains, classes and names.

    A quarter of each class in each domain is "test" and 15 % "dev" (5 and 3 of 20), chosen by the SHA-256 of
    CLASS/NAME, so that every run and every network has the same ones. Sketches NAME-1 and NAME-2 were drawn after one
    photograph NAME, which may be there too: images of one name are in one split in all domains. The split depends on
    the files in the folder.

    Args:
        folder: holds DOMAIN/CLASS/*.jpg or .png; other domains than `DOMAINS` are read too.

    Raises:
        DataError: no such folders, different classes in two domains, or too few images to split.
    """
    folder = Path(folder)
    names = _listed(folder)
    if not names:
        raise DataError(f"{folder} holds no folders of images; {_NEXT}")
    first = next(iter(names))
    for domain, labels in names.items():
        if labels.keys() != names[first].keys():
            differ = sorted(labels.keys() ^ names[first].keys())
            raise DataError(f"{folder}: domains {first!r} and {domain!r} differ in the classes {differ}; {_NEXT}")
    splits = {label: _split(names, label) for label in names[first]}
    records = []
    for domain, labels in names.items():
        for label, files in labels.items():
            for name in files:
                image_id = f"{domain}/{label}/{name}"
                split = splits[label][domain, name]
                records.append(LabelledRecord(image_id, folder / domain / label / name, split, (), domain, label))
    return check_splits(records)


def domains_of(records: Iterable[LabelledRecord]) -> tuple[str, ...]:
    """Return the domains in the order of the records."""
    return tuple(dict.fromkeys(record.domain for record in records))


def classes_of(records: Iterable[LabelledRecord]) -> tuple[str, ...]:
    """Return the classes in alphabetical order."""
    return tuple(sorted({record.label for record in records}))


def of_domains(records: Sequence[LabelledRecord], domains: Iterable[str]) -> tuple[LabelledRecord, ...]:
    """Return the records of some domains.

    Raises:
        ConfigError: an unknown domain.
    """
    wanted = set(domains)
    known = domains_of(records)
    for domain in sorted(wanted):
        if domain not in known:
            raise unknown_name("domain", domain, known)
    return tuple(record for record in records if record.domain in wanted)


def smallest_class(records: Iterable[LabelledRecord]) -> int:
    """Return the number of images of the smallest class in any domain."""
    return min(Counter((record.domain, record.label) for record in records).values())


def balanced(records: Sequence[LabelledRecord], per_class: int) -> tuple[LabelledRecord, ...]:
    """Choose equally many images of each class, spread evenly over the domains, by the SHA-256 of their ids.

    Args:
        records: of one split, and of the domains to choose from.
        per_class: images of each class, over all domains together.

    Raises:
        ConfigError: below 1, or a class has too few in a domain.
    """
    if per_class < 1:
        raise ConfigError(f"images of each class got {per_class}, expected 1 or more")
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        ids[record.domain, record.label].append(record.image_id)
    domains = domains_of(records)
    chosen = set()
    for row, label in enumerate(classes_of(records)):
        for column, domain in enumerate(domains):
            wanted = per_class // len(domains)
            # The remainder goes to other domains for each class.
            if (row + column) % len(domains) < per_class % len(domains):
                wanted += 1
            found = sorted(ids[domain, label], key=_digest)
            if len(found) < wanted:
                raise ConfigError(
                    f"{per_class} images of each class take {wanted} of {domain}/{label}, which has {len(found)};"
                    " ask for fewer"
                )
            chosen.update(found[:wanted])
    return tuple(record for record in records if record.image_id in chosen)


def _listed(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return {domain: {class: file names}}, without empty ones; the domains of PACS come first."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {_NEXT}")
    names = _folders(folder)
    known = [domain for domain in DOMAINS if domain in names]
    others = [domain for domain in names if domain not in DOMAINS]
    found: dict[str, dict[str, list[str]]] = {}
    for domain in known + others:
        for label in _folders(folder / domain):
            images = _images(folder / domain / label)
            if images:
                found.setdefault(domain, {})[label] = images
    return found


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[str]:
    names = []
    for path in folder.iterdir():
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
            names.append(path.name)
    return sorted(names)


def _split(names: dict[str, dict[str, list[str]]], label: str) -> dict[tuple[str, str], str]:
    """Return {(domain, file name): split} of one class; images of one source are in one split."""
    free = {}  # images that a held-out split still takes of a domain
    sources: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for domain, labels in names.items():
        count = len(labels[label])
        if count < _FEWEST:
            raise DataError(f"{domain}/{label} has {count} images, expected {_FEWEST} or more to split them")
        for split, share in _HELD_OUT.items():
            free[split, domain] = max(1, round(share * count))
        for name in labels[label]:
            sources[re.sub(r"-\d+$", "", Path(name).stem)].append((domain, name))
    split_of = {}
    for source in sorted(sources, key=lambda source: _digest(f"{label}/{source}")):
        counts = Counter(domain for domain, _ in sources[source])
        split = SPLITS[0]
        for held_out in _HELD_OUT:
            if all(free[held_out, domain] >= count for domain, count in counts.items()):
                split = held_out
                break
        for domain, name in sources[source]:
            split_of[domain, name] = split
            if split in _HELD_OUT:
                free[split, domain] -= 1
    return split_of


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
