"""The public functions: their examples, what they take as images, and what importing them costs."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from preimage_networks import SIZE, photographs, tiny_network

import preimage
from vislang.core.errors import CheckpointError, ConfigError, DataError


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of four images, beside a broken one."""
    folder = tmp_path_factory.mktemp("public")
    (folder / "photos").mkdir()
    for index, image in enumerate(photographs(4, 40).astype(np.uint8)):
        Image.fromarray(image).save(folder / "photos" / f"{index}.png")
    (folder / "broken.png").write_text("no image")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in preimage.__all__ if name[0].islower()))
def test_the_example_of_each_function_is_what_it_returns(name, network, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {**vars(preimage), "network": network}
    (test,) = [one for one in doctest.DocTestFinder().find(getattr(preimage, name), name, globs=names) if one.examples]
    output = []
    assert doctest.DocTestRunner().run(test, out=output.append).failed == 0, "".join(output)


def test_importing_does_not_load_a_backend():
    code = "import preimage, sys; preimage.SearchOptions(); print({'keras', 'tensorflow', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


CALLS = {
    "invert": lambda network, images, **options: preimage.invert_images(
        network, images, "second", settings=["iterations=1,1"], options=preimage.SearchOptions(**options)
    ),
    "caricature": lambda network, images, **options: preimage.caricature_images(
        network, images, "second", settings=["iterations=1,1"], options=preimage.SearchOptions(**options)
    ),
    "style": lambda network, images, **options: preimage.style_images(
        network, images, photographs(1), settings=["iterations=1,1"], options=preimage.SearchOptions(**options)
    ),
    "deconv": lambda network, images, **options: preimage.deconv_images(network, images, "last", **options),
    "classify": preimage.classify_images,
    "top_patches": lambda network, images, **options: preimage.top_patches(network, images, "last", 1, **options),
}


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_images_are_a_path_a_folder_a_pattern_a_list_or_an_array(call, network, folder):
    path = folder / "photos" / "0.png"
    assert call(network, str(path)).names == (str(path),)
    whole = {str(path) for path in (folder / "photos").iterdir()}
    assert set(call(network, folder / "photos").names) == whole
    assert set(call(network, str(folder / "photos" / "*.png")).names) == whole
    assert call(network, Image.open(path)).names == ("0",)
    assert call(network, path.read_bytes()).names == ("0",)
    assert set(call(network, [str(folder / "photos" / "*.png")]).names) == whole
    assert set(call(network, photographs(2).astype(np.uint8)).names) == {"0", "1"}
    assert set(call(network, photographs(2)).names) == {"0", "1"}
    with pytest.raises(DataError, match="no image was given"):
        call(network, [])
    with pytest.raises(DataError, match=rf"got float images \[1, 8, 8, 3\], expected float \[B, {SIZE}, {SIZE}, 3\]"):
        call(network, photographs(1, 8))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_broken_image_is_skipped_unless_strict(call, network, folder):
    broken, path = folder / "broken.png", folder / "photos" / "0.png"
    found = call(network, [broken, path])
    assert found.names == (str(path),)
    assert [image.source for image in found.skipped] == [str(broken)]
    assert "not an image" in found.skipped[0].reason
    with pytest.raises(DataError, match="broken.png"):
        call(network, [path, broken], strict=True)
    with pytest.raises(DataError, match="broken.png"):
        call(network, broken)
    with pytest.raises(DataError, match="none of 2 images can be read; the first"):
        call(network, [broken, broken])


def test_style_is_one_image_in_any_form(network, folder):
    def styled(style):
        return preimage.style_images(network, photographs(1), style, settings=["iterations=1,1"]).images

    image = photographs(1, 40).astype(np.uint8)[0]
    by_path = styled(folder / "photos" / "0.png")
    np.testing.assert_array_equal(styled(image), by_path)
    np.testing.assert_array_equal(styled([folder / "photos" / "0.png"]), by_path)
    np.testing.assert_array_equal(styled(network.resized(image)), by_path)
    np.testing.assert_array_equal(styled(network.resized(image)[None]), by_path)
    for several in (folder / "photos", photographs(2)):
        with pytest.raises(ConfigError, match=r"got [24] images, expected one"):
            styled(several)
    with pytest.raises(DataError, match="broken.png"):
        styled(folder / "broken.png")


def test_float_images_are_used_as_they_are(network):
    images = photographs(2) + np.float32(0.25)
    np.testing.assert_array_equal(preimage.deconv_images(network, images, "last").inputs, images)


def test_a_batch_of_many_images_is_that_of_single_ones(network):
    images = photographs(40)
    found = preimage.classify_images(network, images, top=1)
    assert found.names == tuple(map(str, range(40)))
    single = preimage.classify_images(network, images[33:34], top=1)
    assert found.labels[33][0].index == single.labels[0][0].index


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"limit": 0}, "limit got 0, expected 1 or more"),
        ({"cka_images": 3}, "cka_images got 3, expected 4 or more"),
        ({"layers": ("last",), "num_layers": 2}, "expected one of them"),
        ({"layers": "last"}, r"layers got 'last', expected a tuple such as \('last',\)"),
        ({"limits": 3}, "unknown option of ComparisonOptions 'limits'; did you mean limit"),
    ],
)
def test_options_of_comparisons_are_checked(options, reason):
    with pytest.raises(ConfigError, match=reason):
        preimage.ComparisonOptions(**options)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_model_of_another_kind_is_named(call, folder):
    class Ranker:
        kind = "vse"

    message = r"expected a network, got a ranker; load one with preimage.load_network\(\)"
    with pytest.raises(CheckpointError, match=message):
        call(Ranker(), folder / "photos")
    for function in (preimage.maximize_units, preimage.filters_from_noise):
        with pytest.raises(CheckpointError, match=message):
            function(Ranker(), "last", [1])
    with pytest.raises(CheckpointError, match=message):
        preimage.compare_networks(Ranker(), Ranker(), folder / "photos")


def test_one_setting_is_no_list_of_letters(network):
    one = preimage.deconv_images(network, photographs(1), "last").inputs
    by_text = preimage.invert_images(network, one, "second", settings="iterations=1,1")
    by_list = preimage.invert_images(network, one, "second", settings=["iterations=1,1"])
    np.testing.assert_array_equal(by_text.images, by_list.images)
