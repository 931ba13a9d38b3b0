"""Row 13 of docs/trust.md: generators, bytes, open files and nonsense as arguments of the public functions."""

import io
from pathlib import Path

import numpy as np
import pytest

import captioner
import datasets
import preimage
import saliency
import vse
from vislang.core.errors import ToolkitError

LONG = "a" * 5000


@pytest.fixture(scope="module")
def models(tiny_captioner, tiny_ranker):
    return captioner.load_model(tiny_captioner), vse.load_model(tiny_ranker)


def forms(path: Path):
    """What stands for one image, by name."""
    content = path.read_bytes()
    return {
        "generator": (one for one in [path]),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "open file": path.open("rb"),
        "buffer": io.BytesIO(content),
        "list of open files": [path.open("rb")],
        "map": map(str, [path]),
    }


@pytest.mark.parametrize("name", ["generator", "bytes", "bytearray", "memoryview", "open file", "buffer", "map"])
def test_row_13_an_image_in_any_form_is_the_same_image(models, album, name):
    written, ranker = models
    path = album / "b.png"
    expected = vse.encode_images(ranker, path).vectors
    np.testing.assert_array_equal(vse.encode_images(ranker, forms(path)[name]).vectors, expected)
    text = captioner.caption_images(written, path).captions[0][0].text
    assert captioner.caption_images(written, forms(path)[name]).captions[0][0].text == text
    assert saliency.explain_image(written, forms(path)[name], "a dog", method="gradient").words == ("a", "dog")


@pytest.mark.parametrize("sentences", [("a dog",), {"a dog": 1}, (one for one in ["a dog"]), np.array(["a dog"])])
def test_row_13_sentences_in_any_form_are_the_same(models, sentences):
    _, ranker = models
    expected = vse.encode_sentences(ranker, "a dog")
    np.testing.assert_array_equal(vse.encode_sentences(ranker, sentences), expected)


def refused(call, message):
    with pytest.raises(ToolkitError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("images", [None, 3, LONG, "a\0b.png", io.StringIO("text"), [None], object()])
def test_row_13_what_is_no_image_is_refused_in_one_line(models, images):
    written, ranker = models
    message = "expected|no image|open it with mode 'rb'|no such file|could be"
    refused(lambda: vse.encode_images(ranker, images), message)
    refused(lambda: captioner.caption_images(written, images), message)
    refused(lambda: saliency.explain_image(written, images, "a dog", method="gradient"), message)


def test_row_13_a_file_opened_as_text_or_closed_is_refused(models, album):
    _, ranker = models
    with (album / "b.png").open("rb") as stream:
        pass
    refused(lambda: vse.encode_images(ranker, stream), "open file cannot be read .read of closed file")
    with (album / "b.png").open(encoding="latin-1") as stream:
        refused(lambda: vse.encode_images(ranker, stream), "gives text, expected bytes; open it with mode 'rb'")


@pytest.mark.parametrize("sentences", [None, 3, b"a dog", [b"a dog"], ["a dog", None], [["a dog"]]])
def test_row_13_what_is_no_sentence_is_refused_in_one_line(models, album, sentences):
    written, ranker = models
    image = album / "b.png"
    refused(lambda: vse.encode_sentences(ranker, sentences), "sentences got .*, expected a text or several")
    refused(lambda: vse.retrieve_images(ranker, image, sentences), "sentences got .*, expected a text or several")
    refused(lambda: vse.retrieve_captions(ranker, image, sentences), "sentences got .*, expected a text or several")
    if sentences is not None:
        explain = lambda: saliency.explain_image(written, image, sentences, method="gradient")  # noqa: E731
        refused(explain, "the sentence got .*, expected a text")


@pytest.mark.parametrize("path", [3, b"x", LONG, "a\0b", io.StringIO("x")])
def test_row_13_what_is_no_path_is_refused_in_one_line(models, path):
    written, _ = models
    for load in (vse.load_model, captioner.load_model, captioner.load_aligner, preimage.load_network):
        refused(lambda load=load: load(path), "expected a path|unknown backbone|holds no config.json")
    refused(lambda: datasets.read("flickr8k", path), "expected a path|is no folder")
    refused(lambda: captioner.caption_video(written, path), "expected a path|no video that can be read")
