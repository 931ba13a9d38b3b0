"""Boxes, RoI-align, proposals and the layers that come of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vislang.backbones.registry import load_backbone
from vislang.core.boxes import WHOLE, areas, centres, contain, nesting, overlaps, suppress
from vislang.core.errors import ConfigError, DataError
from vislang.features.cache.reader import feature_key, open_cache
from vislang.features.extract import main as extract
from vislang.features.model_inputs import encode_layers
from vislang.features.pipeline import encode_images
from vislang.features.regions.proposals import MOST, choose_regions
from vislang.features.regions.proposers import GridProposer, load_proposer
from vislang.features.regions.region_features import with_regions
from vislang.features.regions.roi_align import roi_align

unit = st.floats(0, 1, width=32)


def boxes_from(numbers):
    array = np.asarray(numbers, np.float32).reshape(-1, 2, 2)
    return np.concatenate([array.min(axis=1), array.max(axis=1)], axis=1)


def overlap_slowly(one, other):
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    union = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - width * height
    return width * height / union if union > 0 else 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(unit, min_size=8, max_size=8))
def test_overlaps_are_those_of_the_slow_definition(numbers):
    ones, others = boxes_from(numbers)[:1], boxes_from(numbers)[1:]
    assert overlaps(ones, others)[0, 0] == pytest.approx(overlap_slowly(ones[0], others[0]), abs=1e-5)


def test_overlap_of_hand_worked_boxes():
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    assert overlaps(boxes[:1], boxes)[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0, 0.0])


def test_nesting_is_the_share_of_the_smaller_box():
    boxes = np.array([[0, 0, 4, 2], [1, 0, 3, 2], [3, 0, 5, 2], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    assert nesting(boxes[:1], boxes)[0].tolist() == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_suppression_keeps_the_better_of_two_that_are_nearly_one():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 0.3, 0.3]])
    assert suppress(boxes, np.array([0.2, 0.9, 0.5]), threshold=0.7, limit=9).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.2, 0.9, 0.5]), threshold=0.95, limit=2).tolist() == [1, 2]


def test_a_box_holds_its_edges_and_its_centre():
    boxes = np.array([[0.1, 0.2, 0.5, 0.6]])
    points = np.concatenate([centres(boxes), [[0.1, 0.2], [0.5, 0.6], [0.51, 0.4]]])
    assert contain(boxes, points)[0].tolist() == [True, True, True, False]


def align_slowly(grid, box, samples):
    height, width, _ = grid.shape
    total = np.zeros(grid.shape[-1])
    for row in range(samples):
        for column in range(samples):
            x = (box[0] + (box[2] - box[0]) * (column + 0.5) / samples) * width - 0.5
            y = (box[1] + (box[3] - box[1]) * (row + 0.5) / samples) * height - 0.5
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = (1 - abs(y - top - down)) * (1 - abs(x - left - across))
                total += share * grid[top + down, left + across]
    return total / samples**2


def test_roi_align_is_the_mean_of_bilinear_samples():
    random = np.random.default_rng(0)
    grids = random.normal(size=(2, 5, 7, 3)).astype(np.float32)
    boxes = np.stack([boxes_from(random.uniform(size=16)) for _ in range(2)])
    found = roi_align(grids, boxes, samples=4)
    for image in range(2):
        for box in range(4):
            slow = align_slowly(grids[image], boxes[image, box], 4)
            np.testing.assert_allclose(found[image, box], slow, rtol=1e-4, atol=1e-5)


def test_roi_align_of_one_cell_and_of_a_flat_map():
    grid = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    centre_of_cell = np.array([[[0.5, 0.25, 0.5, 0.25]]]) + 0.125  # cell (row 1, column 2)
    assert roi_align(grid, centre_of_cell)[0, 0, 0] == pytest.approx(6.0)
    flat = np.full((1, 3, 3, 2), 4.0, np.float32)
    assert roi_align(flat, np.array([[[0.0, 0.0, 1.0, 1.0], [0.2, 0.3, 0.9, 0.4]]])) == pytest.approx(4.0)


def test_the_whole_picture_comes_first_and_missing_regions_are_zero():
    boxes = np.array([[-0.5, 0.0, 0.5, 1.0], [0.2, 0.2, 0.2, 0.9], [0.5, 0.5, 1.0, 1.0]])
    regions = choose_regions(boxes, np.array([0.3, 0.9, 0.5]), same=0.7)
    assert regions.shape == (MOST + 1, 5)
    assert regions[0].tolist() == [*WHOLE, 1.0]
    assert regions[1].tolist() == [0.5, 0.5, 1.0, 1.0, 0.5]
    assert regions[2].tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 0.3])
    assert not regions[3:].any()


def test_grid_proposals_find_a_patch_of_other_features():
    grid = np.zeros((10, 10, 4), np.float32)
    grid[2:6, 5:9] = 1.0
    boxes, scores = GridProposer("grid", "").propose(Image.new("RGB", (50, 50)), grid)
    best = choose_regions(boxes, scores, same=0.5)[1:4, :4]
    assert overlaps(best, np.array([[0.5, 0.2, 0.9, 0.6]])).max() > 0.6
    assert scores.max() == 1.0


@pytest.mark.parametrize("name", ["selective", "edges"])
def test_opencv_finds_several_shapes_of_drawn_scenes(name):
    pytest.importorskip("cv2.ximgproc")
    random, proposer, found = np.random.default_rng(1), load_proposer(name), []
    for _ in range(6):
        picture = Image.new("RGB", (200, 200), (225, 225, 225))
        draw, truth = ImageDraw.Draw(picture), []
        for left, top in ((10, 15), (110, 10), (20, 110), (115, 120)):
            box = (left, top, left + int(random.integers(40, 75)), top + int(random.integers(40, 75)))
            draw.ellipse(box, fill=tuple(random.integers(0, 200, 3).tolist()))
            truth.append(box)
        grid = np.asarray(picture.resize((20, 20))).astype(np.float32) / 255
        regions = choose_regions(*proposer.propose(picture, grid), same=proposer.same)
        assert areas(regions[1:, :4]).max() < 0.95  # the whole picture is there already
        found += (overlaps(np.array(truth) / 200, regions[1:, :4]).max(axis=1) >= 0.5).tolist()
    assert np.mean(found) >= 0.8


@pytest.mark.parametrize("name", ["grid", "selective", "edges"])
def test_a_picture_one_pixel_high_has_proposals_or_none(name):
    pytest.importorskip("cv2.ximgproc")
    proposer = load_proposer(name)
    boxes, scores = proposer.propose(Image.new("RGB", (300, 1), "red"), np.ones((4, 4, 2), np.float32))
    assert choose_regions(boxes, scores, same=0.5)[0].tolist() == [*WHOLE, 1.0]


@pytest.mark.parametrize("name", ["selective", "edges"])
def test_opencv_finds_a_square(name):
    pytest.importorskip("cv2.ximgproc")
    pixels = np.full((120, 160, 3), 230, np.uint8)
    pixels[30:90, 40:100] = (200, 30, 30)
    proposer = load_proposer(name)
    picture = Image.fromarray(pixels)
    boxes, scores = proposer.propose(picture, np.zeros((2, 2, 1)))
    regions = choose_regions(boxes, scores, same=proposer.same)
    assert overlaps(regions[1:, :4], np.array([[40 / 160, 30 / 120, 100 / 160, 90 / 120]])).max() > 0.8
    again = proposer.propose(picture, np.zeros((2, 2, 1)))
    assert np.array_equal(boxes, again[0])


def test_names_of_proposals_are_checked():
    with pytest.raises(ConfigError, match="did you mean grid"):
        load_proposer("gird")
    with pytest.raises(ConfigError, match="only detector takes a place"):
        load_proposer("grid:somewhere")
    with pytest.raises(DataError, match=r"detector nowhere\.pb: no such file"):
        load_proposer("detector:nowhere.pb")


def test_a_damaged_detector_is_refused(tmp_path):
    path = tmp_path / "broken.pb"
    path.write_bytes(b"\x0a\xff not a graph")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_proposer(f"detector:{path}")


def frozen_detector(folder, rows):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, 64, 64, 3], tf.float32)])
    def detect(images):
        return tf.constant(np.asarray(rows, np.float32)[None]) + 0.0 * tf.reduce_sum(images)

    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    graph = convert_variables_to_constants_v2(detect.get_concrete_function()).graph.as_graph_def()
    path = folder / "detector.pb"
    path.write_bytes(graph.SerializeToString())
    return path


def test_a_frozen_detector_in_centernets_form(tmp_path):
    path = frozen_detector(tmp_path, [[16, 0, 48, 32, 0.9, 0], [0, 32, 64, 64, 0.4, 3]])
    proposer = load_proposer(f"detector:{path}")
    boxes, scores = proposer.propose(Image.new("RGB", (300, 200)), np.zeros((2, 2, 1)))
    assert boxes.tolist() == [[0.25, 0.0, 0.75, 0.5], [0.0, 0.5, 1.0, 1.0]]
    assert scores == pytest.approx([0.9, 0.4])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(3):
        pixels = np.full((80, 100, 3), 200, np.uint8)
        left = int(random.integers(5, 40))
        pixels[20:60, left : left + 40] = random.integers(0, 255, 3)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_layers_of_regions(pictures):
    backbone = load_backbone("compact_scenes")
    layers = ["pooled", "boxes-grid", "regions-grid", "crops-grid"]
    encoded = encode_images(with_regions(backbone, layers), sorted(pictures.glob("*.png")), layers)
    found = encoded.features
    assert found["boxes-grid"].shape == (3, 20, 5)
    assert found["regions-grid"].shape == found["crops-grid"].shape == (3, 20, 128)
    np.testing.assert_allclose(found["crops-grid"][:, 0], found["pooled"], rtol=1e-4, atol=1e-4)
    missing = areas(found["boxes-grid"][..., :4]) == 0
    assert not found["regions-grid"][missing].any()
    both = found["regions-grid"][:, 0], found["pooled"]
    cosine = (both[0] * both[1]).sum(axis=1) / np.prod([np.linalg.norm(one, axis=1) for one in both], axis=0)
    assert (cosine > 0.97).all()  # RoI-align of the whole picture is its mean but for the outermost cells


def test_plain_layers_keep_their_fingerprint_and_those_of_regions_have_their_own():
    backbone = load_backbone("compact_scenes")
    both = with_regions(backbone, ["regions-grid"])
    assert feature_key(both, "pooled") == feature_key(backbone, "pooled")
    assert feature_key(both, "regions-grid").weights != backbone.fingerprint
    assert with_regions(backbone, ["pooled", "grid"]) is backbone


def test_layers_of_two_kinds_are_refused():
    backbone = load_backbone("compact_scenes")
    with pytest.raises(ConfigError, match="expected one kind"):
        with_regions(backbone, ["regions-grid", "boxes-edges"])
    with pytest.raises(ConfigError, match="name layers such as regions-grid alike"):
        with_regions(backbone, ["regions-grid"], "detector:a.pb")


def test_the_command_caches_regions_and_pictures_give_the_same(pictures, tmp_path):
    cache_file = tmp_path / "cache.h5"
    words = ["--images", str(pictures), "--backbone", "compact_scenes", "--layers", "regions-grid,boxes-grid"]
    assert extract([*words, "--cache", str(cache_file)]) == 0
    cache = open_cache(cache_file)
    stored = cache.read("compact_scenes", "regions-grid", ["1.png"])
    trained_on = {
        "name": "compact_scenes",
        "weights": {"regions-grid": cache.key("compact_scenes", "regions-grid").weights},
    }
    (fresh,) = encode_layers([pictures / "1.png"], ["regions-grid"], trained_on)
    np.testing.assert_allclose(stored, fresh.features["regions-grid"], rtol=2e-3, atol=2e-3)
    trained_on["weights"]["regions-grid"] = "0" * 64
    with pytest.raises(DataError, match="expected 000000000000 as in training"):
        list(encode_layers([pictures / "1.png"], ["regions-grid"], trained_on))


def test_a_bad_picture_among_regions_is_set_aside(pictures):
    backbone = with_regions(load_backbone("compact_scenes"), ["regions-grid"])
    encoded = encode_images(backbone, [pictures / "0.png", b"no image", pictures / "2.png"], ["regions-grid"])
    assert encoded.kept == [0, 2]
    assert len(encoded.features["regions-grid"]) == 2
    assert len(encoded.skipped) == 1
