"""Models run by ONNX Runtime answer as those run by TensorFlow do; `make test-onnx` installs what these tests need."""

import importlib.util
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vislang.core.bundled_models import PRETRAINED
from vislang.core.errors import CheckpointError, ConfigError
from vislang.core.onnx_graphs import RUNTIME, ExportedNetwork

needs_runtime = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="ONNX Runtime is not installed"
)
needs_converter = pytest.mark.skipif(importlib.util.find_spec("tf2onnx") is None, reason="tf2onnx is not installed")
CLOSE = 1e-4
SENTENCES = ["two dogs play in the snow", "a man rides a bike", "a red car", "a plate of food", "unheardof", "dog"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[Path]:
    """Pictures of several sizes with things in them."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    paths = []
    for number, (width, height) in enumerate([(320, 240), (200, 333), (500, 375)]):
        picture = Image.new("RGB", (width, height), tuple(random.integers(0, 255, 3).tolist()))
        pencil = ImageDraw.Draw(picture)
        for _ in range(12):
            left, top = random.integers(0, [width - 40, height - 40]).tolist()
            right, bottom = (np.array([left, top]) + random.integers(20, 120, 2)).tolist()
            colour = tuple(random.integers(0, 255, 3).tolist())
            (pencil.ellipse if random.random() < 0.5 else pencil.rectangle)((left, top, right, bottom), fill=colour)
        paths.append(folder / f"{number}.png")
        picture.save(paths[-1])
    return paths


def both(monkeypatch, load, name, answer):
    """Return what a model answers when ONNX Runtime runs it, and when Keras does."""
    answers = []
    for runtime in ("auto", "keras"):
        monkeypatch.setenv(RUNTIME, runtime)
        model = load(name)
        assert isinstance(model.network, ExportedNetwork) == (runtime == "auto")
        answers.append((answer(model), model.fingerprint))
        assert runtime == "keras" or "keras" not in vars(model.network), "the Keras network was built as well"
    (exported, fingerprint), (keras, expected) = answers
    assert fingerprint == expected, "an index of one could not be searched by the other"
    return exported, keras


def captioner_model(name):
    import captioner

    return captioner.load_model(name)


def aligner_model(name):
    import captioner

    return captioner.load_aligner(name)


def ranker_model(name):
    import vse

    return vse.load_model(name)


def naturalness_model(name):
    import naturalness

    return naturalness.load_model(name)


def assert_same_captions(exported, keras):
    assert [[one.text for one in some] for some in exported] == [[one.text for one in some] for some in keras]
    for one, other in zip(sum(exported, []), sum(keras, []), strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=CLOSE)
        assert one.cosine == pytest.approx(other.cosine, abs=CLOSE)
        assert one.confidence == pytest.approx(other.confidence, abs=2 * CLOSE)  # of four digits
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=CLOSE)


@needs_runtime
@pytest.mark.parametrize("num", [1, 3])
def test_captions_are_the_same(num, photographs, monkeypatch):
    import captioner

    decode = captioner.DecodeOptions(num=num)
    answers = both(
        monkeypatch, captioner_model, "captioner",
        lambda model: captioner.caption_images(model, photographs, decode=decode).captions,
    )  # fmt: skip
    assert_same_captions(*answers)


@needs_runtime
def test_captions_of_clips_are_the_same(photographs, monkeypatch):
    from captioner.decoding.options import DecodeOptions
    from vislang.features.reading_options import ReadingOptions

    frames = [Image.open(path).convert("RGB").resize((160, 120)) for path in photographs]
    for name in ("captioner", "explainer"):
        answers = both(
            monkeypatch, captioner_model, name,
            lambda model: [model.caption_clip(frames, DecodeOptions(), ReadingOptions())],
        )  # fmt: skip
        assert_same_captions(*answers)


@needs_runtime
def test_other_options_of_decoding_are_left_to_keras(photographs, monkeypatch):
    import captioner

    found = []
    for runtime in ("auto", "keras"):
        monkeypatch.setenv(RUNTIME, runtime)
        model = captioner.load_model()
        decode = captioner.DecodeOptions(method="sample", num=2, seed=5)
        found.append(captioner.caption_images(model, photographs[:1], decode=decode).captions)
    assert_same_captions(*found)


@needs_runtime
def test_embeddings_and_ranks_are_the_same(photographs, monkeypatch):
    import vse

    def answer(model):
        cells = next(iter(model.encode_cells(photographs)))
        vectors = vse.encode_sentences(model, SENTENCES), np.asarray(vse.encode_images(model, photographs))
        return *vectors, model.cell_scores(cells, SENTENCES)

    exported, keras = both(monkeypatch, ranker_model, "ranker", answer)
    for one, other in zip(exported, keras, strict=True):
        np.testing.assert_allclose(one, other, atol=CLOSE)
    ranks = [np.argsort(-sentences @ images.T, axis=1) for sentences, images, _ in (exported, keras)]
    np.testing.assert_array_equal(*ranks)


@needs_runtime
def test_regions_are_the_same(photographs, monkeypatch):
    import captioner

    def describe(model):
        return [captioner.describe_regions(model, path) for path in photographs]

    def ground(model):
        ranker = ranker_model("ranker")
        return [captioner.ground_phrases(model, path, SENTENCES[0], ranker=ranker) for path in photographs]

    for load, name, answer in (
        (captioner_model, "region-captioner", describe),
        (aligner_model, "aligner", ground),
    ):
        exported, keras = both(monkeypatch, load, name, answer)
        for one, other in zip(sum(exported, []), sum(keras, []), strict=True):
            assert (one.text, one.box) == (other.text, other.box)
            assert one.score == pytest.approx(other.score, abs=CLOSE)


@needs_runtime
def test_word_maps_are_the_same(photographs, monkeypatch):
    import saliency

    def answer(model):
        ranker = ranker_model("ranker")
        found = [saliency.explain_image(model, path, "a red car", ranker=ranker) for path in photographs]
        return [one.maps for one in found], [one.evidence for one in found]

    exported, keras = both(monkeypatch, captioner_model, "captioner", answer)
    for some, others in zip(exported, keras, strict=True):
        for one, other in zip(some, others, strict=True):
            np.testing.assert_allclose(one, other, atol=CLOSE)


@needs_runtime
def test_scores_of_images_and_sentences_are_the_same(monkeypatch):
    descriptors = np.random.default_rng(0).random((3, 20, 1285), np.float32)

    def answer(model):
        return model.each_score(model.encode_descriptors(descriptors), model.encode_sentences(SENTENCES))

    exported, keras = both(monkeypatch, aligner_model, "aligner", answer)
    np.testing.assert_allclose(exported, keras, atol=CLOSE, rtol=1e-5)


@needs_runtime
def test_unnaturalness_is_the_same(photographs, monkeypatch):
    large = np.asarray(Image.open(photographs[0]).resize((1300, 900)))  # cut into tiles

    def answer(model):
        pictures = [large, *(np.asarray(Image.open(path)) for path in photographs), large[:96, :96]]
        scores = [model.score(one) for one in pictures]
        return scores, [model.map(one, kind=kind) for one in pictures for kind in ("fixation", "anomaly")]

    (scores, maps), (other_scores, other_maps) = both(monkeypatch, naturalness_model, "naturalness", answer)
    assert scores == pytest.approx(other_scores, abs=CLOSE)
    for one, other in zip(maps, other_maps, strict=True):
        np.testing.assert_allclose(one, other, atol=CLOSE)


@needs_runtime
@pytest.mark.parametrize(
    "command",
    [
        "from captioner.generate import main; main([IMAGE])",
        "from vse.search import main; main(['--images', IMAGE, '--text', 'a red car'])",
        "from vse.search import main; main(['--images', IMAGE, '--like', IMAGE])",
        "from captioner.regions import main; main([IMAGE, '--json'])",
        "from captioner.regions import main; main([IMAGE, '--json', '--sentence', 'a red car'])",
        "from naturalness.map import main; main([IMAGE, '--npy', OUT])",
        "from saliency.explain import main; main([IMAGE, '--sentence', 'a red car', '--npy', OUT])",
    ],
)
def test_commands_import_neither_tensorflow_nor_keras(command, photographs, tmp_path):
    values = f"IMAGE = {str(photographs[0])!r}; OUT = {str(tmp_path / 'map.npy')!r}"
    found = "import sys; print([name for name in ('tensorflow', 'keras', 'jax') if name in sys.modules])"
    environment = {**os.environ, "HOME": str(tmp_path), RUNTIME: ""}
    done = subprocess.run(
        [sys.executable, "-c", f"{values}; {command}; {found}"],
        capture_output=True, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_runtime_is_refused(monkeypatch):
    monkeypatch.setenv(RUNTIME, "kers")
    with pytest.raises(ConfigError, match=r"unknown runtime \(VISLANG_RUNTIME\) 'kers'; did you mean keras"):
        ranker_model("ranker")


@needs_runtime
def test_damaged_graphs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNTIME, "auto")
    folder = tmp_path / "ranker"
    shutil.copytree(PRETRAINED / "ranker", folder)
    (folder / "predict_sentences.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"predict_sentences\.onnx is no graph .* vislang export"):
        ranker_model(folder).encode_sentences(["a dog"])
    (folder / "graphs.json").write_text('{"graphs": {"../../x": {}}, "cnns": {}, "fingerprint": ""}')
    with pytest.raises(CheckpointError, match="is no list of graphs .*x"):
        ranker_model(folder)
    (folder / "graphs.json").write_text("{")
    with pytest.raises(CheckpointError, match="list of graphs"):
        ranker_model(folder)


def _encode(model, queue):
    try:
        model.encode_sentences(["a dog"])
        queue.put("")
    except ConfigError as error:
        queue.put(str(error))


@needs_runtime
def test_a_forked_process_is_refused(monkeypatch):
    monkeypatch.setenv(RUNTIME, "auto")
    model = ranker_model("ranker")
    model.encode_sentences(["a dog"])
    forking = multiprocessing.get_context("fork")
    queue = forking.Queue()
    process = forking.Process(target=_encode, args=(model, queue))
    process.start()
    assert "was forked" in queue.get(timeout=60)
    process.join()


def test_shipped_graphs_of_cnns_hold_no_weights():
    """They are another's; all are named as sources in the package's file."""
    from vislang.backbones.exported import SHIPPED

    for folder in (SHIPPED / "efficientnet_lite0", PRETRAINED / "naturalness"):
        manifest = json.loads((folder / "graphs.json").read_text())
        (name,) = manifest["cnns"]
        convolutions = [one for one, _ in manifest["cnns"][name]["convolutions"]]
        sources = {array.split("/")[0] for array, _, _ in manifest["graphs"][name]["weights"].values()}
        assert sources <= set(convolutions)
        assert len(sources) > 40
        assert (folder / f"{name}.onnx").stat().st_size < 60_000


@needs_runtime
@needs_converter
def test_a_model_is_exported_and_used_without_its_checkpoint(
    tiny_captioner, photographs, tmp_path, monkeypatch, capsys
):
    from app.cli import main

    out = tmp_path / "exported"
    assert main(["export", str(tiny_captioner), "--out", str(out)]) == 0
    assert {"config.json", "vocabulary.json", "graphs.json", "weights.bin", "decode.onnx", "cnn_0.onnx"} <= {
        path.name for path in out.iterdir()
    }
    found = []
    for runtime, folder in (("auto", out), ("keras", tiny_captioner)):
        monkeypatch.setenv(RUNTIME, runtime)
        import captioner

        model = captioner.load_model(folder)
        found.append([model.fingerprint, captioner.caption_images(model, photographs).texts])
    assert found[0] == found[1]
    with pytest.raises(CheckpointError, match="is an exported model, whose graphs alone can be used"):
        captioner.load_model(out)
    assert main(["export", str(tiny_captioner), "--out", str(out)]) == 2
    assert "expected a folder that is new or empty" in capsys.readouterr().err


@needs_converter
def test_a_saved_model_computes_the_same(tiny_captioner, tmp_path, monkeypatch):
    import tensorflow as tf

    import captioner
    from app.cli import main

    monkeypatch.setenv(RUNTIME, "keras")
    out = tmp_path / "saved"
    assert main(["export", str(tiny_captioner), "--out", str(out), "--format", "savedmodel"]) == 0
    model = captioner.load_model(tiny_captioner)
    descriptors = np.random.default_rng(0).random((2, 64, 128), np.float32)
    words = np.array([[4, 5, 2], [6, 2, 0]], np.int32)
    saved = tf.saved_model.load(str(out)).signatures["predict_caption_log_probs"]
    found = saved(descriptors=descriptors, mask=np.ones((2, 64), bool), words=words, temperature=np.float32(1))
    np.testing.assert_allclose(found["output_0"], model.given_log_probs(descriptors, words), atol=1e-6)


@needs_converter
def test_what_cannot_be_exported_is_named(tmp_path, capsys):
    from app.cli import main

    folder = tmp_path / "classifier"
    folder.mkdir()
    (folder / "config.json").write_text('{"kind": "classifier"}')
    assert main(["export", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "holds a model of kind 'classifier', which cannot be exported" in capsys.readouterr().err
