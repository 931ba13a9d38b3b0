"""Training captions that have a say: a likeness that is CIDEr-D, exact neighbours, and a stated sum."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.decoding.consensus_reranking import FILE, Neighbours, read_neighbours
from captioner.decoding.likeness import CaptionLikeness
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from eval.metrics.captions.bleu_rouge_cider import cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams
from vislang.core.errors import CheckpointError, ConfigError, DataError
from vislang.text.vocabulary import END, PAD, Vocabulary

CONFIG = CaptionerConfig(
    model="attend", word_dim=6, hidden_dim=8, look_dim=4, judges=2, beam=6, decode_words=5, image_scaling="none",
    length_power=0.7, neighbours=2, neighbour_weight=20.0,
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


@pytest.mark.parametrize("seed", range(5))
def test_likeness_is_cider_d_with_the_collection_as_document_frequencies(seed):
    random = np.random.default_rng(seed)
    image_of_caption = np.repeat(np.arange(7), [1, 3, 5, 2, 5, 4, 1])
    collection = captions(random, len(image_of_caption))
    candidates = captions(random, 6, words=[4, 5, 6, 7, 60])  # one word that the collection lacks
    frequencies = DocumentFrequencies.fit(
        [[spelled(row) for row in collection[image_of_caption == image]] for image in range(7)]
    )
    likeness = CaptionLikeness(collection, image_of_caption)
    for image in range(7):
        own = np.nonzero(image_of_caption == image)[0]
        references = [[spelled(row) for row in collection[own]]] * len(candidates)
        expected = cider(count_ngrams([spelled(row) for row in candidates], references), df=frequencies)
        np.testing.assert_allclose(likeness(candidates, own).mean(axis=1), expected, rtol=1e-9, atol=1e-9)


def test_likeness_by_hand():
    # Two images: "dog runs" in one alone weighs log 2 as a word pair, "a" in both weighs nothing.
    likeness = CaptionLikeness(np.array([[4, 5, 8], [4, 6, 8]]), np.array([0, 1]))
    scores = likeness(np.array([[4, 5, 8], [6, 0, 0]]), np.array([0, 1]))
    # Itself: every order with weight agrees, 4-grams do not exist. The other: "a" and "runs" weigh nothing.
    np.testing.assert_allclose(scores[0], [7.5, 0.0])
    # "cat" alone: all of the second caption's weighted words, two words shorter (lengths 0 and 2 in pairs).
    np.testing.assert_allclose(scores[1], [0.0, 2.5 * np.exp(-4 / 72)])


def test_likeness_of_a_collection_without_words_is_nothing():
    likeness = CaptionLikeness(np.zeros((2, 3), np.uint8), np.array([0, 1]))
    assert likeness(np.array([[4, 5]]), np.array([0, 1])).tolist() == [[0, 0]]


def test_word_numbers_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="55107"):
        CaptionLikeness(np.array([[70000]]), np.array([0]))


def some_neighbours(random, count=6):
    vectors = random.normal(size=(count, 2048))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image_of_caption = np.repeat(np.arange(count), 3)
    return Neighbours(vectors.astype(np.float16), captions(random, 3 * count, 5), image_of_caption)


def test_agreement_is_the_mean_over_the_captions_of_the_nearest_images():
    random = np.random.default_rng(3)
    kept = some_neighbours(random)
    images = random.normal(size=(4, 2048)).astype(np.float32)
    sentences = captions(random, 12, 5).reshape(4, 3, 5)
    scores = kept.agreement(images, sentences, 2)
    for image, vector in enumerate(images):
        cosines = [float(vector @ other.astype(np.float32)) for other in kept.vectors]
        nearest = sorted(range(6), key=lambda one: -cosines[one])[:2]
        rows = [row for row, owner in enumerate(kept.image_of_caption) if owner in nearest]
        np.testing.assert_allclose(scores[image], kept.likeness(sentences[image], np.array(rows)).mean(axis=1))


def test_saved_neighbours_read_back_and_damaged_ones_are_named(tmp_path):
    kept = some_neighbours(np.random.default_rng(4))
    assert read_neighbours(tmp_path) is None
    kept.save(tmp_path)
    found = read_neighbours(tmp_path)
    for name in ("vectors", "words", "image_of_caption"):
        np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=FILE):
        read_neighbours(tmp_path)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    network = Captioner(CONFIG, len(WORDS), FEATURES)
    frequencies = np.linspace(1, 2, len(WORDS)).astype(np.float32)
    frequencies[END] = 2  # most sentences end in time
    network.start_from(frequencies)
    return network


def trained(network, neighbours):
    return TrainedCaptioner(network, WORDS, {"backbone": {"name": "toy", "weights": {}}}, neighbours)


def test_neighbours_choose_among_all_beams_by_the_stated_sum(network):
    random = np.random.default_rng(2)
    descriptors = random.normal(size=(8, 4, FEATURES)).astype(np.float32)
    kept = some_neighbours(random)
    model = trained(network, kept)
    every = model.caption_descriptors(descriptors, options=model.options(num=6, neighbour_weight=0.0))
    chosen = model.caption_descriptors(descriptors, options=model.options(num=2))
    places = np.asarray(network.predict_places(descriptors, np.ones((8, 4), bool)))
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, rtol=1e-5)
    changed = 0
    for image, found in enumerate(every):
        sentences = np.zeros((1, len(found), 5), np.int32)
        for row, caption in zip(sentences[0], found, strict=True):
            row[: len(caption.words)] = [WORDS.id(word) for word in caption.words]
        lengths = np.array([len(caption.probabilities) for caption in found])
        merit = np.array([caption.log_prob for caption in found]) / lengths**0.7
        merit = merit + 20.0 * kept.agreement(places[[image]], sentences, 2)[0]
        merit[lengths == [len(caption.words) for caption in found]] = -np.inf  # cut for want of room: last
        best = np.argsort(-merit, kind="stable")[:2]
        assert [caption.text for caption in chosen[image]] == [found[rank].text for rank in best]
        changed += best[0] != 0
    assert changed  # else the neighbours had nothing to say here


def test_a_say_without_neighbours_is_refused(network):
    descriptors = np.zeros((1, 4, FEATURES), np.float32)
    model = trained(network, None)
    with pytest.raises(CheckpointError, match="neighbour_weight=0"):
        model.caption_descriptors(descriptors)
    assert model.caption_descriptors(descriptors, options=model.options(neighbour_weight=0.0))[0]
    with pytest.raises(ConfigError, match="neighbours 0"):
        CaptionerConfig(neighbour_weight=1.0)
    with pytest.raises(ConfigError, match="judges 0"):
        CaptionerConfig(neighbours=3)
