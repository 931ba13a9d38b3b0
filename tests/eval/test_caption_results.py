"""Files of captions, all metrics at once, intervals, comparisons and variety; no Java is started here."""

import json

import numpy as np
import pytest

from eval.metrics.captions import score as caption_results
from eval.metrics.captions.bootstrap import compare_captions, mean_intervals, resampled_scores
from eval.metrics.captions.coco_files import read_references, read_results, references_of, write_results
from eval.metrics.captions.diversity import caption_diversity
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.meteor import MeteorScores
from eval.metrics.captions.meteor_formula import meteor_from_statistics
from eval.metrics.captions.score import METRICS, score_captions, score_systems
from vislang.core.errors import ConfigError, DataError, EvalError
from vislang.text.tokenizer import tokenize

WORDS = ["a", "dog", "runs", "on", "the", "grass", "cat", "sits", "red", "ball"]


def made_up(num_images=40, seed=0, noise=0.3):
    random = np.random.default_rng(seed)
    candidates, references = {}, {}
    for image in range(num_images):
        scene = np.random.default_rng(1000 + image).choice(WORDS, 8)

        def caption(rate, scene=scene):
            return " ".join(np.where(random.random(8) < rate, random.choice(WORDS, 8), scene)).capitalize() + " ."

        references[image] = [caption(0.3) for _ in range(4)]
        candidates[image] = caption(noise)
    return candidates, references


class FakeMeteor:
    """Answers with statistics made up from lengths."""

    def prepare(self, captions):
        self.prepared = list(captions)

    def score(self, candidates, references):
        rows = np.zeros((len(candidates), 23))
        words = np.array([len(caption.split()) for caption in candidates])
        rows[:, 0] = rows[:, 1] = words
        rows[:, 4] = rows[:, 5] = rows[:, 21] = rows[:, 22] = np.maximum(words - 1, 1)
        rows[:, 20] = 2
        return MeteorScores(float(meteor_from_statistics(rows.sum(axis=0))), meteor_from_statistics(rows), rows)


def scored(candidates, references, **options):
    return score_captions(candidates, references, tokenizer="treebank", meteor=FakeMeteor(), **options)


def test_results_go_to_a_file_and_back(tmp_path):
    captions = {17: "a dog", "x.jpg": 'a "cat"\n😀'}
    write_results(tmp_path / "r.json", captions)
    assert read_results(tmp_path / "r.json") == captions
    assert json.loads((tmp_path / "r.json").read_text())[0] == {"image_id": 17, "caption": "a dog"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"1": "a"}, r"expected \[\{\"image_id\""),
        ([], "expected"),
        ([{"image_id": 1, "caption": "a"}, {"image_id": 1}], "entry 1 is"),
        ([{"image_id": True, "caption": "a"}], "entry 0 is"),
        ([{"image_id": 1, "caption": None}], "entry 0 is"),
        (["a"], "entry 0 is 'a'"),
        ([{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}], r"1 image\(s\) have more than one"),
    ],
)
def test_results_of_another_form_are_refused_in_one_line(tmp_path, document, words):
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(EvalError, match=words) as caught:
        read_results(tmp_path / "r.json")
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_or_no_json_are_refused(tmp_path):
    (tmp_path / "broken.json").write_text("[")
    for read in (read_results, read_references):
        for name, words in (("broken.json", "not JSON"), ("none.json", "No such file")):
            with pytest.raises(DataError, match=words):
                read(tmp_path / name)


def test_references_come_from_annotations_or_a_mapping(tmp_path):
    pairs = [(1, "a"), (2, "b"), (1, "c")]
    coco = {"images": [], "annotations": [{"id": n, "image_id": i, "caption": c} for n, (i, c) in enumerate(pairs)]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "map.json").write_text(json.dumps({"1": ["a", "c"], "2": ["b"]}))
    assert read_references(tmp_path / "coco.json") == {1: ["a", "c"], 2: ["b"]}
    assert references_of({2: "x"}, read_references(tmp_path / "map.json")) == [["b"]]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([1], "expected COCO annotations"),
        ({}, "no captions in it"),
        ({"annotations": []}, "no captions in it"),
        ({"annotations": [{"image_id": 1}]}, "entry 0"),
        ({"1": "a dog"}, "image '1' holds 'a dog'"),
        ({"1": [3]}, "image '1' holds"),
    ],
)
def test_references_of_another_form_are_refused(tmp_path, document, words):
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(EvalError, match=words):
        read_references(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("candidates", "references", "words"),
    [
        ({}, {1: ["a"]}, "got no captions"),
        ({1: "a", 2: "b", 3: "c"}, {1: ["a"], 3: []}, r"2 of 3 images have no reference \(2, 3\)"),
        ({1: "a", "1": "b"}, {1: ["a"]}, "two names"),
        ({1: "a"}, {1: "a dog"}, "expected a text and a list of texts"),
        ({1: ["a"]}, {1: ["a dog"]}, "expected a text and a list of texts"),
    ],
)
def test_captions_without_fitting_references_are_refused(candidates, references, words):
    with pytest.raises(EvalError, match=words):
        scored(candidates, references)


def test_all_metrics_of_a_set():
    candidates, references = made_up()
    references["other"] = ["a dog"]
    scores = scored(candidates, references)
    names = {"bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider"}
    assert set(scores.corpus) == set(scores.per_image) == names
    assert scores.image_ids == tuple(candidates)
    assert all(values.shape == (40,) for values in scores.per_image.values())
    assert scores.tokenizer == "treebank"
    assert set(scores.skipped) == {"spice"}
    assert scores.unused_references == 1
    for name in ("rouge_l", "cider"):
        assert scores.corpus[name] == pytest.approx(scores.per_image[name].mean(), rel=1e-12)
    assert set(scored(candidates, references, metrics=["rouge"]).corpus) == {"rouge_l"}


def test_several_systems_score_as_each_alone():
    candidates, references = made_up()
    other, _ = made_up(seed=5, noise=0.9)
    meteor = FakeMeteor()
    both = score_systems({"a": candidates, "b": other}, references, tokenizer="treebank", meteor=meteor)
    assert len(meteor.prepared) > 40
    for name, captions in (("a", candidates), ("b", other)):
        assert both[name].corpus == scored(captions, references).corpus
    assert both["a"].corpus["cider"] > both["b"].corpus["cider"]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown metric 'cidr'; did you mean cider"):
        score_captions({1: "a"}, {1: ["a"]}, metrics=["cidr"])
    with pytest.raises(ConfigError, match="unknown tokenizer 'nltk'"):
        score_captions({1: "a"}, {1: ["a"]}, tokenizer="nltk")


def test_without_java_all_but_meteor_is_scored(monkeypatch):
    def no_java():
        raise EvalError("no Java was found")

    monkeypatch.setattr("eval.metrics.captions.java.find_java", no_java)
    monkeypatch.setattr("eval.metrics.captions.meteor.find_java", no_java)
    candidates, references = made_up()
    scores = score_captions(candidates, references)
    assert scores.tokenizer == "treebank"
    assert set(scores.skipped) == {"spice", "meteor", "ptb"}
    assert "no Java" in scores.skipped["meteor"]
    assert "'treebank' instead" in scores.skipped["ptb"]
    expected = scored(candidates, references).corpus
    assert scores.corpus == {name: value for name, value in expected.items() if name != "meteor"}
    with pytest.raises(EvalError, match="no Java was found"):
        score_captions(candidates, references, tokenizer="ptb", metrics=["bleu"])


def test_a_meteor_that_fails_half_way_leaves_the_others():
    class Broken(FakeMeteor):
        def score(self, candidates, references):
            raise EvalError("METEOR ended")

    scores = score_captions(*made_up(), tokenizer="treebank", meteor=Broken())
    assert scores.skipped["meteor"] == "METEOR ended"
    assert "meteor" not in scores.corpus
    assert "cider" in scores.corpus

    class NeverReady(FakeMeteor):
        def prepare(self, captions):
            raise EvalError("METEOR has no memory")

    candidates, references = made_up()
    both = score_systems(
        {"a": candidates, "b": candidates}, references, tokenizer="treebank", meteor=NeverReady(), metrics=["meteor"]
    )
    assert [scores.skipped["meteor"] for scores in both.values()] == ["METEOR has no memory"] * 2


def test_cider_of_one_image_needs_a_table_of_the_same_tokenizer():
    candidates, references = made_up()
    one = {0: candidates[0]}
    assert "give df" in scored(one, references).skipped["cider"]
    words = [[" ".join(tokenize(text)) for text in texts] for texts in references.values()]
    whole = scored(candidates, references).per_image["cider"][0]
    table = DocumentFrequencies.fit(words, tokenizer="treebank")
    assert scored(one, references, df=table).corpus["cider"] == pytest.approx(whole, rel=1e-12)
    other = DocumentFrequencies.fit(words, tokenizer="ptb")
    assert "counted on 'ptb' words" in scored(one, references, df=other).skipped["cider"]


def test_intervals_hold_the_score_and_repeat_with_the_seed():
    scores = scored(*made_up())
    intervals = mean_intervals([scores], resamples=200)
    assert set(intervals) == set(scores.corpus)
    for name, (low, high) in intervals.items():
        assert low <= scores.corpus[name] <= high
    assert mean_intervals([scores], resamples=200) == intervals
    assert mean_intervals([scores], resamples=200, seed=1) != intervals


def test_a_draw_equals_scoring_the_drawn_images():
    candidates, references = made_up()
    scores = scored(candidates, references, metrics=["bleu", "rouge"])
    drawn = resampled_scores(scores, 40)
    from vislang.core.seeds import stream

    images = stream(0, "bootstrap", "captions", 40).integers(40, size=40)
    again = scored(
        {n: candidates[image] for n, image in enumerate(images)},
        {n: references[image] for n, image in enumerate(images)},
        metrics=["bleu", "rouge"],
    )
    for name, value in again.corpus.items():
        assert drawn[name][0] == pytest.approx(value, rel=1e-12)


def test_a_worse_set_is_told_from_an_equal_one():
    candidates, references = made_up()
    worse, _ = made_up(seed=3, noise=0.95)
    good = scored(candidates, references)
    bad = scored(dict(reversed(worse.items())), references)
    found = compare_captions(good, bad, resamples=200)
    for name in ("bleu4", "cider", "rouge_l"):
        assert found[name].difference < 0
        assert found[name].high < 0
        assert found[name].p_value == pytest.approx(2 / 201)
    same = compare_captions(good, scored(dict(reversed(candidates.items())), references), resamples=200)
    for difference in same.values():
        assert abs(difference.difference) < 1e-12
        assert abs(difference.low) < 1e-9
        assert abs(difference.high) < 1e-9


def test_sets_that_cannot_be_compared_are_refused():
    candidates, references = made_up()
    scores = scored(candidates, references)
    part = scored({n: candidates[n] for n in range(30)}, references)
    with pytest.raises(EvalError, match="caption 40 and 30 images, 10 of them in one set only"):
        compare_captions(scores, part)
    with pytest.raises(EvalError, match="tokenizers 'treebank' and 'ptb'"):
        compare_captions(scores, caption_results.CaptionScores({}, {}, scores.image_ids, "ptb", {}))
    with pytest.raises(EvalError, match="39 resamples"):
        mean_intervals([scores], resamples=39)
    with pytest.raises(EvalError, match="expected 2 or more for an interval"):
        mean_intervals([scored({0: "a"}, {0: ["a"]})])


def test_every_metric_asked_for_is_scored_or_explained():
    scores = scored({0: "a dog"}, {0: ["a dog"]})
    for metric in METRICS:
        assert metric in scores.skipped or any(name.startswith(metric) for name in scores.corpus)


def test_variety_by_hand():
    found = caption_diversity(["A dog runs.", "a dog runs", "a cat", ""], ["A dog , runs", "a bird"])
    assert (found.captions, found.distinct, found.vocabulary) == (4, 3, 4)
    assert found.distinct_1 == 4 / 8
    assert found.distinct_2 == 3 / 5
    assert found.mean_length == 2
    assert (found.seen, found.novelty) == (0.5, 0.5)
    assert caption_diversity(["a"]).novelty is None
    assert caption_diversity([""]).distinct_1 == 0


def test_variety_of_nothing_is_refused():
    with pytest.raises(EvalError, match="got no captions"):
        caption_diversity([])
    with pytest.raises(EvalError, match="0 training captions"):
        caption_diversity(["a"], [])
