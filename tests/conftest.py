"""Tiny data drawn by the tests themselves, and the optional folder of real data."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The research data folder; the test is skipped where there is none."""
    folder = Path(os.environ.get("VISLANG_DATA", ROOT / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no research data: set VISLANG_DATA")
    return folder.resolve()


COLOURS, THINGS, PLACES = ["red", "green", "blue", "white"], ["dog", "cat", "car", "boat", "tree"], ["grass", "snow"]


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """A data set that a ranker can learn: dataset.json of 60 images and features.h5 that hold what is in them."""
    from vislang.features.cache.reader import FeatureKey, import_rows

    folder = tmp_path_factory.mktemp("toy")
    random = np.random.default_rng(7)
    vectors = {word: random.normal(size=24) for word in COLOURS + THINGS + PLACES}
    images, rows, grids = [], [], []
    for number in range(60):
        colour, thing, place = (random.choice(words) for words in (COLOURS, THINGS, PLACES))
        texts = [f"A {colour} {thing} on the {place} .", f"On {place} there is a {colour} {thing}", f"a {thing}"]
        texts += [f"the {thing} is {colour}", f"There it stands , a {colour} {thing} in {place}"]
        feature = vectors[colour] + vectors[thing] + vectors[place] + random.normal(0, 0.1, 24)
        rows.append(feature)
        grids.append(feature + random.normal(0, 0.2, (2, 2, 24)))
        sentences = [{"tokens": text.lower().split(), "raw": text, "imgid": number} for text in texts]
        split = "train" if number < 40 else "val" if number < 50 else "test"
        images.append({"imgid": number, "filename": f"{number}.jpg", "split": split, "sentences": sentences})
    (folder / "dataset.json").write_text(json.dumps({"dataset": "toy", "images": images}))
    ids = [image["filename"] for image in images]
    for layer, array in (("pooled", rows), ("grid", grids)):
        key = FeatureKey("toy", layer, "none", "f" * 64)
        import_rows(folder / "features.h5", ids, np.array(array, np.float32), key)
    return folder


@pytest.fixture(scope="session")
def tiny_captioner(tmp_path_factory) -> Path:
    """The checkpoint of an untrained captioner over the CNN of drawn scenes: enough to see what goes in and out."""
    import keras

    from captioner.config import CaptionerConfig
    from captioner.models.ensemble import Captioner
    from vislang.backbones.registry import load_backbone
    from vislang.core.config import to_json
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints

    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp("captioner")
    backbone = load_backbone("compact_scenes")
    config = CaptionerConfig(
        model="attend", word_dim=8, hidden_dim=8, layers=("grid",), ensemble_size=2, beam=3, decode_words=6
    )
    vocabulary = Vocabulary(["a", "dog", "cat", "red", "blue", "it's", "<b>", "&"])  # words that HTML must escape
    width = backbone.layers["grid"][-1]
    captioner = Captioner(config, len(vocabulary), width)
    captioner.set_output_bias(np.linspace(0, 2, len(vocabulary), dtype=np.float32))
    description = {"kind": "captioner", "preset": "tiny", "config": to_json(config), "seed": 0, "num_features": width}
    description |= {"backbone": {"name": "compact_scenes", "weights": {"grid": backbone.fingerprint}}, "data": {}}
    checkpoints.start_checkpoint(folder, description, vocabulary)
    checkpoints.save_weights(captioner, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_ranker(tmp_path_factory) -> Path:
    """The checkpoint of an untrained ranker over the CNN of drawn scenes: enough to see what goes in and out."""
    from vislang.backbones.registry import load_backbone
    from vislang.core.config import to_json
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints
    from vse.config import VseConfig
    from vse.model import Ranker

    folder = tmp_path_factory.mktemp("ranker")
    backbone = load_backbone("compact_scenes")
    config = VseConfig(hidden_dim=12, embed_dim=12, word_dim=6, tokenizer="treebank", ensemble_size=2)
    vocabulary = Vocabulary(["a", "dog", "cat", "red", "blue"])
    (width,) = backbone.layers["pooled"]
    weights = {"pooled": backbone.fingerprint}
    description = {"kind": "vse", "preset": "test", "config": to_json(config), "seed": 0, "num_features": width}
    description |= {"backbone": {"name": "compact_scenes", "weights": weights}, "data": {}}
    checkpoints.start_checkpoint(folder, description, vocabulary)
    checkpoints.save_weights(Ranker(config, len(vocabulary), width), folder)
    return folder


@pytest.fixture(scope="session")
def album(tmp_path_factory) -> Path:
    """A folder of five photographs, of which two are broken."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("album")
    random = np.random.default_rng(0)
    for name in ("b.png", "a.jpg", "COCO_val2014_000000391895.jpg"):
        Image.fromarray(random.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / name)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "letter.jpg").write_text("Dear Sir")
    return folder


@pytest.fixture
def double_precision():
    """Keras in float64 for one test."""
    import keras

    for width in ("float64", "float32"):
        keras.config.set_floatx(width)
        keras.config.set_dtype_policy(width)  # once a layer was made, it no longer follows floatx
        if width == "float64":
            yield
