"""Searches on tiny networks: objectives improve, batches equal single runs, seeds are exact; networks and layers."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops
from preimage_networks import SIZE, photographs, tiny_model, tiny_network

import preimage
from preimage.config import CONFIGS
from preimage.networks.receptive_fields import ReceptiveField
from preimage.optimization.objectives import Inversion, StandardisedInversion
from preimage.optimization.optimizer import ImageOptimizer
from preimage.options import SearchOptions, StyleOptions
from preimage.style_transfer.transfer import transfer_style, with_fine_texture
from vislang.core.errors import ConfigError, DataError
from vislang.images.preprocess import prepare

SHORT = {"iterations": (8, 4), "rates": (1.0, 0.1)}
PRESETS = {
    "cvpr15": replace(CONFIGS["cvpr15"], **SHORT),
    "ijcv16": replace(CONFIGS["ijcv16"], **SHORT),
    "fourier": replace(CONFIGS["fourier"], **SHORT, jitter=2, rate=0.01),
    "kato": replace(CONFIGS["kato"], iterations=(12,)),
}
KATO_SIZE = 224  # gradients of a mean over cells shrink with the image, and the published rate is for such a size


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def kato_network():
    return tiny_network(KATO_SIZE)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_inversion_comes_closer_to_its_target(network, kato_network, preset):
    layer = "second"
    if preset == "kato":
        network, layer = kato_network, "scores"
    found = preimage.invert_images(network, photographs(2, network.size), layer, preset=PRESETS[preset])
    assert found.images.shape == (2, network.size, network.size, 3)
    assert found.images.min() >= 0.0
    assert found.images.max() <= 255.0
    assert found.losses.shape == (12, 2)
    assert np.all(found.losses[-1] < found.losses[0])
    assert np.all(found.measures["feature_error"] >= 0)


def test_kato_converges_at_its_published_rate(kato_network):
    config = replace(CONFIGS["kato"], iterations=(60,))
    found = preimage.invert_images(kato_network, photographs(2, KATO_SIZE), "scores", preset=config)
    assert found.losses[0].min() > 0.05
    assert found.losses[-1].max() < 1e-3


def test_steps_of_kato_are_those_of_the_equations():
    """v <- 0.9 v - 2^19 g;  x <- x + v;  g: gradient of mean(((f(x) - f0) / std)^2)."""
    import tensorflow as tf

    network = tiny_network(64)
    target, start = photographs(2, 64)[:1], photographs(2, 64)[1:]
    features = network.encode(target, ["scores"])["scores"]
    std = np.array([0.5, 1.0, 2.0, 4.0], np.float32)
    objective = StandardisedInversion("scores", features, std)
    found = ImageOptimizer(network, objective, replace(CONFIGS["kato"], iterations=(3,))).run(start)
    scores = keras.Model(network.model.input, network.output("scores"))
    x = tf.constant(start)
    velocity = tf.zeros_like(x)
    for loss in found.losses[:, 0]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            error = tf.reduce_mean(((scores(x / 127.5 - 1.0) - features) / std) ** 2)
        assert float(error) == pytest.approx(float(loss), rel=1e-4)
        velocity = 0.9 * velocity - 2.0**19 * tape.gradient(error, x)
        x = x + velocity
    np.testing.assert_allclose(found.images, np.clip(x, 0, 255), atol=0.2)


@pytest.mark.parametrize("preset", ["ijcv16", "fourier"])
@pytest.mark.parametrize(("layer", "channel_mean"), [("pre:last", False), ("second", True), ("scores", False)])
def test_units_channels_and_classes_become_more_active(network, preset, layer, channel_mean):
    found = preimage.maximize_units(
        network, layer, [0, 3], preset=PRESETS[preset], channel_mean=channel_mean, options=SearchOptions(seed=5)
    )
    assert found.losses.shape == (8, 2)
    assert np.all(found.losses[-1] < found.losses[0])
    assert set(found.measures) == ({"activation", "rank"} if layer == "scores" else {"activation"})


def test_caricatures_have_more_of_what_was_there(network):
    found = preimage.caricature_images(network, photographs(2), "last", preset=PRESETS["ijcv16"])
    assert np.all(found.measures["gain"] > 1.0)
    assert np.all(found.losses[-1] < found.losses[0])


def test_photographs_set_the_scale_of_activations(network):
    images = photographs(5)
    largest = network.encode(images, ["pre:last"])["pre:last"].max((0, 1, 2))[[1, 2]]
    settings = ["iterations=2,1"]
    found = preimage.maximize_units(network, "last", [1, 2], preset="ijcv16", settings=settings, images=images)
    known = preimage.maximize_units(
        network, "last", [1, 2], preset="ijcv16", settings=settings, max_activations=largest
    )
    assert found.losses.shape == (2, 2)
    np.testing.assert_array_equal(found.images, known.images)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_gives_what_single_runs_give(network, kato_network, preset):
    layer = "second"
    if preset == "kato":
        network, layer = kato_network, "scores"
    images = photographs(3, network.size) * np.array([1.0, 0.3, 0.7], np.float32)[:, None, None, None]
    batch = preimage.invert_images(network, images, layer, preset=PRESETS[preset], options=SearchOptions(seed=7))
    for row, seed in enumerate([7, 8, 9]):
        single = preimage.invert_images(
            network, images[row : row + 1], layer, preset=PRESETS[preset], options=SearchOptions(seed=seed)
        )
        np.testing.assert_allclose(single.losses[:, 0], batch.losses[:, row], rtol=1e-3)
        np.testing.assert_allclose(single.images[0], batch.images[row], atol=0.3)


def test_a_seed_gives_the_same_image_and_another_another(network):
    first, again, other = (
        preimage.invert_images(
            network, photographs(1), "second", preset=PRESETS["ijcv16"], options=SearchOptions(seed=seed)
        ).images
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1.0


def test_a_search_starts_from_one_image_for_each_target(network):
    features = network.encode(photographs(4), ["second"])["second"]
    search = ImageOptimizer(network, Inversion("second", features), PRESETS["ijcv16"])
    with pytest.raises(ConfigError, match="got 2 images to start from and targets for 4, expected equally many"):
        search.run(photographs(2))


def test_searches_can_be_watched(network):
    seen, steps = [], []
    found = preimage.invert_images(
        network, photographs(1), "second", preset=PRESETS["ijcv16"],
        options=SearchOptions(
            watch=lambda iteration, images: seen.append((iteration, images)), watch_every=5, progress=steps.append
        ),
    )  # fmt: skip
    assert [iteration for iteration, _ in seen] == [5, 10, 12]
    assert len(steps) == 12
    np.testing.assert_array_equal(seen[-1][1], found.images)
    with pytest.raises(ConfigError, match="watch_every got 0"):
        SearchOptions(watch_every=0)


def test_the_bound_holds_at_the_end(network):
    config = replace(PRESETS["ijcv16"], bound=30.0, data_weight=1e4)
    found = preimage.invert_images(network, photographs(1), "second", preset=config)
    assert np.linalg.norm(found.images - network.mean, axis=-1).max() < 30.01


def test_starts_are_those_of_the_presets(network):
    def start(preset, side=64):
        config = replace(PRESETS[preset], jitter=0)
        large = replace_size(network, side)
        return ImageOptimizer(large, Inversion("second", np.ones((1, side // 2, side // 2, 6))), config)._start(
            None, [1]
        )

    def replace_size(_, side):
        return tiny_network(side)

    assert np.linalg.norm(start("cvpr15")) == pytest.approx(27098.1157 * 64 / 227, rel=1e-4)
    assert np.quantile(start("ijcv16"), 0.95) == pytest.approx(80 / 3**0.5, rel=1e-3)
    assert start("kato").std() == pytest.approx(57.6, rel=0.03)
    with pytest.raises(ConfigError, match="starts from given images"):
        preimage.invert_images(network, photographs(1), "second", settings=["start=image"])


def test_a_search_that_diverges_says_so(network):
    with pytest.raises(ConfigError, match="diverged within .* take a smaller step"):
        preimage.invert_images(network, photographs(1), "second", preset=replace(CONFIGS["cvpr15"], rate=1e6))


def test_another_model_as_a_prior_pulls_the_picture(network):
    def dark(images):
        return ops.mean(ops.square(images), axis=(1, 2, 3)) / 255.0

    config = replace(PRESETS["ijcv16"], prior_weight=50.0)
    plain, pulled = (
        preimage.invert_images(network, photographs(1), "second", preset=config, prior_model=model)
        for model in (None, dark)
    )
    assert pulled.images.mean() < plain.images.mean() - 5
    settings = ["iterations=8,4", "prior_weight=50"]
    plain, pulled = (
        preimage.style_images(network, photographs(1), photographs(2)[1:], settings=settings, prior_model=model).images
        for model in (None, dark)
    )
    assert pulled.mean() < plain.mean() - 5


@pytest.mark.parametrize("colour", ["none", "sym", "luminance"])
def test_style_transfer_lowers_its_loss(network, colour):
    style_options = StyleOptions("second", ("first", "second"), colour=colour)
    config = replace(CONFIGS["style"], **SHORT)
    found = transfer_style(network, photographs(2), photographs(3)[2], style_options, config)
    assert found.images.shape == (2, SIZE, SIZE, 3)
    assert np.all(found.losses[-1] < found.losses[0])


def test_regions_take_their_own_textures_and_must_be_in_both(network):
    style_options = StyleOptions("second", ("first",))
    config = replace(CONFIGS["style"], **SHORT)
    regions = np.repeat(np.arange(2), SIZE // 2)[:, None] * np.ones((1, SIZE), int)
    found = transfer_style(
        network, photographs(1), photographs(2)[1], style_options, config, regions=(regions, regions.T)
    )
    assert found.losses[-1] < found.losses[0]
    with pytest.raises(ConfigError, match="expected 0, 1, ... and the same in both"):
        transfer_style(
            network, photographs(1), photographs(2)[1], style_options, config, regions=(regions, 0 * regions)
        )
    with pytest.raises(ConfigError, match="unknown colour control"):
        transfer_style(network, photographs(1), photographs(1)[0], replace(style_options, colour="blue"), config)
    finer = with_fine_texture(network, photographs(1)[0], photographs(2)[1], ["first"], config)
    assert finer.shape == (SIZE, SIZE, 3)


def test_filters_from_noise_follow_the_preprocessing(network):
    found = preimage.filters_from_noise(network, "pre:third", [1, 2], steps=3).images
    from vislang.core.seeds import stream

    x = stream(0, "preimage", "white noise").uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32) + 100
    layer = keras.Model(network.model.input, network.output("pre:third"))
    import tensorflow as tf

    x = tf.constant(x[None])
    for _ in range(3):
        with tf.GradientTape() as tape:
            tape.watch(x)
            response = tf.reduce_sum(layer(x / 127.5 - 1.0)[..., 2])
        slope = tape.gradient(response, x)
        x = x + slope / (tf.sqrt(tf.reduce_mean(slope**2)) + 1e-5)
    np.testing.assert_allclose(found[1], np.clip(x[0], 0, 255), atol=1e-2)


def test_filters_appear_from_noise_where_the_relu_is_silent():
    network = tiny_network()
    kernel, bias = network.model.get_layer("third").get_weights()
    network.model.get_layer("third").set_weights([kernel, bias - 100.0])
    start, after_relu, before_relu = (
        preimage.filters_from_noise(network, layer, [3], steps=steps).images
        for layer, steps in (("pre:last", 1), ("last", 9), ("pre:last", 9))
    )
    assert network.encode(after_relu, ["last"])["last"].max() == 0.0, "the unit stays silent behind its ReLU"
    assert np.abs(after_relu - start).max() > 1.0
    np.testing.assert_array_equal(after_relu, before_relu)


def test_a_channel_that_noise_does_not_change_is_refused():
    network = tiny_network()
    kernel, bias = network.model.get_layer("third").get_weights()
    kernel[..., 3] = 0.0
    network.model.get_layer("third").set_weights([kernel, bias])
    with pytest.raises(ConfigError, match="channel 3 of layer pre:last has gradient 0 at the noise"):
        preimage.filters_from_noise(network, "last", [1, 3])
    with pytest.raises(ConfigError, match="steps got 0, expected 1 or more"):
        preimage.filters_from_noise(network, "last", [1], steps=0)


def test_filters_from_noise_can_be_watched(network):
    seen = []
    options = SearchOptions(watch=lambda step, images: seen.append((step, images)), watch_every=3)
    found = preimage.filters_from_noise(network, "last", [1], steps=4, options=options)
    assert [step for step, _ in seen] == [3, 4]
    np.testing.assert_array_equal(seen[-1][1], found.images)
    assert found.losses.shape == (4, 1)
    assert found.losses[-1] < found.losses[0]


def test_masks_and_stds_belong_to_one_objective_each(network):
    images = photographs(1)
    with pytest.raises(ConfigError, match="objective=standardised counts all features, got a mask"):
        preimage.invert_images(network, images, "scores", preset="kato", mask=np.ones(4))
    with pytest.raises(ConfigError, match="objective=relative has no use for unit_std"):
        preimage.invert_images(network, images, "scores", unit_std=np.ones(4))


@pytest.mark.parametrize("preprocessing", ["squash-64-tf/v1", "squash-64-bgr-mean/v1", "squash-64-imagenet/v1"])
def test_images_reach_the_network_as_its_preprocessing_says(preprocessing):
    network = tiny_network(64, preprocessing)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_allclose(
        np.asarray(network.preprocess(network.resized(image)[None]))[0], prepare(image, preprocessing), atol=1e-4
    )
    middle = np.asarray(network.preprocess(np.broadcast_to(network.mean, (1, 64, 64, 3)).astype(np.float32)))
    np.testing.assert_allclose(middle, 0.0, atol=1e-4)


def test_names_are_those_of_layers_of_values_before_activations_and_of_scores(network):
    images = photographs(2)
    layers = ["first", "pre:first", "scores", "pre:last", "third", "classes"]
    found = network.encode(images, layers)
    np.testing.assert_allclose(np.maximum(found["pre:first"], 0), found["first"], atol=1e-5)
    np.testing.assert_array_equal(found["pre:last"], found["third"])
    powers = np.exp(found["scores"])
    np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), found["classes"], rtol=1e-4)
    assert "scores" in network.layer_names
    with pytest.raises(ConfigError, match="unknown layer of network tiny 'frist'; did you mean first"):
        network.output("frist")
    model = keras.Model(network.model.input, network.model.get_layer("last").output)
    with pytest.raises(ConfigError, match="ends without a softmax and has no class scores"):
        type(network)("cut", model, network.preprocessing).output("scores")


def test_receptive_fields_are_what_gradients_reach(network):
    assert network.receptive_field("first") == ReceptiveField(3, 1, -1)
    assert network.receptive_field("pool") == ReceptiveField(4, 2, -1)
    assert network.receptive_field("second") == ReceptiveField(8, 2, -3)
    assert network.receptive_field("third").stride == 4
    assert network.receptive_field("scores") == ReceptiveField(SIZE, SIZE, 0)
    layer = keras.Model(network.model.input, network.output("pre:third"))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        x = tf.constant(photographs(1) / 127.5 - 1)
        tape.watch(x)
        value = tf.reduce_sum(layer(x)[0, 2, 1])
    reached = np.abs(tape.gradient(value, x)[0]).sum(-1)
    rows, columns = np.nonzero(reached.sum(1))[0], np.nonzero(reached.sum(0))[0]
    top, left, bottom, right = preimage_box(network, "third", (2, 1))
    assert top <= rows.min() <= rows.max() < bottom
    assert left <= columns.min() <= columns.max() < right


def preimage_box(network, layer, place):
    from preimage.backprop.top_patches import field_box

    return field_box(network, layer, place)


def test_networks_are_loaded_by_name_file_and_from_caffe(tmp_path):
    network = preimage.load_network("compact_scenes")
    assert network.size == 64
    assert network.encode(photographs(1, 64), ["grid", "pooled"])["pooled"].shape == (1, 128)
    tiny_model(64).save(tmp_path / "tiny.keras")
    network = preimage.load_network(str(tmp_path / "tiny.keras"), preprocessing="squash-64-tf/v1")
    assert network.shape("scores") == (4,)
    with pytest.raises(ConfigError, match="pass --preprocessing"):
        preimage.load_network(str(tmp_path / "tiny.keras"))
    with pytest.raises(ConfigError, match="which says another"):
        preimage.load_network(str(tmp_path / "tiny.keras"), preprocessing="squash-64-tf/v1", size=96)
    with pytest.raises(ConfigError, match="unknown backbone"):
        preimage.load_network("compcat")
    with pytest.raises(ConfigError, match="expected --weights FILE.caffemodel"):
        preimage.load_network("caffe:VGG_CNN_S")
    with pytest.raises(DataError, match="no such file"):
        preimage.load_network(weights=tmp_path / "none.h5")


@pytest.mark.slow
def test_a_network_of_caffes_is_loaded():
    network = preimage.load_network("caffe:VGG_CNN_S", weights="random")
    assert network.receptive_field("conv5").side == 113
    assert network.receptive_field("conv5").stride == 12
    assert network.shape("blob:conv5") == (17, 17, 512)
    found = preimage.filters_from_noise(network, "conv5", [109], steps=1)
    assert found.images.shape == (1, 224, 224, 3)


def test_zoom_and_jitter_see_the_canvas_where_they_say(network):
    config = replace(PRESETS["fourier"], zoom=0.2, jitter=4)
    features = network.encode(photographs(2), ["second"])["second"]
    search = ImageOptimizer(network, Inversion("second", features), config)
    canvas = np.random.default_rng(0).normal(size=(2, SIZE + 4, SIZE + 4, 3)).astype(np.float32)
    views = np.array([[1, 3, 1.0], [0, 0, 1.25]], np.float32)
    seen = np.asarray(search._cropped(ops.convert_to_tensor(canvas), ops.convert_to_tensor(views)))
    np.testing.assert_allclose(seen[0], canvas[0, 1 : SIZE + 1, 3 : SIZE + 3], atol=1e-5)
    place = 2.5 * 1.25 - 0.5  # of the third row that is seen
    below = int(place)
    expected = canvas[1, below] * (below + 1 - place) + canvas[1, below + 1] * (place - below)
    columns = np.arange(SIZE) * 1.25 + 0.125
    left = columns.astype(int)
    share = (columns - left)[:, None]
    np.testing.assert_allclose(seen[1, 2], expected[left] * (1 - share) + expected[left + 1] * share, atol=1e-4)
    found = search.run()
    single = ImageOptimizer(network, Inversion("second", features[1:]), config).run(options=SearchOptions(seed=1))
    np.testing.assert_allclose(single.images[0], found.images[1], atol=0.5)
