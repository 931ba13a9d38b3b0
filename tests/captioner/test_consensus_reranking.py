"""Consensus re-ranking: exact neighbours, the mean CIDEr-D with their captions, and the stated sum."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.decoding.consensus_reranking import FILE, ConsensusReranker, read_consensus_reranker
from captioner.decoding.options import DecodeOptions
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from vislang.core.errors import CheckpointError, ConfigError
from vislang.text.vocabulary import END, PAD, Vocabulary

CONFIG = CaptionerConfig(
    model="attend", word_dim=6, hidden_dim=8, attention_dim=4, scorers=2, beam=6, decode_words=5, image_scaling="none",
    length_power=0.7, consensus_images=2, consensus_weight=20.0,
)  # fmt: skip
WORDS = Vocabulary(["a", "dog", "cat", "red", "runs"])
FEATURES = 5


def captions(random, count, longest=9, words=range(4, 9)):
    """Rows of word numbers, few different words, so that n-grams repeat within and between rows."""
    rows = np.zeros((count, longest), np.int32)
    for row in rows:
        length = random.integers(0, longest + 1)
        row[:length] = random.choice(words, length)
    return rows


def spelled(row):
    return " ".join(f"w{word}" for word in row if word != PAD)


def some_reranker(random, count=6):
    vectors = random.normal(size=(count, 2048))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image_of_caption = np.repeat(np.arange(count), 3)
    return ConsensusReranker(vectors.astype(np.float16), captions(random, 3 * count, 5), image_of_caption)


def test_scores_are_the_mean_over_the_captions_of_the_nearest_images():
    random = np.random.default_rng(3)
    reranker = some_reranker(random)
    images = random.normal(size=(4, 2048)).astype(np.float32)
    sentences = captions(random, 12, 5).reshape(4, 3, 5)
    scores = reranker.scores(images, sentences, 2)
    for image, vector in enumerate(images):
        cosines = [float(vector @ other.astype(np.float32)) for other in reranker.embeddings]
        nearest = sorted(range(6), key=lambda one: -cosines[one])[:2]
        rows = [row for row, owner in enumerate(reranker.image_of_caption) if owner in nearest]
        np.testing.assert_allclose(scores[image], reranker.cider(sentences[image], np.array(rows)).mean(axis=1))


def test_a_saved_reranker_reads_back_and_a_damaged_one_is_named(tmp_path):
    reranker = some_reranker(np.random.default_rng(4))
    assert read_consensus_reranker(tmp_path) is None
    reranker.save(tmp_path)
    found = read_consensus_reranker(tmp_path)
    for name in ("embeddings", "words", "image_of_caption"):
        np.testing.assert_array_equal(getattr(found, name), getattr(reranker, name))
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=FILE):
        read_consensus_reranker(tmp_path)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    network = Captioner(CONFIG, len(WORDS), FEATURES)
    frequencies = np.linspace(1, 2, len(WORDS)).astype(np.float32)
    frequencies[END] = 2  # most sentences end in time
    network.set_output_bias(frequencies)
    return network


def trained(network, reranker):
    return TrainedCaptioner(network, WORDS, {"backbone": {"name": "toy", "weights": {}}}, reranker)


def test_beams_are_reranked_by_the_stated_sum(network):
    random = np.random.default_rng(2)
    descriptors = random.normal(size=(8, 4, FEATURES)).astype(np.float32)
    reranker = some_reranker(random)
    model = trained(network, reranker)
    every = model.caption_descriptors(descriptors, options=DecodeOptions(num=6, consensus_weight=0.0))
    chosen = model.caption_descriptors(descriptors, options=DecodeOptions(num=2, repetition_weight=0.5))
    embeddings = np.asarray(network.predict_image_embeddings(descriptors, np.ones((8, 4), bool)))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    changed = 0
    for image, found in enumerate(every):
        sentences = np.zeros((1, len(found), 5), np.int32)
        for row, caption in zip(sentences[0], found, strict=True):
            row[: len(caption.words)] = [WORDS.id(word) for word in caption.words]
        lengths = np.array([len(caption.probabilities) for caption in found])
        totals = np.array([caption.log_prob for caption in found]) / lengths**0.7
        content = [[word for word in caption.words if word != "a"] for caption in found]
        totals = totals - 0.5 * np.array([len(words) - len(set(words)) for words in content])
        totals = totals + 20.0 * reranker.scores(embeddings[[image]], sentences, 2)[0]
        totals[lengths == [len(caption.words) for caption in found]] = -np.inf  # cut for want of room: last
        best = np.argsort(-totals, kind="stable")[:2]
        assert [caption.text for caption in chosen[image]] == [found[rank].text for rank in best]
        changed += best[0] != 0
    assert changed  # else the consensus changed nothing here


def test_reranked_captions_repeat_nothing(network):
    random = np.random.default_rng(2)
    descriptors = random.normal(size=(8, 4, FEATURES)).astype(np.float32)
    model = trained(network, some_reranker(random))
    repeating = 0
    for options in (DecodeOptions(num=6), DecodeOptions(num=6, no_repeat_ngram=1)):
        for found in model.caption_descriptors(descriptors, options=options):
            repeats = any(len(set(caption.words)) < len(caption.words) for caption in found)
            repeating += repeats
            assert not (repeats and options.no_repeat_ngram)
    assert repeating


def test_a_weight_without_training_captions_is_refused(network):
    descriptors = np.zeros((1, 4, FEATURES), np.float32)
    model = trained(network, None)
    with pytest.raises(CheckpointError, match="consensus_weight=0"):
        model.caption_descriptors(descriptors)
    assert model.caption_descriptors(descriptors, options=DecodeOptions(consensus_weight=0.0))[0]
    with pytest.raises(ConfigError, match="consensus_images 0"):
        CaptionerConfig(consensus_weight=1.0)
    with pytest.raises(ConfigError, match="scorers 0"):
        CaptionerConfig(consensus_images=3)
