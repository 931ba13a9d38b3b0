"""Self-critical training: the gradient is that of the expected reward, captions get better, runs resume."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_runs
from training_runs import history

from captioner import train
from captioner.config import CaptionerConfig
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from captioner.training.cider_rewards import cider_reward, cider_weights
from captioner.training.self_critical import ImageBatches, self_critical_task
from captioner.training.two_stages import FIRST_STAGE
from datasets.records import ImageRecord
from vislang.text.vocabulary import END, Vocabulary
from vislang.training.callbacks import ResumableTraining

SMALL = [
    "hidden_dim=24",
    "word_dim=24",
    "batch_size=20",
    "min_count=1",
    "max_words=20",
    "decode_words=12",
    "layers=grid",
]
NO_DROPOUT = ["embedding_dropout=0", "image_dropout=0", "output_dropout=0"]


def arguments(toy_data, out, *settings):
    return training_runs.arguments(toy_data, out, *SMALL, *settings, preset="best")


class Table:
    """One descriptor for each of two images."""

    is_resident = True
    num_features = 3
    vectors = np.random.default_rng(1).normal(size=(2, 1, 3)).astype(np.float32)

    def __len__(self):
        return 2

    def rows(self, numbers):
        return keras.ops.take(keras.ops.convert_to_tensor(self.vectors), numbers, axis=0)


def small_task(reward, **changes):
    settings = {"model": "mrnn", "word_dim": 4, "hidden_dim": 5, "decode_words": 3, "self_critical_samples": 400}
    settings |= {"embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0, "l2": 0.0}
    config = CaptionerConfig(**{**settings, "self_critical_epochs": 1, **changes})
    keras.utils.set_random_seed(0)
    return self_critical_task(Captioner(config, 7, 3), Table(), reward, updates=1)


def sentences(max_words: int) -> list[list[int]]:
    """Every sentence over the words 4 to 6 that a network may write, padded with the end mark."""
    found, growing = [], [[]]
    for _ in range(max_words):
        found += [[*words, *[END] * (max_words - len(words))] for words in growing]
        growing = [[*words, word] for words in growing for word in (4, 5, 6)]
    return found + growing


def count_fives(rows, words):
    return (words == 5).sum(axis=-1).astype(np.float32) + rows[:, None]


@pytest.mark.slow
def test_the_gradient_is_that_of_the_expected_reward():
    task = small_task(count_fives)
    rows = np.array([0, 1], np.int32)
    every = np.array(sentences(3), np.int32)  # [S, 3]
    given = {"descriptors": task.descriptors.rows(rows), "mask": np.ones((2, 1), bool)}
    with tf.GradientTape() as tape:
        words = np.broadcast_to(every, (2, *every.shape))
        probabilities = tf.exp(task.sample_log_probs({**given, "words": tf.constant(words)}, training=False))
        expected = tf.reduce_mean(tf.reduce_sum(probabilities * count_fives(rows, words), axis=1))
    np.testing.assert_allclose(tf.reduce_sum(probabilities, axis=1), 1, rtol=1e-5)
    weights = task.captioner.trainable_weights
    exact = tape.gradient(expected, weights)
    total = [0.0] * len(weights)
    for _ in range(40):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(task({"rows": rows}, training=True)[0])
        for number, gradient in enumerate(tape.gradient(loss, weights)):
            total[number] += tf.convert_to_tensor(gradient).numpy() / 40
    flat = [np.concatenate([np.ravel(tf.convert_to_tensor(one)) for one in side]) for side in (exact, total)]
    cosine = -flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert cosine > 0.99, cosine
    assert abs(np.linalg.norm(flat[1]) / np.linalg.norm(flat[0]) - 1) < 0.05


def test_the_lead_is_over_the_other_samples_of_the_same_image():
    seen = {}

    def reward(rows, words):
        seen["reward"] = np.arange(rows.size * words.shape[1], dtype=np.float32).reshape(rows.size, -1) ** 2
        seen["words"] = words
        return seen["reward"]

    task = small_task(reward, self_critical_samples=3)
    rows = np.array([1, 0], np.int32)
    terms, rewards = np.asarray(task({"rows": rows}, training=True))
    np.testing.assert_array_equal(rewards, seen["reward"])
    given = {"descriptors": task.descriptors.rows(rows), "mask": np.ones((2, 1), bool), "words": seen["words"]}
    log_probs = np.asarray(task.sample_log_probs(given, training=False))
    for image in range(2):
        for sample in range(3):
            others = np.delete(seen["reward"][image], sample).mean()
            lead = seen["reward"][image, sample] - others
            np.testing.assert_allclose(terms[image, sample], -lead * log_probs[image, sample], rtol=1e-4)


def test_equal_rewards_teach_nothing():
    task = small_task(lambda rows, words: np.ones(words.shape[:2], np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(task({"rows": np.array([0, 1], np.int32)}, training=True)[0])
    assert all(
        np.abs(tf.convert_to_tensor(one)).max() < 1e-6 for one in tape.gradient(loss, task.captioner.trainable_weights)
    )


@pytest.mark.slow
def test_rewarded_words_take_over():
    task = small_task(count_fives, self_critical_samples=5, self_critical_rate=0.02, optimizer="adam")
    batches = ImageBatches(task.descriptors, batch_size=2, seed=0)
    rewards = [task.fit(batches, epochs=1, verbose=0, shuffle=False).history["reward"][0] for _ in range(150)]
    assert np.mean(rewards[:5]) < 2
    assert np.mean(rewards[-5:]) > 3  # of 3.5 at most: three fives, and half a point for the row


def test_batches_hold_every_image_once_and_change_with_the_epoch():
    batches = ImageBatches(range(7), batch_size=3, seed=4)
    first = np.concatenate(batches.plan(1))
    second = np.concatenate(batches.plan(2))
    assert sorted(first) == sorted(second) == list(range(7))
    assert list(first) != list(second)


def test_the_reward_prefers_what_people_wrote_and_wants_an_end():
    captions = [("a dog runs on grass", "the dog is running"), ("two cats sleep", "cats sleeping on a bed")]
    records = tuple(ImageRecord(f"{n}.jpg", None, "train", one) for n, one in enumerate(captions))
    words = sorted({word for one in captions for caption in one for word in caption.split()})
    vocabulary = Vocabulary(words)
    reward = cider_reward(vocabulary, records)

    def numbers(caption, end=True):
        found = vocabulary.encode(caption.split(), end=end)
        return found + [END if end else vocabulary.id("the")] * (6 - len(found))

    given = [numbers("a dog runs on grass"), numbers("two cats sleep"), numbers("a dog runs on grass", end=False)]
    scores = reward(np.array([0, 1], np.int32), np.array([given, given], np.int32))
    assert scores.shape == (2, 3)
    assert scores[0, 0] > scores[0, 2] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]


def test_captions_that_the_others_agree_with_weigh_more():
    agreed, odd = ["a dog runs on grass", "the dog runs on grass", "a dog runs on the grass"], "my uncle is late"
    records = tuple(ImageRecord(f"{n}.jpg", None, "train", one) for n, one in enumerate([(*agreed, odd), ("a cat",)]))
    weights = cider_weights(records, 1.0)
    np.testing.assert_allclose(weights.mean(), 1)
    assert weights[3] < 1e-9 < weights[:3].min()
    assert weights[4] == pytest.approx(weights[:4].mean())  # nobody else to agree: neither more nor less than usual
    np.testing.assert_allclose(cider_weights(records, 0.25), 0.75 + 0.25 * weights)


@pytest.mark.slow
@pytest.mark.parametrize("stop_in_second_stage", [False, True])
def test_both_stages_resume_as_if_never_stopped(toy_data, tmp_path, monkeypatch, stop_in_second_stage):
    settings = [*NO_DROPOUT, "epochs=2", "self_critical_epochs=2", "learning_rate=0.01", "ensemble_size=2"]
    assert train.main(arguments(toy_data, tmp_path / "whole", *settings)) == 0
    begin = ResumableTraining.on_epoch_begin
    stopped = []

    def stop(self, epoch, logs=None):
        begin(self, epoch, logs)
        if epoch == (3 if stop_in_second_stage else 1):
            stopped.append(self.folder.name)
            raise KeyboardInterrupt

    monkeypatch.setattr(ResumableTraining, "on_epoch_begin", stop)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        train.main(arguments(toy_data, tmp_path / "broken", *settings))
    assert stopped == ["broken" if stop_in_second_stage else FIRST_STAGE]
    monkeypatch.undo()
    assert train.main(arguments(toy_data, tmp_path / "broken", *settings)) == 0
    assert history(tmp_path / "broken") == history(tmp_path / "whole")
    whole, broken = (TrainedCaptioner.read(tmp_path / name).fingerprint for name in ("whole", "broken"))
    assert whole == broken
    rows = json.loads((tmp_path / "whole" / "history.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[2]["reward"] > 0
