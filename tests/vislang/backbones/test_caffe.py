"""Every kind of Caffe layer, written by the test in both formats, against OpenCV and against slow definitions."""

import math
import os
import subprocess

import keras
import numpy as np
import opencv_caffe
import pytest
from caffe_files import OLD_TYPES, layer, write

from vislang.backbones.caffe import load as caffe
from vislang.backbones.caffe.layers import LRN, Convolution, Pooling, pooled_side
from vislang.core.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)
SHAPE = (2, 3, 11, 14)  # N, C, H, W


def draw(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def conv(name, filters, channels, kernel, bottom="data", bias=True, **options):
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    blobs = [draw(filters, channels, *sides) * 0.3, draw(filters)][: 1 + bias]
    size = {"kernel_h": sides[0], "kernel_w": sides[1]} if isinstance(kernel, tuple) else {"kernel_size": kernel}
    more = {} if bias else {"bias_term": False}
    return layer(name, "Convolution", bottom, blobs=blobs, num_output=filters, **size, **more, **options)


def product(name, units, inputs, bottom, bias=True, **options):
    blobs = [draw(units, inputs) * 0.1, draw(units)][: 1 + bias]
    more = {} if bias else {"bias_term": False}
    return layer(name, "InnerProduct", bottom, blobs=blobs, num_output=units, **more, **options)


def pool(method, kernel, bottom="data", **options):
    return layer("pool", "Pooling", bottom, pool=method, kernel_size=kernel, **options)


CASES = {
    "convolution": [conv("c", 5, 3, 3)],
    "convolution, stride and padding": [conv("c", 5, 3, 3, stride=2, pad=1)],
    "convolution, no bias": [conv("c", 5, 3, 5, bias=False, pad=2)],
    "convolution, two sides": [conv("c", 5, 3, (3, 5), stride_h=2, stride_w=1, pad_h=0, pad_w=2)],
    "convolution, groups": [conv("a", 6, 3, 1), conv("c", 4, 3, 3, "a", group=2, pad=1)],
    "convolution, groups of one": [conv("c", 6, 1, 3, group=3, pad=1, stride=2)],
    "convolution, dilation": [conv("c", 5, 3, 3, dilation=2, pad=2)],
    "convolution, dilation and stride": [conv("c", 5, 3, 3, dilation=2, stride=2)],
    "pooling, MAX 3/2": [pool("MAX", 3, stride=2)],
    "pooling, MAX 2/2": [pool("MAX", 2, stride=2)],
    "pooling, MAX 3/3": [pool("MAX", 3, stride=3)],
    "pooling, MAX 3/2 pad 1": [pool("MAX", 3, stride=2, pad=1)],
    "pooling, MAX 2/3 pad 1": [pool("MAX", 2, stride=3, pad=1)],
    "pooling, MAX global": [layer("pool", "Pooling", "data", pool="MAX", global_pooling=True)],
    "pooling, AVE 3/2": [pool("AVE", 3, stride=2)],
    "pooling, AVE 3/1 pad 1": [pool("AVE", 3, stride=1, pad=1)],
    "pooling, AVE 3/2 pad 1": [pool("AVE", 3, stride=2, pad=1)],
    "pooling, AVE global": [layer("pool", "Pooling", "data", pool="AVE", global_pooling=True)],
    "LRN across channels": [
        conv("c", 9, 3, 1),
        layer("n", "LRN", "c", local_size=5, alpha=0.5, beta=0.75),  # OpenCV passes over k
    ],
    "LRN within a channel": [
        layer("n", "LRN", "data", local_size=3, alpha=0.5, beta=0.75, norm_region="WITHIN_CHANNEL"),
    ],
    "inner product of a map": [product("f", 7, 3 * 11 * 14, "data")],
    "inner product, no bias": [product("f", 7, 3 * 11 * 14, "data", bias=False)],
    "inner product of a vector": [product("a", 7, 3 * 11 * 14, "data"), product("f", 4, 7, "a")],
    "flatten, inner product": [layer("x", "Flatten", "data"), product("f", 7, 3 * 11 * 14, "x")],
    "ReLU": [layer("r", "ReLU", "data")],
    "ReLU in place": [conv("c", 5, 3, 3), layer("r", "ReLU", "c", "c"), conv("d", 2, 5, 1, "c")],
    "ReLU with a slope": [layer("r", "ReLU", "data", negative_slope=0.1)],
    "dropout": [conv("c", 5, 3, 3), layer("d", "Dropout", "c", "c", dropout_ratio=0.5), layer("r", "ReLU", "c")],
    "softmax of a map": [conv("c", 5, 3, 1), layer("s", "Softmax", "c")],
    "softmax of a vector": [product("f", 7, 3 * 11 * 14, "data"), layer("s", "Softmax", "f")],
    "sigmoid": [layer("s", "Sigmoid", "data")],
    "concat": [conv("a", 2, 3, 1), conv("b", 4, 3, 1), layer("k", "Concat", ["a", "b"])],
    "concat of rows": [conv("a", 2, 3, 1), conv("b", 2, 3, (3, 1)), layer("k", "Concat", ["a", "b"], axis=2)],
    "eltwise, SUM": [conv("a", 4, 3, 1), conv("b", 4, 3, 1), layer("e", "Eltwise", ["a", "b"])],
    "eltwise, SUM with factors": [
        conv("a", 4, 3, 1),
        conv("b", 4, 3, 1),
        layer("e", "Eltwise", ["a", "b"], operation="SUM", coeff=[0.5, -2.0]),
    ],
    "eltwise, PROD": [conv("a", 4, 3, 1), conv("b", 4, 3, 1), layer("e", "Eltwise", ["a", "b"], operation="PROD")],
    "eltwise, MAX": [conv("a", 4, 3, 1), conv("b", 4, 3, 1), layer("e", "Eltwise", ["a", "b"], operation="MAX")],
    "flatten": [layer("x", "Flatten", "data")],
    "split": [
        layer("s", "Split", "data", ["a", "b"]),
        layer("r", "ReLU", "a"),
        layer("e", "Eltwise", ["r", "b"], operation="SUM"),
    ],
    "batch norm": [layer("n", "BatchNorm", "data", blobs=[draw(3), np.abs(draw(3)) + 0.1, np.array([0.7], "f4")])],
    "batch norm, scale": [
        layer("n", "BatchNorm", "data", blobs=[draw(3), np.abs(draw(3)), np.array([2.5], "f4")], eps=1e-3),
        layer("s", "Scale", "n", "n", blobs=[draw(3), draw(3)], bias_term=True),
        layer("r", "ReLU", "n"),
    ],
    "scale": [layer("s", "Scale", "data", blobs=[draw(3)])],
    "a small AlexNet": [
        conv("conv1", 8, 3, 3, stride=1),
        layer("relu1", "ReLU", "conv1", "conv1"),
        layer("norm1", "LRN", "conv1", local_size=5, alpha=1e-2, beta=0.75),
        layer("pool1", "Pooling", "norm1", pool="MAX", kernel_size=3, stride=2),
        conv("conv2", 6, 4, 3, "pool1", group=2, pad=1),
        layer("relu2", "ReLU", "conv2", "conv2"),
        product("fc", 9, 6 * 4 * 6, "conv2"),
        layer("drop", "Dropout", "fc", "fc"),
        layer("prob", "Softmax", "fc"),
    ],
}
FORMATS = [(case, old) for case in CASES for old in (False, True)]
FORMATS = [(case, old) for case, old in FORMATS if not old or all(each["type"] in OLD_TYPES for each in CASES[case])]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """{(case, old): folder} with the files of each network, an input and what OpenCV makes of it."""
    folders = {}
    for number, (case, old) in enumerate(FORMATS):
        folders[case, old] = folder = tmp_path_factory.mktemp(f"case{number}")
        write(folder, CASES[case], SHAPE, old=old, numbers="unpacked" if number % 3 == 1 else "packed")
        np.save(folder / "input.npy", np.random.default_rng(number).normal(size=SHAPE).astype(np.float32))
    try:
        opencv_caffe.install()
    except (OSError, subprocess.CalledProcessError) as error:
        if opencv_caffe.VARIABLE in os.environ:
            raise
        pytest.skip(
            f"OpenCV {opencv_caffe.VERSION} cannot be had ({error}); try: python {opencv_caffe.__file__} --install"
        )
    opencv_caffe.run(list(folders.values()))
    return folders


def in_caffe_order(array):
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


@pytest.mark.parametrize(("case", "old"), FORMATS, ids=[f"{case}, {'old' if old else 'new'}" for case, old in FORMATS])
def test_the_output_is_opencvs(oracle, case, old):
    folder = oracle[case, old]
    model = caffe.load(folder / "net.prototxt", folder / "net.caffemodel")
    images = np.load(folder / "input.npy").transpose(0, 2, 3, 1)
    got = in_caffe_order(keras.ops.convert_to_numpy(model(images)))
    expected = np.load(folder / "output.npy")
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    print(f"largest deviation {np.abs(got - expected).max():.1e} of {np.abs(expected).max():.2g}")  # shown by -rP
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_every_kind_of_layer_is_compared():
    from vislang.backbones.caffe.build import _KINDS

    assert {each["type"] for layers in CASES.values() for each in layers} == set(_KINDS)


def slow_pooling(x, method, kernel, stride, pad, ceil=True):
    """Window by window, as Caffe's loops do; x is [N, H, W, C]."""
    n, height, width, channels = x.shape
    sides = []
    for side in (height, width):
        count = (math.ceil if ceil else math.floor)((side + 2 * pad - kernel) / stride) + 1
        if pad and (count - 1) * stride >= side + pad:
            count -= 1
        sides.append(count)
    y = np.zeros((n, *sides, channels), np.float64)
    for row in range(sides[0]):
        for column in range(sides[1]):
            top, left = row * stride - pad, column * stride - pad
            bottom, right = min(top + kernel, height + pad), min(left + kernel, width + pad)
            window = x[:, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            if method == "MAX":
                y[:, row, column] = window.max((1, 2))
            else:
                y[:, row, column] = window.sum((1, 2)) / ((bottom - top) * (right - left))
    return y


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_pooling_is_as_defined(method):
    for kernel, stride, pad, ceil in np.ndindex(4, 4, 3, 2):
        kernel, stride = kernel + 1, stride + 1
        for height, width in ((5, 8), (6, 7), (9, 4)):
            if pad >= kernel or any(
                (pooled_side(s, kernel, stride, pad, ceil=ceil) - 1) * stride - pad >= s for s in (height, width)
            ):
                continue
            x = draw(2, height, width, 3)
            layer = Pooling(method, (kernel, kernel), (stride, stride), (pad, pad), bool(ceil))
            expected = slow_pooling(x, method, kernel, stride, pad, ceil)
            got = keras.ops.convert_to_numpy(layer(x))
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=f"{kernel} {stride} {pad} {ceil}")


def test_a_window_over_the_padding_alone_is_left_out():
    assert pooled_side(4, 2, 2, 1) == 3
    assert pooled_side(3, 2, 2, 1) == 2  # ceil(3 / 2) + 1 is 3, and the third would start in the padding
    assert pooled_side(109, 3, 3, 0) == 37
    assert pooled_side(17, 3, 3, 0) == 6


@pytest.mark.parametrize(("n", "within"), [(1, False), (5, False), (9, False), (3, True), (5, True)])
def test_normalisation_is_as_defined(n, within):
    x = draw(2, 6, 7, 8)
    squares, y = np.float64(x) ** 2, np.empty(x.shape)
    for row, column, channel in np.ndindex(6, 7, 8):
        if within:
            rows, columns = (
                slice(max(0, row - n // 2), row + n // 2 + 1),
                slice(max(0, column - n // 2), column + n // 2 + 1),
            )
            scale = 1 + 0.3 / n**2 * squares[:, rows, columns, channel].sum((1, 2))
        else:
            around = squares[:, row, column, max(0, channel - n // 2) : channel + n // 2 + 1]
            scale = 2 + 0.3 / n * around.sum(1)
        y[:, row, column, channel] = x[:, row, column, channel] / scale**0.75
    layer = LRN(n, 0.3, 0.75, 2.0, within=within)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "strides", "pad", "dilation"),
    [
        (4, 6, 2, (1, 1), (1, 1), (1, 1)),
        (6, 6, 3, (2, 1), (0, 2), (1, 1)),
        (3, 6, 3, (2, 2), (1, 1), (1, 1)),
        (3, 6, 3, (1, 2), (1, 1), (2, 1)),
        (4, 2, 1, (2, 3), (2, 2), (2, 2)),
    ],
)
def test_convolution_is_as_defined(channels, filters, groups, strides, pad, dilation):
    x, kernel, bias = draw(2, 9, 8, channels), draw(3, 3, channels // groups, filters), draw(filters)
    layer = Convolution(filters, (3, 3), strides, pad, dilation, groups)
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    padded = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0)))
    rows, columns = (range(0, padded.shape[a + 1] - 2 * dilation[a], strides[a]) for a in (0, 1))
    y = np.empty((2, len(rows), len(columns), filters))
    for i, j, filter_ in np.ndindex(*y.shape[1:]):
        first = filter_ // (filters // groups) * (channels // groups)
        top, left = rows[i], columns[j]
        window = padded[
            :, top : top + 2 * dilation[0] + 1 : dilation[0], left : left + 2 * dilation[1] + 1 : dilation[1]
        ]
        seen = window[..., first : first + channels // groups]
        y[:, i, j, filter_] = (seen * kernel[..., filter_]).sum((1, 2, 3)) + bias[filter_]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), y, rtol=1e-4, atol=1e-4)


def test_a_layer_is_seen_before_and_its_blob_after_what_is_written_over_it(tmp_path):
    layers = [conv("conv", 4, 3, 3), layer("relu", "ReLU", "conv", "conv"), pool("MAX", 2, "conv", stride=2)]
    model = caffe.load(*write(tmp_path, layers, SHAPE))
    assert caffe.layer_names(model) == ["data", "conv", "relu", "pool", "blob:data", "blob:conv", "blob:pool"]
    outputs = caffe.at_layers(model, ["conv", "relu", "blob:conv", "layer:pool"])
    seen = {layer: np.asarray(value) for layer, value in outputs(draw(2, 11, 14, 3)).items()}
    assert seen["conv"].min() < 0
    np.testing.assert_array_equal(seen["relu"], np.maximum(seen["conv"], 0))
    np.testing.assert_array_equal(seen["blob:conv"], seen["relu"])
    assert seen["layer:pool"].shape == (2, 5, 6, 4)


def test_unknown_layers_are_named(tmp_path):
    model = caffe.load(*write(tmp_path, [conv("conv", 4, 3, 3)], SHAPE))
    with pytest.raises(ConfigError, match="unknown layer 'conf'; did you mean conv"):
        caffe.at_layers(model, ["conf"])
    with pytest.raises(ConfigError, match="unknown blob 'conf'; did you mean conv"):
        caffe.at_layers(model, ["blob:conf"])


def test_a_slash_in_a_name(tmp_path):
    layers = [conv("in/1x1", 4, 3, 1), conv("in_1x1", 2, 4, 1, "in/1x1")]
    outputs = caffe.at_layers(caffe.load(*write(tmp_path, layers, SHAPE)), ["in/1x1", "in_1x1"])
    assert [value.shape[-1] for value in outputs(draw(1, 11, 14, 3)).values()] == [4, 2]


@pytest.mark.parametrize("numbers", ["packed", "unpacked", "double"])
@pytest.mark.parametrize("old", [False, True])
def test_all_ways_of_storing_numbers_are_one(tmp_path, numbers, old):
    layers = [conv("conv", 4, 3, 3), product("fc", 2, 4 * 9 * 12, "conv")]
    model = caffe.load(*write(tmp_path, layers, SHAPE, old=old, numbers=numbers))
    kernel, bias, matrix, offset = model.get_weights()
    np.testing.assert_array_equal(kernel, layers[0]["blobs"][0].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(bias, layers[0]["blobs"][1])
    np.testing.assert_array_equal(
        matrix, layers[1]["blobs"][0].reshape(2, 4, 9, 12).transpose(2, 3, 1, 0).reshape(-1, 2)
    )
    np.testing.assert_array_equal(offset, layers[1]["blobs"][1])


INPUTS = {
    "input_shape": 'input: "data" input_shape { dim: 1 dim: 3 dim: 11 dim: 14 }',
    "a list": "input: 'data' input_shape: < dim: [1, 3, 11, 14] >;",
    "an Input layer": """
        layer { name: "in" type: "Input" top: "data" input_param { shape: { dim: 1 dim: 3 dim: 11 dim: 14 } } }""",
    "data for training": """
        layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
        layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
          transform_param { mirror: false crop_size: 11 } }
        layer { name: "acc" type: "Accuracy" bottom: "conv" bottom: "label" top: "acc" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "conv" bottom: "label" top: "loss" }
        layer { name: "drawn" type: "Python" bottom: "conv" exclude { phase: TEST } }""",
}


@pytest.mark.parametrize("way", INPUTS)
def test_all_ways_of_declaring_the_input(tmp_path, way):
    model = caffe.load(*write(tmp_path, [conv("conv", 4, 3, 3)], SHAPE, header=INPUTS[way]))
    assert model.input_shape == (None, 11, 11 if "training" in way else 14, 3)


def test_another_size_of_input(tmp_path):
    files = write(tmp_path, [conv("conv", 4, 3, 3)], SHAPE)
    assert caffe.load(*files, size=(40, 50)).output_shape == (None, 38, 48, 4)
    files = write(tmp_path, [conv("conv", 4, 3, 3)], SHAPE, header='input: "data"')
    assert caffe.load(*files, size=(40, 50)).output_shape == (None, 38, 48, 4)
    with pytest.raises(DataError, match="input 'data' has shape None, expected N, C, H, W; give its height and width"):
        caffe.load(*files)


def test_a_network_can_be_stored_by_keras(tmp_path):
    model = caffe.load(*write(tmp_path, CASES["a small AlexNet"], SHAPE))
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    images = draw(2, 11, 14, 3)
    np.testing.assert_array_equal(np.asarray(again(images)), np.asarray(model(images)))
    assert caffe.layer_names(again) == [layer.name for layer in again.layers]


def test_the_gradient_reaches_the_image(tmp_path):
    import tensorflow as tf

    model = caffe.load(*write(tmp_path, CASES["a small AlexNet"], SHAPE))
    images = tf.Variable(draw(1, 11, 14, 3))
    with tf.GradientTape() as tape:
        score = model(images)[0, 3]
    assert np.abs(tape.gradient(score, images).numpy()).min(axis=(0, 3)).max() > 0
