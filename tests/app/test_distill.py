"""Distillation: the views, the teachers' targets, the student's losses and training."""

import json

import numpy as np
import pytest
from PIL import Image

from app.bundle.caption_directions import caption_directions, word_table
from app.bundle.config import StudentConfig
from app.bundle.student import StudentBatches, UnexplainedVariance, hint_loss, target_loss, train_student
from app.bundle.targets import TeacherTargets, fit_projection
from vislang.core.seeds import stream
from vislang.images.augment import WHOLE, View, as_input, random_view, show

NO_DIRECTIONS = np.zeros((7, 0), np.float32)


def photographs(count, side=48):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)]


class Teacher:
    """Sees the mean colour of each of 10x10 cells, and its square; its layer "fine" that of 40x40 cells."""

    def encode(self, pictures, layers):
        cells = pictures.reshape(len(pictures), 10, 32, 10, 32, 3).mean(axis=(2, 4))
        seen = {"grid": np.concatenate([cells, np.square(cells)], axis=-1).astype(np.float32)}
        if "fine" in layers:
            seen["fine"] = pictures.reshape(len(pictures), 40, 8, 40, 8, 3).mean(axis=(2, 4))
        return seen


def targets_in(folder, count=8, views=2, hints=("fine",)):
    return TeacherTargets(photographs(count), [Teacher(), Teacher()], (4, 3), hints, views, 0.3, 0.2, 0, folder)


def test_the_whole_view_is_the_photograph_itself():
    (image,) = photographs(1)
    np.testing.assert_array_equal(show(image, WHOLE, 48), np.asarray(image))


def test_a_view_shows_its_part_mirrored_and_in_its_light():
    halves = np.zeros((40, 40, 3), np.uint8)
    halves[:, 20:] = 100
    image = Image.fromarray(halves)
    assert show(image, View((0.5, 0, 1, 1), False, (1, 1, 1)), 8)[:, 1:].min() == 100
    flipped = show(image, View((0, 0, 1, 1), True, (1, 1, 1)), 8)
    assert flipped[0, 0, 0] == 100
    assert flipped[0, -1, 0] == 0
    assert show(image, View((0.5, 0, 1, 1), False, (0.5, 1, 1)), 8).max() == 50


def test_random_views_keep_to_what_they_may_do():
    views = [random_view(stream(0, number), 0.25, 0.35) for number in range(300)]
    for view in views:
        left, top, right, bottom = view.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert (right - left) * (bottom - top) > 0.24
        assert all(0.65 <= gain <= 1.35 for gain in view.gains)
    assert 100 < sum(view.flipped for view in views) < 200
    assert random_view(stream(0, 0), 1.0, 0.0).box == (0, 0, 1, 1)


def test_a_projection_is_the_leading_principal_directions_of_standardised_channels():
    random = np.random.default_rng(0)
    grids = random.standard_normal((30, 5, 6)) @ random.standard_normal((6, 6)) * [1, 10, 100, 1, 1, 0]
    projection = fit_projection(grids.astype(np.float32), 3)
    rows = grids.reshape(-1, 6)[:, :5]
    scaled = (rows - rows.mean(0)) / rows.std(0)
    _, values, vectors = np.linalg.svd(scaled, full_matrices=False)
    projected = projection.project(grids.astype(np.float32)).reshape(-1, 3)
    np.testing.assert_allclose(np.abs(projected), np.abs(scaled @ vectors[:3].T), atol=2e-3)
    assert projection.explained == pytest.approx(np.square(values[:3]).sum() / np.square(values).sum(), abs=1e-4)


def test_targets_are_computed_once_and_resumed(tmp_path):
    whole, parted = targets_in(tmp_path / "whole"), targets_in(tmp_path / "parted")
    whole.prepare(lambda count: None)
    targets_in(tmp_path / "parted", views=1).prepare(lambda count: None)
    first = parted.path(0).stat().st_mtime_ns
    seen = []
    parted.prepare(seen.append)
    assert sum(seen) == 16
    assert parted.path(0).stat().st_mtime_ns == first
    for number in (0, 1):
        assert parted.path(number).read_bytes() == whole.path(number).read_bytes()


def test_targets_are_what_the_teachers_see_in_that_view(tmp_path):
    teacher = targets_in(tmp_path)
    projections = teacher.prepare(lambda count: None)
    stored = np.load(teacher.path(1))
    assert stored.shape == (8, 100, 7)
    picture = as_input(show(teacher.images[5], teacher.view(5, 1), 320)[None])
    seen = Teacher().encode(picture, ["grid"])["grid"].reshape(100, 6)
    np.testing.assert_allclose(stored[5, :, :4], projections[0].project(seen), atol=5e-3)
    whole = teacher.full_image_targets(projections, teacher.images[:3], "dev")
    assert whole.shape == (3, 100, 7)
    np.testing.assert_array_equal(teacher.full_image_targets(projections, [], "dev"), whole)  # kept
    fine = np.load(teacher.hint_path("fine"))
    first = as_input(show(teacher.images[5], teacher.view(5, 0), 320)[None])
    np.testing.assert_allclose(fine[5], Teacher().encode(first, ["fine"])["fine"][0], atol=1e-3)


def test_words_are_counted_over_the_captions_of_an_image():
    captions = [[["a", "dog", "dog"], ["a", "cat"]]] * 20 + [[["a", "dog"]]] * 20 + [[["a", "rare"]]]
    table = word_table(captions)
    assert table.shape == (41, 3)  # a, cat, dog; "rare" is said of too few
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(table[:, 1:].std(axis=0), 1, atol=1e-4)
    assert table[0, 1] > 0 > table[40, 1]
    assert table[20, 2] > table[0, 2] > table[40, 2]  # in all captions, in half of them, in none


def test_caption_directions_are_where_features_predict_words():
    random = np.random.default_rng(0)
    features = random.standard_normal((4000, 6)) * [1, 1, 5, 1, 1, 1]
    words = features[:, :2] @ random.standard_normal((2, 9)) + 0.1 * random.standard_normal((4000, 9))
    found = caption_directions(features.astype(np.float32), words, 2)
    assert found.shape == (6, 2)
    assert np.abs(found[2:]).max() < 0.02 * np.abs(found[:2]).max()
    fit = np.linalg.lstsq(features @ found, words, rcond=None)[0]
    assert np.square(features @ found @ fit - words).mean() < 0.02


def test_the_loss_is_one_and_the_share_explained_nought_for_the_mean():
    random = np.random.default_rng(0)
    targets, directions = random.standard_normal((20, 9, 4)).astype(np.float16), np.eye(4, 2, dtype=np.float32)
    variance = UnexplainedVariance(targets, directions)
    mean = np.broadcast_to(targets.astype(np.float32).mean(axis=(0, 1)), targets.shape)
    loss = np.asarray(target_loss(variance, StudentConfig(pooled_weight=0.5, caption_weight=2.0))(targets, mean))
    assert loss.shape == (20,)
    assert loss.mean() == pytest.approx(1 + 0.5 + 2 + 2, abs=1e-3)
    assert set(variance.explained(targets, mean)) == {"cells", "pooled", "caption_cells", "captions"}
    assert list(variance.explained(targets, mean).values()) == pytest.approx([0] * 4, abs=1e-3)
    assert list(variance.explained(targets, targets.astype(np.float32)).values()) == [1] * 4


def test_shares_follow_their_definition():
    random = np.random.default_rng(0)
    targets, found = random.standard_normal((2, 30, 9, 4)).astype(np.float32)
    directions = random.standard_normal((4, 2)).astype(np.float32)
    shares = UnexplainedVariance(targets, directions).explained(targets, found)
    mean = targets.mean(axis=(0, 1))
    total = np.mean([np.sum((targets[i, c] - mean) ** 2) for i in range(30) for c in range(9)])
    error = np.mean([np.sum((targets[i, c] - found[i, c]) ** 2) for i in range(30) for c in range(9)])
    assert shares["cells"] == pytest.approx(1 - error / total, abs=1e-4)
    told = [(targets[i].mean(0) - mean) @ directions for i in range(30)]
    missed = [(targets[i].mean(0) - found[i].mean(0)) @ directions for i in range(30)]
    expected = 1 - np.sum(np.square(missed)) / np.sum(np.square(told))
    assert shares["captions"] == pytest.approx(expected, abs=1e-4)


def test_a_hints_loss_is_its_share_of_variance():
    kept = np.random.default_rng(0).standard_normal((3, 4, 4, 2)).astype(np.float16)
    loss = np.asarray(hint_loss(2.0)(kept, np.zeros_like(kept)))
    np.testing.assert_allclose(loss, np.square(kept.astype(np.float32)).sum(-1).mean((1, 2)) / 2, rtol=1e-3)


def batch(teacher, **changes):
    config = StudentConfig(size=160, batch_size=8, **changes)
    return StudentBatches(teacher, config, 1, teacher.hints)[0]


def test_mixed_batches_mix_pictures_and_targets_alike(tmp_path):
    teacher = targets_in(tmp_path)
    teacher.prepare(lambda count: None)
    pictures, targets = batch(teacher, mirrored=0.0)
    mixed_pictures, mixed_targets = batch(teacher, mirrored=0.0, mixing=1.0)
    share, _, _, _ = np.linalg.lstsq(pictures.reshape(8, -1).T, mixed_pictures.reshape(8, -1).T, rcond=None)
    np.testing.assert_allclose(share.sum(axis=0), 1, atol=1e-3)
    for name in ("cells", "fine"):
        expected = np.einsum("ij,i...->j...", share, targets[name].astype(np.float32))
        np.testing.assert_allclose(mixed_targets[name], expected, atol=1e-2)


def test_mirrored_batches_mirror_pictures_and_targets_alike(tmp_path):
    teacher = targets_in(tmp_path)
    teacher.prepare(lambda count: None)
    pictures, targets = batch(teacher, mirrored=0.0)
    mirrored_pictures, mirrored_targets = batch(teacher, mirrored=1.0)
    np.testing.assert_array_equal(mirrored_pictures, pictures[:, :, ::-1])
    np.testing.assert_array_equal(mirrored_targets["fine"], targets["fine"][:, :, ::-1])
    cells = targets["cells"].reshape(8, 10, 10, 7)
    np.testing.assert_array_equal(mirrored_targets["cells"].reshape(8, 10, 10, 7), cells[:, :, ::-1])


@pytest.mark.slow
def test_a_stopped_training_ends_as_one_that_was_not(tmp_path):
    teacher = targets_in(tmp_path / "targets")
    projections = teacher.prepare(lambda count: None)
    dev = photographs(4)
    targets = teacher.full_image_targets(projections, dev, "dev")
    config = StudentConfig(
        size=160, width=0.25, channels=16, passes=2, batch_size=4, warmup_passes=2, precision="float32"
    )
    _, history = train_student(config, teacher, NO_DIRECTIONS, dev, targets, tmp_path / "whole")

    class StopError(Exception):
        pass

    original, begun = StudentBatches.start_at, []

    def start_at(self, epoch):
        begun.append(epoch)
        if len(begun) in stops:
            raise StopError
        original(self, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentBatches, "start_at", start_at)
        for stop in (2, 4):  # before the second warm-up epoch, and before the second stage's third
            stops = {len(begun) + stop}
            with pytest.raises(StopError):
                train_student(config, teacher, NO_DIRECTIONS, dev, targets, tmp_path / "parted")
    _, resumed = train_student(config, teacher, NO_DIRECTIONS, dev, targets, tmp_path / "parted")
    for column in ("loss", "score"):
        assert [row[column] for row in resumed] == [row[column] for row in history]
    assert json.loads((tmp_path / "parted" / "history.json").read_text())[-1]["epoch"] == 4
