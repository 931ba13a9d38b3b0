"""The reader of PACS: one split for all, no source of a picture on two sides, and equal shares."""

import re
from collections import Counter
from pathlib import Path

import pytest

from datasets.pacs import balanced, classes_of, domains_of, of_domains, read_pacs, smallest_class
from datasets.records import of_split
from vislang.core.errors import ConfigError, DataError


def lay_out(folder, names):
    """Make empty files at {domain: {class: names}}."""
    for domain, classes in names.items():
        for label, files in classes.items():
            (folder / domain / label).mkdir(parents=True)
            for name in files:
                (folder / domain / label / name).touch()
    return folder


@pytest.fixture
def pacs(tmp_path):
    photos = [f"p{number}.jpg" for number in range(20)]
    sketches = [f"p{number}-{one}.png" for number in range(8) for one in (1, 2)] + [f"{n}.png" for n in range(4)]
    classes = {"photo": photos, "sketch": sketches, "cartoon": [f"pic_{n}.jpg" for n in range(40)]}
    return lay_out(tmp_path / "pacs", {domain: {"dog": names, "cat": names} for domain, names in classes.items()})


def test_every_class_of_every_domain_is_split_in_the_same_shares(pacs):
    (pacs / "sketch" / "dog" / "Thumbs.db").touch()
    (pacs / ".git").mkdir()
    records = read_pacs(pacs)
    assert domains_of(records) == ("photo", "cartoon", "sketch")
    assert classes_of(records) == ("cat", "dog")
    counts = Counter((record.domain, record.label, record.split) for record in records)
    for label in ("cat", "dog"):
        assert [counts["photo", label, split] for split in ("train", "dev", "test")] == [12, 3, 5]
        assert [counts["cartoon", label, split] for split in ("train", "dev", "test")] == [24, 6, 10]
        assert [counts["sketch", label, split] for split in ("train", "dev", "test")] == [12, 3, 5]
    assert records[0].path == pacs / records[0].image_id
    assert records == read_pacs(pacs)


def test_a_photograph_and_the_sketches_of_it_are_in_one_split(pacs):
    splits = {}
    for record in read_pacs(pacs):
        source = re.sub(r"-\d+$", "", Path(record.image_id).stem)
        splits.setdefault((record.label, source), set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())
    held_out = [source for (_, source), found in splits.items() if found == {"test"}]
    assert any(re.fullmatch(r"p[0-7]", source) for source in held_out), "no photograph with sketches is in test"


def test_balanced_gives_each_class_equally_many_from_each_domain(pacs):
    train = of_split(read_pacs(pacs), "train")
    assert smallest_class(train) == 12
    chosen = balanced(of_domains(train, ("cartoon", "sketch")), 7)
    counts = Counter((record.label, record.domain) for record in chosen)
    assert Counter(record.label for record in chosen) == {"cat": 7, "dog": 7}
    # Seven are three and four; the larger share changes sides with the class.
    assert [counts["cat", "cartoon"], counts["dog", "cartoon"]] == [4, 3]
    assert set(chosen) <= set(train)
    assert chosen == balanced(of_domains(train, ("cartoon", "sketch")), 7)
    assert set(balanced(train, 3)) <= set(balanced(train, 6))
    with pytest.raises(ConfigError, match=r"30 images of each class take 15 of sketch/cat, which has 12"):
        balanced(of_domains(train, ("cartoon", "sketch")), 30)
    with pytest.raises(ConfigError, match="expected 1 or more"):
        balanced(train, 0)
    with pytest.raises(ConfigError, match="unknown domain 'skecth'; did you mean sketch"):
        of_domains(train, ("skecth",))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (None, "no such folder; expected DOMAIN/CLASS"),
        ({}, "holds no folders of images"),
        ({"photo": {"dog": ["1.jpg"] * 1}}, "photo/dog has 1 images, expected 4 or more"),
        (
            {"photo": {"dog": list("abcd"), "cat": [f"{n}.jpg" for n in range(4)]}},
            None,  # files that are no pictures make no class
        ),
        (
            {"photo": {"dog": ["1.jpg"]}, "sketch": {"dog": ["1.png"], "cat": ["1.png"]}},
            r"domains 'photo' and 'sketch' differ in the classes \['cat'\]",
        ),
    ],
)
def test_folders_of_another_shape_are_refused(tmp_path, names, reason):
    folder = tmp_path / "data"
    if names is not None:
        folder.mkdir()
        lay_out(folder, names)
    if reason is None:
        assert classes_of(read_pacs(folder)) == ("cat",)
        return
    with pytest.raises(DataError, match=reason):
        read_pacs(folder)


@pytest.mark.realdata
def test_the_part_of_pacs_has_what_it_says(real_data):
    records = read_pacs(real_data / "pacs")
    counts = Counter((record.domain, record.label, record.split) for record in records)
    assert Counter(counts.values()) == {12: 28, 3: 28, 5: 28}
    assert len(balanced(of_domains(of_split(records, "train"), ("art_painting", "cartoon", "sketch")), 12)) == 84
