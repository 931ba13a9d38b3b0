"""Row 13 of docs/trust.md: a damaged download goes, and a dev split of one image is told before training."""

import json
import shutil
import zipfile

import pytest
import training_runs

from captioner import train
from datasets.download.http import Archive, download
from vislang.core.errors import DataError


def test_row_13_a_damaged_part_of_a_download_does_not_stay(tmp_path):
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "a dog on the grass " * 500)
    content = bytearray(good.read_bytes())
    content[40:60] = bytes(20)  # within the compressed data: zlib.error
    archive = Archive("data.zip", (), None, 10**6)
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"data.zip is damaged \(.*\); it was deleted, run the command again"):
        download(archive, tmp_path, timeout=5)
    assert not (tmp_path / "data.zip").exists()


def test_row_13_a_dev_split_of_one_image_is_one_line(toy_data, tmp_path, capsys):
    folder = tmp_path / "data"
    shutil.copytree(toy_data, folder)
    document = json.loads((folder / "dataset.json").read_text())
    dev = [image for image in document["images"] if image["split"] == "val"]
    for image in dev[1:]:
        image["split"] = "test"
    (folder / "dataset.json").write_text(json.dumps(document))
    words = training_runs.arguments(folder, tmp_path / "out", "layers=pooled", "min_count=1", preset="best")
    assert train.main(words) == 2
    error = capsys.readouterr().err
    assert "dev has one image, expected 2 or more, since CIDEr compares images" in error
    assert error.count("\n") == 1
