"""Phrases and their boxes: the reader, the judgement of regions, and its baselines."""

import zipfile

import numpy as np
import pytest

from datasets.captions.flickr30k_entities import read_entities
from eval.metrics.grounding import (
    baseline_rankings,
    difference_interval,
    ground_at_random,
    ground_phrase,
    ground_point,
    phrase_metrics,
)
from vislang.core.errors import DataError, EvalError

XML = """<annotation><filename>7.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>1</name><name>3</name><bndbox><xmin>0</xmin><ymin>50</ymin><xmax>100</xmax><ymax>100</ymax></bndbox></object>
<object><name>1</name><bndbox><xmin>100</xmin><ymin>0</ymin><xmax>200</xmax><ymax>50</ymax></bndbox></object>
<object><name>2</name><scene>1</scene><nobndbox>1</nobndbox></object></annotation>"""
TEXT = "[/EN#1/people Two boys] jump over [/EN#2/scene the sand] .\n[/EN#3/clothing/other A hat] , it is red .\n"


@pytest.fixture(params=["zip", "folder"])
def entities(tmp_path, request):
    files = {"Annotations/7.xml": XML, "Sentences/7.txt": TEXT}
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "annotations.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text(content)
    return tmp_path


def test_phrases_and_boxes_are_read(entities):
    notes = read_entities(entities, ["7_ab12.jpg"])["7_ab12.jpg"]
    assert notes.sentences == (
        ("Two", "boys", "jump", "over", "the", "sand", "."),
        ("A", "hat", ",", "it", "is", "red", "."),
    )
    boys, sand, hat = notes.phrases
    assert notes.words(boys) == "Two boys"
    assert (boys.kind, boys.entity, boys.sentence, boys.words) == ("people", "1", 0, (0, 2))
    assert boys.boxes.tolist() == [[0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5]]
    assert (sand.kind, len(sand.boxes)) == ("scene", 0)
    assert (hat.kind, hat.sentence, hat.words) == ("clothing", 1, (0, 2))
    assert hat.boxes.tolist() == [[0, 0.5, 0.5, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "annotations.zip").write_bytes(b"PK no"), "is no zip file"),
        (lambda folder: (folder / "annotations.zip").unlink(), "holds neither annotations.zip nor"),
    ],
)
def test_damaged_archives_are_refused(tmp_path, change, message):
    (tmp_path / "annotations.zip").write_bytes(b"")
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        read_entities(tmp_path, ["7_x.jpg"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Sentences/7.txt", "[/EN#1/people Two boys jump\n", "phrase of sentence 1 has no end"),
        ("Annotations/7.xml", "<annotation><size>", "no annotation of boxes"),
        ("Annotations/7.xml", XML.replace("<width>200</width>", ""), "no annotation of boxes"),
        ("Annotations/8.xml", XML, "holds no Sentences/8.txt"),
    ],
)
def test_damaged_annotations_are_refused(tmp_path, name, content, message):
    files = {"Annotations/7.xml": XML, "Sentences/7.txt": TEXT, name: content}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    with pytest.raises(DataError, match=message):
        read_entities(tmp_path, [f"{name[-5]}_x.jpg"])


REGIONS = np.array([[0, 0, 1, 1], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.1, 0.1, 0.2, 0.2]])
TRUTH = np.array([[0.45, 0.55, 0.95, 0.95], [0.1, 0.1, 0.22, 0.2]])


def test_a_hand_worked_phrase():
    found = ground_phrase(0, "other", REGIONS[[1, 0, 3, 2]], TRUTH)
    # The middle of the first is (0.25, 0.25), of the whole (0.5, 0.5): neither in a box. The third overlaps 0.01/0.012.
    assert (found.pointing, found.r1, found.r5, found.bound) == (0, 0, 1, 1)
    found = ground_phrase(0, "other", REGIONS[[2, 0]], TRUTH)
    # Middle (0.75, 0.75) inside; overlap 0.18 / (0.25 + 0.2 - 0.18).
    assert (found.pointing, found.r1, found.pointing_bound) == (1, 1, 1)
    assert ground_phrase(0, "other", REGIONS[:2], TRUTH).bound == 0


def test_a_random_order_is_the_mean_over_all_orders():
    random = np.random.default_rng(0)
    regions = np.sort(random.uniform(size=(9, 2, 2)), axis=1).reshape(9, 4)
    truth = regions[[2, 5]]
    expected = ground_at_random(0, "x", regions, truth)
    orders = [ground_phrase(0, "x", regions[random.permutation(9)], truth) for _ in range(4000)]
    for name in ("pointing", "r1", "r5"):
        assert getattr(expected, name) == pytest.approx(np.mean([getattr(one, name) for one in orders]), abs=0.03)
    assert expected.r10 == 1.0


def test_the_centre_is_a_point_and_overlaps_nothing():
    assert ground_point(0, "x", (0.5, 0.6), TRUTH).pointing == 1.0
    assert ground_point(0, "x", (0.5, 0.5), TRUTH).pointing == 0.0
    assert ground_point(0, "x", (0.5, 0.6), TRUTH).r1 == 0.0


def test_baselines_order_regions_without_reading():
    orders = baseline_rankings(REGIONS)
    assert orders["whole image"][0].tolist() == [0, 0, 1, 1]
    assert orders["largest region"][0].tolist() == [0, 0, 0.5, 0.5]
    assert orders["best proposal"][0].tolist() == [0, 0, 0.5, 0.5]
    assert orders["largest region"][-1].tolist() == [0.1, 0.1, 0.2, 0.2]


def test_averages_are_over_phrases_and_over_each_kind():
    found = [ground_phrase(0, "people", REGIONS[[2]], TRUTH), ground_phrase(0, "people", REGIONS[[1]], TRUTH)]
    found += [ground_phrase(1, "scene", REGIONS[[2]], TRUTH)]
    table = phrase_metrics(found)
    assert list(table) == ["all", "people", "scene"]
    assert table["all"]["pointing"] == pytest.approx(200 / 3)
    assert (table["people"]["r1"], table["people"]["count"]) == (50.0, 2)
    with pytest.raises(EvalError, match="no phrase has a box"):
        phrase_metrics([])
    with pytest.raises(EvalError, match="0 regions"):
        ground_phrase(0, "x", REGIONS[:0], TRUTH)


def test_the_interval_of_a_difference_is_over_pictures():
    good = [ground_phrase(image, "x", REGIONS[[2]], TRUTH) for image in range(40)]
    bad = [ground_phrase(image, "x", REGIONS[[1 if image % 2 else 2]], TRUTH) for image in range(40)]
    low, high = difference_interval(good, bad)
    assert 25 < low < 50 < high < 75
    assert difference_interval(good, good) == (0.0, 0.0)
    with pytest.raises(EvalError, match="scored on other phrases"):
        difference_interval(good, bad[1:])
