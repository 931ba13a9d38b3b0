"""The training demo's whole path, small: scenes, features, training, ranking, captions, pages."""

import pytest
from PIL import Image

from app import demo_train


@pytest.mark.slow
def test_the_training_demo_runs_and_names_its_pages(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    words = ["--out", str(tmp_path / "demo"), "--train", "60", "--test", "20", "--set", "epochs=2"]
    assert demo_train.main([*words, "--set", "hidden_dim=16"]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / "demo" / "60-20-0" / "features.h5").is_file()
    for name in ("results/retrieval-scenes-test.html", "album.html", "results/grounding-scenes-test.html"):
        assert str(tmp_path / "demo" / name) in out
        assert "data:image/jpeg;base64" in (tmp_path / "demo" / name).read_text()
    page = (tmp_path / "demo" / "words.html").read_text()
    assert str(tmp_path / "demo" / "words.html") in out
    assert page.count('class="layer map"') >= 3
    (result,) = (tmp_path / "demo" / "results").glob("pointing-*.json")
    assert '"roc_auc"' in result.read_text()
    assert (tmp_path / "demo" / "results" / "pointing-scenes-test.html").read_text().count("<article") == 12
    for ranked in ("vse", "alignment"):
        (result,) = (tmp_path / "demo" / "results").glob(f"retrieval-{ranked}-*.json")
        assert '"i2t_r1"' in result.read_text()
    with Image.open(tmp_path / "demo" / "regions.png") as drawing:
        assert max(drawing.size) == 900
    with Image.open(tmp_path / "demo" / "unnatural.png") as drawing:
        assert drawing.size == (128, 128)
        assert len(drawing.getcolors(128 * 128) or []) > 1000, "a map lies over the scene"


def test_a_bad_setting_ends_the_demo_with_its_line(tmp_path, capsys):
    words = ["--out", str(tmp_path), "--train", "10", "--test", "5", "--set", "epoch=2"]
    assert demo_train.main(words) == 2
    assert "did you mean epochs" in capsys.readouterr().err
