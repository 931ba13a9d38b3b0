"""What all public functions have in common: signatures, what they accept, and what they refuse."""

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import captioner
import naturalness
import saliency
import vse
from datasets.scenes.dataset import write_scenes
from vislang.core.errors import CheckpointError, ConfigError, DataError

PACKAGES = ("vse", "captioner", "saliency", "naturalness", "vislang", "datasets")
FUNCTIONS = {
    f"{package}.{name}": function
    for package in PACKAGES
    for name in importlib.import_module(package).__all__
    if inspect.isfunction(function := getattr(importlib.import_module(package), name))
}
PLURAL = {
    "vse.encode_images": vse.encode_images,
    "vse.retrieve_images": lambda model, images: vse.retrieve_images(model, images, "a dog"),
    "vse.retrieve_captions": lambda model, images: vse.retrieve_captions(model, images, "a dog"),
    "captioner.caption_images": captioner.caption_images,
    "naturalness.unnaturalness_maps": naturalness.unnaturalness_maps,
}
SINGULAR = {
    "vse.regularities": lambda model, image: vse.regularities(model, image, image, "red", "blue"),
    "captioner.describe_regions": captioner.describe_regions,
    "captioner.encode_regions": captioner.encode_regions,
    "captioner.ground_phrases": lambda model, image: captioner.ground_phrases(model, image, "a red ball"),
    "saliency.explain_image": lambda model, image: saliency.explain_image(model, image, "a dog"),
    "naturalness.unnaturalness_map": naturalness.unnaturalness_map,
    "naturalness.naturalness_score": naturalness.naturalness_score,
    "naturalness.naturalness_percentile": naturalness.naturalness_percentile,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small drawn image and a video of two frames, in the names that the examples use."""
    folder = tmp_path_factory.mktemp("examples")
    frames = []
    for left in (30, 60):
        frame = Image.new("RGB", (160, 120), (90, 140, 90))
        ImageDraw.Draw(frame).ellipse((left, 30, left + 50, 80), fill=(200, 30, 30))
        frames.append(frame)
    frames[0].save(folder / "drawn.png")
    frames[0].save(folder / "drawn.gif", save_all=True, append_images=frames[1:], duration=500)
    write_scenes(folder / "drawn-scenes", train=1, dev=1, test=0)
    (folder / "gaze").mkdir()
    frames[0].save(folder / "gaze" / "dog.png")
    (folder / "gaze" / "gaze.csv").write_text("image,subject,x,y\ndog.png,anna,30,20\n")
    return folder


@pytest.fixture(scope="module")
def models():
    return {
        "vse": vse.load_model(),
        "captioner": captioner.load_model(),
        "regions": captioner.load_model("region-captioner"),
        "aligner": captioner.load_aligner(),
        "naturalness": naturalness.load_model(),
    }


def model_for(models, name):
    special = {"captioner.describe_regions": "regions"}
    special |= dict.fromkeys(("captioner.encode_regions", "captioner.ground_phrases"), "aligner")
    package = name.split(".")[0]
    return models[special.get(name, "captioner" if package == "saliency" else package)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_explicit_and_typed(name):
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in parameters)
    assert FUNCTIONS[name].__annotations__["return"]
    positional = [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(positional) <= 3 or name == "vse.regularities", "model, images, query; the rest by keyword"


@pytest.mark.parametrize("package", ["preimage", "eval"])
def test_other_packages_name_every_option_as_well(package):
    module = importlib.import_module(package)
    functions = [one for one in (getattr(module, name) for name in module.__all__) if inspect.isfunction(one)]
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        assert all(one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) for one in parameters), function
        assert all(one.annotation is not one.empty for one in parameters), function
    assert functions


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_its_api_and_imports_nothing_heavy(package):
    code = (
        f"import sys, {package}\n"
        "heavy = [m for m in ('tensorflow', 'keras', 'h5py', 'scipy') if m in sys.modules]\n"
        f"print(heavy, [name for name in {package}.__all__ if not hasattr({package}, name)])"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"
    if (root / package / "api.py").is_file():
        api = importlib.import_module(f"{package}.api")
        own = {name for name, one in vars(api).items() if inspect.isfunction(one) and one.__module__ == api.__name__}
        assert {name for name in own if not name.startswith("_")} <= set(importlib.import_module(package).__all__)
    assert (root / package / "py.typed").is_file(), "type checkers read our annotations"


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_the_examples_of_the_docstrings_are_right(package, folder, monkeypatch):
    monkeypatch.chdir(folder)
    documented = [name for name in FUNCTIONS if name.startswith(package) and "load" not in name]
    module = importlib.import_module(FUNCTIONS[documented[0]].__module__)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert all("Example:" in FUNCTIONS[name].__doc__ for name in documented)
    assert found.attempted >= 2 * len(documented)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLURAL)
def test_plural_functions_take_images_in_every_form(name, models, folder):
    path = folder / "drawn.png"
    array = np.asarray(Image.open(path))
    forms = [path, str(path), folder / "*.png", path.read_bytes(), Image.open(path), array, array[None]]
    for form in [*forms, [str(folder / "*.png"), path.read_bytes(), array[None], array], (image for image in [path])]:
        expected = 4 if isinstance(form, list) else 1
        found = PLURAL[name](model_for(models, name), form)
        assert len(found) == (1 if name == "vse.retrieve_images" else expected)
        assert found.skipped == []
        if name != "vse.retrieve_images":
            first = str(path) if isinstance(form, str | Path | list) or inspect.isgenerator(form) else "0"
            assert found.names[0] == first
    for nothing in ([], 5, [5], {"a": path}, folder / "no*.png", [folder / "no*.png"]):
        with pytest.raises(DataError, match="image|missing"):
            PLURAL[name](model_for(models, name), nothing)


def test_a_bad_image_among_good_ones_is_listed(models, folder):
    for name, function in PLURAL.items():
        found = function(model_for(models, name), [folder / "drawn.png", b"no image", "missing.jpg"])
        assert [one.source for one in found.skipped] == ["image of 8 bytes", "missing.jpg"], name


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_functions_take_exactly_one_image(name, models, folder):
    path = folder / "drawn.png"
    model = model_for(models, name)
    for form in (path, path.read_bytes(), Image.open(path), np.asarray(Image.open(path)), [path], folder / "*.png"):
        SINGULAR[name](model, form)
    with pytest.raises(ConfigError, match="got 2 images, expected one"):
        SINGULAR[name](model, [path, path])
    for nothing in ([], 5, b"no image", folder / "none.png"):
        with pytest.raises(DataError, match="image|no such file"):
            SINGULAR[name](model, nothing)


@pytest.mark.parametrize("name", [*PLURAL, *SINGULAR])
def test_models_of_another_kind_are_named(name, models, folder):
    call = {**PLURAL, **SINGULAR}[name]
    own = model_for(models, name).description["kind"]
    for model in [*models.values(), None, "captioner"]:
        if getattr(model, "description", {}).get("kind") != own:
            with pytest.raises(
                CheckpointError, match=r"expected an? .*, got an? .*; load one with [a-z]+\.load_.*\(\)"
            ):
                call(model, folder / "drawn.png")


def test_one_sentence_is_no_list_of_letters(models, folder):
    (matches,) = vse.retrieve_captions(models["vse"], folder / "drawn.png", "a dog")
    assert [(match.name, match.index) for match in matches] == [("a dog", 0)]
    assert vse.retrieve_images(models["vse"], folder / "drawn.png", "a dog").names == ["a dog"]
    assert len(vse.encode_sentences(models["vse"], "a dog")) == 1


def test_numbers_of_results_are_plain(models, folder):
    (matches,) = vse.retrieve_captions(models["vse"], folder / "drawn.png", "a dog")
    phrases = captioner.ground_phrases(models["aligner"], folder / "drawn.png", "a red ball on the grass")
    regions = captioner.describe_regions(models["regions"], folder / "drawn.png")
    values = [matches[0].score, *(region.score for region in [*phrases, *regions])]
    assert {type(value) for value in values} == {float}
    assert {type(edge) for region in phrases for edge in region.box} == {float}
    for rated in (naturalness.naturalness_score, naturalness.naturalness_percentile):
        assert type(rated(models["naturalness"], folder / "drawn.png")) is float


def test_options_that_do_not_exist_are_refused(models, folder):
    with pytest.raises(ConfigError, match="did you mean max_regions|max_regions got 0"):
        captioner.describe_regions(models["regions"], folder / "drawn.png", max_regions=0)
    with pytest.raises(ConfigError, match="unknown kind of map 'odd'; expected one of: fixation, anomaly"):
        naturalness.unnaturalness_map(models["naturalness"], folder / "drawn.png", kind="odd")
    with pytest.raises(ConfigError, match="unknown method 'tilt'; expected one of: activation, regions, gradient"):
        saliency.explain_image(models["captioner"], folder / "drawn.png", "a dog", method="tilt")
    with pytest.raises(TypeError, match=r"explain_image\(\) got an unexpected keyword argument 'foo'"):
        saliency.explain_image(models["captioner"], folder / "drawn.png", "a dog", foo=1)
