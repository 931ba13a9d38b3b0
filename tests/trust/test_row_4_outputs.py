"""Row 4 of docs/trust.md: no output replaces another, an input, or a photograph of the user."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eval.tasks.saliency_maps import stored_maps
from vislang.core.errors import ConfigError, DataError
from vislang.core.files import check_outputs
from vislang.draw.image_files import drawing_paths, plan_drawings, save_image

PHOTO = Image.new("RGB", (16, 16), "red")


def test_row_4_different_sources_have_different_drawings(tmp_path):
    names = ("a/dog.jpg", "b/dog.jpg", "b/dog.png", "b/dog.jpg.webp", "b/dog.png.webp")
    sources = [tmp_path / name for name in names]
    for out in (tmp_path / "out", tmp_path, tmp_path / "b"):
        drawings = drawing_paths(sources, out, "_words.png")
        assert len(set(drawings)) == len(sources)
        assert not set(drawings) & set(sources)


def test_row_4_a_drawing_never_replaces_a_photograph_or_another_input(tmp_path):
    PHOTO.save(tmp_path / "dog_words.png")
    (tmp_path / "link_words.png").symlink_to("dog_words.png")
    sources = [tmp_path / "dog.jpg", tmp_path / "link.jpg"]
    names = [path.name for path in drawing_paths(sources, tmp_path, "_words.png")]
    assert names == ["dog_words-2.png", "link_words-2.png"]
    save_image(tmp_path / "dog_words.png", PHOTO)
    (again,) = drawing_paths(sources[:1], tmp_path, "_words.png")
    assert again.name == "dog_words.png", "our own drawing is drawn anew"
    first, _ = drawing_paths([tmp_path / "dog.jpg", tmp_path / "dog_words.png"], tmp_path, "_words.png")
    assert first.name == "dog_words-2.png", "it is an input too"


def test_row_4_out_is_no_input(tmp_path):
    photo = tmp_path / "dog.png"
    PHOTO.save(photo)
    (tmp_path / "link.png").symlink_to(photo)
    with pytest.raises(ConfigError, match="--out got .*dog.png, which is also an input, expected a file of its own"):
        plan_drawings(photo, [tmp_path / "link.png"], "_words.png")
    assert plan_drawings(tmp_path / "other.png", [photo], "_words.png") == [tmp_path / "other.png"]
    with pytest.raises(ConfigError, match="--npy got .*x, which is also --html"):
        check_outputs({"--html": tmp_path / "x", "--npy": tmp_path / "y/../x", "--json": None})


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("captioner.generate", ["--html"]),
        ("captioner.generate", ["--coco-results"]),
        ("captioner.regions", ["--out"]),
        ("saliency.explain", ["--out"]),
        ("saliency.explain", ["--html"]),
        ("saliency.explain", ["--npy"]),
        ("naturalness.map", ["--out"]),
        ("naturalness.map", ["--npy"]),
        ("vse.search", ["--text", "a dog", "--html"]),
        ("app.album", ["--out"]),
        ("preimage.invert", ["--out"]),
        ("preimage.deconv", ["--out"]),
        ("preimage.style", ["--style", "{photo}", "--out"]),
        ("preimage.measure", ["--layers", "x", "--out", "{folder}", "--sheet"]),
    ],
)
def test_row_4_every_command_refuses_its_input_as_output_before_work(tmp_path, capsys, module, words):
    photo = tmp_path / "dog.png"
    PHOTO.save(photo)
    before = photo.read_bytes()
    words = [word.format(photo=photo, folder=tmp_path) for word in words]
    assert importlib.import_module(module).main([*words, str(photo), "--images", str(photo)]) == 2
    error = capsys.readouterr().err
    assert f"error: {words[-1]} got {photo}, which is also an input" in error
    assert error.count("\n") == 1, "no model was loaded"
    assert photo.read_bytes() == before


def test_row_4_snippets_never_replace_the_data_they_are_made_of(toy_data, capsys):
    from captioner import make_snippets

    before = (toy_data / "features.h5").read_bytes()
    words = ["--model", "x", "--data", str(toy_data), "--cache", str(toy_data / "features.h5"), "--out", str(toy_data)]
    assert make_snippets.main(words) == 2
    assert "features.h5, which is also an input" in capsys.readouterr().err
    assert (toy_data / "features.h5").read_bytes() == before


def test_row_4_images_of_one_stem_have_maps_of_their_own(tmp_path):
    records = []
    for name in ("dog.jpg", "dog.png", "cat.jpg"):
        PHOTO.save(tmp_path / name)
        records.append(SimpleNamespace(image_id=name, path=tmp_path / name))
    maps = tmp_path / "maps"
    maps.mkdir()
    for value, name in enumerate(("dog", "cat", "dog.jpg")):
        np.save(maps / f"{name}.npy", np.full((2, 2), value))
    map_of = stored_maps(maps, [record.image_id for record in records])
    assert map_of(records[0]).tolist() == [[2, 2], [2, 2]]
    assert map_of(records[2]).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(DataError, match=r"holds neither dog.png.npy nor dog.png.png; write a map for each image"):
        map_of(records[1])
    np.save(maps / "cat.jpg.npy", np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"holds cat.jpg.npy and cat.npy for cat.jpg, expected one map"):
        map_of(records[2])
    beside = stored_maps(tmp_path, ["dog.png"])
    with pytest.raises(DataError, match="holds neither"):
        beside(records[1])  # the photograph is no map of itself
