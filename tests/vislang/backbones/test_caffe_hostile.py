"""Caffe files that are cut, damaged or made to harm: one line of the project's own error, and no large allocation."""

import re
import struct
import tracemalloc

import numpy as np
import pytest
from caffe_files import caffemodel, layer, prototxt, varint, write
from hypothesis import given, settings
from hypothesis import strategies as st

from vislang.backbones.caffe import load as caffe
from vislang.backbones.caffe.caffemodel import read_caffemodel
from vislang.backbones.caffe.network import read_network
from vislang.backbones.caffe.prototxt import parse_text
from vislang.core.errors import DataError

SHAPE = (1, 3, 8, 8)
ONES = np.ones((4, 3, 3, 3), np.float32)
LAYERS = [
    layer("conv", "Convolution", "data", blobs=[ONES, ONES[0, 0, 0, :1].repeat(4)], num_output=4, kernel_size=3),
    layer("relu", "ReLU", "conv", "conv"),
    layer("pool", "Pooling", "conv", pool="MAX", kernel_size=2, stride=2),
    layer("fc", "InnerProduct", "pool", blobs=[np.ones((5, 36)), np.ones(5)], num_output=5),
]


@pytest.fixture
def files(tmp_path):
    return write(tmp_path, LAYERS, SHAPE)


def refused(call, message, most=2**20):
    """Assert that a call fails with our error in one line, and took less memory than `most` bytes on the way."""
    tracemalloc.start()
    with pytest.raises(DataError, match=message) as raised:
        call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert peak < most


def answered_or_refused(call):
    """Call; our error in one line is as good as an answer."""
    message = ""
    try:
        call()
    except DataError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("numbers", ["packed", "unpacked", "double"])
@pytest.mark.parametrize("old", [False, True])
def test_weights_cut_anywhere_are_refused(tmp_path, old, numbers):
    text, weights = write(tmp_path, LAYERS, SHAPE, old=old, numbers=numbers)
    content = weights.read_bytes()
    for length in range(0, len(content), 64):
        weights.write_bytes(content[:length])
        with pytest.raises(DataError) as raised:
            caffe.load(text, weights)
        assert "\n" not in str(raised.value)


def test_a_definition_cut_anywhere_is_a_network_or_refused(files):
    text, weights = files
    content = text.read_bytes()
    for length in range(0, len(content), 16):
        text.write_bytes(content[:length])
        answered_or_refused(lambda: caffe.load(text, weights))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_no_weights(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.caffemodel"
    path.write_bytes(content)
    answered_or_refused(lambda: read_caffemodel(path))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_to_weights_gives_weights_or_our_error(tmp_path_factory, data):
    content = bytearray(
        caffemodel(LAYERS, old=data.draw(st.booleans()), numbers=data.draw(st.sampled_from(["packed", "unpacked"])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.caffemodel"
    path.write_bytes(content)
    answered_or_refused(lambda: read_caffemodel(path).take("conv", [(4, 3, 3, 3), (4,)]))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("layer{}<>[]:;,\"'\\#\n \t0123456789.-+efxXname_é\x00"), max_size=200))
def test_random_text_is_parsed_or_refused(text):
    answered_or_refused(lambda: parse_text(text, "net.prototxt"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_other_number_in_a_definition_gives_a_network_or_our_error(tmp_path_factory, data):
    text, weights = write(tmp_path_factory.getbasetemp(), LAYERS, SHAPE)
    sound = prototxt(LAYERS, SHAPE)
    place = data.draw(st.sampled_from([match.span() for match in re.finditer(r"(?<=: )\w+", sound)]))
    strange = st.sampled_from(
        ["-1", "0", "2", "7", "65536", "99999999999999999999", "1e300", "nan", "{}", '"x"', "AVE"]
    )
    text.write_text(sound[: place[0]] + data.draw(strange) + sound[place[1] :])
    answered_or_refused(lambda: caffe.load(text, weights))


def field(number, content) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def shaped(*axes) -> bytes:
    return field(7, field(1, b"".join(varint(axis) for axis in axes)))


def in_layer(blob) -> bytes:
    return field(100, field(1, b"conv") + field(7, blob))


BOMBS = {
    "a length beyond the end": (
        varint(100 << 3 | 2) + varint(2**40) + b"x" * 50,
        "a field of 1099511627776 bytes, and only 50 follow",
    ),
    "a shape without numbers": (in_layer(shaped(2**40, 2**20)), "declares shape .* and holds 0 numbers"),
    "a negative shape": (in_layer(shaped(2**64 - 1) + field(5, b"abcd")), "declares shape .* and holds 1 numbers"),
    "a shape that multiplies to little": (in_layer(shaped(0, 2**60) + field(5, b"abcd")), "declares shape"),
    "old axes without numbers": (in_layer(b"\x08" + varint(2**50) + b"\x10\x01\x18\x01\x20\x01"), "holds 0 numbers"),
    "a thousand axes": (in_layer(shaped(*[1] * 1000) + field(5, b"abcd")), "more than 32 axes"),
    "half a number": (in_layer(field(5, b"abcdef")), "6 bytes of numbers, which is no whole number"),
    "a number without an end": (b"\xff" * 40, "a number of more than 64 bits"),
    "a group": (b"\x0b" * 40, "wire type 3 at byte 1"),
    "field nought": (b"\x00" * 40, "field 0 at byte 1"),
    "an empty file": (b"", "holds no layers"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, "x.caffemodel"),
    "text": (b"Dear Sir, " * 20, "x.caffemodel"),
    "many layers": (field(100, b"") * 10_001, "more than 10000 layers"),
    "many blobs": (field(100, field(1, b"a") + field(7, b"") * 100), "has more than 32 blobs"),
    "a name that is no text": (field(100, field(1, b"\xff\xfe")), "name is not UTF-8"),
    "one name twice": (in_layer(field(5, b"abcd")) * 2, "two layers are called 'conv'"),
    "the first format": (field(2, field(1, field(1, b"conv"))), "upgrade it with Caffe's upgrade_net_proto_binary"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_weights_made_to_harm(tmp_path, bomb):
    content, message = BOMBS[bomb]
    (tmp_path / "x.caffemodel").write_bytes(content)
    refused(lambda: read_caffemodel(tmp_path / "x.caffemodel"), message)


def test_numbers_in_countless_pieces_take_no_more_room_than_the_file(tmp_path):
    content = in_layer(shaped(50_000) + field(5, b"abcd") * 50_000)
    (tmp_path / "x.caffemodel").write_bytes(content)
    tracemalloc.start()
    blob = read_caffemodel(tmp_path / "x.caffemodel").layers["conv"][0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert blob.values.tobytes() == b"abcd" * 50_000
    assert peak < 3 * len(content)


def test_fields_without_number_are_not_read_for_ever(tmp_path):
    (tmp_path / "x.caffemodel").write_bytes(b"\x08\x01" * 110_000)
    refused(lambda: read_caffemodel(tmp_path / "x.caffemodel"), "more than 100000 fields in one message")


def test_alternating_keys_are_not_quadratic(tmp_path):
    numbers = b"".join(struct.pack("<BfBf", 0x2D, 1.0, 0x35, 2.0) for _ in range(40_000))  # data, diff, data, diff
    (tmp_path / "x.caffemodel").write_bytes(in_layer(shaped(40_000) + numbers))
    assert read_caffemodel(tmp_path / "x.caffemodel").layers["conv"][0].values.sum() == 40_000


TEXTS = {
    "deep nesting": ("a {" * 100_000, "nested deeper than 16"),
    "deep nesting in a layer": ("layer { name: 'x' " + "a <" * 1000 + ">" * 1000 + "}", "nested deeper than 16"),
    "a block that stays open": ("layer { name: 'x'", "1 blocks are not closed at the end"),
    "a brace too many": ("layer { } }", "got '}', expected the name of a field"),
    "a wrong brace": ("layer { >", "got '>', expected the name of a field"),
    "a string that stays open": ('name: "x', "line 1: '\"x' is not protobuf's text format"),
    "no value": ("name:", "ends within a field"),
    "no colon": ("name 'x'", "got \"'x'\" after 'name', expected ':' or '{'"),
    "a list that stays open": ("a: [1, 2", "ends within a field"),
    "a list of lists": ("a: [[1]]", r"got '\[', expected a value"),
    "an endless number": (f"a: {'9' * 100_000}", "got .*, expected a value"),
    "binary": ("\x00\x01", "is not protobuf's text format"),
    "nothing": ("", "has 0 layers, expected 1 to 2000"),
    "many layers": ("layer{}" * 2001, "has 2001 layers"),
    "both lists": ("layer {} layers {}", "has both `layer` and `layers`"),
    "a layer that is a number": ("layer: 3", "layer is 3, expected a block in braces"),
    "a layer without a name": ("layer { type: 'ReLU' }", "has no name or no type"),
    "a name twice": ("layer { name: 'x' name: 'y' type: 'ReLU' }", "name occurs 2 times, expected once"),
    "the first format": ("layers { layer { name: 'x' type: 'relu' } }", "upgrade_net_proto_text"),
    "no input": ("layer { name: 'x' type: 'ReLU' bottom: 'a' top: 'b' }", r"read 0 inputs \(\), expected one image"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_definitions_made_to_harm(tmp_path, name):
    text, message = TEXTS[name]
    (tmp_path / "x.prototxt").write_text(text)
    refused(lambda: read_network(tmp_path / "x.prototxt"), message, 2**22)


def test_a_long_file_is_no_definition(tmp_path):
    (tmp_path / "x.prototxt").write_bytes(b"# " + b"x" * 2**22)
    refused(lambda: read_network(tmp_path / "x.prototxt"), "longer than 2097152 bytes", 2**23)
    (tmp_path / "x.prototxt").write_bytes(b"\xff\xfe")
    refused(lambda: read_network(tmp_path / "x.prototxt"), "not UTF-8 text", 2**23)
    refused(lambda: read_network(tmp_path / "y.prototxt"), "cannot be read .No such file or directory.", 2**23)
    refused(lambda: read_caffemodel(tmp_path), "cannot be read .Is a directory.")


def one(kind, bottom="data", **options):
    return [layer("x", kind, bottom, "y", **options)]


MISTAKES = {
    "unknown kind": (
        one("SpatialPyramid"),
        "layer 'x': type 'SpatialPyramid' is not supported, expected one of: BatchNorm",
    ),
    "unknown option": (
        one("Pooling", kernel_size=2, ceil_mode=False),
        "Pooling has 'ceil_mode', which is not supported",
    ),
    "unknown blob": (one("ReLU", "dada"), "read 0 inputs"),
    "later blob": (
        [*one("Eltwise", ["data", "z"]), layer("z", "ReLU", "data")],
        "reads blob 'z', which no layer before",
    ),
    "name twice": ([*one("ReLU"), *one("ReLU", "y")], "two layers have this name"),
    "huge padding": (one("Convolution", num_output=4, kernel_size=3, pad=65535), "its padded input would be"),
    "huge kernel": (one("Convolution", num_output=4, kernel_size=2**40), "kernel_size is .*, expected 1 to 65535"),
    "large kernel": (one("Convolution", num_output=4, kernel_size=9), "the kernel reaches over"),
    "huge layer": (one("InnerProduct", num_output=10**15), "no weights for layer 'x', it holds: conv"),
    "no filters": (one("Convolution", kernel_size=3), "0 filters of 3 channels in 1 groups"),
    "unequal groups": (one("Convolution", kernel_size=3, num_output=4, group=2), "4 filters of 3 channels in 2 groups"),
    "three sides": (one("Pooling", kernel_size=[2, 2, 2]), "kernel_size must be given once"),
    "half a side": (one("Pooling", kernel_h=2), "kernel_size must be given once, for both sides, or as kernel_h"),
    "a word": (one("Pooling", kernel_size="two"), "kernel_size is 'two', expected a whole number"),
    "wide padding": (one("Pooling", kernel_size=2, pad=2), r"a window of 2 on a side of 8 \+ 2 \* 2"),
    "a window outside": (one("Pooling", kernel_size=1, stride=2), "its last window, of 1 each 2, would lie outside"),
    "random pooling": (one("Pooling", kernel_size=2, pool="STOCHASTIC"), "pool STOCHASTIC .* expected MAX or AVE"),
    "even norm": (one("LRN", local_size=4), "local_size 4 ACROSS_CHANNELS, expected an odd number"),
    "norm of a vector": (
        [layer("f", "Flatten", "data"), *one("LRN", "f")],
        r"reads a blob of shape \(192,\), expected a map",
    ),
    "unequal sum": ([layer("f", "Flatten", "data"), *one("Eltwise", ["f", "data"])], "SUM of blobs"),
    "factors": (one("Eltwise", ["data", "data"], coeff=[1.0]), "1 coeff for SUM of 2 blobs"),
    "unequal concat": ([layer("f", "Flatten", "data"), *one("Concat", ["f", "data"])], "cannot be built on blobs"),
    "axis": (one("Softmax", axis=4), "axis 4 of a blob with 4 axes"),
    "flatten a part": (one("Flatten", axis=2), "axis and end_axis must span the whole blob"),
    "scale of rows": (one("Scale", axis=2), "axis and num_axes must be 1"),
    "batch statistics": (one("BatchNorm", use_global_stats=False), "use_global_stats is false"),
    "a strange truth": (one("BatchNorm", use_global_stats="maybe"), "is 'maybe', expected true or false"),
    "two blobs": (one("ReLU", ["data", "data"]), "reads 2 blobs, expected one"),
    "no blob": (one("ReLU", []) + [layer("z", "ReLU", "data")], "reads 0 blobs, expected one"),
    "two outputs": ([layer("x", "ReLU", "data", ["a", "b"])], "writes 2 blobs, expected one"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_not_supported_is_said(tmp_path, name):
    layers, message = MISTAKES[name]
    text, _ = write(tmp_path, layers, SHAPE)
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(LAYERS))
    with pytest.raises(DataError, match=message) as raised:
        caffe.load(text, tmp_path / "net.caffemodel")
    assert "\n" not in str(raised.value)


def test_weights_of_another_network(files):
    text, weights = files
    text.write_text(prototxt(LAYERS, SHAPE).replace("num_output: 5", "num_output: 6"))
    with pytest.raises(DataError, match=r"layer 'fc' has arrays \[\(5, 36\), \(5,\)\], expected \[\(6, 36\)"):
        caffe.load(text, weights)
    text.write_text(prototxt(LAYERS, SHAPE).replace('"fc"', '"fd"'))
    with pytest.raises(DataError, match="no weights for layer 'fd', it holds: conv, fc; give the network's own"):
        caffe.load(text, weights)


def test_a_very_deep_network_ends(tmp_path):
    layers = [layer(f"r{number}", "ReLU", f"r{number - 1}" if number else "data") for number in range(1500)]
    with pytest.raises(DataError, match="too deep for Keras"):
        caffe.load(*write(tmp_path, layers, SHAPE))
