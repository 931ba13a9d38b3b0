"""The aligner: its scores, network and gradients against plain loops; training resumes; words find their regions."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_runs
from training_runs import assert_equal_runs, assert_gradients_equal_finite_differences, gradients_of, killed_run

from captioner.alignment import train as train_alignment
from captioner.alignment.config import AlignmentConfig
from captioner.alignment.inference import TrainedAligner
from captioner.alignment.model import Aligner
from captioner.alignment.scores import max_scores, products, soft_scores, sum_scores
from captioner.alignment.segments import segment_sentences
from captioner.alignment.training import alignment_task
from vislang.core.errors import CheckpointError, DataError
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
from vislang.text.vocabulary import Vocabulary
from vislang.training.checkpoints import kept_weights
from vislang.training.losses import pair_loss
from vislang.training.ranking import ranking_loss

NUM_WORDS, NUM_FEATURES = 9, 5
WORDS = np.array([[4, 5, 6, 7], [8, 4, 0, 0], [5, 0, 0, 0]], np.int32)
ROWS = np.array([0, 1, 1], np.int32)


def aligner_of(**changes) -> Aligner:
    """An aligner whose weights are all random, so that none can be forgotten unseen."""
    sizes = {"word_dim": 4, "hidden_dim": 6, "joint_dim": 7, "learn_words": True}
    sizes |= {"embedding_dropout": 0.0, "state_dropout": 0.0, "region_dropout": 0.0}
    aligner = Aligner(AlignmentConfig(**{**sizes, **changes}), NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(1)
    for weight in aligner.trainable_weights:
        weight.assign(random.normal(0, 0.6, weight.shape))
    shift, scale = random.normal(size=(2, NUM_FEATURES)), random.uniform(0.5, 2, (2, NUM_FEATURES))
    aligner.regions.scaling.set_statistics(shift, scale)
    return aligner


def pictures() -> np.ndarray:
    """Three pictures of four regions; the second has one less."""
    found = np.random.default_rng(2).normal(size=(3, 4, NUM_FEATURES))
    found[1, 3] = 0.0
    return found


def double(weight):
    return np.asarray(weight, np.float64)


def affine(layer, x):
    return x @ double(layer.kernel) + double(layer.bias)


def relu(x):
    return np.maximum(x, 0)


def words_by_hand(encoder, numbers):
    """The paper's equations, one word after another."""
    entered = [relu(affine(encoder.input_projection, double(encoder.table.embeddings)[number])) for number in numbers]
    directions = []
    for layer, order in ((encoder.forwards, entered), (encoder.backwards, entered[::-1])):
        state, states = np.zeros(6), []
        for one in order:
            state = relu(one + state @ double(layer.cell.W) + double(layer.cell.b))
            states.append(state)
        directions.append(states)
    both = [one + other for one, other in zip(directions[0], directions[1][::-1], strict=True)]
    return np.array([relu(affine(encoder.output_projection, one)) for one in both])


def scores_by_hand(regions, words, pool):
    return np.array([[sum(pool([v @ s for v in image]) for s in sentence) for sentence in words] for image in regions])


def test_the_papers_score_is_that_of_its_equations():
    aligner = aligner_of()
    descriptors = pictures()
    found = np.asarray(aligner({"descriptors": descriptors.astype(np.float32), "words": WORDS}))
    scaling = aligner.regions.scaling
    scaled = (descriptors - double(scaling.each_shift)) * double(scaling.each_scale)
    regions = [affine(aligner.regions.projection, scaled[image, : 3 if image == 1 else 4]) for image in range(3)]
    words = [words_by_hand(aligner.words, row[row > 0]) for row in WORDS]
    assert found.shape == (1, 3, 3)
    np.testing.assert_allclose(found[0], scores_by_hand(regions, words, max), rtol=1e-4)


def random_fragments():
    random = np.random.default_rng(4)
    regions, words = random.normal(size=(3, 5, 6)), random.normal(size=(4, 7, 6))
    region_mask, word_mask = np.ones((3, 5), bool), np.ones((4, 7), bool)
    region_mask[1, 3:] = word_mask[2, 4:] = False
    real = [regions[row, region_mask[row]] for row in range(3)], [words[row, word_mask[row]] for row in range(4)]
    return (regions, region_mask, words, word_mask), real


def test_scores_are_those_of_plain_loops():
    (regions, region_mask, words, word_mask), real = random_fragments()
    similarity = products(tf.constant(regions), tf.constant(words))
    masks = tf.constant(region_mask), tf.constant(word_mask)

    def soft(values, softness=0.5):
        weights = np.exp(np.array(values) / softness)
        return (weights * values).sum() / weights.sum()

    np.testing.assert_allclose(max_scores(similarity, *masks), scores_by_hand(*real, max), rtol=1e-9)
    positive = scores_by_hand(*real, lambda values: sum(max(0.0, value) for value in values))
    np.testing.assert_allclose(sum_scores(similarity, *masks), positive, rtol=1e-9)
    np.testing.assert_allclose(soft_scores(similarity, *masks, 0.5), scores_by_hand(*real, soft), rtol=1e-9)
    np.testing.assert_allclose(soft_scores(similarity, *masks, 1e-4), scores_by_hand(*real, max), rtol=1e-6)


def test_a_normalised_score_is_a_mean_of_cosines_weighted_by_the_lengths_of_the_words():
    aligner = aligner_of(normalised=True, pooling="max", relu_words=False)
    of_images = aligner.regions(pictures().astype(np.float32))
    of_sentences = aligner.words(WORDS)
    found = np.asarray(aligner.each_score(of_images, of_sentences))[0]
    regions, region_mask, image_embeddings = map(np.asarray, of_images)
    words, word_mask, sentence_embeddings = map(np.asarray, of_sentences)
    assert sentence_embeddings.shape == image_embeddings.shape == (3, 0)
    np.testing.assert_allclose(np.linalg.norm(regions, axis=-1), 1.0, rtol=1e-5)
    for image in range(3):
        for sentence in range(3):
            lengths = np.linalg.norm(words[sentence], axis=-1)[word_mask[sentence]]
            inside = regions[image, region_mask[image]] @ words[sentence, word_mask[sentence]].T
            expected = ((inside / lengths).max(axis=0) * lengths).sum() / lengths.sum()
            assert found[image, sentence] == pytest.approx(expected, abs=1e-4)
    assert (np.abs(found) <= 1.0).all()


def test_padding_and_missing_regions_change_nothing():
    for changes in ({}, {"recurrent": "gru", "pooling": "soft", "normalised": True, "global_dim": 6}):
        aligner = aligner_of(**changes)
        descriptors = pictures().astype(np.float32)
        whole = np.asarray(aligner({"descriptors": descriptors, "words": WORDS}))
        more = np.concatenate([descriptors, np.zeros((3, 2, NUM_FEATURES), np.float32)], axis=1)
        wide = np.concatenate([WORDS, np.zeros((3, 3), np.int32)], axis=1)
        np.testing.assert_allclose(aligner({"descriptors": more, "words": wide}), whole, rtol=1e-4, atol=1e-5)
        alone = aligner({"descriptors": descriptors[:1], "words": WORDS[2:, :1]})
        np.testing.assert_allclose(np.asarray(alone)[:, 0, 0], whole[:, 0, 2], rtol=1e-4, atol=1e-5)


def test_context_adds_the_whole_picture_to_every_region():
    aligner = aligner_of(context=True)
    descriptors = pictures()
    found = np.asarray(aligner.regions(descriptors.astype(np.float32))[0])
    scaling = aligner.regions.scaling
    scaled = (descriptors - double(scaling.each_shift)) * double(scaling.each_scale)
    beside = scaled[:, :1] @ double(aligner.regions.context.kernel)
    np.testing.assert_allclose(found, affine(aligner.regions.projection, scaled) + beside, rtol=1e-4, atol=1e-5)


def test_only_the_whole_picture_is_seen_where_the_settings_say_so():
    aligner = aligner_of(global_only=True)
    descriptors = pictures().astype(np.float32)
    other = descriptors.copy()
    other[:, 1:] += 1.0
    ours, theirs = (np.asarray(aligner({"descriptors": one, "words": WORDS})) for one in (descriptors, other))
    np.testing.assert_array_equal(ours, theirs)


def test_the_loss_of_a_hand_worked_batch():
    scores = np.array([[5.0, 4.5, 0.0], [1.0, 2.0, 1.5], [0.0, 3.0, 3.5]], np.float32)
    # columns: 0 | 4.5 - 2 + 1, 3 - 2 + 1 | none; rows: 4.5 - 5 + 1 | 1 - 2 + 1, 1.5 - 2 + 1 | 3 - 3.5 + 1
    expected = (3.5 + 2.0) + (0.5 + 0.0 + 0.5 + 0.5)
    hinge = pair_loss(AlignmentConfig())
    loss = ranking_loss(hinge, num_scores=1)
    assert float(loss(np.arange(3), scores[None])) == pytest.approx(expected)
    assert float(loss(ROWS, scores[None])) == pytest.approx(expected - 2.0 - 0.5 - 0.5)
    both = ranking_loss(hinge, num_scores=2)
    assert float(both(np.arange(3), np.stack([scores, scores]))) == pytest.approx(2 * expected)


def test_global_embeddings_are_a_second_score_by_their_cosine_and_pictures_are_ranked_by_a_weighted_sum():
    aligner = aligner_of(global_dim=11, loss="softmax", normalised=True, global_weight=3.0)
    aligner.log_logit_scale.assign([0.0, 1.0])
    descriptors = pictures()
    found = np.asarray(aligner({"descriptors": descriptors.astype(np.float32), "words": WORDS}))
    scaling = aligner.regions.scaling
    scaled = (descriptors[:, 0] - double(scaling.each_shift)) * double(scaling.each_scale)
    global_embeddings = affine(aligner.regions.global_projection, scaled)
    sentences = np.asarray(aligner.words(WORDS)[2])
    for image in range(3):
        for sentence in range(3):
            cosine = global_embeddings[image] @ sentences[sentence]
            cosine /= np.linalg.norm(global_embeddings[image]) * np.linalg.norm(sentences[sentence])
            assert found[1, image, sentence] == pytest.approx(np.e * cosine, rel=1e-4)
    trained = TrainedAligner(aligner, Vocabulary(["a", "dog"]), {"backbone": {"name": "toy", "weights": {}}})
    ranked = trained.scores(trained.encode_descriptors(descriptors), trained._encode_words(WORDS))
    np.testing.assert_allclose(ranked, found[0] + 3 * found[1], rtol=1e-4)


def test_a_bag_of_words_is_one_more_score():
    aligner = aligner_of(global_dim=4, bag_dim=5, loss="softmax", normalised=True, global_weight=2.0)
    aligner.log_logit_scale.assign([0.0, 0.0, np.log(2.0)])
    descriptors = pictures()
    found = np.asarray(aligner({"descriptors": descriptors.astype(np.float32), "words": WORDS}))
    scaling = aligner.regions.scaling
    scaled = (descriptors[:, 0] - double(scaling.each_shift)) * double(scaling.each_scale)
    images = affine(aligner.regions.bag_projection, scaled)
    sentences = np.array([double(aligner.words.bag.embeddings)[row[row > 0]].sum(axis=0) for row in WORDS])
    cosines = images @ sentences.T / np.outer(np.linalg.norm(images, axis=1), np.linalg.norm(sentences, axis=1))
    np.testing.assert_allclose(found[2], 2 * cosines, rtol=1e-4)
    trained = TrainedAligner(aligner, Vocabulary(["a", "dog"]), {"backbone": {"name": "toy", "weights": {}}})
    ranked = trained.scores(trained.encode_descriptors(descriptors), trained._encode_words(WORDS))
    np.testing.assert_allclose(ranked, found[0] + 2 * (found[1] + found[2]), rtol=1e-4, atol=1e-5)


def test_vectors_behind_the_regions_are_of_the_whole_picture_alone():
    config = AlignmentConfig(global_dim=11, joint_dim=7, layers=("regions-toy", "pooled"))
    aligner = Aligner(config, NUM_WORDS, NUM_FEATURES + 3, 3)
    beside = np.random.default_rng(5).normal(size=(3, 1, 3))
    descriptors = np.concatenate([pictures(), np.repeat(beside, 4, axis=1)], axis=-1).astype(np.float32)
    vectors, mask, global_embeddings = map(np.asarray, aligner.regions(descriptors))
    assert mask.tolist() == [[True] * 4, [True, True, True, False], [True] * 4]
    np.testing.assert_allclose(vectors, affine(aligner.regions.projection, pictures()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        global_embeddings, affine(aligner.regions.global_projection, descriptors[:, 0]), rtol=1e-4, atol=1e-5
    )


class Table:
    """The descriptors of three pictures."""

    def rows(self, numbers):
        return keras.ops.take(keras.ops.convert_to_tensor(pictures()), numbers, axis=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"l2": 0.1},
        {"pooling": "sum", "recurrent": "gru", "relu_words": False},
        {"pooling": "soft", "normalised": True, "loss": "softmax", "global_dim": 6, "recurrent": "gru"},
        {"bag_dim": 5, "recurrent": "gru", "normalised": True, "loss": "softmax"},
        {"context": True, "directions": "concat", "normalised": True, "loss": "softmax", "global_dim": 6},
        {"normalised": True, "loss": "softmax", "same_image_is_negative": False, "image_scaling": "unit"},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_gradients_of_every_weight_equal_finite_differences(double_precision, changes):
    aligner = aligner_of(**changes)
    task = alignment_task(aligner, Table(), updates=1)
    inputs = {"rows": np.array([0, 1, 2], np.int32), "words": WORDS.ravel()}
    groups = np.arange(3) if aligner.config.same_image_is_negative else ROWS

    def loss_of(task):
        return task.compute_loss(inputs, groups, task(inputs, training=True), training=True)

    assert_gradients_equal_finite_differences(task, loss_of, places=12, rel=1e-4, abs_=1e-7, most_kinks=0.05)
    for variable, gradient in zip(task.trainable_variables, gradients_of(task, loss_of), strict=True):
        assert np.abs(gradient).max() > 1e-6, variable.path


@pytest.fixture(scope="module")
def toy_regions(toy_data, tmp_path_factory) -> Path:
    """Regions of the toy pictures: the whole, and one each for its colour and thing, and its place."""
    random = np.random.default_rng(9)
    entries = json.loads((toy_data / "dataset.json").read_text())["images"]
    vectors = {
        word: random.normal(size=16)
        for word in ["red", "green", "blue", "white", "dog", "cat", "car", "boat", "tree", "grass", "snow"]
    }
    rows, boxes = np.zeros((len(entries), 4, 16)), np.zeros((len(entries), 4, 5))
    for number, entry in enumerate(entries):
        _, colour, thing, _, _, place, _ = entry["sentences"][0]["raw"].lower().split()
        rows[number, 1] = vectors[colour] + vectors[thing]
        rows[number, 2] = vectors[place]
        rows[number, 0] = rows[number, 1:3].mean(axis=0)
        rows[number, :3] += random.normal(0, 0.05, (3, 16))
        boxes[number, :3] = [[0, 0, 1, 1, 1], [0, 0, 0.5, 0.5, 0.9], [0, 0.5, 1, 1, 0.8]]
    path = tmp_path_factory.mktemp("regions") / "features.h5"
    for layer, array in (("regions-toy", rows), ("boxes-toy", boxes)):
        key = FeatureKey("toy", layer, "none", "f" * 64)
        import_rows(path, [entry["filename"] for entry in entries], array.astype(np.float32), key)
    return path


def arguments(toy_data, cache, out, *settings, config="best"):
    small = ["layers=regions-toy,boxes-toy", "hidden_dim=24", "word_dim=16", "joint_dim=24", "batch_size=20"]
    return training_runs.arguments(toy_data, out, *small, "min_count=1", *settings, preset=config, cache=cache)


@pytest.fixture(scope="module")
def learned(toy_data, toy_regions, tmp_path_factory) -> Path:
    """A run that has learned which words go with which region."""
    folder = tmp_path_factory.mktemp("aligners") / "learned"
    settings = ["epochs=25", "learning_rate=0.01", "region_dropout=0.1", "best_checkpoints=3", "context=false"]
    assert train_alignment.main(arguments(toy_data, toy_regions, folder, *settings)) == 0
    return folder


def test_words_find_their_regions(toy_data, toy_regions, learned):
    model, cache = TrainedAligner.read(learned), open_cache(toy_regions)
    entries = json.loads((toy_data / "dataset.json").read_text())["images"][50:]
    images = model.encode_cached(cache, [entry["filename"] for entry in entries])
    sentences = [entry["sentences"][0]["raw"].split() for entry in entries]  # A red dog on the grass .
    encoded, spans = model.encode_split(sentences)
    assert spans[0] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 6)]
    found = model.products(images, encoded)[:, :6, 1:3].argmax(axis=-1)  # [10, 6]: 0 thing, 1 place
    assert (found[:, 2] == 0).mean() >= 0.9
    assert (found[:, 5] == 1).mean() >= 0.9
    segments = segment_sentences(model, images, sentences, beta=0.0)
    assert all(one[0].words[0] == 0 and one[-1].words[1] == 7 for one in segments)
    assert len(segment_sentences(model, images, sentences, beta=1000.0)[0]) == 1
    assert segment_sentences(model, images[:1], [["."]]) == [[]]


def test_a_place_is_chosen_by_its_proposers_score_as_well_and_the_whole_picture_costs(toy_regions, learned):
    model, cache = TrainedAligner.read(learned), open_cache(toy_regions)
    ids = [f"{number}.jpg" for number in range(50, 60)]
    images = model.encode_cached(cache, ids)
    boxes = cache.read("toy", "boxes-toy", ids)[:, :, 4].astype(np.float32)
    expected = model.config.proposal_weight * np.log(np.maximum(boxes, 1e-3))
    expected[:, 0] -= model.config.whole_image_cost
    np.testing.assert_allclose(images.priors, expected, rtol=1e-4)
    words = [["red", "dog"]] * 10
    encoded, _ = model.encode_split(words)
    unary = model.products(images, encoded)[0, :2]
    found = segment_sentences(model, images, words, beta=0.0)[0]
    best = [(one + one[np.isfinite(one)].std() * images.priors[0]).argmax() for one in unary]
    assert [one.region for one in found] == list(dict.fromkeys(best))
    deviation = unary[np.isfinite(unary)].std()
    expected = [unary[number, region] / deviation for number, region in enumerate(best)]
    if len(found) == 1:
        expected = [np.mean(expected)]
    assert [one.strength for one in found] == pytest.approx(expected, rel=1e-4)


def test_a_phrase_is_its_words_in_its_sentence_over_its_own_picture(toy_data, toy_regions, learned, monkeypatch):
    from captioner.alignment import phrase_grounding as phrases
    from datasets.captions.flickr30k_entities import EntityNotes, EntityPhrase

    monkeypatch.setattr(phrases, "_BATCH", 2)
    model, cache = TrainedAligner.read(learned), open_cache(toy_regions)
    ids = ["50.jpg", "53.jpg", "51.jpg"]
    texts = [["the dog 's red car .", "a cat on the snow"], ["snow and a blue boat"], ["a white tree , on grass"]]
    asked = {"50.jpg": [(0, 1, 3), (0, 5, 6), (1, 4, 5)], "53.jpg": [(0, 2, 5)], "51.jpg": [(0, 0, 3), (0, 3, 6)]}
    notes = {
        name: EntityNotes(
            tuple(tuple(text.split()) for text in sentences),
            tuple(EntityPhrase("1", "other", row, (start, end), np.ones((1, 4))) for row, start, end in asked[name]),
        )
        for name, sentences in zip(ids, texts, strict=True)
    }
    found = list(phrases.phrase_scores(model, cache, ids, notes))
    assert [len(one) for one in found] == [3, 1, 2]
    for name, scores in zip(ids, found, strict=True):
        image = model.encode_cached(cache, [name])
        for (row, start, end), score in zip(asked[name], scores, strict=True):
            encoded, spans = model.encode_split([notes[name].sentences[row]])
            rows = sorted({place for first, last in spans[0][start:end] for place in range(first, last)})
            total = sum(image.vectors[0] @ encoded.vectors[0, place] for place in rows) + np.zeros(4)
            real = image.mask[0]
            spread = total[real].std() or 1.0
            np.testing.assert_allclose(score[real], (total + spread * image.priors[0])[real], rtol=1e-3, atol=1e-4)
            assert np.isneginf(score[~real]).all()
            assert np.ptp(total) == 0 if not rows else np.ptp(total) > 0
    added = [np.full((len(one), 4), 0.5) for one in found]
    added[2][1] = [0.0, 3.0, 0.0, 0.0]
    others = list(phrases.phrase_scores(model, cache, ids, notes, added))
    for with_maps, alone, name in zip(others, found, ids, strict=True):
        real = model.encode_cached(cache, [name]).mask[0]
        gains = np.array(with_maps)[:, real] - np.array(alone)[:, real]
        np.testing.assert_allclose(gains[0], gains[0, 0], rtol=1e-4)  # half a deviation of the products
        assert gains[0, 0] > 0
    assert (np.flatnonzero(np.array(others[2][1]) != np.array(found[2][1])) == 1).all()


def test_history_tells_of_better_than_chance_and_the_best_are_kept(learned):
    rows = json.loads((learned / "history.json").read_text())
    assert rows[-1]["best"] > 300  # of 600; chance among 10 images and 50 sentences is about 280 with r10 of 100
    assert len(kept_weights(learned)) == 3
    best = {row["rsum"] for row in sorted(rows, key=lambda row: -row["rsum"])[:3]}
    updates = {int(path.name.split("-")[1].split(".")[0]) for path in kept_weights(learned)}
    assert {rows[number // 10 - 1]["rsum"] for number in updates} == best  # 10 updates an epoch
    models = {TrainedAligner.read(learned, network_weights=path).fingerprint for path in kept_weights(learned)}
    assert TrainedAligner.read(learned).fingerprint in models
    assert len(models) == 3


@pytest.mark.slow
def test_killed_and_resumed_equals_never_stopped(toy_data, toy_regions, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = ["epochs=4", "best_checkpoints=2", "word_dropout=0.2", "validate_updates=6"]
    assert train_alignment.main(arguments(toy_data, toy_regions, whole, *settings)) == 0
    words = arguments(toy_data, toy_regions, cut, *settings)
    killed_run("captioner.alignment.train", "on_train_batch_end", 27, words)
    assert train_alignment.main(words) == 0
    assert "resuming after epoch 2 of 4" in capsys.readouterr().err
    assert [path.name for path in kept_weights(whole)] == [path.name for path in kept_weights(cut)]
    for path in kept_weights(whole):
        assert (
            TrainedAligner.read(whole, network_weights=path).fingerprint
            == TrainedAligner.read(cut, network_weights=cut / path.name).fingerprint
        )
    assert_equal_runs(whole, cut)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["karpathy"])
def test_the_papers_preset_trains(toy_data, toy_regions, tmp_path, config):
    settings = ["layers=regions-toy", "epochs=3"]
    assert train_alignment.main(arguments(toy_data, toy_regions, tmp_path / "run", *settings, config=config)) == 0
    rows = json.loads((tmp_path / "run" / "history.json").read_text())
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_word_vectors_from_a_file_stay_as_they_are(toy_data, toy_regions, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("dog 1 2 3 4\ncat -1 0.5 0 2\n")
    settings = ["layers=regions-toy", "epochs=1", "word_dim=4", f"word_vectors={vectors}"]
    words = arguments(toy_data, toy_regions, tmp_path / "run", *settings, config="karpathy")
    assert train_alignment.main(words) == 0
    model = TrainedAligner.read(tmp_path / "run")
    table = np.asarray(model.network.words.table.embeddings)
    assert table[model.vocabulary.id("dog")].tolist() == [1, 2, 3, 4]
    assert np.abs(table[model.vocabulary.id("boat")]).max() <= 0.1


def test_mistakes_are_one_line(toy_data, toy_regions, tmp_path, capsys, learned):
    cases = [
        (["--set", "clip_value=5"], "set one of them to 0"),
        (["--set", "layers=regions-toy,pooled,boxes-toy"], "expected regions-KIND or crops-KIND"),
        (["--set", "layers=described-toy"], "expected regions-KIND or crops-KIND"),
        (["--set", "layers=regions-toy"], "expected boxes-toy after it"),
        (["--set", "pooling=mean"], "pooling got 'mean', expected one of"),
        (["--set", "layers="], "layers got nothing, expected one or more"),
        (["--set", "word_vectors=nowhere.txt"], "nowhere.txt"),
    ]
    for change, message in cases:
        words = [*arguments(toy_data, toy_regions, tmp_path / "run"), *change]
        assert train_alignment.main(words) == 2
        assert message in capsys.readouterr().err.strip().splitlines()[-1]
    (tmp_path / "config.json").write_text('{"kind": "vse"}')
    (tmp_path / "vocabulary.json").write_text('{"words": [], "counts": []}')
    with pytest.raises(CheckpointError, match="expected an aligner, got a ranker"):
        TrainedAligner.read(tmp_path)
    with pytest.raises(DataError, match="features are 3 wide, expected 21"):
        TrainedAligner.read(learned).encode_descriptors(np.zeros((1, 2, 3)))
