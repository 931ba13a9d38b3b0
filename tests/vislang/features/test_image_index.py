"""The stored index of a searched folder: files that only look changed are not encoded again."""

import os

import numpy as np
from PIL import Image

import vse
from vse.index.folder import DATABASE
from vse.index.images import default_place, index_images
from vse.inference import TrainedRanker


def test_touched_files_and_changed_permissions_are_not_encoded_again(tiny_ranker, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{number}.png", compress_level=0)
    model = vse.load_model(tiny_ranker)
    encoded = []
    encode_images = TrainedRanker.encode_images

    def counted(self, paths, options):
        encoded.extend(paths)
        return encode_images(self, paths, options)

    monkeypatch.setattr(TrainedRanker, "encode_images", counted)

    def search():
        encoded.clear()
        return index_images(model, [photos], folder=tmp_path / "index").vectors

    before = search()
    (photos / "0.png").chmod(0o600)
    os.utime(photos / "1.png", (5, 5))
    np.testing.assert_array_equal(search(), before)
    assert encoded == []
    stored = default_place(model, tmp_path / "index") / DATABASE
    content = stored.read_bytes()
    np.testing.assert_array_equal(search(), before)
    assert stored.read_bytes() == content
    (photos / "2.png").write_bytes((photos / "1.png").read_bytes())
    np.testing.assert_allclose(search(), before[[0, 1, 1]], atol=1e-5)
    assert encoded == [photos / "2.png"]
