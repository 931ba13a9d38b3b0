"""Results as JSON, Markdown and HTML, the published table and the gallery."""

import dataclasses
import html.parser
import json
import re

import numpy as np
import pytest
from PIL import Image

from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import METRICS
from eval.pages.retrieval import retrieval_page
from eval.pages.retrieval_gallery import Collection, build_gallery
from eval.published.retrieval import PUBLISHED, Published, published_rows
from eval.tables.retrieval import (
    COLUMNS,
    SeedRun,
    Setup,
    build_result,
    markdown_table,
    read_results,
    setting_name,
    setting_words,
    value_words,
)
from vislang.core.errors import DataError, EvalError
from vislang.core.files import write_json
from vislang.core.provenance import provenance

HOSTILE = "<script>alert('dog')</script> & \"cat\" | bird"


def made_up_result(name="best", seeds=(0, 1), dataset="flickr8k", **changes):
    runs = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        owners = np.repeat(np.arange(1000), 2)
        folds = [Ranks(random.geometric(0.1, 1000) - 1, random.geometric(0.1, 2000) - 1, owners)]
        runs.append(SeedRun(folds, seed, f"best-{seed}", f"{seed}" * 64))
    setup = Setup(name, dataset, "test", config={"margin": 0.2}, data_fingerprint="ab" * 32)
    return build_result(setup, runs, seconds=1.234, resamples=40) | changes


def test_a_result_holds_all_that_it_takes_to_repeat_it():
    result = made_up_result()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["setting"], result["num_images"], result["num_captions"]) == ("1k", 1000, 2000)
    assert result["seeds"] == [0, 1]
    per_seed = [run["metrics"]["i2t_r1"] for run in result["per_seed"]]
    assert result["metrics"]["i2t_r1"] == pytest.approx(np.mean(per_seed))
    assert result["deviation"]["i2t_r1"] == pytest.approx(abs(per_seed[0] - per_seed[1]) / np.sqrt(2))
    assert result["per_seed"][1]["weights_fingerprint"] == "1" * 64
    assert set(result["intervals"]) == set(METRICS)
    assert {"system", "protocol", "config", "data_fingerprint", "commit", "dirty", "date", "versions"} <= set(result)
    assert result["seconds"] == 1.23


def test_one_seed_has_no_deviation():
    assert set(made_up_result(seeds=(3,))["deviation"].values()) == {None}


def test_origin_outside_git_is_none(tmp_path):
    origin = provenance(tmp_path)
    assert (origin["commit"], origin["dirty"]) == (None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", origin["date"])
    assert origin["versions"]["numpy"] == np.__version__


def test_origin_inside_git_names_the_commit_and_changes(tmp_path):
    import subprocess

    def git(*words):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "results").mkdir()
    for name in ("a", "results/b"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    (tmp_path / "results" / "b").write_text("2")  # what a run has just written
    assert provenance(tmp_path)["dirty"] is False
    assert re.fullmatch(r"[0-9a-f]{40}", provenance(tmp_path)["commit"])
    (tmp_path / "a").write_text("2")
    assert provenance(tmp_path)["dirty"] is True


def test_numbers_are_written_as_in_papers():
    assert value_words("i2t_r1", 22.345) == "22.3"
    assert value_words("i2t_r1", 22.345, 0.41) == "22.3 ± 0.4"
    assert value_words("i2t_medr", 6.0) == "6"
    assert value_words("i2t_medr", 6.5) == "6.5"
    assert value_words("t2i_mrr", 0.1234) == "0.123"
    assert value_words("t2i_r5", None) == "–"


def test_settings_have_names_and_words():
    assert (setting_name(1000, 1), setting_name(5000, 1), setting_name(5000, 5)) == ("1k", "5k", "5x1k")
    assert setting_name(37, 1) == "37"
    assert setting_words("5k") == "one pass over 5,000 images"
    assert setting_words("5x1k") == "mean of 5 folds of 1,000 images"
    assert setting_words("37") == "one pass over 37 images"


def test_markdown_puts_published_rows_beside_ours():
    table = markdown_table([made_up_result("kiros", seeds=(0,)), made_up_result("best|<b>")])
    assert "| Kiros repository, VGG-19 | 22.3 | 48.7 | 59.8 | 6 | 14.9 | 38.3 | 51.6 | 10 | README of" in table
    assert "| BRNN, regions † |" in table
    assert "recalled, not verified" in table
    assert "| **kiros** |" in table
    assert "**best\\|&lt;b>**" in table
    assert "seeds 0, 1;" in table
    widths = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
    assert widths == {11}


def test_results_are_found_again_and_others_left_alone(tmp_path):
    write_json(tmp_path / "a.json", made_up_result("a"))
    write_json(tmp_path / "b.json", made_up_result("b", dataset="coco"))
    write_json(tmp_path / "c.json", {"kind": "captions"})
    write_json(tmp_path / "d.json", [1])
    assert [result["name"] for result in read_results(tmp_path, "flickr8k", "test")] == ["a"]


def test_broken_results_are_refused(tmp_path):
    broken = made_up_result()
    del broken["intervals"]
    write_json(tmp_path / "a.json", broken)
    with pytest.raises(EvalError, match=r"a\.json lacks \['intervals'\]; delete it or run eval\.run again"):
        read_results(tmp_path, "flickr8k", "test")
    write_json(tmp_path / "a.json", made_up_result(metrics={}))
    with pytest.raises(EvalError, match="lacks metrics"):
        read_results(tmp_path, "flickr8k", "test")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read_results(tmp_path, "flickr8k", "test")


def test_one_table_is_of_one_data_set():
    with pytest.raises(EvalError, match="results are of nothing"):
        markdown_table([])
    with pytest.raises(EvalError, match="expected one data set and split for one table"):
        markdown_table([made_up_result(), made_up_result(dataset="coco")])


def test_published_rows_are_possible_numbers():
    for rows in PUBLISHED.values():
        assert len({row.method for row in rows}) == len(rows)
        for row in rows:
            for way in (row.i2t, row.t2i):
                recalls = [value for value in way[:3] if value is not None]
                assert recalls == sorted(recalls)
                assert all(0 < value <= 100 for value in recalls)
                assert way[3] is None or way[3] >= 1
            assert row.source


def test_published_rows_are_looked_up_by_data_set_and_setting():
    assert published_rows("flickr8k-karpathy", "1k") == published_rows("flickr8k", "1k") != ()
    assert published_rows("flickr8k", "5k") == published_rows("scenes", "1k") == ()
    firsts = [row.i2t[0] for row in published_rows("coco", "5k")]
    assert firsts == sorted(firsts)
    with pytest.raises(dataclasses.FrozenInstanceError):
        published_rows("coco", "5k")[0].method = "ours"
    assert not Published("a", (1, 2, 3, 4), (1, 2, 3, 4), "b").recalled


class Page(html.parser.HTMLParser):
    """Collects what a browser would load, run and read out."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.alts, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.links += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag == "img":
            self.alts.append(attrs["alt"])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    collection = Collection(
        names=["red.png", HOSTILE], paths=[tmp_path / "red.png", None], sentences=["red", HOSTILE, "blue"],
        image_of_caption=[0, 1, 1],
    )  # fmt: skip
    gallery = build_gallery(np.eye(2), np.array([[0, 1], [0, 1], [1, 0]]), np.array([0, 1, 1]), top=2)
    result = made_up_result(HOSTILE)
    results = [made_up_result("other", seeds=(0,)), result]
    return retrieval_page(results, result, gallery=gallery, collection=collection).html()


def test_the_page_needs_no_other_file(page):
    parsed = Page(page)
    assert parsed.open == []
    assert all(link.startswith("data:image/jpeg;base64,") for link in parsed.links)
    assert parsed.links
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_runs_nothing_that_a_caption_says(page):
    assert "script" not in Page(page).tags
    assert "&lt;script&gt;" in page


def test_the_page_can_be_read_without_colours_and_pictures(page):
    parsed = Page(page)
    assert all(parsed.alts)
    assert page.count(">✓<") == page.count('<span class="hidden">right</span>') > 0
    assert page.count(">✗<") == page.count('<span class="hidden">wrong</span>') > 0
    assert 'aria-label="no picture at hand: &lt;script&gt;' in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_page_shows_ours_beside_the_published(page):
    assert page.count('class="ours"') >= 2
    assert "Kiros repository, VGG-19" in page
    assert "seed 0" in page
    assert "standard deviation" in page


def test_a_page_without_gallery_has_numbers_only():
    result = made_up_result(seeds=(0,))
    page = retrieval_page([result], result).html()
    assert "retrieved for" not in page
    assert "one seed, spread unknown" in page


def test_gallery_marks_right_answers_and_puts_tied_wrong_ones_first():
    gallery = build_gallery(np.ones((3, 2)), np.ones((6, 2)), np.repeat([0, 1, 2], 2), queries=2, top=3)
    assert len(gallery.image_queries) == len(gallery.sentence_queries) == 2
    assert [query.rank for query in gallery.image_queries] == [5, 5]
    assert [match.right for match in gallery.sentence_queries[0].matches] == [False, False, True]
    clear = build_gallery(np.eye(3), np.eye(3), np.arange(3))
    assert all(query.matches[0].right and query.rank == 1 for query in clear.image_queries)
    assert {query.row for query in clear.image_queries} == {0, 1, 2}


def test_an_empty_gallery_is_refused():
    with pytest.raises(EvalError, match="gallery of 0 queries with 5 candidates"):
        build_gallery(np.eye(2), np.eye(2), np.arange(2), queries=0)


def test_the_table_has_the_columns_of_the_papers():
    assert len(COLUMNS) == 8
    assert set(COLUMNS) <= set(METRICS)
