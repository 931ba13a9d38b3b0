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
    from features.cache import FeatureKey, import_rows

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
    for tap, array in (("pooled", rows), ("grid", grids)):
        key = FeatureKey("toy", tap, "none", "f" * 64)
        import_rows(folder / "features.h5", ids, np.array(array, np.float32), key)
    return folder
