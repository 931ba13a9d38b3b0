"""Row 14 of docs/trust.md: under the user's own settings of Keras, the same answer or one line that names them."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import captioner
import saliency
import vse
from vislang.backbones.registry import load_backbone
from vislang.core.errors import ConfigError
from vislang.core.quiet_backend import import_backend_quietly, require_usual_keras

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "mixed_float16": (
        keras.config.set_dtype_policy,
        "mixed_float16",
        "dtype policy is mixed_float16, expected float32",
    ),
    "bfloat16": (keras.config.set_dtype_policy, "bfloat16", "dtype policy is bfloat16, expected float32"),
    "float64": (keras.config.set_floatx, "float64", "floatx is float64, expected float32"),
    "float16": (keras.config.set_floatx, "float16", "floatx is float16, expected float32"),
    "channels_first": (keras.config.set_image_data_format, "channels_first", "image data format is channels_first"),
}


@pytest.fixture
def usual_keras():
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def models(tiny_captioner, tiny_ranker):
    return captioner.load_model(tiny_captioner), vse.load_model(tiny_ranker)


@pytest.mark.parametrize("name", SETTINGS)
def test_row_14_other_settings_are_named_before_and_after_loading(models, album, tiny_ranker, name, usual_keras):
    change, value, message = SETTINGS[name]
    written, ranker = models
    change(value)
    calls = [
        lambda: vse.load_model(tiny_ranker),
        lambda: load_backbone("compact_scenes"),
        lambda: vse.encode_images(ranker, album / "b.png"),
        lambda: vse.encode_sentences(ranker, "a dog"),
        lambda: captioner.caption_images(written, album / "b.png"),
        lambda: saliency.explain_image(written, album / "b.png", "a dog", method="gradient"),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=f"Keras' {message}") as error:
            call()
        assert "\n" not in str(error.value)


def answers(models, album):
    written, ranker = models
    image = album / "b.png"
    explained = saliency.explain_image(written, image, "a dog", method="gradient")
    return [
        vse.encode_images(ranker, image).vectors,
        vse.encode_sentences(ranker, ["a dog"]),
        [caption.log_prob for caption in captioner.caption_images(written, image).captions[0]],
        explained.losses,
    ]


def test_row_14_functions_that_run_eagerly_give_the_same(models, album, usual_keras):
    expected = answers(models, album)
    tf.config.run_functions_eagerly(True)
    for found, one in zip(answers(models, album), expected, strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("body", ["vse.load_model", "lambda: __import__('saliency.methods.gradient')"])
def test_row_14_another_backend_works_or_is_named(body):
    code = f"import vse\nfrom vislang.core.cli import run_command\nraise SystemExit(run_command({body}))"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "nosuch"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Keras cannot be imported with the backend nosuch (KERAS_BACKEND): ")
    assert done.stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_row_14_a_forked_process_is_told_instead_of_hanging(models, album):
    import_backend_quietly()
    require_usual_keras()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            vse.encode_images(models[1], album / "b.png")
        except ConfigError as error:
            code = 7 if "multiprocessing.get_context('spawn')" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
