"""The ranker on real photographs: a short training learns, and a mixed call works. Skipped without the data."""

import json

import numpy as np
import pytest

import vse
from vislang.features import extract
from vse import train

pytestmark = pytest.mark.realdata


def test_a_short_training_on_flickr8k_is_far_above_chance(real_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_WEIGHTS", str(real_data / "weights"))
    from datasets import registry

    records = registry.read("flickr8k", real_data / "flickr8k")
    chosen = {"train": 500, "dev": 100, "test": 100}
    lines = []
    for split, count in chosen.items():
        lines += [str(record.path) for record in records if record.split == split][:count]
    listing = tmp_path / "images.txt"
    listing.write_text("\n".join(lines))
    cache = tmp_path / "features.h5"
    words = ["--images", str(listing), "--root", str(real_data / "flickr8k" / "Images")]
    assert extract.main([*words, "--layers", "pooled", "--cache", str(cache)]) == 0
    monkeypatch.setattr(
        "datasets.records.of_split",
        lambda all_records, split: tuple(r for r in all_records if r.split == split)[: chosen[split]],
    )
    words = ["--data", str(real_data / "flickr8k"), "--cache", str(cache), "--out", str(tmp_path / "run"), "--json"]
    small = ["layers=pooled", "ensemble_size=1", "hidden_dim=96", "embed_dim=256", "epochs=5", "batch_size=64"]
    assert train.main([*words, *(part for setting in small for part in ("--set", setting))]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert row["best"] > 90  # chance on 100 images is about 32

    model = vse.load_model(tmp_path / "run")
    photos = vse.encode_images(model, real_data / "photos")
    assert len(photos) >= 9
    assert not photos.skipped
    np.testing.assert_allclose(np.linalg.norm(photos.vectors, axis=1), 1, rtol=1e-5)
