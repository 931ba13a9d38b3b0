"""Retrieval results as Markdown and HTML, the published table and the gallery."""

import dataclasses
import html.parser

import numpy as np
import pytest
from PIL import Image

from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import METRICS
from eval.pages.retrieval import retrieval_page
from eval.pages.retrieval_gallery import Collection, build_gallery
from eval.published.retrieval import COLUMNS, PUBLISHED, published_retrieval
from eval.published.row import PublishedRow
from eval.results.models import ModelInfo
from eval.results.result import Row
from eval.tables.markdown import metric_number, row_words
from eval.tables.retrieval import (
    RetrievalRun,
    retrieval_result,
    retrieval_section,
    setting_name,
    setting_words,
)
from vislang.core.errors import EvalError

HOSTILE = "<script>alert('dog')</script> & \"cat\" | bird"


def made_up_result(name="best", seeds=(0, 1), dataset="flickr8k"):
    runs = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        owners = np.repeat(np.arange(1000), 2)
        folds = [Ranks(random.geometric(0.1, 1000) - 1, random.geometric(0.1, 2000) - 1, owners)]
        model = ModelInfo(f"best-{seed}", seed=seed, weights_fingerprint=f"{seed}" * 64)
        runs.append(RetrievalRun(model=model, folds=folds))
    row = Row(name=name, system="vse", dataset=dataset, split="test", config={"margin": 0.2})
    return retrieval_result(row, runs, resamples=40)


def test_a_result_averages_over_seeds():
    result = made_up_result()
    assert (result.setting, result.num_images, result.num_captions) == ("1k", 1000, 2000)
    per_seed = [run.metrics["i2t_r1"] for run in result.per_seed]
    assert result.metrics["i2t_r1"] == pytest.approx(np.mean(per_seed))
    assert result.std["i2t_r1"] == pytest.approx(abs(per_seed[0] - per_seed[1]) / np.sqrt(2))
    assert result.per_seed[1].weights_fingerprint == "1" * 64
    assert set(result.metrics) == set(result.std) == set(result.intervals) == set(METRICS)
    assert made_up_result(seeds=(3,)).std == {}


def test_kept_checkpoints_are_averaged_over_one_set_of_images():
    folds = [Ranks(np.array([0, rank]), np.array([0, rank]), np.arange(2)) for rank in (0, 8)]
    row = Row(name="x", system="alignment", dataset="d", split="test")
    parts = {"words and regions": {"i2t_r1": 50.0}}
    run = RetrievalRun(model=ModelInfo(seed=0), folds=folds, checkpoints=2, parts=parts)
    result = retrieval_result(row, [run], resamples=40)
    assert result.parts == parts
    assert (result.num_images, result.checkpoints_per_seed, result.setting) == (2, 2, "2")
    assert result.metrics["i2t_r5"] == 75.0


def test_numbers_are_written_as_in_papers():
    assert metric_number("i2t_r1", 22.345) == "22.3"
    assert metric_number("i2t_r1", 22.345, 0.41) == "22.3 ± 0.4"
    assert metric_number("i2t_medr", 6.0) == "6"
    assert metric_number("i2t_medr", 6.5) == "6.5"
    assert metric_number("t2i_mrr", 0.1234) == "0.123"
    assert metric_number("t2i_r5", None) == "–"


def test_names_of_rows_in_words():
    assert row_words("vse-best-mobilenet_v2") == "ranker best, MobileNetV2"
    name = "captioner-best-mobilenet_v2-consensus_weight=0"
    assert row_words(name) == "captioner best, MobileNetV2, without consensus re-ranking"
    assert row_words("mobilenet_0.75-data_weight_1000") == "MobileNet 0.75, data weight 1000"
    assert row_words("kato-mobilenet_0.75 + centre") == "kato, MobileNet 0.75 + centre"
    assert row_words("alignment-karpathy-grid@320-vgg19") == "aligner karpathy-grid@320, VGG-19"
    assert row_words("full-frame RNN") == "full-frame RNN"


def test_settings_have_names_and_words():
    assert (setting_name(1000, 1), setting_name(5000, 1), setting_name(5000, 5)) == ("1k", "5k", "5x1k")
    assert setting_name(37, 1) == "37"
    assert setting_words("5k") == "one pass over 5,000 images"
    assert setting_words("5x1k") == "mean of 5 folds of 1,000 images"
    assert setting_words("37") == "one pass over 37 images"


def test_markdown_puts_published_rows_beside_ours():
    table = retrieval_section([made_up_result("kiros", seeds=(0,)), made_up_result("best|<b>")])
    assert "| Kiros repository, VGG-19 | 22.3 | 48.7 | 59.8 | 6 | 14.9 | 38.3 | 51.6 | 10 | [3] |" in table
    assert "[3] README of ryankiros/visual-semantic-embedding" in table
    assert "| BRNN, regions † |" in table
    assert "quoted from memory, not checked" in table
    assert "| **kiros** |" in table
    assert "**best\\|&lt;b>**" in table
    assert "seeds 0, 1;" in table
    assert "[best" not in table
    widths = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
    assert widths == {11}


def test_rows_link_their_files():
    table = retrieval_section([made_up_result("best")], "../results/")
    assert "| **[best](../results/retrieval-best-flickr8k-test.json)** |" in table


def test_one_table_is_of_one_data_set():
    with pytest.raises(EvalError, match="got results of nothing"):
        retrieval_section([])
    with pytest.raises(EvalError, match="expected one data set and split for a table"):
        retrieval_section([made_up_result(), made_up_result(dataset="coco")])


def test_published_rows_are_possible_numbers():
    for rows in PUBLISHED.values():
        assert len({row.method for row in rows}) == len(rows)
        for row in rows:
            for direction in ("i2t", "t2i"):
                way = [row.scores[f"{direction}_{name}"] for name in ("r1", "r5", "r10", "medr")]
                recalls = [value for value in way[:3] if value is not None]
                assert recalls == sorted(recalls)
                assert all(0 < value <= 100 for value in recalls)
                assert way[3] is None or way[3] >= 1
            assert row.source


def test_published_rows_are_looked_up_by_data_set_and_setting():
    assert published_retrieval("flickr8k-karpathy", "1k") == published_retrieval("flickr8k", "1k") != ()
    assert published_retrieval("flickr8k", "5k") == published_retrieval("scenes", "1k") == ()
    firsts = [row.scores["i2t_r1"] for row in published_retrieval("coco", "5k")]
    assert firsts == sorted(firsts)
    with pytest.raises(dataclasses.FrozenInstanceError):
        published_retrieval("coco", "5k")[0].method = "ours"
    assert PublishedRow("a", {}, "b", frozen=False, recalled=True).marked_method == "a † ‡"


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
