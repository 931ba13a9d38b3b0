"""Published features find their images in the cache."""

import json

import numpy as np
import scipy.io

from vislang.features import convert
from vislang.features.cache.reader import open_cache


def test_columns_of_vgg_feats_become_rows_of_their_images(tmp_path, capsys):
    entry = {"split": "train", "sentences": [{"raw": "a dog", "tokens": ["a", "dog"]}]}
    images = [{**entry, "filename": name, "imgid": number} for name, number in (("b.jpg", 1), ("a.jpg", 0))]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": images, "dataset": "flickr8k"}))
    feats = np.random.default_rng(0).random((4096, 2)).astype(np.float32)
    scipy.io.savemat(tmp_path / "vgg_feats.mat", {"feats": feats})
    cache = tmp_path / "cache.h5"
    assert convert.main(["--karpathy", str(tmp_path), "--cache", str(cache)]) == 0
    rows = open_cache(cache).read("published-vgg", "fc7", ["a.jpg", "b.jpg"])
    np.testing.assert_array_equal(rows, feats.T.astype(np.float16))
    assert "fc7 of published-vgg for 2 images" in capsys.readouterr().out


def test_precomputed_rows_are_found_under_the_readers_ids(tmp_path, capsys):
    from datasets.captions.precomputed import read_precomputed

    data = tmp_path / "toy"
    data.mkdir()
    for split in ("train", "dev", "test"):
        rows = np.random.default_rng(len(split)).random((2, 6)).astype(np.float32)
        np.save(data / f"toy_{split}_ims.npy", np.repeat(rows, 5, axis=0))
        (data / f"toy_{split}_caps.txt").write_text("a dog\n" * 10)
    cache = tmp_path / "cache.h5"
    words = ["--precomputed", str(data), "--backbone", "resnet", "--layer", "pooled", "--cache", str(cache)]
    assert convert.main(words) == 0, capsys.readouterr().err
    records = read_precomputed(data)
    with open_cache(cache) as opened:
        stored = opened.read("resnet", "pooled", [record.image_id for record in records if record.split == "test"])
    np.testing.assert_array_equal(stored, np.load(data / "toy_test_ims.npy")[::5].astype(np.float16))


def test_missing_files_are_one_line(tmp_path, capsys):
    assert convert.main(["--karpathy", str(tmp_path), "--cache", str(tmp_path / "c.h5")]) == 2
    assert "dataset.json" in capsys.readouterr().err
