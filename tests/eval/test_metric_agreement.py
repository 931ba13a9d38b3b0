"""Metrics and people: the protocol by hand, and its counts on the real judgements."""

import json

import numpy as np
import pytest

from datasets.captions.human_judgements import read_crowd, read_expert
from eval import metric_agreement
from eval.results.experiments import AgreementPart, AgreementResult
from eval.tables.metric_agreement import PUBLISHED, TOLERANCE, agreement, agreement_section, kendall_tau
from vislang.core.errors import DataError, EvalError

CAPTIONS = {
    "a.jpg": ("a dog runs", "the dog", "one dog", "dog !", "a brown dog"),
    "b.jpg": ("a cat", "the cat sits", "one cat", "a dog runs", "cat"),
}


def write(path, *lines):
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    return path


def test_experts_pairs_whose_candidate_is_a_reference_are_left_out(tmp_path):
    path = write(
        tmp_path / "e.txt", ("a.jpg", "b.jpg#1", 1, 2, 1), ("a.jpg", "b.jpg#3", 4, 4, 3), ("b.jpg", "a.jpg#1", 1, 1, 1)
    )
    judged = read_expert(path, CAPTIONS)
    assert judged.own == 1  # "a dog runs" of b.jpg is also a.jpg's
    assert judged.candidates == ("the cat sits", "the dog")
    assert judged.references == (CAPTIONS["a.jpg"], CAPTIONS["b.jpg"])
    assert judged.ratings.tolist() == [[1, 2, 1], [1, 1, 1]]


def test_the_crowds_own_references_are_taken_from_all_pairs_of_the_image(tmp_path):
    path = write(
        tmp_path / "c.txt",
        ("a.jpg", "b.jpg#0", 0.0, 0, 3),
        ("a.jpg", "a.jpg#1", 1.0, 3, 0),
        ("b.jpg", "a.jpg#2", 0.33, 1, 2),
    )
    judged = read_crowd(path, CAPTIONS)
    assert judged.own == 1
    assert judged.candidates == ("a cat", "the dog", "one dog")
    without = tuple(caption for caption in CAPTIONS["a.jpg"] if caption != "the dog")
    assert judged.references == (without, without, CAPTIONS["b.jpg"])
    assert judged.ratings.tolist() == [[0.0], [1.0], [0.33]]


@pytest.mark.parametrize(
    "line",
    [("a.jpg", "b.jpg#1", 1, 2), ("a.jpg", "b.jpg#9", 1, 2, 3), ("x.jpg", "b.jpg#1", 1, 2, 3),
     ("a.jpg", "x.jpg#1", 1, 2, 3), ("a.jpg", "b.jpg#1", 1, 2, "no"), ("no tabs",)],
)  # fmt: skip
def test_malformed_judgements_end_with_one_line(tmp_path, line):
    path = write(tmp_path / "e.txt", ("a.jpg", "b.jpg#1", 1, 2, 1), line)
    for read in (read_expert, read_crowd):
        with pytest.raises(DataError, match=r"e\.txt:2: got .* get the file again") as caught:
            read(path, CAPTIONS)
        assert "\n" not in str(caught.value)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: .*No such file"):
        read_expert(tmp_path / "none.txt", CAPTIONS)
    with pytest.raises(DataError, match="no pairs in it"):
        read_crowd(write(tmp_path / "c.txt"), CAPTIONS)


def slow_tau(scores, ratings, variant):
    x, y = np.repeat(scores, ratings.shape[1]), ratings.ravel()
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    signs = [np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs]
    if variant == "c":
        least = min(len(set(x)), len(set(y)))
        return 100 * 2 * sum(signs) / (len(x) ** 2 * (least - 1) / least)
    untied = [sum(values[i] != values[j] for i, j in pairs) for values in (x, y)]
    return 100 * sum(signs) / np.sqrt(untied[0] * untied[1])


@pytest.mark.parametrize("variant", ["b", "c"])
def test_tau_is_that_of_the_slow_definition_over_single_ratings(variant):
    random = np.random.default_rng(0)
    scores, ratings = random.integers(0, 5, 12) / 4, random.integers(1, 5, (12, 3)).astype(float)
    assert kendall_tau(scores, ratings, variant) == pytest.approx(slow_tau(scores, ratings, variant))


def test_tau_by_hand():
    # Two pairs, ratings 1 1 2 and 3 3 3: of 15 pairs of data points 9 agree, 0 disagree; 4 ** (1/2) wide: m = 2.
    ratings = np.array([[1.0, 1, 2], [3, 3, 3]])
    assert kendall_tau(np.array([0.1, 0.2]), ratings, "c") == pytest.approx(100 * 2 * 9 / (36 * 1 / 2))
    assert kendall_tau(np.array([0.2, 0.1]), ratings, "c") == pytest.approx(-100)


def test_scores_that_no_order_can_agree_with_are_refused():
    with pytest.raises(EvalError, match="2 scores and ratings of 3 pairs"):
        kendall_tau(np.zeros(2), np.zeros((3, 1)), "b")
    with pytest.raises(EvalError, match="all scores or all ratings are equal"):
        kendall_tau(np.zeros(3), np.arange(3.0)[:, None], "b")


def test_agreement_counts_and_has_both_variants(tmp_path):
    path = write(tmp_path / "e.txt", ("a.jpg", "b.jpg#1", 1, 2, 1), ("b.jpg", "a.jpg#1", 3, 3, 4))
    part = agreement(read_expert(path, CAPTIONS), {"cider": np.array([0.1, 0.2]), "unknown": np.zeros(2)}, "c")
    assert (part.pairs, part.images, part.ratings) == (2, 2, 6)
    assert set(part.tau) == set(part.other_tau) == set(part.tau_of_mean_rating) == {"cider"}


@pytest.fixture
def judged_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("eval.metrics.captions.java._bundled_java", lambda: None)
    random = np.random.default_rng(0)
    words = ["dog", "cat", "runs", "sits", "red", "grass"]
    lines = [f"{n}.jpg#{k}\ta {' '.join(random.choice(words, 4))} ." for n in range(8) for k in range(5)]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    pairs = [(f"{n}.jpg", f"{m}.jpg#{n % 5}") for n in range(8) for m in range(8) if m != n]
    experts = [(*pair, *random.integers(1, 5, 3)) for pair in pairs]
    write(tmp_path / "ExpertAnnotations.txt", *experts)
    write(
        tmp_path / "CrowdFlowerAnnotations.txt",
        *[(*pair, yes / 3, yes, 3 - yes) for pair, yes in zip(pairs, random.integers(0, 4, 56), strict=True)],
    )
    return tmp_path


def test_the_command_writes_both_tables_and_says_what_it_lacks(judged_folder, capsys):
    out = judged_folder / "out"
    assert metric_agreement.main(["--data", str(judged_folder), "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "metric-agreement-flickr8k.json").read_text())
    assert document["expert"]["ratings"] == 3 * document["expert"]["pairs"]
    assert document["crowd"]["pairs"] == 56
    assert "meteor" not in document["expert"]["tau"]
    assert metric_agreement.main(["--data", str(judged_folder), "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert "not measured, meteor: no Java was found" in table
    assert "tau-c" in table
    assert "| CIDEr | 43.9 |" in table


def test_a_folder_without_judgements_ends_with_one_line(tmp_path, capsys):
    assert metric_agreement.main(["--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "has no caption file" in error
    assert error.count("\n") == 1


def test_the_table_says_which_values_are_apart():
    expert = AgreementPart(1, 1, 3, 0, "tau-c", {"cider": PUBLISHED["expert"]["cider"] + TOLERANCE + 0.1}, {"cider": 1})
    crowd = AgreementPart(1, 1, 3, 0, "tau-b", {"cider": PUBLISHED["crowd"]["cider"] - 0.2}, {"cider": 1})
    table = agreement_section([AgreementResult(expert=expert, crowd=crowd, tokenizer="ptb")])
    assert "| +1.60 | no |" in table
    assert "| -0.20 | yes |" in table


@pytest.mark.realdata
def test_the_protocol_gives_the_published_counts(real_data):
    judged = metric_agreement.read_judgements(real_data / "flickr8k")
    expert, crowd = judged["expert"], judged["crowd"]
    assert (len(expert.candidates), expert.own, expert.ratings.size) == (5664, 158, 16992)
    assert len(crowd.candidates) == 47830
    scores = metric_agreement.score_judged(judged, ("bleu", "rouge", "cider"), None)
    if scores["expert"].tokenizer != "ptb":
        pytest.skip("no Java: the published counts are of PTB words")
    # What the published code prints of BLEU: words, closest reference words, n-grams found, n-grams written
    # (aimagelab/pacscore#3).
    printed = {
        "expert": [184995, 178182, 66573, 14211, 3024, 651, 184995, 168003, 151011, 134055],
        "crowd": [495455, 490960, 204625, 51351, 11958, 2716, 495455, 447625, 399795, 351999],
    }
    for name, counts in printed.items():
        assert scores[name].statistics["bleu"].sum(axis=0).tolist() == counts
        each, variant = judged[name].ratings.shape[1], "cb"[name == "crowd"]
        taus = {
            metric: kendall_tau(values[::each], judged[name].ratings, variant)
            for metric, values in scores[name].per_image.items()
        }
        for metric, value in PUBLISHED[name].items():
            if metric != "meteor":
                assert taus[metric] == pytest.approx(value, abs=0.1)
