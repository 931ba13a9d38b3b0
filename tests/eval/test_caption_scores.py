"""BLEU, ROUGE-L and CIDEr-D: equal to pycocoevalcap, to nltk, to numbers worked by hand, and steady under changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import corpus_bleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from eval.metrics.captions.bleu_rouge import bleu, bleu_from_statistics, rouge_l
from eval.metrics.captions.cider import cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams
from vislang.core.errors import EvalError

WORDS = ["a", "dog", "runs", "on", "the", "grass", "cat", "b"]
CAPTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
SETS = st.lists(st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=4)), min_size=1, max_size=6)


def stock(metric, candidates, references, **options):
    given_ = dict(enumerate(list(captions) for captions in references))
    written = {number: [caption] for number, caption in enumerate(candidates)}
    return metric.compute_score(given_, written, **options)


def scene_captions(num_images, seed, per_image=5):
    """Captions of one image that share most words, with repeated words and other lengths."""
    random = np.random.default_rng(seed)
    words = np.array([*WORDS, "man", "white", "is", "running", "in", "snow", "two", "ball"])

    def caption(scene):
        keep = scene[random.random(len(scene)) < 0.8]
        return " ".join([*keep, *random.choice(words, random.integers(1, 4))])

    scenes = [random.choice(words, random.integers(2, 14)) for _ in range(num_images)]
    return [caption(scene) for scene in scenes], [[caption(scene) for _ in range(per_image)] for scene in scenes]


@settings(max_examples=150, deadline=None)
@given(SETS)
def test_word_salads_score_as_in_pycocoevalcap(images):
    candidates, references = [image[0] for image in images], [image[1] for image in images]
    assert_equal_to_stock(candidates, references)


@pytest.mark.parametrize("seed", range(3))
def test_captions_of_scenes_score_as_in_pycocoevalcap(seed):
    assert_equal_to_stock(*scene_captions(200, seed))


def assert_equal_to_stock(candidates, references):
    ngrams = count_ngrams(candidates, references)
    corpus, per_image = stock(Bleu(4), candidates, references, verbose=0)
    ours = bleu(ngrams)
    np.testing.assert_allclose(ours.corpus, corpus, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.per_image, np.transpose(per_image), rtol=0, atol=1e-9)
    np.testing.assert_allclose(cider(ngrams), stock(Cider(), candidates, references)[1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        rouge_l(candidates, references), stock(Rouge(), candidates, references)[1], rtol=0, atol=1e-9
    )


def test_bleu_agrees_with_nltk_where_no_precision_is_zero():
    pairs = zip(*scene_captions(100, seed=9), strict=True)
    kept = [pair for pair in pairs if len(pair[0].split()) >= 4]  # nltk counts one n-gram in a shorter candidate
    candidates, references = zip(*kept, strict=True)
    ours = bleu(count_ngrams(candidates, references)).corpus
    for order in range(1, 5):
        theirs = corpus_bleu(
            [[caption.split() for caption in captions] for captions in references],
            [caption.split() for caption in candidates],
            weights=[1 / order] * order,
        )
        assert ours[order - 1] == pytest.approx(theirs, abs=1e-8)  # pycocoevalcap adds 1e-9 to every denominator


def test_bleu_by_hand():
    # 3 of 4 words, "the" counted once since one reference holds it once; the reference of 5 words is the closest
    scores = bleu(count_ngrams(["the the dog runs"], [["the dog runs on grass", "a dog"]]))
    assert scores.statistics[0].tolist() == [4, 5, 3, 2, 1, 0, 4, 3, 2, 1]
    assert scores.corpus[0] == pytest.approx(0.75 * np.exp(1 - 5 / 4), abs=1e-8)
    assert scores.corpus[1] == pytest.approx(np.sqrt(0.75 * 2 / 3) * np.exp(1 - 5 / 4), abs=1e-8)


def test_of_two_equally_close_references_the_shorter_counts():
    assert bleu(count_ngrams(["a b c"], [["a b c d", "a b"]])).statistics[0, 1] == 2


def test_rouge_by_hand():
    # common subsequence "a b c" of 4 and 6 words: precision 3/4, recall 1/2
    expected = (1 + 1.44) * 0.75 * 0.5 / (0.5 + 1.44 * 0.75)
    assert rouge_l(["a x b c"], [["a b y z c w"]])[0] == pytest.approx(expected, abs=1e-12)


def test_rouge_of_long_captions_equals_the_table():
    random = np.random.default_rng(4)
    candidates = [" ".join(random.choice(WORDS, 150)) for _ in range(3)]
    references = [[" ".join(random.choice(WORDS, 140)) for _ in range(2)] for _ in range(3)]
    np.testing.assert_allclose(
        rouge_l(candidates, references), stock(Rouge(), candidates, references)[1], rtol=0, atol=1e-12
    )


def test_cider_by_hand():
    # both images' words are in one image only: weight log 2 each; equal captions have cosine 1 for each order
    scores = cider(count_ngrams(["a b c d", "x y z w"], [["a b c d"], ["p q r s"]]))
    np.testing.assert_allclose(scores, [10, 0], atol=1e-12)


def test_empty_candidates_score_0_and_harm_no_other():
    candidates, references = scene_captions(20, seed=1)
    whole = rouge_l(candidates, references)
    candidates[3] = ""
    ngrams = count_ngrams(candidates, references)
    assert bleu(ngrams).per_image[3].max() < 1e-9
    assert cider(ngrams)[3] == 0
    assert rouge_l(candidates, references)[3] == 0
    np.testing.assert_array_equal(np.delete(rouge_l(candidates, references), 3), np.delete(whole, 3))
    assert rouge_l([""], [[""]])[0] == 0


def test_captions_without_any_word_are_scored():
    ngrams = count_ngrams(["", ""], [[""], ["", ""]])
    assert bleu(ngrams).corpus.max() < 1e-9
    assert cider(ngrams).tolist() == [0, 0]


def test_the_order_of_images_changes_no_score():
    candidates, references = scene_captions(50, seed=2)
    order = np.random.default_rng(0).permutation(50)
    before, after = (
        count_ngrams(candidates, references),
        count_ngrams([candidates[i] for i in order], [references[i] for i in order]),
    )
    np.testing.assert_allclose(bleu(after).corpus, bleu(before).corpus, rtol=1e-12)
    np.testing.assert_allclose(bleu(after).per_image, bleu(before).per_image[order], rtol=1e-12)
    np.testing.assert_allclose(cider(after), cider(before)[order], rtol=1e-12)


def test_naming_each_reference_twice_changes_no_score():
    candidates, references = scene_captions(50, seed=3)
    twice = [[*captions, *captions] for captions in references]
    before, after = count_ngrams(candidates, references), count_ngrams(candidates, twice)
    np.testing.assert_allclose(bleu(after).corpus, bleu(before).corpus, rtol=1e-12)
    np.testing.assert_allclose(cider(after), cider(before), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(rouge_l(candidates, twice), rouge_l(candidates, references))


def test_statistics_add_up_to_the_corpus_score():
    scores = bleu(count_ngrams(*scene_captions(30, seed=5)))
    np.testing.assert_array_equal(bleu_from_statistics(scores.statistics.sum(axis=0)), scores.corpus)


@pytest.mark.parametrize(
    ("candidates", "references", "words"),
    [
        (["a"], [["a"], ["b"]], "1 candidates and references of 2 images"),
        ([], [], "got no captions"),
        (["a", "b"], [["a"], []], "1 images have no reference"),
    ],
)
def test_captions_that_do_not_fit_are_refused(candidates, references, words):
    for work in (count_ngrams, rouge_l):
        with pytest.raises(EvalError, match=words):
            work(candidates, references)


def test_a_stored_table_of_the_same_references_gives_the_same_cider(tmp_path):
    candidates, references = scene_captions(60, seed=6)
    ngrams = count_ngrams(candidates, references)
    table = DocumentFrequencies.fit(references)
    np.testing.assert_allclose(cider(ngrams, df=table), cider(ngrams), rtol=1e-12, atol=1e-12)
    for name in ("df.json", "df.json.gz"):
        table.save(tmp_path / name)
        assert DocumentFrequencies.load(tmp_path / name) == table
    first = (tmp_path / "df.json.gz").read_bytes()
    table.save(tmp_path / "df.json.gz")
    assert (tmp_path / "df.json.gz").read_bytes() == first
    assert min(table.counts.values()) == 2


def test_with_a_table_one_image_scores_as_it_does_among_all():
    candidates, references = scene_captions(60, seed=7)
    table = DocumentFrequencies.fit(references)
    alone = cider(count_ngrams(candidates[:1], references[:1]), df=table)
    assert alone[0] == pytest.approx(cider(count_ngrams(candidates, references))[0], rel=1e-12)
    assert cider(count_ngrams(candidates[:1], references[:1]))[0] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"\x1f\x8bbroken",
        b"[]",
        b'{"format": "other"}',
        b'{"format": "caption-document-frequencies/1", "num_images": 3, "tokenizer": "ptb", "counts": {"a": 4}}',
        b'{"format": "caption-document-frequencies/1", "num_images": true, "tokenizer": "ptb", "counts": {}}',
        b'{"format": "caption-document-frequencies/1", "num_images": 3, "tokenizer": 1, "counts": {}}',
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, content):
    (tmp_path / "df.json").write_bytes(content)
    with pytest.raises(EvalError, match=r"df\.json: .*make a new one"):
        DocumentFrequencies.load(tmp_path / "df.json")


def test_a_missing_table_and_one_of_a_single_image_are_refused(tmp_path):
    with pytest.raises(EvalError, match="No such file"):
        DocumentFrequencies.load(tmp_path / "none.json")
    with pytest.raises(EvalError, match=r"got 1 image\(s\)"):
        DocumentFrequencies.fit([["a dog"]])
