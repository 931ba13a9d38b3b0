"""Two networks side by side and the page of one, on tiny networks of two input sizes."""

import importlib
import itertools
import json
import re
import shlex
from dataclasses import replace
from html import unescape

import keras
import numpy as np
import pytest
from PIL import Image
from preimage_networks import photographs, tiny_model, tiny_network

import preimage
from preimage import compare, gallery
from preimage.comparison import layer_analysis
from preimage.comparison.layer_analysis import distinctive_channels
from preimage.comparison.similarity import alignment, centred_gram
from preimage.config import CONFIGS, with_iterations
from preimage.networks.class_labels import resized_images
from preimage.networks.image_inputs import read_images
from preimage.networks.layers import (
    block_ends,
    cheapest_path,
    evenly_spaced_layers,
    matched_layers,
    middle_map,
    named_layers,
)
from preimage.networks.network import Network
from vislang.backbones.weights import fill_randomly
from vislang.core.errors import ConfigError
from vislang.images.preprocess import find_preprocessing


def other_network(size=24):
    """Return a network of other names, another size and no classes, whose branches meet again."""
    image = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="c1")(image)
    x = keras.layers.MaxPooling2D(2, name="p1")(x)
    x = keras.layers.Conv2D(4, 1, activation="relu", name="squeeze")(x)
    left = keras.layers.Conv2D(4, 1, activation="relu", name="left")(x)
    right = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="right")(x)
    x = keras.layers.Concatenate(name="concatenate")([left, right])
    x = keras.layers.Conv2D(6, 3, 2, padding="same", name="c3")(x)
    x = keras.layers.ReLU(name="r3")(x)
    preprocessing = replace(find_preprocessing("squash-64-bgr-mean/v1"), size=size, shorter_side=size)
    return Network("other", fill_randomly(keras.Model(image, x)), preprocessing)


def uint8(count=6, size=32):
    return list(photographs(count, size).astype(np.uint8))


@pytest.fixture(scope="module")
def networks():
    return tiny_network(), other_network()


@pytest.fixture(scope="module")
def comparison(networks):
    steps = []
    options = preimage.ComparisonOptions(layers=("last",), limit=2, iterations=3, channels=(1,))
    found = preimage.compare_networks(
        *networks,
        [*uint8(), b"no picture"],
        options,
        on_start=steps.append,
        progress=lambda count: steps.append(-count),
    )
    assert sum(steps) == 0, "the steps announced are the steps taken"
    return found


def test_depths_lie_outside_of_branches_behind_activations_and_are_no_bottlenecks(networks):
    assert block_ends(networks[0]) == ["first", "second", "last"]
    assert middle_map(networks[0]) == "second"
    assert block_ends(networks[1]) == ["c1", "concatenate", "r3"]
    assert evenly_spaced_layers(list("abcdefg"), 3) == ["b", "e", "g"]
    assert evenly_spaced_layers(list("ab"), 5) == ["a", "b"]
    with pytest.raises(ConfigError, match="got 0 layers"):
        evenly_spaced_layers(list("ab"), 0)


def test_depths_are_matched_by_name_else_by_stride_and_depth(networks):
    tiny, other = networks
    assert matched_layers(tiny, ["first", "last"], tiny) == ["first", "last"]
    assert matched_layers(tiny, ["first", "second", "last"], other) == ["c1", "concatenate", "r3"]
    assert matched_layers(other, ["r3"], tiny) == ["last"]


def test_branches_that_are_cut_off_each_are_read_before_their_relus(networks):
    tiny, other = networks
    assert other.before_relu("concatenate") == "pre:concatenate"
    assert (tiny.before_relu("sum"), tiny.before_relu("last")) == ("sum", "pre:last")
    before, behind, left = other.encode(
        read_images(other, uint8(2)).images, ["pre:concatenate", "concatenate", "pre:left"]
    ).values()
    assert before.min() < 0
    assert np.array_equal(np.maximum(before, 0), behind)
    assert np.array_equal(before[..., :4], left)
    assert other.receptive_field("pre:concatenate") == other.receptive_field("concatenate")
    back = preimage.deconv_images(other, uint8(2), "concatenate").images
    assert back.shape == (2, 24, 24, 3)
    assert np.abs(back).max() > 0


def test_the_cheapest_path_is_that_of_all_rises():
    for seed, (rows, columns) in enumerate([(3, 5), (4, 4), (1, 3), (4, 2)]):
        costs = np.random.default_rng(seed).uniform(size=(rows, columns))
        rises = (
            path
            for path in itertools.product(range(columns), repeat=rows)
            if all(a < b or (columns < rows and a == b) for a, b in itertools.pairwise(path))
        )
        best = min(rises, key=lambda path: sum(costs[row, column] for row, column in enumerate(path)))
        assert cheapest_path(costs) == list(best)


def test_images_are_prepared_for_each_network_and_bad_ones_are_listed(comparison):
    assert comparison.a.inputs.shape == (2, 16, 16, 3)
    assert comparison.b.inputs.shape == (2, 24, 24, 3)
    assert comparison.cka_images == 6
    assert len(comparison.skipped) == 1
    assert comparison.skipped[0].source == "6"
    assert "not an image" in comparison.skipped[0].reason
    for side, size in ((comparison.a, 16), (comparison.b, 24)):
        for analysis in side.layers:
            for made in (
                analysis.inversions.images,
                analysis.caricatures,
                analysis.channel_images,
                analysis.projections,
            ):
                assert made.shape == (2, size, size, 3)
            assert analysis.requested.shape == (1, size, size, 3)


def test_errors_and_distances_are_those_of_the_inversions(networks, comparison):
    for network, side in zip(networks, (comparison.a, comparison.b), strict=True):
        everything = read_images(network, uint8()).images
        for analysis in side.layers:
            f, f0, all_f = (
                network.encode(images, [analysis.inversions.layer])[analysis.inversions.layer]
                .reshape(len(images), -1)
                .astype(np.float64)
                for images in (analysis.inversions.images, side.inputs, everything)
            )
            off = np.linalg.norm(f - f0, axis=1)
            assert analysis.inversions.feature_error == pytest.approx((off / np.linalg.norm(f0, axis=1)) ** 2, rel=1e-4)
            mean = np.mean([np.linalg.norm(a - b) for a, b in itertools.combinations(all_f, 2)])
            assert analysis.inversions.distance == pytest.approx(off / mean, rel=1e-3)


def test_classes_are_asked_of_the_network_that_has_some(networks, comparison):
    tiny, _ = networks
    for analysis, elsewhere in zip(comparison.a.layers, comparison.b.layers, strict=True):
        assert analysis.inversions.same_class_other is None
        assert elsewhere.inversions.same_class is None
        for images, made, printed in (
            (comparison.a.inputs, analysis.inversions.images, analysis.inversions.same_class),
            (comparison.b.inputs, elsewhere.inversions.images, elsewhere.inversions.same_class_other),
        ):
            scores = [
                tiny.encode(resized_images(one, 16), ["scores"])["scores"].argmax(axis=1) for one in (images, made)
            ]
            assert printed.tolist() == (scores[0] == scores[1]).tolist()
    assert comparison.class_names == ()


def test_alignments_are_those_of_all_images_and_the_diagonal_is_in_the_matrix(networks, comparison):
    assert comparison.cka.shape == (3, 3)
    features = [
        network.encode(read_images(network, uint8()).images, [layer])[layer]
        for network, layer in zip(networks, ("last", "r3"), strict=True)
    ]
    for found, debiased in ((comparison.cka, True), (comparison.cka_biased, False)):
        expected = alignment(*(centred_gram(one, debiased=debiased) for one in features))
        assert comparison.matched(found) == pytest.approx([expected], abs=1e-4)
        assert comparison.matched(found)[0] == found[2, 2]


def test_distinctive_channels_are_rarely_active_and_not_just_large():
    answers = np.array([[100.0, 1, 0], [101, 1, 0], [99, 5, 0], [100.5, 1, 1e-9]])
    assert distinctive_channels(answers, [2, 1, 3]).tolist() == [1, 0, 0], (
        "what is hardly ever active is never distinctive"
    )


def test_depths_are_the_same_however_few_features_are_held(networks, monkeypatch):
    images, layers = read_images(networks[0], uint8()).images, ["first", "last", "mean"]
    at_once = layer_analysis.layer_statistics(networks[0], images, layers, pooled=True)
    monkeypatch.setattr(layer_analysis, "_HELD", 1)
    one_by_one = layer_analysis.layer_statistics(networks[0], images, layers, pooled=True)
    for layer in layers:
        assert one_by_one[layer].grams[True] == pytest.approx(at_once[layer].grams[True], abs=1e-6)
        assert one_by_one[layer].max_activations.shape == (6, networks[0].shape(layer)[-1])


def test_iterations_keep_the_proportion_of_stages():
    assert with_iterations(CONFIGS["ijcv16"], 60).iterations == (60, 10)
    assert with_iterations(CONFIGS["cvpr15"], 1).iterations == (1, 2, 1)
    with pytest.raises(ConfigError, match="got 0 iterations"):
        with_iterations(CONFIGS["ijcv16"], 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    tiny_model(64).save(folder / "tiny.keras")
    (folder / "photos").mkdir()
    for number, image in enumerate(uint8(5, 64)):
        Image.fromarray(image).save(folder / "photos" / f"{number}.png")
    (folder / "photos" / "bad<.png").write_text("no picture")
    (folder / "labels.txt").write_text("cat\ndog, hound\nfish\nbird\n")
    (folder / "others.txt").write_text("emu\nfish\nowl\ncat\n")
    return folder


@pytest.mark.slow
def test_the_command_writes_one_page_and_values_and_a_network_beside_itself_is_the_same_twice(folder, capsys):
    tiny, out, numbers = (folder / name for name in ("tiny.keras", "page.html", "numbers.json"))
    line = [
        tiny,
        tiny,
        "--preprocessing",
        "squash-64-tf/v1",
        "--preprocessing-b",
        "squash-64-tf/v1",
        "--images",
        folder / "photos",
    ]
    line += ["--labels", folder / "labels.txt", "--labels-b", folder / "others.txt", "--pooled"]
    line += ["--num-layers", 1, "--limit", 2, "--iterations", 2, "--out", out, "--json", numbers]
    assert compare.main(list(map(str, line))) == 3
    output = capsys.readouterr()
    assert "last error" in output.out
    assert "skipped" in output.err
    page = out.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', page), "the page needs no other file"
    assert page.count('src="data:image/jpeg;base64,') == 2 * 9 + 2 * 2
    assert "bad<" not in page
    printed = json.loads(numbers.read_text())
    assert set(printed["classes"]) == {"cat", "fish"}, "the classes that both lists name"
    assert printed["a"] == printed["b"], "equal seeds give equal searches"
    assert np.diag(printed["cka"]["debiased"]) == pytest.approx(np.ones(3), abs=1e-5)
    depth = printed["b"]["layers"][0]
    assert depth["layer"] == "last"
    assert depth["feature_error"]["mean"] == pytest.approx(np.mean(depth["feature_error"]["each"]), abs=1e-6)
    assert f"{depth['feature_error']['mean']:.3f}" in page
    assert len(printed["weights_fingerprints"][0]) == 64
    assert printed["networks"] == ["tiny.keras", "tiny.keras"]
    assert set(printed["images"]) <= {f"{number}.png" for number in range(5)}, "names, not paths"


@pytest.mark.slow
def test_the_gallery_shows_all_parts_with_commands_that_parse(folder, capsys):
    line = ["--model", folder / "tiny.keras", "--preprocessing", "squash-64-tf/v1", "--images", folder / "photos"]
    line += ["--style", folder / "photos" / "1.png", "--layers", "last", "--channels", 2, "--limit", 2]
    line += ["--labels", folder / "labels.txt", "--iterations", 2, "--out", folder / "gallery.html", "--json"]
    assert gallery.main(list(map(str, line))) == 3
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["inversions"]) == ["last"]
    assert len(printed["style"]["loss"]) == 2
    page = (folder / "gallery.html").read_text()
    titles = ["Inversions", "Classes", "Channels", "Caricatures", "Patches and projections", "Filters from white noise"]
    assert re.findall("<h2>(.*?)</h2>", page) == [*titles, "Style"]
    commands = [unescape(words) for words in re.findall(r'<code class="card command">(.*?)</code>', page)]
    assert len(commands) == 7
    for words in map(shlex.split, commands):
        importlib.import_module(words[2]).build_parser().parse_args(words[3:])
    assert "squash-64-tf/v1" in commands[0]


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        (compare, ["tiny.keras", "tiny.keras", "--out", "x.png"], "--out got x.png, expected a name such as page.html"),
        (compare, ["tiny.keras", "tiny.keras", "--layers", "lst"], "unknown layer of network"),
        (compare, ["tiny.keras", "tiny.keras", "--layers", "last", "--layers-b", "first", "last"], "expected pairs"),
        (compare, ["tiny.keras", "tiny.keras", "--channels", "6"], "got channel 6, expected 0 to 5"),
        (compare, ["tiny.keras", "tiny.keras", "--cka-images", "3"], "cka_images got 3, expected 4 or more"),
        (compare, ["tiny.keras", "tiny.keras", "--limit", "0"], "limit got 0, expected 1 or more"),
        (compare, ["tiny.keras", "tiny.keras", "--layers", "last", "--num-layers", "2"], "leave one out"),
        (compare, ["tiny.keras", "tiny.keras", "--set", "bund=1"], "did you mean bound"),
        (compare, ["tiny.keras", "tiny.keras", "--classes", "cat"], "unknown class that both networks name 'cat'"),
        (gallery, ["--model", "tiny.keras", "--out", "x.png"], "--out got x.png"),
        (gallery, ["--model", "tiny.keras", "--style", "none.png"], "none.png: no such file"),
        (gallery, ["--model", "tiny.keras", "--channels", "99"], "got channel 99, expected 0 to 7"),
        (gallery, ["--model", "tiny.keras", "--layers", "lst"], "unknown layer"),
    ],
)
def test_what_cannot_end_well_is_refused_in_one_line(folder, capsys, command, line, reason):
    placed = [str(folder / word) if word.endswith(".keras") else word for word in line]
    placed += ["--images", str(folder / "photos"), "--preprocessing", "squash-64-tf/v1"]
    placed += ["--preprocessing-b", "squash-64-tf/v1"] if command is compare else []
    placed += [] if "--out" in line else ["--out", str(folder / "refused.html")]
    assert command.main(placed) == 2
    (printed,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert reason in printed
    assert not (folder / "refused.html").exists()


def test_all_layers_are_the_ends_of_blocks_and_the_dense_layers():
    tiny = tiny_network()
    assert named_layers(tiny, ["all"]) == [*block_ends(tiny), "classes"]
    assert named_layers(tiny, ["first", "sum"]) == ["first", "sum"]
