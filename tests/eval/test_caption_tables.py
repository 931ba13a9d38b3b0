"""Tables and pages of caption results, from made-up scores."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from eval.metrics.captions.bootstrap import mean_intervals, resampled_scores
from eval.metrics.captions.score import score_captions
from eval.pages.captions import CaptionedImage, caption_results_page, pick_captions
from eval.published.captions import COLUMNS, PUBLISHED, published_captions
from eval.results.kinds import BASELINE, CaptionResult
from eval.results.models import ModelInfo
from eval.results.result import Row, read_results, write_result
from eval.tables.captions import CaptionRun, caption_result, caption_section, diversity_number
from eval.tables.markdown import number
from vislang.core.errors import EvalError

HOSTILE = 'a | <script>alert("x")</script>\nrow'
WORDS = ["a", "dog", "runs", "on", "the", "grass", "cat", "sits"]
METRICS = ("bleu", "rouge", "cider")


def made_up_scores(seed, images=12, metrics=METRICS):
    random = np.random.default_rng(seed)
    references = {n: [" ".join(np.random.default_rng(n).choice(WORDS, 6))] for n in range(images)}
    captions = {n: " ".join([*references[n][0].split()[:3], *random.choice(WORDS, 3)]) for n in range(images)}
    return score_captions(captions, references, metrics=metrics, tokenizer="treebank"), captions


def made_up_result(name="ours", seeds=(0, 1), system="captioner", split="test", **setup):
    runs = []
    scores = {}
    for seed in seeds:
        scores[str(seed)], captions = made_up_scores(seed)
        model = ModelInfo(seed=seed if system != BASELINE else None)
        decoding = {"method": "beam", "width": 5}
        runs.append(CaptionRun(model=model, key=str(seed), captions=captions, system=system, decoding=decoding))
    row = Row(name=name, system=system, dataset="flickr8k", split=split)
    return caption_result(row, runs, scores, training=["a dog"], resamples=100, **setup)


def test_scores_are_times_100_with_means_and_deviations_over_seeds():
    result = made_up_result()
    scores = [made_up_scores(seed)[0] for seed in (0, 1)]
    for name in ("bleu4", "rouge_l", "cider"):
        values = [100 * one.corpus[name] for one in scores]
        assert result.metrics[name] == pytest.approx(np.mean(values))
        assert result.std[name] == pytest.approx(np.std(values, ddof=1))
    assert [run.seed for run in result.per_seed] == [0, 1]
    assert result.diversity["mean_length"] == 6.0
    assert made_up_result(seeds=(0,)).std == {}


def test_intervals_are_of_the_mean_over_seeds_on_the_same_draws():
    runs = [made_up_scores(seed)[0] for seed in (0, 1)]
    drawn = np.mean([resampled_scores(run, 100)["cider"] for run in runs], axis=0)
    assert mean_intervals(runs, resamples=100)["cider"] == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    with pytest.raises(EvalError, match="got no runs"):
        mean_intervals([])
    with pytest.raises(EvalError, match="captioned 12 and 13 images, not the same ones"):
        mean_intervals([runs[0], made_up_scores(1, images=13)[0]])


def test_a_metric_that_one_seed_lacks_is_no_mean_of_the_others():
    scores = {"0": made_up_scores(0)[0], "1": made_up_scores(1, metrics=("bleu",))[0]}
    captions = made_up_scores(0)[1]
    runs = [CaptionRun(model=ModelInfo(seed=int(key)), key=key, captions=captions) for key in scores]
    result = caption_result(Row(name="x", system="captioner"), runs, scores, resamples=100)
    assert set(result.metrics) == {"bleu1", "bleu2", "bleu3", "bleu4"}


def test_the_table_stands_beside_the_published_rows_and_baselines_come_first(tmp_path):
    for result in (made_up_result(), made_up_result("copied", (0,), BASELINE)):
        write_result(tmp_path, result)
    results = read_results(tmp_path, CaptionResult)
    assert [result.name for result in results] == ["copied", "ours"]
    table = caption_section(results)
    assert "| Karpathy m-RNN, VGG | 57.9 | 38.3 | 24.5 | 16.0 | 16.7 | – | 31.8 |" in table
    assert table.index("spatial attention") < table.index("**copied**") < table.index("**ours**")
    assert re.search(r"\*\*\d+\.\d ± \d+\.\d\*\* \| here, 2 seeds", table)
    assert "here, baseline" in table
    assert "method beam; width 5" in table
    with pytest.raises(EvalError, match="expected one data set and split"):
        caption_section([made_up_result(), made_up_result(split="dev")])


def test_other_n_gram_weights_are_said_in_the_table():
    result = made_up_result(document_frequencies="flickr8k-train")
    assert "n-gram weights of flickr8k-train" in caption_section([result])
    assert "n-gram weights" not in caption_section([made_up_result()])


def test_names_cannot_break_the_table():
    lines = caption_section([made_up_result(HOSTILE)]).splitlines()
    assert not any("<script>" in line for line in lines)
    (line,) = [line for line in lines if line.startswith("| **a")]
    assert len(re.split(r"(?<!\\)\|", line)) == len(COLUMNS) + 4


def test_numbers_in_words():
    assert number(None) == "–"
    assert number(22.34) == "22.3"
    assert number(22.34, 0.41) == "22.3 ± 0.4"
    assert diversity_number("novelty", 0.123) == "12.3"
    assert diversity_number("vocabulary", 1234.0) == "1,234"
    assert diversity_number("distinct_2", 0.1234) == "0.123"
    assert diversity_number("novelty", None) == "–"


def test_published_numbers_are_percentages_of_test_splits():
    assert published_captions("flickr8k-karpathy", "test") == PUBLISHED["flickr8k"]
    assert published_captions("flickr8k", "dev") == published_captions("scenes", "test") == ()
    for row in (row for rows in PUBLISHED.values() for row in rows):
        known = [row.scores[name] for name in COLUMNS[:4] if row.scores[name] is not None]
        assert known == sorted(known, reverse=True)
        assert all(1 < value < 150 for value in row.scores.values() if value is not None)
        assert row.source


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "line", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_no_other_file_and_runs_nothing(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "dog.png")
    images = [
        CaptionedImage("1", tmp_path / "dog.png", HOSTILE, [HOSTILE, "b"], 12.3),
        CaptionedImage(HOSTILE, None, "", ["c"], None),
    ]
    result = made_up_result(HOSTILE)
    baseline = made_up_result("copied", (0,), BASELINE)
    page = caption_results_page([baseline, result], result, gallery={"Some": images}).html()
    parsed = Page(page)
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert [link.startswith("data:image/jpeg;base64,") for link in parsed.links] == [True]
    assert "(empty caption)" in page
    assert "± " in page
    assert "nothing is trained" in caption_results_page([baseline], baseline).html()


def test_the_gallery_has_the_best_the_worst_and_some_of_the_rest():
    scores, _ = made_up_scores(0)
    cider = scores.per_image["cider"]
    picks = pick_captions(scores, ranked=3, random=4)
    best, worst, others = picks.values()
    assert [cider[row] for row in best] == sorted(cider, reverse=True)[:3]
    assert [cider[row] for row in worst] == sorted(cider)[:3]
    assert len({*best, *worst, *others}) == 10
    assert picks == pick_captions(scores, ranked=3, random=4)
    assert list(pick_captions(made_up_scores(0, metrics=("bleu",))[0])) == ["Picked at random from the rest"]
    with pytest.raises(EvalError, match="gallery of 0 ranked and 0 random"):
        pick_captions(scores, ranked=0, random=0)
