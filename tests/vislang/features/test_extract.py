"""The extraction command end to end: resume after a kill, bad files, exit codes and messages."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from vislang.core.errors import DataError
from vislang.features.cache.reader import CacheWriter, FeatureKey, open_cache
from vislang.features.extract import main

PREPROCESSING = "squash-64-tf/v1"
NUM_IMAGES = 23

# Runs the command and kills it by force at a chosen moment; every batch is followed by a mark.
KILLED_RUN = """
import os, pathlib, signal, sys
import vislang.features.cache.writer as writer
from vislang.features.extract import main
writer.MARK_SECONDS = 0
moment, counts = sys.argv[1], {"marks": 0, "appends": 0}
def dying_mark(self, mark=writer.CacheWriter._mark):
    counts["marks"] += 1
    if moment == "behind rows" and counts["marks"] == 4:
        for stream in self._streams:
            stream.write(b"torn"); stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    mark(self)
    if moment == "behind a mark" and counts["marks"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
def dying_replace(self, target, replace=pathlib.Path.replace):
    if moment == "before the rename" and str(target) == sys.argv[-1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
writer.CacheWriter._mark = dying_mark
pathlib.Path.replace = dying_replace
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    image = keras.Input((64, 64, 3))
    grid = keras.layers.Conv2D(5, 16, 16, activation="relu", name="last")(image)
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    network = keras.Model(image, grid)
    network.set_weights(
        [np.random.default_rng(0).normal(size=w.shape).astype(np.float32) for w in network.get_weights()]
    )
    network.save(path)
    return str(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    (folder / "sub").mkdir()
    for number in range(NUM_IMAGES):
        noise = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(folder / ("sub" if number % 3 else "") / f"{number:02}.png")
    (folder / "05bad.jpg").write_text("hello")
    return folder


def arguments(images, model, cache, *more) -> list[str]:
    return [
        "--images",
        str(images),
        "--backbone",
        model,
        "--preprocessing",
        PREPROCESSING,
        "--batch-size",
        "4",
        *more,
        "--cache",
        str(cache),
    ]


def test_help_is_quick():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "vislang.features.extract", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--backbone" in done.stdout
    assert time.monotonic() - started < 1.5  # alone on a machine 0.1; TensorFlow alone would take 2
    program = (
        "import sys, vislang.features.extract; vislang.features.extract.build_parser(); print('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_list_names_backbones_and_layers(capsys):
    assert main(["--list"]) == 0
    assert "mobilenet_v2         squash-224-tf/v1           pooled 1280  grid 7x7x1280" in capsys.readouterr().out
    assert main(["--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vgg19"]["layers"]["fc7"] == [4096]


def test_missing_arguments_are_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--images", "x"])
    assert stopped.value.code == 2
    assert "error: missing --cache; see python -m vislang.features.extract --help\n" in capsys.readouterr().err


def test_bad_files_are_left_out_and_reported(images, model, tmp_path, capsys):
    assert main(arguments(images, model, tmp_path / "c.h5", "--json")) == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["images"] == NUM_IMAGES
    assert summary["added"] == ["pooled", "grid"]
    assert [one["source"] for one in summary["skipped"]] == [str(images / "05bad.jpg")]
    with open_cache(tmp_path / "c.h5") as cache:
        assert cache.ids[:2] == ("00.png", "03.png")
        assert "sub/01.png" in cache.ids
        grid = cache.read(model, "grid")
        assert grid.shape == (NUM_IMAGES, 4, 4, 5)
        np.testing.assert_allclose(cache.read(model, "pooled"), grid.astype(float).mean(axis=(1, 2)), atol=2e-2)
    assert os.listdir(tmp_path) == ["c.h5"]


def test_adding_layers_and_doing_nothing(images, model, tmp_path, capsys):
    cache = tmp_path / "c.h5"
    assert main(arguments(images, model, cache, "--layers", "pooled")) == 3
    captured = capsys.readouterr()
    assert f"c.h5: pooled of {model} for {NUM_IMAGES} images" in captured.out
    assert captured.err.count("skipped ") == 1
    assert main(arguments(images, model, cache, "--layers", "pooled,layer:last")) == 3
    captured = capsys.readouterr()
    assert f"last of {model}" in captured.out
    assert "05bad.jpg: not in the cache, whose images are those its first extraction could read" in captured.err
    before = cache.read_bytes()
    assert main(arguments(images, model, cache, "--layers", "last,pooled")) == 3
    assert f"nothing to do: {cache} holds these features of {NUM_IMAGES} images" in capsys.readouterr().out
    assert cache.read_bytes() == before
    with open_cache(cache) as opened:
        assert {key.layer for key in opened.layers()} == {"pooled", "last"}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["behind rows", "behind a mark", "before the rename"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(images, model, tmp_path, moment, capsys):
    whole, resumed = tmp_path / "whole.h5", tmp_path / "resumed.h5"
    main(arguments(images, model, whole, "--layers", "pooled"))
    resumed.write_bytes(whole.read_bytes())
    main(arguments(images, model, whole, "--layers", "grid,last"))
    before = resumed.read_bytes()
    command = [sys.executable, "-c", KILLED_RUN, moment, *arguments(images, model, resumed, "--layers", "grid,last")]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert resumed.read_bytes() == before
    capsys.readouterr()
    main(arguments(images, model, resumed, "--layers", "grid,last", "--json"))
    assert json.loads(capsys.readouterr().out)["computed"] < NUM_IMAGES
    assert resumed.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_first_run_that_was_killed_remembers_bad_files(images, model, tmp_path, capsys):
    command = [sys.executable, "-c", KILLED_RUN, "behind rows", *arguments(images, model, tmp_path / "c.h5")]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "c.h5").exists()
    assert main(arguments(images, model, tmp_path / "c.h5", "--json")) == 3
    assert len(json.loads(capsys.readouterr().out)["skipped"]) == 1
    main(arguments(images, model, tmp_path / "d.h5"))
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "d.h5").read_bytes()


def fails(capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error


def test_mistakes_end_with_one_line(images, model, tmp_path, capsys):
    cache = tmp_path / "c.h5"
    fails(capsys, arguments(images, model, cache, "--strict"), "(strict: the first bad image ends the run)")
    fails(capsys, arguments(images, "resnet", cache), "unknown backbone 'resnet'; did you mean resnet50?")
    fails(capsys, arguments(images, model, cache, "--layers", "fc7"), "unknown layer of backbone")
    fails(
        capsys,
        arguments(images, model, cache, "--layers", ","),
        "--layers names no feature layer, expected some such as pooled,grid",
    )
    fails(capsys, arguments(images / "05bad.jpg", model, cache), "none of 1 images could be used, no cache is written")
    listed = tmp_path / "list.txt"
    listed.write_text("sub/01.png\nsub/01.png\n")
    again = arguments(listed, model, cache, "--root", str(images))
    fails(capsys, again, "lists sub/01.png twice; remove the repetition")
    assert not cache.exists()


def test_a_cache_of_other_images_is_left_alone(images, model, tmp_path, capsys, monkeypatch):
    cache, listed = tmp_path / "c.h5", tmp_path / "list.txt"
    listed.write_text("sub/01.png\n00.png\n")
    assert main(arguments(listed, model, cache, "--root", str(images), "--layers", "pooled")) == 0
    assert open_cache(cache).ids == ("sub/01.png", "00.png")
    fails(capsys, arguments(images / "sub", model, cache), "c.h5: holds sub/01.png, 00.png, not found in")
    other = keras.models.load_model(model)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    other.save("x/tiny.keras")
    again = arguments(listed, "x/tiny.keras", cache, "--layers", "pooled", "--root", str(images))
    assert main(again) == 0  # another name, another group
    other.set_weights([weight + 1 for weight in other.get_weights()])
    other.save("x/tiny.keras")
    capsys.readouterr()
    fails(capsys, again, "is of another kind: weights is")


def test_an_image_lost_after_the_first_extraction_is_fatal(images, model, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes((images / "00.png").read_bytes())
    cache = tmp_path / "c.h5"
    assert main(arguments(tmp_path / "images", model, cache, "--layers", "pooled")) == 0
    (tmp_path / "images" / "b.png").write_text("hello")
    fails(
        capsys,
        arguments(tmp_path / "images", model, cache, "--layers", "grid"),
        "the cache holds this image, so restore it",
    )


def test_names_that_are_not_utf8_are_skipped(images, model, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    content = (images / "00.png").read_bytes()
    (folder / "ä.png").write_bytes(content)
    with open(os.fsencode(folder) + b"/\xff.png", "wb") as stream:
        stream.write(content)
    assert main(arguments(folder, model, tmp_path / "c.h5", "--layers", "pooled")) == 3
    assert "its name is not UTF-8; rename it" in capsys.readouterr().err
    assert open_cache(tmp_path / "c.h5").ids == ("ä.png",)


def test_many_skipped_images_are_counted(images, model, tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "good.png").write_bytes((images / "00.png").read_bytes())
    for number in range(14):
        (folder / f"bad{number}.png").write_text("x")
    assert main(arguments(folder, model, tmp_path / "c.h5")) == 3
    assert "skipped 4 more; --json lists all" in capsys.readouterr().err


KEY = FeatureKey("net", "pooled", PREPROCESSING, "w")


def test_two_writers_of_one_cache_are_kept_apart(tmp_path):
    second = CacheWriter(tmp_path / "c.h5", [KEY], {})
    busy = pytest.raises(DataError, match="another process is writing it; wait for it and run again")
    with CacheWriter(tmp_path / "c.h5", [KEY], {}), busy, second:
        pass
    with second:
        assert second.done == 0


def test_another_job_starts_anew(tmp_path):
    with CacheWriter(tmp_path / "c.h5", [KEY], {"batch": 1}) as writer:
        writer.append(["a"], {KEY: np.ones((1, 2))}, done=1)
        writer._mark()
    with CacheWriter(tmp_path / "c.h5", [KEY], {"batch": 1}) as writer:
        assert (writer.done, writer.ids) == (1, ["a"])
    with CacheWriter(tmp_path / "c.h5", [KEY], {"batch": 2}) as writer:
        assert (writer.done, writer.ids) == (0, [])


def test_rows_of_changing_shape_and_no_numbers_are_refused(tmp_path):
    with CacheWriter(tmp_path / "c.h5", [KEY], {}) as writer:
        writer.append(["a"], {KEY: np.ones((1, 2))}, done=1)
        with pytest.raises(DataError, match=r"layer pooled of backbone net gives rows of \(3,\) after rows of \(2,\)"):
            writer.append(["b"], {KEY: np.ones((1, 3))}, done=2)
        with pytest.raises(DataError, match="features net/pooled of b hold NaN"):
            writer.append(["b"], {KEY: np.full((1, 2), np.nan)}, done=2)


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    with CacheWriter(tmp_path / "c.h5", [KEY], {}) as writer:
        writer.append(["a"], {KEY: np.ones((1, 2))}, done=1)
        monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DataError, match="cannot write .*No space left on device; run again to go on"):
            writer.finish()


@pytest.mark.realdata
def test_real_photos(tmp_path, monkeypatch, capsys):
    data = os.environ.get("VISLANG_DATA", os.path.join(os.path.dirname(__file__), *[".."] * 4, "shared", "data"))
    photos = os.path.join(data, "flickr8k", "Images")
    if not os.path.isdir(photos):
        pytest.skip("needs VISLANG_DATA")
    monkeypatch.setenv("VISLANG_WEIGHTS", os.path.join(data, "weights"))
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(sorted(os.listdir(photos))[:8]))
    command = [
        "--images",
        str(listed),
        "--root",
        photos,
        "--backbone",
        "mobilenet_v2",
        "--cache",
        str(tmp_path / "c.h5"),
    ]
    assert main(command) == 0
    assert open_cache(tmp_path / "c.h5").shape("mobilenet_v2", "grid") == (8, 7, 7, 1280)
