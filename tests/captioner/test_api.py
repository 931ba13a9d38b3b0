"""Captions from Python: what goes in, what comes out, and what is said when that cannot be."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import captioner
from captioner.decoding.options import DecodeOptions
from captioner.inference import TrainedCaptioner
from vislang.core.errors import CheckpointError, DataError
from vislang.features.reading_options import ReadingOptions

GOOD = ["COCO_val2014_000000391895.jpg", "a.jpg", "b.png"]


@pytest.fixture(scope="module")
def model(tiny_captioner):
    return captioner.load_model(tiny_captioner)


def file_names(names):
    return [name.rsplit("/", 1)[1] for name in names]


def test_a_folder_gives_captions_and_reasons(model, album):
    found = captioner.caption_images(model, album)
    assert file_names(found.names) == GOOD
    assert len(found) == len(found.captions) == len(found.texts) == 3
    assert file_names(one.source for one in found.skipped) == ["empty.jpg", "letter.jpg"]
    assert all(set(text.split()) <= set(model.vocabulary.words[4:]) for text in found.texts)
    with pytest.raises(DataError, match="strict"):
        captioner.caption_images(model, album, options=ReadingOptions(strict=True))


@pytest.mark.slow
def test_the_folder_alone_captions_a_photo(tiny_captioner, model, album, tmp_path):
    moved = shutil.copytree(tiny_captioner, tmp_path / "moved")
    captions = captioner.caption_images(
        captioner.load_model(moved), album / "a.jpg", decode=DecodeOptions(num=3)
    ).captions
    assert captions == captioner.caption_images(model, album / "a.jpg", decode=DecodeOptions(num=3)).captions


@pytest.mark.slow
@pytest.mark.parametrize("method", ["beam", "greedy", "diverse", "sample"])
def test_word_probabilities_multiply_to_that_of_the_caption(model, album, method):
    num = 1 if method == "greedy" else 3
    (captions,) = captioner.caption_images(
        model, album / "a.jpg", decode=DecodeOptions(method=method, num=num)
    ).captions
    assert len(captions) == num
    for caption in captions:
        assert np.prod(caption.probabilities) == pytest.approx(np.exp(caption.log_prob), rel=1e-4)
        assert len(caption.probabilities) in (len(caption.words), len(caption.words) + 1)
    if method == "beam":
        assert [one.log_prob for one in captions] == sorted((one.log_prob for one in captions), reverse=True)
        assert len({one.text for one in captions}) == num


def test_the_same_picture_in_every_guise_gives_the_same_caption(model, album):
    path = album / "b.png"
    array = np.asarray(Image.open(path))
    expected = captioner.caption_images(model, path).captions[0][0]
    for guise in (str(path), [path], Image.open(path), array, array[None], [array], str(album / "b*.png")):
        ((caption,),) = captioner.caption_images(model, guise).captions
        assert caption.text == expected.text
        assert caption.log_prob == pytest.approx(expected.log_prob, abs=1e-4)


def test_features_are_taken_as_they_are(model, album):
    from vislang.backbones.registry import load_backbone
    from vislang.features.pipeline import encode_images

    paths = [album / name for name in GOOD]
    features = encode_images(load_backbone("compact_scenes"), paths, ["grid", "pooled"]).features
    expected = captioner.caption_images(model, paths, decode=DecodeOptions(num=2))
    for given in (features, features["grid"], features["grid"].reshape(3, 64, -1)):
        found = captioner.caption_images(
            model, given, decode=DecodeOptions(num=2), options=ReadingOptions(batch_size=2)
        )
        assert found.names == ["0", "1", "2"]
        assert found.texts == expected.texts
    assert len(captioner.caption_images(model, features["pooled"])) == 3  # one descriptor is a set, too
    with pytest.raises(DataError, match="features are 3 wide, expected 128"):
        captioner.caption_images(model, np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="layer 'grid' are missing, got pooled"):
        captioner.caption_images(model, {"pooled": features["pooled"]})


def test_features_of_different_numbers_of_images_are_refused():
    from vislang.features.model_inputs import given_features

    with pytest.raises(DataError, match=r"features are of \[2, 3\] images"):
        given_features({"pooled": np.zeros((2, 4)), "grid": np.zeros((3, 2, 2, 4))}, ["pooled", "grid"])
    with pytest.raises(DataError, match="reads layers pooled, grid"):
        given_features(np.zeros((2, 4)), ["pooled", "grid"])


def test_samples_do_not_depend_on_the_batches(model, album):
    paths = [album / name for name in GOOD]
    decode = DecodeOptions(method="sample", num=4, seed=5)
    together = captioner.caption_images(model, paths, decode=decode)
    for batch_size in (1, 2):
        apart = captioner.caption_images(model, paths, decode=decode, options=ReadingOptions(batch_size=batch_size))
        assert apart.texts == together.texts
    assert captioner.caption_images(model, paths, decode=replace(decode, seed=6)).texts != together.texts
    assert len({caption.text for caption in together.captions[0]}) > 1


def test_the_preset_decides_what_is_not_asked_for(model):
    usual = model.complete(DecodeOptions())
    assert (usual.method, usual.width, usual.num, usual.max_words) == ("beam", 3, 1, 6)
    assert model.complete(DecodeOptions(num=4)).width == 4, "more captions than beams widen the preset's beam"
    assert model.complete(DecodeOptions(method="diverse", groups=2)).width == 4, "a multiple of the groups"
    assert model.complete(DecodeOptions(width=2, num=2, length_power=0.7)).length_power == 0.7
    assert (usual.forbid_repeats, usual.no_repeat_ngram) == (False, 0)
    given = model.complete(DecodeOptions(method="greedy", forbid_repeats=True, no_repeat_ngram=3))
    assert (given.forbid_repeats, given.no_repeat_ngram) == (True, 3)
    sampled = model.complete(DecodeOptions(method="sample", num=9))
    assert (sampled.num, sampled.max_words, sampled.temperature, sampled.width) == (9, 6, 1.0, None)


def test_bad_pictures_are_refused(model, album, tmp_path):
    for images, message in [
        (tmp_path, "holds no image"),
        ([], "no image was given"),
        (album / "none.jpg", "no such file"),
        (album / "letter.jpg", "none of 1 images could be captioned"),
    ]:
        with pytest.raises(DataError, match=message):
            captioner.caption_images(model, images)


def test_checkpoints_of_another_kind_and_damaged_ones_are_refused(tiny_captioner, tmp_path):
    for name, content, message in [
        (
            "config.json",
            '{"kind": "vse"}',
            r"expected a captioner, got a ranker in .*; load it with vse.load_model\(\)",
        ),
        ("config.json", '{"kind": "captioner"}', "config.json lacks 'config'"),
        ("model.weights.h5", "garbage", "is no weights file"),
    ]:
        folder = shutil.copytree(tiny_captioner, tmp_path / message[:9])
        (folder / name).write_text(content)
        with pytest.raises(CheckpointError, match=message):
            captioner.load_model(folder)
    with pytest.raises(CheckpointError, match="holds no config.json"):
        captioner.load_model(tmp_path)


def test_other_weights_than_in_training_are_refused(tiny_captioner, album, tmp_path):
    folder = shutil.copytree(tiny_captioner, tmp_path / "other")
    text = (folder / "config.json").read_text()
    fingerprint = json.loads(text)["backbone"]["weights"]["grid"]
    (folder / "config.json").write_text(text.replace(fingerprint, "0" * 64))
    with pytest.raises(DataError, match="expected 000000000000 as in training"):
        captioner.caption_images(captioner.load_model(folder), album / "a.jpg")


def test_images_pass_in_batches(model, album, monkeypatch):
    sizes = []
    original = TrainedCaptioner.caption_descriptors
    monkeypatch.setattr(
        TrainedCaptioner,
        "caption_descriptors",
        lambda self, given, *rest, **more: sizes.append(len(given)) or original(self, given, *rest, **more),
    )
    captioner.caption_images(model, [album / "a.jpg"] * 5, options=ReadingOptions(batch_size=2))
    assert sizes == [2, 2, 1]
