"""Row 2 of docs/trust.md: images and videos that changed after their features were extracted are encoded again."""

import json
import os
import shutil

import keras
import numpy as np
import pytest
from noise_files import draw, draw_folder

from vislang.features import extract_videos
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
from vislang.features.extract import main
from vse.index.folder import DATABASE
from vse.index.images import default_place, index_images

NAMES = [f"{number}.png" for number in range(5)]


@pytest.fixture
def photos(tmp_path):
    return draw_folder(tmp_path / "photos", NAMES)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A CNN in a file of its own."""
    image = keras.Input((64, 64, 3))
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    keras.utils.set_random_seed(1)
    keras.Model(image, keras.layers.Conv2D(5, 16, 16, name="last")(image)).save(path)
    return str(path)


def words(photos, cache, layers, backbone="compact_scenes", *more):
    return ["--images", str(photos), "--backbone", backbone, "--layers", layers, "--cache", str(cache), *more]


def with_network(photos, cache, network, layers="pooled"):
    return words(photos, cache, layers, network, "--preprocessing", "squash-64-tf/v1")


def all_rows(cache):
    with open_cache(cache) as opened:
        return {place: opened.read(*place.split("/")) for place in opened._layers}


def test_row_2_changed_images_are_encoded_again_in_every_layer(photos, network, tmp_path, capsys, caplog):
    cache, fresh = tmp_path / "c.h5", tmp_path / "fresh.h5"
    assert main(words(photos, cache, "pooled,grid,regions-grid")) == 0
    assert main(with_network(photos, cache, network)) == 0
    before = all_rows(cache)
    draw(photos / "1.png", 11)
    draw(photos / "3.png", 13)
    capsys.readouterr()
    assert main(words(photos, cache, "pooled", "compact_scenes", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["computed"], told["added"]) == (["1.png", "3.png"], 2, [])
    assert "2 of 5 images changed since their extraction (1.png, 3.png); extracting again in every layer" in caplog.text
    main(words(photos, fresh, "pooled,grid,regions-grid"))
    main(with_network(photos, fresh, network))
    after, expected = all_rows(cache), all_rows(fresh)
    assert len(after) == 4
    for place, rows in after.items():
        np.testing.assert_array_equal(rows[[0, 2, 4]], before[place][[0, 2, 4]])
        np.testing.assert_allclose(rows, expected[place], rtol=2e-3, atol=1e-5)  # of other batches
        assert (rows[[1, 3]] != before[place][[1, 3]]).any()
    content = cache.read_bytes()
    capsys.readouterr()
    assert main(words(photos, cache, "pooled")) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert cache.read_bytes() == content


def test_row_2_a_layer_added_later_is_of_the_same_images_as_those_before(photos, tmp_path, capsys):
    cache, fresh = tmp_path / "c.h5", tmp_path / "fresh.h5"
    main(words(photos, cache, "pooled"))
    draw(photos / "1.png", 11)
    capsys.readouterr()
    assert main(words(photos, cache, "grid", "compact_scenes", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["added"]) == (["1.png"], ["grid"])
    main(words(photos, fresh, "pooled,grid"))
    for place, rows in all_rows(cache).items():
        np.testing.assert_allclose(rows, all_rows(fresh)[place], rtol=2e-3, atol=1e-5)


def swap(folder, first, second):
    """Swap two files of equal size, and give them equal modification times, as an archive's files often have them."""
    assert (folder / first).stat().st_size == (folder / second).stat().st_size
    (folder / first).rename(folder / "x")
    (folder / second).rename(folder / first)
    (folder / "x").rename(folder / second)


def test_row_2_swapped_files_of_equal_size_and_time_are_seen(photos, tmp_path, capsys):
    for name in NAMES:
        os.utime(photos / name, (10**9, 10**9))
    main(words(photos, tmp_path / "c.h5", "pooled"))
    before = open_cache(tmp_path / "c.h5").read("compact_scenes", "pooled")
    swap(photos, "0.png", "4.png")
    assert main(words(photos, tmp_path / "c.h5", "pooled")) == 0
    assert "all layers again, images that changed: 2" in capsys.readouterr().out
    after = open_cache(tmp_path / "c.h5").read("compact_scenes", "pooled")
    np.testing.assert_allclose(after, before[[4, 1, 2, 3, 0]], rtol=2e-3)


def test_row_2_touched_and_copied_files_are_not_encoded_again(photos, tmp_path, capsys):
    main(words(photos, tmp_path / "c.h5", "pooled"))
    os.utime(photos / "1.png", (5, 5))
    capsys.readouterr()
    assert main(words(photos, tmp_path / "c.h5", "pooled")) == 0
    assert "nothing to do" in capsys.readouterr().out
    shutil.copytree(photos, tmp_path / "copy")
    assert main(words(tmp_path / "copy", tmp_path / "c.h5", "pooled")) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_row_2_layers_that_cannot_be_encoded_again_end_the_run(photos, tmp_path, capsys):
    """Published features, and a program that the user does not name."""
    for seed, backbone in ((11, "published-vgg"), (12, "hub:https://example.org/net")):
        cache = tmp_path / f"{backbone[:3]}.h5"
        main(words(photos, cache, "pooled"))
        import_rows(cache, NAMES, np.ones((5, 3)), FeatureKey(backbone, "fc7", "as published", "?"))
        content = cache.read_bytes()
        draw(photos / "1.png", seed)
        capsys.readouterr()
        assert main(words(photos, cache, "grid")) == 2
        error = capsys.readouterr().err
        assert "1.png changed since the extraction, and a layer cannot be extracted again" in error
        assert "extract all layers into a new --cache" in error
        assert cache.read_bytes() == content
    assert "hub:https://example.org/net is a program, which is only run where it is named" in error


def test_row_2_an_image_that_changes_while_it_is_read_is_encoded_again_next_time(photos, tmp_path, monkeypatch, capsys):
    from vislang.features import cached_extraction

    def and_then(backbone, paths, *args, encode=cached_extraction.encode_batches, **more):
        for batch in encode(backbone, paths, *args, **more):
            draw(photos / "2.png", 12)
            yield batch

    cache = tmp_path / "c.h5"
    monkeypatch.setattr(cached_extraction, "encode_batches", and_then)
    main(words(photos, cache, "pooled"))
    monkeypatch.undo()
    capsys.readouterr()
    main(words(photos, cache, "pooled", "compact_scenes", "--json"))
    assert json.loads(capsys.readouterr().out)["changed"] == ["2.png"]


def test_row_2_an_interrupted_update_leaves_the_cache_alone_and_goes_on(photos, tmp_path, monkeypatch, capsys):
    from vislang.features import cached_extraction
    from vislang.features.cache import writer

    def first_batch_only(*args, encode=cached_extraction.encode_batches, **more):
        yield next(encode(*args, **more))
        raise KeyboardInterrupt

    cache = tmp_path / "c.h5"
    command = words(photos, cache, "pooled,grid", "compact_scenes", "--batch-size", "1")
    main(command)
    before = cache.read_bytes()
    for number in (1, 2, 3):
        draw(photos / f"{number}.png", 10 + number)
    monkeypatch.setattr(cached_extraction, "encode_batches", first_batch_only)
    monkeypatch.setattr(writer, "MARK_SECONDS", 0)
    assert main(command) == 130
    assert cache.read_bytes() == before
    monkeypatch.undo()
    encoded = []
    monkeypatch.setattr(
        cached_extraction,
        "encode_batches",
        lambda backbone, paths, *args, encode=cached_extraction.encode_batches, **more: (
            encoded.extend(path.name for path in paths) or encode(backbone, paths, *args, **more)
        ),
    )
    assert main(command) == 0
    assert encoded == ["2.png", "3.png"]
    main(words(photos, tmp_path / "fresh.h5", "pooled,grid", "compact_scenes", "--batch-size", "1"))
    for place, rows in all_rows(cache).items():
        np.testing.assert_array_equal(rows, all_rows(tmp_path / "fresh.h5")[place])


def test_row_2_an_old_cache_says_that_changes_are_not_seen(photos, tmp_path, caplog):
    from old_caches import write_old_cache

    key = FeatureKey("compact_scenes", "pooled", "squash-64-tf/v1", "?")
    write_old_cache(tmp_path / "c.h5", NAMES, {key: np.ones((5, 3))})
    main(words(photos, tmp_path / "c.h5", "grid"))
    assert "does not say from which files compact_scenes/pooled come; changes of them are not seen" in caplog.text
    assert set(all_rows(tmp_path / "c.h5")) == {"compact_scenes/pooled", "compact_scenes/grid"}


def test_row_2_changed_videos_are_encoded_again_in_every_layer(tmp_path, network, capsys):
    from clips import write_clip

    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / "clips" / name)
    cache = tmp_path / "c.h5"
    common = ["--videos", str(tmp_path / "clips"), "--cache", str(cache), "--frames"]
    other = ["--backbone", network, "--preprocessing", "squash-64-tf/v1"]
    assert extract_videos.main([*common, "2", "--backbone", "compact_scenes"]) == 0
    before = all_rows(cache)
    with (tmp_path / "clips" / "b.mp4").open("ab") as stream:
        stream.write(bytes(8))
    assert extract_videos.main([*common, "3", *other]) == 0
    after = all_rows(cache)
    assert {place: rows.shape[1] for place, rows in after.items()}[next(iter(before))] == 2
    np.testing.assert_allclose(after["compact_scenes/frames"], before["compact_scenes/frames"], rtol=2e-3)
    assert not open_cache(cache).changed({"b": tmp_path / "clips" / "b.mp4"})


def test_row_2_the_index_of_a_search_sees_swapped_files(photos, tiny_ranker, tmp_path):
    from vse.api import load_model

    for name in NAMES:
        os.utime(photos / name, (10**9, 10**9))
    model = load_model(tiny_ranker)
    before = index_images(model, [str(photos)], folder=tmp_path / "index")
    swap(photos, "0.png", "4.png")
    after = index_images(model, [str(photos)], folder=tmp_path / "index")
    assert (default_place(model, tmp_path / "index") / DATABASE).is_file()
    np.testing.assert_allclose(after.vectors, before.vectors[[4, 1, 2, 3, 0]], rtol=1e-3, atol=1e-5)
    assert np.abs(after.vectors - before.vectors).max() > 1e-4
