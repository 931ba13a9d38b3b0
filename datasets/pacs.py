"""PACS: seven kinds of things as photographs, paintings, cartoons and sketches; and folders that are laid out alike.

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
_HELD_OUT = {"test": 0.25, "dev": 0.15}  # shares of the pictures of each class in each domain
_FEWEST = 4  # pictures that can be split
_SUFFIXES = (".jpg", ".jpeg", ".png")
_NEXT = "expected DOMAIN/CLASS/*.jpg, such as photo/dog/1.jpg, with the same classes in each domain"


@dataclass(frozen=True)
class LabelledRecord(ImageRecord):
    """A picture of a thing; its id is DOMAIN/CLASS/NAME, and nobody wrote a sentence for it.

    Attributes:
        domain: how the thing is shown, such as "sketch".
        label: what it is, such as "dog".
    """

    domain: str
    label: str


def read_pacs(folder: str | Path) -> tuple[LabelledRecord, ...]:
    """Read the pictures of all domains and split them, in the order of domains, classes and names.

    A quarter of each class in each domain is "test" and 15 % "dev" (5 and 3 of 20), chosen by the sha256 of CLASS/NAME,
    so that every run and every network has the same ones. Sketches NAME-1 and NAME-2 were drawn after one photograph
    NAME, which may be there too: pictures of one name are in one split in all domains. The split depends on what is in
    the folder: other pictures, another split.

    Args:
        folder: holds DOMAIN/CLASS/*.jpg or .png; other domains than `DOMAINS` are read too.

    Raises:
        DataError: no such folders, other classes in one domain than in another, or too few pictures to split.
    """
    folder = Path(folder)
    names = _listed(folder)
    classes = {domain: list(found) for domain, found in names.items()}
    first = next(iter(classes), None)
    if first is None or not classes[first]:
        raise DataError(f"{folder} holds no folders of pictures; {_NEXT}")
    for domain, found in classes.items():
        if found != classes[first]:
            differ = sorted(set(found) ^ set(classes[first]))
            raise DataError(f"{folder}: domains {first!r} and {domain!r} differ in the classes {differ}; {_NEXT}")
    splits = {label: _split({domain: names[domain][label] for domain in names}, label) for label in classes[first]}
    return check_splits(
        LabelledRecord(f"{domain}/{label}/{name}", folder / domain / label / name, split, (), domain, label)
        for domain in names
        for label in classes[first]
        for name in names[domain][label]
        for split in [splits[label][domain, name]]
    )


def domains_of(records: Iterable[LabelledRecord]) -> tuple[str, ...]:
    """Give the domains in the order of the records."""
    return tuple(dict.fromkeys(record.domain for record in records))


def classes_of(records: Iterable[LabelledRecord]) -> tuple[str, ...]:
    """Give the classes in alphabetical order."""
    return tuple(sorted({record.label for record in records}))


def of_domains(records: Sequence[LabelledRecord], domains: Iterable[str]) -> tuple[LabelledRecord, ...]:
    """Give the records of some domains.

    Raises:
        ConfigError: an unknown domain.
    """
    wanted, known = tuple(domains), domains_of(records)
    for domain in wanted:
        if domain not in known:
            raise unknown_name("domain", domain, known)
    return tuple(record for record in records if record.domain in wanted)


def smallest_class(records: Iterable[LabelledRecord]) -> int:
    """Give how many pictures the smallest class in any domain has: what each network can be given of each class."""
    return min(Counter((record.domain, record.label) for record in records).values())


def balanced(records: Sequence[LabelledRecord], per_class: int) -> tuple[LabelledRecord, ...]:
    """Choose equally many pictures of each class, spread evenly over the domains, by the sha256 of their ids.

    Args:
        records: of one split and the domains that are wanted.
        per_class: pictures of each class, over all domains together.

    Raises:
        ConfigError: below 1, or a class has too few in a domain.
    """
    if per_class < 1:
        raise ConfigError(f"pictures of each class got {per_class}, expected 1 or more")
    domains, chosen = domains_of(records), set()
    for number, label in enumerate(classes_of(records)):
        for place, domain in enumerate(domains):
            # What is left over goes to another domain with each class.
            wanted = per_class // len(domains) + ((place + number) % len(domains) < per_class % len(domains))
            there = [one.image_id for one in records if (one.domain, one.label) == (domain, label)]
            if len(there) < wanted:
                raise ConfigError(
                    f"{per_class} pictures of each class take {wanted} of {domain}/{label}, which has {len(there)};"
                    " ask for fewer"
                )
            chosen |= set(sorted(there, key=_digest)[:wanted])
    return tuple(record for record in records if record.image_id in chosen)


def _listed(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Give {domain: {class: names}}; the domains of PACS come first."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {_NEXT}")
    found = {}
    for domain in sorted(_folders(folder), key=lambda name: (DOMAINS.index(name) if name in DOMAINS else 99, name)):
        classes = {label: _pictures(folder / domain / label) for label in _folders(folder / domain)}
        found[domain] = {label: names for label, names in classes.items() if names}
    return {domain: classes for domain, classes in found.items() if classes}


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[str]:
    paths = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(path.name for path in paths)


def _split(names: dict[str, list[str]], label: str) -> dict[tuple[str, str], str]:
    """Give {(domain, name): split} of one class, whatever has one source together."""
    room = {}
    for domain, listed in names.items():
        if len(listed) < _FEWEST:
            raise DataError(f"{domain}/{label} has {len(listed)} pictures, expected {_FEWEST} or more to split them")
        for split, share in _HELD_OUT.items():
            room[split, domain] = max(1, round(share * len(listed)))
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for domain, listed in names.items():
        for name in listed:
            groups[re.sub(r"-\d+$", "", Path(name).stem)].append((domain, name))
    found = {}
    for source in sorted(groups, key=lambda source: _digest(f"{label}/{source}")):
        taken = Counter(domain for domain, _ in groups[source])
        fits = (split for split in _HELD_OUT if all(room[split, domain] >= taken[domain] for domain in taken))
        split = next(fits, SPLITS[0])
        for domain, name in groups[source]:
            found[domain, name] = split
            if split in _HELD_OUT:
                room[split, domain] -= 1
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
