"""Work on shards: which there are, what is done again, and what is left out."""

import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from shard_jobs import BROKEN, job_of, names_of, picture, write_photos, write_tar, write_tars

from vislang.core.errors import ConfigError, DataError
from vislang.core.files import only_writer
from vislang.features.cache.manifest import read_manifest
from vislang.features.cache.reader import open_cache
from vislang.features.extract import main
from vislang.features.shards.run import Engine, run_shards


@pytest.fixture
def photos(tmp_path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def tars(tmp_path) -> Path:
    return write_tars(tmp_path / "tars")


def extract(images, shards, *more: str) -> int:
    words = ["--images", str(images), "--shards", str(shards), "--backbone", "compact_scenes", "--batch-size", "2"]
    return main([*words, *more])


def states(shards: Path) -> list[tuple]:
    return [(shard.name, shard.source, shard.state, shard.rows) for shard in read_manifest(shards).shards]


def contents(shards: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shards.iterdir()}


def test_parts_of_a_folder_are_one_cache(photos, tmp_path, capsys):
    shards = tmp_path / "shards"
    assert extract(photos, shards, "--shard-size", "3", "--json") == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["finished"] == summary["worked_on"] == 3
    assert summary["images"] == 6
    assert [one["source"] for one in summary["skipped"]] == ["1/3.png"]
    assert states(shards) == [(f"0000{number}", "", "finished", rows) for number, rows in enumerate((3, 2, 1))]
    cache = tmp_path / "c.h5"
    words = ["--images", str(photos), "--cache", str(cache), "--backbone", "compact_scenes", "--batch-size", "2"]
    assert main(words) == 3
    with open_cache(shards) as found, open_cache(cache) as expected:
        assert found.ids == expected.ids
        assert found.layers() == expected.layers()
        for key in found.layers():
            np.testing.assert_allclose(found.mapped(key), expected.mapped(key), atol=1e-2)  # other batches


def test_tar_files_are_shards(tars, tmp_path, capsys):
    shards = tmp_path / "shards"
    assert extract(tars, shards) == 3
    assert states(shards) == [
        ("00000", "train/00000.tar", "finished", 4),
        ("00001", "train/00001.tar", "damaged", 0),
        ("00002", "train/00002.tar", "finished", 4),
    ]
    out, err = capsys.readouterr()
    assert f"{shards}: 3 of 3 shards in " in out
    assert "; 8 images in 2 shards" in out
    assert "skipped shard 00001: train/00001.tar: no tar file without compression, or cut or damaged (unexpected" in err
    assert "skipped train/00000.tar/09.jpg: not an image, expected one of JPEG" in err
    assert open_cache(shards).ids[:2] == ("train/00000.tar/00.png", "train/00000.tar/01.png")


def test_rows_of_tar_files_are_those_of_their_images(tars, tmp_path):
    assert extract(tars / "train" / "00000.tar", tmp_path / "shards", "--ids", "name") == 3
    folder = tmp_path / "unpacked"
    with tarfile.open(tars / "train" / "00000.tar") as tar:
        tar.extractall(folder, filter="data")
    words = ["--images", str(folder), "--cache", str(tmp_path / "c.h5")]
    assert main([*words, "--backbone", "compact_scenes", "--batch-size", "2"]) == 3
    with open_cache(tmp_path / "shards") as found, open_cache(tmp_path / "c.h5") as expected:
        assert found.ids == expected.ids
        for key in found.layers():
            np.testing.assert_array_equal(found.mapped(key), expected.mapped(key))


def test_finished_shards_are_not_touched(tars, tmp_path, capsys):
    shards = tmp_path / "shards"
    extract(tars / "train" / "0000[02].tar", shards)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in shards.iterdir()}
    capsys.readouterr()
    assert extract(tars / "train" / "0000[02].tar", shards) == 3
    assert "nothing to do, all 2 shards are finished; 8 images in 2 shards" in capsys.readouterr().out
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in shards.iterdir()}
    assert {name: one for name, one in before.items() if name != "manifest.json"} == {
        name: one for name, one in after.items() if name != "manifest.json"
    }
    (tars / "train" / "00000.tar").unlink()  # as where the disk is short
    assert extract(tars / "train" / "0000[02].tar", shards) == 3
    assert "nothing to do" in capsys.readouterr().out


def test_unfinished_shards_are_done_and_the_end_is_equal(photos, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for shards in (whole, resumed):
        extract(photos, shards, "--shard-size", "3")
    (resumed / "00001.json").unlink()  # the report is written last
    (resumed / "00002.json").unlink()
    (resumed / "00002.h5").unlink()
    assert extract(photos, resumed) == 3
    assert contents(whole) == contents(resumed)


def test_new_images_and_tar_files_become_new_shards(photos, tars, tmp_path):
    shards = tmp_path / "shards"
    extract(photos, shards)
    (photos / "0" / "00.png").write_bytes(picture(50))
    (tars / "train" / "00000.tar").rename(photos / "more.tar")
    assert extract(photos, shards) == 3
    assert [row[:2] for row in states(shards)] == [("00000", ""), ("00001", "more.tar"), ("00002", "")]
    assert open_cache(shards).ids[-1] == "0/00.png"


def test_what_changed_is_computed_again(photos, tars, tmp_path, caplog):
    shards = tmp_path / "shards"
    (tars / "train" / "00000.tar").rename(photos / "a.tar")
    extract(photos, shards)
    before = open_cache(shards)
    rows = before.read("compact_scenes", "pooled")
    (photos / "0" / "2.png").write_bytes(picture(60))  # changed
    os.utime(photos / "0" / "4.png")  # touched
    (photos / "1" / "3.png").write_bytes(picture(61))  # repaired
    assert extract(photos, shards) == 3
    after = open_cache(shards)
    assert set(after.ids) - set(before.ids) == {"1/3.png"}
    same = (after.read("compact_scenes", "pooled", before.ids) == rows).all(axis=1)
    assert [name for name, is_same in zip(before.ids, same, strict=True) if not is_same] == ["0/2.png"]
    os.utime(photos / "a.tar")
    report = (shards / "00000.h5").stat().st_ino
    assert extract(photos, shards) == 3
    assert (shards / "00000.h5").stat().st_ino == report, "a tar file that was touched is not read again"
    write_tar(photos / "a.tar", {"x.png": picture(5)})
    assert extract(photos, shards) == 0
    assert open_cache(shards).ids[:1] == ("a.tar/x.png",)


def test_layers_are_added_to_finished_shards(photos, tars, tmp_path):
    shards, whole = tmp_path / "shards", tmp_path / "whole"
    (tars / "train" / "00000.tar").rename(photos / "a.tar")
    extract(photos, shards, "--layers", "pooled")
    extract(photos, shards, "--layers", "grid")
    extract(photos, whole)
    one, other = open_cache(shards), open_cache(whole)
    assert one.layers() == other.layers()
    for key in one.layers():
        np.testing.assert_array_equal(one.mapped(key), other.mapped(key))
    skipped = [[one.source for one in shard.skipped] for shard in read_manifest(shards).shards]
    assert skipped == [["a.tar/09.jpg"], ["1/3.png"]]


def test_the_first_bad_one_ends_a_strict_run(photos, tars, tmp_path, capsys):
    assert extract(photos, tmp_path / "a", "--strict") == 2
    assert "3.png: not an image" in capsys.readouterr().err
    assert extract(tars / "train" / "00001.tar", tmp_path / "b", "--strict") == 2
    assert "(strict: the first bad shard ends the run)" in capsys.readouterr().err


def test_a_shard_of_broken_images_is_damaged(tars, tmp_path, capsys):
    write_tar(tars / "bad.tar", {"a.png": BROKEN})
    write_tar(tars / "none.tar", {"a.txt": BROKEN})
    assert extract(tars, tmp_path / "shards") == 3
    reasons = {shard.source: shard.reason for shard in read_manifest(tmp_path / "shards").shards if shard.reason}
    assert reasons["bad.tar"].startswith(
        "none of 1 images could be used, no cache is written; the first: bad.tar/a.png"
    )
    assert reasons["none.tar"] == "none.tar: holds no image that can be used"
    assert extract(tars / "bad.tar", tmp_path / "other") == 2
    assert "error: none of 1 shards could be used; the first: none of 1 images" in capsys.readouterr().err


def test_images_of_one_name_in_two_shards_are_an_error(tars, tmp_path, capsys):
    write_tar(tars / "more.tar", {"00.png": picture(1)})
    assert extract(tars, tmp_path / "shards", "--ids", "name") == 2
    assert "shards 00000 and 00001 both hold '00.png'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shards", "s", "--cache", "c.h5"], "got --cache and --shards, expected one of them"),
        (["--cache", "c.h5", "--jobs", "2"], "got --jobs without --shards, which names the folder of the shards"),
        (["--cache", "c.h5", "--shard-size", "2"], "got --shard-size without --shards"),
        (["--cache", "c.h5", "--apache-beam"], "got --apache-beam without --shards"),
        (["--shards", "s", "--jobs", "0"], "--jobs got 0, expected 1 or more"),
        (["--shards", "s", "--shard-size", "-1"], "--shard-size got -1, expected 1 or more"),
        (
            ["--shards", "s", "--jobs", "2", "--apache-beam", "--runner", "x"],
            "got --jobs and --apache-beam, expected one",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--images", "x", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_shards_folder_or_image_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--shards", "s"])
    assert "error: missing --images" in capsys.readouterr().err
    assert extract(tmp_path / "nothing", tmp_path / "s") == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_a_folder_of_other_shards_is_refused(photos, tars, tmp_path, capsys):
    shards = tmp_path / "shards"
    run_shards(job_of(shards, photos), Engine(), progress=False)
    with pytest.raises(DataError, match="holds shards of other images than .*; name another folder"):
        run_shards(job_of(shards, tars), Engine(), progress=False)
    with pytest.raises(DataError, match="names images by --ids path, not name"):
        run_shards(job_of(shards, photos, ids="name"), Engine(), progress=False)
    assert extract(photos, shards) == 2
    assert "holds shards of names, not of features; name another folder" in capsys.readouterr().err


def test_a_second_run_into_the_same_folder_is_refused(photos, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    with only_writer(shards, shards / ".shards.lock"), pytest.raises(DataError, match="another process is writing it"):
        run_shards(job_of(shards, photos), Engine(), progress=False)


def test_beam_that_is_not_installed_is_named_before_anything_is_written(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(
        ConfigError, match="Apache Beam cannot be imported .*; install it into an environment of its own"
    ):
        run_shards(job_of(tmp_path / "shards", photos), Engine(beam=()), progress=False)
    assert not (tmp_path / "shards").exists()


def test_a_tar_file_that_changes_while_it_is_read_is_done_again(tars, tmp_path):
    tar, shards = tars / "train" / "00000.tar", tmp_path / "shards"
    with pytest.raises(DataError, match="00000.tar: another program changed it while it was read; run again"):
        run_shards(job_of(shards, tar, "touched"), Engine(), progress=False)
    assert run_shards(job_of(shards, tar), Engine(), progress=False).worked_on == 1
    assert len(names_of(shards)) == 4


def test_lists_of_images_are_cut_in_their_order(photos, tmp_path):
    (tmp_path / "list.txt").write_text("1/5.png\n0/2.png\n1/1.png\n")
    more = {"root": str(photos), "shard_size": 2}
    run_shards(job_of(tmp_path / "shards", tmp_path / "list.txt", **more), Engine(), progress=False)
    assert names_of(tmp_path / "shards") == ["1/5.png", "0/2.png", "1/1.png"]
    photos.rename(tmp_path / "moved")
    more["root"] = str(tmp_path / "moved")
    done = run_shards(job_of(tmp_path / "shards", tmp_path / "list.txt", **more), Engine(), progress=False)
    assert done.worked_on == 0, "a data set that moved is the same"
