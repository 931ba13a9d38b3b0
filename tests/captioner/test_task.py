"""What a captioner reads and predicts in training: captions as numbers, batches, words swapped and forgotten."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.models.ensemble import Captioner
from captioner.training.cross_entropy import (
    CaptionBatches,
    CaptionTask,
    caption_task,
    drop_words,
    encode_caption,
    some_as_means,
    start_biases,
)
from vislang.text.vocabulary import END, PAD, START, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary(["a", "dog", "runs", "fast"])  # 4, 5, 6, 7
NUM_WORDS = 9


@pytest.mark.parametrize(
    ("caption", "changes", "words"),
    [
        ("A dog runs .", {"unknown_words": "skip"}, [4, 5, 6, END]),
        ("a purple dog", {"unknown_words": "skip"}, [4, 5, END]),
        ("a purple dog", {"unknown_words": "keep"}, [4, UNKNOWN, 5, END]),
        ("purple", {"unknown_words": "skip"}, [END]),
        ("", {"unknown_words": "keep"}, [END]),
        ("a dog runs fast", {"max_words": 2}, [4, 5, END]),
        ("a purple dog", {"unknown_words": "skip", "max_words": 2}, [4, END]),
    ],
)
def test_captions_become_word_numbers_with_the_end_mark_last(caption, changes, words):
    assert encode_caption(caption, CaptionerConfig(**changes), VOCABULARY) == words


def test_start_biases_are_log_frequencies_of_what_is_predicted():
    biases = start_biases([[4, 4, 5, END], [4, END], [END], [END]], 7)
    # of 8 words: end mark 4, word 4 three times, word 5 once; never seen ones count once
    np.testing.assert_allclose(biases, np.log([1 / 4, 1 / 4, 1, 1 / 4, 3 / 4, 1 / 4, 1 / 4]), rtol=1e-6)
    assert biases.dtype == np.float32


class Images:
    """Two images; each number is where it stands."""

    def __init__(self, is_resident: bool = True):
        self.is_resident = is_resident
        self.vectors = np.arange(4, dtype=np.float32).reshape(2, 1, 2)

    def rows(self, numbers):
        return keras.ops.take(keras.ops.convert_to_tensor(self.vectors), numbers, axis=0)


CAPTIONS = [[4 + number % 5] * (1 + number % 3) + [END] for number in range(11)]
OWNERS = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0])


def batches_of(seed=0, is_resident=True) -> CaptionBatches:
    return CaptionBatches(CAPTIONS, OWNERS, Images(is_resident), batch_size=4, batching="bucketed", seed=seed)


def seen_in(batches: CaptionBatches) -> list[tuple]:
    pairs = []
    for number in range(len(batches)):
        inputs, targets, _ = batches[number]
        np.testing.assert_array_equal(inputs["words"], targets)
        for owner, words in zip(inputs["rows"], targets.reshape(len(inputs["rows"]), -1), strict=True):
            pairs.append((int(owner), tuple(words[words != PAD].tolist())))
    return pairs


def test_an_epoch_visits_every_caption_once_with_its_own_image():
    expected = sorted((int(owner), tuple(words)) for owner, words in zip(OWNERS, CAPTIONS, strict=True))
    assert sorted(seen_in(batches_of())) == expected


def test_the_order_of_an_epoch_depends_on_seed_and_number_alone():
    walked, jumped = batches_of(), batches_of()
    first = seen_in(walked)
    for epoch in (1, 2):
        walked.start_at(epoch)
        assert seen_in(walked) != first
    jumped.start_at(2)
    assert seen_in(walked) == seen_in(jumped) != first
    assert seen_in(batches_of(seed=1)) != first == seen_in(batches_of())


def test_weights_stay_with_their_captions():
    weights = np.arange(len(CAPTIONS)) + 0.5
    batches = CaptionBatches(CAPTIONS, OWNERS, Images(True), batch_size=4, batching="bucketed", seed=0, weights=weights)
    weight_of = {}
    for caption, owner, weight in zip(CAPTIONS, OWNERS, weights, strict=True):
        weight_of.setdefault((int(owner), tuple(caption)), []).append(weight)
    for number in range(len(batches)):
        inputs, targets, found = batches[number]
        for owner, words, weight in zip(inputs["rows"], targets.reshape(len(found), -1), found, strict=True):
            assert weight in weight_of[int(owner), tuple(words[words != PAD].tolist())]
    assert set(batches_of()[0][2]) == {1.0}


def test_batches_by_image_hold_all_captions_of_each_and_name_it_once():
    batches = CaptionBatches(CAPTIONS, OWNERS, Images(), batch_size=6, batching="by_image", seed=0)
    assert len(batches) == 2  # 11 captions of 2 images: six captions are about one image
    pairs = []
    for number in range(len(batches)):
        inputs, targets, weights = batches[number]
        assert len(inputs["rows"]) == 1
        assert len(inputs["owners"]) == len(weights)
        for owner, words in zip(inputs["owners"], targets.reshape(len(weights), -1), strict=True):
            pairs.append((int(inputs["rows"][owner]), tuple(words[words != PAD].tolist())))
    assert sorted(pairs) == sorted((int(owner), tuple(words)) for owner, words in zip(OWNERS, CAPTIONS, strict=True))


def test_captions_looked_up_by_owner_have_the_loss_of_captions_with_an_image_each():
    sizes = {"word_dim": 3, "hidden_dim": 4, "embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    config = CaptionerConfig(model="s2vt", scorers=1, scorer_word_dim=3, scorer_dim=4, l2=0.0, **sizes)
    task = CaptionTask(Captioner(config, 12, 2), Images(), total_updates=1)
    words = np.array([[4, 5, 2], [6, 2, 0], [7, 8, 2]], np.int32).ravel()
    apart = task({"rows": np.array([1, 0, 1], np.int32), "words": words}, training=True)
    added = sum(map(float, task.losses))
    owners = np.array([0, 1, 0], np.int32)
    together = task({"rows": np.array([1, 0], np.int32), "owners": owners, "words": words}, training=True)
    np.testing.assert_allclose(together, apart, atol=1e-6)
    assert sum(map(float, task.losses)) == pytest.approx(added, rel=1e-5)


def test_empty_captions_that_fill_a_batch_on_jax_change_no_loss(monkeypatch):
    sizes = {"word_dim": 3, "hidden_dim": 4, "embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    config = CaptionerConfig(model="s2vt", scorers=1, scorer_word_dim=3, scorer_dim=4, l2=0.0, **sizes)
    task = caption_task(Captioner(config, 12, 2), Images(), updates=1)
    weights = np.linspace(0.5, 2, len(CAPTIONS))
    losses = []
    for backend in ("tensorflow", "jax"):
        monkeypatch.setattr(keras.backend, "backend", lambda: backend)  # noqa: B023  # called at once
        options = {"batch_size": 11, "batching": "by_image", "seed": 0, "weights": weights}
        inputs, targets, found = CaptionBatches(CAPTIONS, OWNERS, Images(), **options)[0]
        monkeypatch.undo()
        logits = task(inputs, training=True)
        losses.append(float(task.compute_loss(inputs, targets, logits, found, training=True)))
        assert len(found) == {"tensorflow": 11, "jax": 32}[backend]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_a_share_of_the_images_is_seen_as_its_mean(share, expected):
    cells = np.random.default_rng(0).normal(size=(600, 4, 3)).astype(np.float32)
    seen = some_as_means(keras.ops.convert_to_tensor(cells), share, keras.random.SeedGenerator(1))
    masks, shown = np.asarray(seen["mask"]), np.asarray(seen["descriptors"])
    alone = masks.sum(axis=1) == 1
    assert alone.mean() == pytest.approx(expected, abs=0.06)
    assert masks[:, 0].all()
    assert masks[~alone].all()
    np.testing.assert_array_equal(shown[~alone], cells[~alone])
    np.testing.assert_allclose(shown[alone][:, 0], cells[alone].mean(axis=1), atol=1e-6)


def test_images_that_are_not_resident_travel_with_the_batch():
    inputs, _, _ = batches_of(is_resident=False)[0]
    np.testing.assert_array_equal(inputs["descriptors"], Images().vectors[inputs["rows"]])
    assert "descriptors" not in batches_of()[0][0]


class Recorder(keras.Model):
    """Stands in for a captioner: keeps what it reads; at place t it draws word 4 + t, or the given distribution."""

    def __init__(self, config: CaptionerConfig, probabilities: np.ndarray | None = None):
        super().__init__()
        self.config, self.probabilities, self.read, self.scorers = config, probabilities, [], []
        self.built = True

    def call(self, inputs, training=False):
        self.read.append((np.asarray(inputs["words"]), training))
        rows, steps = inputs["words"].shape
        if self.probabilities is None:
            table = np.eye(NUM_WORDS)[4 : 4 + steps]
        else:
            table = np.tile(self.probabilities, (steps, 1))
        return keras.ops.convert_to_tensor(np.log(table + 1e-30)[None, None].repeat(rows, 1).astype(np.float32))


SENTENCES = np.array([[8, 8, 3, 8, 2], [8, 8, 2, 0, 0]], np.int32)


def read_in_training(*, done: float, times: int = 1, sentences=SENTENCES, probabilities=None, **changes):
    """What the captioner reads, int32 [B, T], when so much of the training is done."""
    keras.utils.set_random_seed(0)
    task = caption_task(Recorder(CaptionerConfig(**changes), probabilities), Images(), updates=20)
    task.updates.assign(round(20 * done))
    words = np.tile(sentences, (times, 1))
    task({"rows": np.zeros(len(words), np.int32), "words": words.ravel()}, training=True)
    assert task.captioner.read[-1][1] is True
    return task.captioner.read[-1][0]


TEACHER = np.array([[START, 8, 8, 3, 8], [START, 8, 8, 2, 0]])


def test_progress_grows_from_0_to_1():
    task = caption_task(Recorder(CaptionerConfig()), Images(), updates=20)
    found = []
    for updates in (0, 5, 10, 20, 25):
        task.updates.assign(updates)
        found.append(float(task.progress()))
    assert found == [0.0, 0.25, 0.5, 1.0, 1.0]


def test_a_share_of_0_swaps_nothing():
    np.testing.assert_array_equal(read_in_training(done=0.0, scheduled_sampling=1.0), TEACHER)
    np.testing.assert_array_equal(read_in_training(done=1.0, scheduled_sampling=0.0), TEACHER)


def test_a_share_of_1_swaps_every_word_for_the_one_drawn_in_its_place_and_no_mark():
    read = read_in_training(done=1.0, scheduled_sampling=1.0)
    # The first word was drawn as 4, the second as 5, the fourth as 7; start, unknown, end and padding stay.
    np.testing.assert_array_equal(read, [[START, 4, 5, 3, 7], [START, 4, 5, 2, 0]])


def test_the_share_grows_with_training():
    swapped = [
        (read_in_training(done=done, scheduled_sampling=0.5, times=800) != np.tile(TEACHER, (800, 1))).sum() / (800 * 5)
        for done in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(swapped, [0, 0.25, 0.5], atol=0.04)


def test_words_are_drawn_as_often_as_the_model_says():
    probabilities = np.array([0, 0, 0, 0, 0.5, 0.3, 0.15, 0.05, 0])
    read = read_in_training(done=1.0, scheduled_sampling=1.0, times=2000, probabilities=probabilities)
    drawn = read[np.tile(TEACHER, (2000, 1)) == 8]
    np.testing.assert_allclose(np.bincount(drawn, minlength=NUM_WORDS) / len(drawn), probabilities, atol=0.02)


def test_dropping_all_words_leaves_the_marks():
    words = keras.ops.convert_to_tensor(TEACHER)
    dropped = drop_words(words, 1.0, keras.random.SeedGenerator(0))
    np.testing.assert_array_equal(dropped, np.where(TEACHER > UNKNOWN, UNKNOWN, TEACHER))
    np.testing.assert_array_equal(drop_words(words, 0.0, keras.random.SeedGenerator(0)), TEACHER)


def test_forgotten_words_are_read_as_unknown_and_marks_are_never_forgotten():
    teacher = np.tile(TEACHER, (1000, 1))
    read = read_in_training(done=0.0, word_dropout=0.3, times=1000)
    lost = read != teacher
    assert set(read[lost].tolist()) == {UNKNOWN}
    assert set(teacher[lost].tolist()) == {8}
    assert lost.sum() / (teacher == 8).sum() == pytest.approx(0.3, abs=0.03)


def test_nothing_is_swapped_or_forgotten_outside_training():
    task = caption_task(Recorder(CaptionerConfig(scheduled_sampling=1.0, word_dropout=0.9)), Images(), updates=10)
    task.updates.assign(10)
    task({"rows": np.zeros(2, np.int32), "words": SENTENCES.ravel()}, training=False)
    assert len(task.captioner.read) == 1
    np.testing.assert_array_equal(task.captioner.read[0][0], TEACHER)
