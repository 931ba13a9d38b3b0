"""Extractions that are interrupted, repeated or refused: what counts as a changed file, and what the command says."""

import json
import os

import numpy as np
import pytest
from noise_files import draw, draw_folder

from vislang.features import cached_extraction
from vislang.features.cache import writer
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
from vislang.features.cache.records import changed_files, file_records, with_digests
from vislang.features.extract import main

NAMES = [f"{number}.png" for number in range(4)]


@pytest.fixture
def photos(tmp_path):
    return draw_folder(tmp_path / "photos", NAMES)


def words(photos, cache, *more):
    start = ["--images", str(photos), "--backbone", "compact_scenes", "--batch-size", "1", "--cache", str(cache)]
    return [*start, "--layers", "pooled", *more]


@pytest.fixture
def interrupted(photos, tmp_path, monkeypatch, capsys):
    """The command of an extraction that was interrupted behind its second image."""
    encode_batches = cached_extraction.encode_batches

    def two_batches(*args, **options):
        batches = encode_batches(*args, **options)
        yield next(batches)
        yield next(batches)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "MARK_SECONDS", 0)
        patch.setattr(cached_extraction, "encode_batches", two_batches)
        assert main(words(photos, tmp_path / "c.h5")) == 130
    capsys.readouterr()
    return words(photos, tmp_path / "c.h5", "--json")


def test_a_change_of_permissions_keeps_what_an_interrupted_extraction_did(photos, tmp_path, interrupted, capsys):
    for name in NAMES:
        (photos / name).chmod(0o600)
    assert main(interrupted) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["computed"] == 2
    assert "starting again" not in captured.err
    assert main(interrupted) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []
    main(words(photos, tmp_path / "whole.h5"))
    rows = [open_cache(tmp_path / name).read("compact_scenes", "pooled") for name in ("c.h5", "whole.h5")]
    np.testing.assert_array_equal(*rows)


def test_an_image_replaced_by_one_of_equal_size_and_time_starts_again(photos, interrupted, capsys):
    about = (photos / "0.png").stat()
    draw(photos / "0.png", 10)
    os.utime(photos / "0.png", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert main(interrupted) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["computed"] == 4
    assert "starting again, images or options changed since the interrupted run" in captured.err
    assert main(interrupted) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []


def test_a_touched_file_of_any_size_is_not_changed(tmp_path):
    film = tmp_path / "film.mp4"
    with film.open("wb") as stream:
        stream.truncate(65 * 2**20)
    records = with_digests(file_records([film]), [film])
    os.utime(film, (5, 5))
    assert not changed_files([records], [film]).any()


def fails(capsys, command, message):
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert message in error
    return error


def test_a_changed_image_of_published_features_says_so(photos, tmp_path, capsys):
    cache = tmp_path / "c.h5"
    main(words(photos, cache))
    import_rows(cache, NAMES, np.ones((4, 3)), FeatureKey("published-vgg", "fc7", "as published", "?"))
    draw(photos / "1.png", 11)
    error = fails(capsys, words(photos, cache), "the features of published-vgg are published ones, not computed here")
    assert "316" not in error


def test_a_layer_of_another_preprocessing_names_the_option(photos, tmp_path, capsys):
    command = words(photos, tmp_path / "c.h5", "--layers", "pooled@320")
    fails(capsys, command, "name pooled alone, and the preprocessing with --preprocessing 320 (in Python, ")


def test_an_image_that_the_cache_holds_is_not_to_be_removed(photos, tmp_path, capsys):
    main(words(photos, tmp_path / "c.h5"))
    (photos / "1.png").write_bytes(b"")
    error = fails(
        capsys,
        words(photos, tmp_path / "c.h5"),
        "1.png: empty file, expected an image; the cache holds this image, so restore it, or extract into a new",
    )
    assert "remove it" not in error


def test_a_missing_image_is_named(photos, tmp_path, capsys):
    main(words(photos, tmp_path / "c.h5"))
    (photos / "1.png").unlink()
    fails(capsys, words(photos, tmp_path / "c.h5"), "c.h5: holds 1.png, not found in ")


def test_a_file_in_the_place_of_the_work_folder_is_named(photos, tmp_path, capsys):
    part = tmp_path / "c.h5.compact_scenes.part"
    part.write_text("mine")
    fails(capsys, words(photos, tmp_path / "c.h5"), "interrupted extraction that can be replaced; move it away")
    assert part.read_text() == "mine"
