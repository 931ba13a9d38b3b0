"""Row 16 of docs/trust.md: nothing is lost by two writers or a killed one, and only files are replaced."""

import importlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import training_runs
from PIL import Image

from app.bundle import pack
from vislang.core.errors import ConfigError, DataError
from vislang.core.files import check_outputs, only_writer, whole_file, write_text
from vislang.draw.image_files import drawing_paths
from vislang.features.cache.reader import FeatureKey, import_rows
from vislang.training.checkpoints import LOCK
from vse import train

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ["hidden_dim=12", "embed_dim=12", "word_dim=6", "layers=pooled", "tokenizer=treebank", "epochs=1"]


def words(toy_data, out, *settings):
    return training_runs.arguments(toy_data, out, *SETTINGS, *settings, preset="best")


def test_row_16_one_training_at_a_time_and_of_one_kind_in_a_folder(toy_data, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    with only_writer(out, out / LOCK):
        assert train.main(words(toy_data, out)) == 2
    assert capsys.readouterr().err == f"error: {out}: another process is writing it; wait for it and run again\n"
    assert train.main(words(toy_data, out)) == 0
    before = training_runs.history(out)
    capsys.readouterr()
    assert train.main(words(toy_data, out, "margin=0.3")) == 2
    assert f"error: {out} holds another run (its config differ)" in capsys.readouterr().err
    assert train.main(words(toy_data, out)) == 0, "the same training resumes"
    assert training_runs.history(out) == before
    assert not list(out.glob(".*")), "no lock and no part is left"


def test_row_16_a_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom vislang.core.files import only_writer\n"
        "with only_writer(Path(sys.argv[1]), Path(sys.argv[1]) / '.lock'):\n    os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    lock = tmp_path / ".lock"
    refused = pytest.raises(DataError, match="another process is writing it")
    with only_writer(tmp_path, lock), refused, only_writer(tmp_path, lock):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["page.html", "model.weights.h5", "no suffix"])
def test_row_16_the_next_writer_removes_what_a_killed_one_left(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    code = (
        "import os, sys\nfrom vislang.core.files import whole_file\n"
        "with whole_file(sys.argv[1]) as part:\n    part.write_text('half'); os.kill(os.getpid(), 9)"
    )
    for _ in range(3):
        killed = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3, "kills do not add up"
    write_text(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_row_16_of_two_writers_one_waits(tmp_path):
    path = tmp_path / "x.txt"
    with whole_file(path) as part:
        other = threading.Thread(target=write_text, args=(path, "second"))
        other.start()
        other.join(0.2)
        assert other.is_alive(), "it would write into the part of the first"
        part.write_text("first")
    other.join()
    assert path.read_text() == "second"
    assert [one.name for one in tmp_path.iterdir()] == ["x.txt"]


def special(folder):
    """Make what is no regular file, by name."""
    (folder / "victim.txt").write_text("theirs")
    (folder / "link").symlink_to("victim.txt")
    (folder / "dangling").symlink_to("absent")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "device").symlink_to("/dev/null")
    return {"link": "a link", "dangling": "a link", "device": "a link", "pipe": "a device, pipe", "folder": "a folder"}


def test_row_16_only_regular_files_are_replaced(tmp_path):
    for name, kind in {**special(tmp_path), "/dev/null": "a device"}.items():
        path = tmp_path / name
        mode = path.lstat().st_mode
        with pytest.raises(ConfigError, match=f"--html got .*, which is {kind}.*, expected a file or a new name"):
            check_outputs({"--html": path})
        with pytest.raises(DataError, match=f"cannot write .*: it is {kind}"):
            write_text(path, "ours")
        assert path.lstat().st_mode == mode
    assert (tmp_path / "victim.txt").read_text() == "theirs"
    assert not list(tmp_path.glob(".*"))


def test_row_16_a_part_is_not_written_through_a_link(tmp_path):
    (tmp_path / "victim.txt").write_text("theirs")
    (tmp_path / ".x.html.part.html").symlink_to("victim.txt")
    write_text(tmp_path / "x.html", "ours")
    assert (tmp_path / "victim.txt").read_text() == "theirs"
    assert (tmp_path / "x.html").read_text() == "ours"


@pytest.mark.parametrize(
    ("module", "option", "suffix"),
    [
        ("captioner.generate", "--html", ".html"),
        ("captioner.regions", "--out", ".png"),
        ("saliency.explain", "--html", ".html"),
        ("naturalness.map", "--out", ".png"),
        ("naturalness.map", "--npy", ".npy"),
        ("vse.search", "--html", ".html"),
        ("preimage.invert", "--out", ".png"),
        ("preimage.invert", "--frames", ".gif"),
        ("app.album", "--out", ".html"),
    ],
)
def test_row_16_every_command_refuses_a_pipe_and_a_link_before_work(tmp_path, capsys, module, option, suffix):
    photo = tmp_path / "dog.jpg"
    Image.new("RGB", (16, 16)).save(photo)
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"link{suffix}").symlink_to(photo)
    more = {"vse.search": ["--text", "a dog"], "preimage.invert": ["--out", str(tmp_path / "x.png")]}
    for name in ("pipe", "link"):
        out = tmp_path / f"{name}{suffix}"
        command = [*more.get(module, []), option, str(out), "--images", str(photo)]
        assert importlib.import_module(module).main(command) == 2
        error = capsys.readouterr().err
        assert f"error: {option} got {out}, which is a " in error
        assert error.count("\n") == 1
        assert not stat.S_ISREG(out.lstat().st_mode)


def test_row_16_a_default_drawing_takes_no_pipe_or_link(tmp_path):
    for number, name in enumerate(("link", "dangling", "pipe", "folder")):
        folder = tmp_path / str(number)
        folder.mkdir()
        special(folder)
        (folder / name).rename(folder / "dog_words.png")
        (path,) = drawing_paths([folder / "dog.jpg"], folder, "_words.png")
        assert path.name == "dog_words-2.png"


def test_row_16_a_cache_that_is_a_link_is_refused_before_work(tmp_path):
    key = FeatureKey("toy", "pooled", "none", "f" * 64)
    import_rows(tmp_path / "c.h5", ["a"], np.zeros((1, 2), np.float32), key)
    (tmp_path / "link.h5").symlink_to("c.h5")
    with pytest.raises(ConfigError, match=r"the cache got .*link.h5, which is a link, expected a file"):
        import_rows(tmp_path / "link.h5", ["a"], np.zeros((1, 2), np.float32), key)
    assert (tmp_path / "link.h5").is_symlink()


@pytest.fixture
def old_and_new(tmp_path):
    for name in ("models/ranker", ".ranker.part/new/run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(name)
    return tmp_path / ".ranker.part", tmp_path / "models" / "ranker"


def test_row_16_the_new_model_is_in_place_before_the_old_one_goes(old_and_new, monkeypatch):
    work, target = old_and_new
    monkeypatch.setattr(pack.shutil, "rmtree", lambda *_, **__: pytest.fail("the old model goes too early"))
    pack.replace_model(work / "new" / "run", {"sha256": {}}, work, target)
    assert (target / "config.json").read_text().endswith("run")
    assert (work / "old" / "config.json").read_text() == "models/ranker"
    monkeypatch.undo()
    pack.settle(work, target)
    assert not work.exists()
    assert sorted(path.name for path in target.parent.iterdir()) == ["ranker", "ranker.json"]


def test_row_16_a_model_whose_successor_never_came_is_put_back(old_and_new):
    work, target = old_and_new
    with pytest.raises(OSError, match="absent"):
        pack.replace_model(work / "absent", {}, work, target)
    assert not target.exists(), "as after a kill between both renames"
    pack.settle(work, target)
    assert (target / "config.json").read_text() == "models/ranker"
    assert not work.exists()
