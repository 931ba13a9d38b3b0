"""NETWORKS: Caffe networks that are defined here by name, for weights that the user brings.

The names of the layers are those of the published files, because weights are found by them.

References: Chatfield et al. 2014, arXiv:1405.3531 (VGG_CNN_S); Krizhevsky et al. 2012 (AlexNet); Simonyan & Zisserman
2014, arXiv:1409.1556 (VGG-19, VGG-A); Saito & Matsui 2015 (illustration2vec).
"""

from typing import Any

from vislang.backbones.caffe.network import CaffeNetwork, Layer
from vislang.backbones.caffe.prototxt import Message

_Row = tuple[str, str, dict[str, Any]]  # name, kind, options; "relu5" works in place on what stands before it


def _conv(name: str, filters: int, kernel: int, **options: int) -> list[_Row]:
    """Return a convolution and its ReLU: conv1 and relu1, conv1_1 and relu1_1."""
    convolution = (name, "Convolution", {"num_output": filters, "kernel_size": kernel, **options})
    return [convolution, (name.replace("conv", "relu"), "ReLU", {})]


def _fully(name: str, units: int) -> list[_Row]:
    """Return an inner product with ReLU and dropout: fc6, relu6 and drop6."""
    number = name.removeprefix("fc")
    product = (name, "InnerProduct", {"num_output": units})
    return [product, (f"relu{number}", "ReLU", {}), (f"drop{number}", "Dropout", {"dropout_ratio": 0.5})]


def _pool(number: int, kernel: int, stride: int) -> _Row:
    return (f"pool{number}", "Pooling", {"pool": "MAX", "kernel_size": kernel, "stride": stride})


def _norm(number: int, alpha: float, k: float) -> _Row:
    return (f"norm{number}", "LRN", {"local_size": 5, "alpha": alpha, "beta": 0.75, "k": k})


def _classifier() -> list[_Row]:
    last: _Row = ("fc8", "InnerProduct", {"num_output": 1000})
    return [*_fully("fc6", 4096), *_fully("fc7", 4096), last, ("prob", "Softmax", {})]


def _vgg_cnn_s() -> list[_Row]:
    """Sides 224 -> 109, 37, 33, 17, 17, 6; conv2 has no padding, and each pooling counts incomplete windows."""
    third = [row for number in (3, 4, 5) for row in _conv(f"conv{number}", 512, 3, pad=1)]
    first = [*_conv("conv1", 96, 7, stride=2), _norm(1, 5e-4, 2.0), _pool(1, 3, 3)]
    return [*first, *_conv("conv2", 256, 5), _pool(2, 2, 2), *third, _pool(5, 3, 3), *_classifier()]


def _alexnet(pool_first: bool) -> list[_Row]:
    """Sides 227 -> 55, 27, 27, 13, 6. AlexNet normalises before it pools; Caffe's reference network, after."""

    def reduce(number: int) -> list[_Row]:
        rows = [_norm(number, 1e-4, 1.0), _pool(number, 3, 2)]
        if pool_first:
            return rows[::-1]
        return rows

    first = [*_conv("conv1", 96, 11, stride=4), *reduce(1), *_conv("conv2", 256, 5, pad=2, group=2), *reduce(2)]
    third = [*_conv("conv3", 384, 3, pad=1), *_conv("conv4", 384, 3, pad=1, group=2)]
    return [*first, *third, *_conv("conv5", 256, 3, pad=1, group=2), _pool(5, 3, 2), *_classifier()]


def _vgg(depths: tuple[int, ...]) -> list[_Row]:
    rows: list[_Row] = []
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
        for number in range(1, depth + 1):
            rows += _conv(f"conv{block}_{number}", filters, 3, pad=1)
        rows.append(_pool(block, 2, 2))
    return rows


def _tagger(hidden: int) -> list[_Row]:
    """VGG-A whose classifier is convolutions of 3x3: some of 1,024 channels, and one of the 1,539 tags."""
    rows = _vgg((1, 1, 2, 2, 2))
    for number in range(1, hidden + 1):
        rows += _conv(f"conv6_{number}", 1024, 3, pad=1)
    tags = (f"conv6_{hidden + 1}", "Convolution", {"num_output": 1539, "kernel_size": 3, "pad": 1})
    mean = ("pool6", "Pooling", {"pool": "AVE", "kernel_size": 7, "stride": 1})
    return [*rows, tags, mean, ("prob", "Sigmoid", {})]


def _encoder() -> list[_Row]:
    rows = _vgg((1, 1, 2, 2, 2))
    for number in (1, 2, 3):
        rows += _conv(f"conv6_{number}", 1024, 3, pad=1)
    return [*rows, ("encode1", "InnerProduct", {"num_output": 4096}), ("encode1neuron", "Sigmoid", {})]


_TABLE: dict[str, tuple[int, list[_Row]]] = {
    "VGG_CNN_S": (224, _vgg_cnn_s()),
    "AlexNet": (227, _alexnet(pool_first=False)),
    "CaffeNet": (227, _alexnet(pool_first=True)),
    "VGG-19": (224, [*_vgg((2, 2, 4, 4, 4)), *_classifier()]),
    "illustration2vec": (224, _tagger(3)),  # the released weights: their layer of tags is conv6_4
    "illustration2vec-paper": (224, _tagger(2)),  # as the paper describes it: 1,024, 1,024, 1,539
    "illustration2vec-features": (224, _encoder()),
}
_IN_PLACE = {"ReLU", "Dropout"}


def _network(name: str, size: int, rows: list[_Row]) -> CaffeNetwork:
    layers = list[Layer]()
    blob = "data"
    for layer, kind, options in rows:
        top = layer
        if kind in _IN_PLACE:
            top = blob
        message = Message(f"{name}: layer {layer!r}", {key: [value] for key, value in options.items()})
        layers.append(Layer(layer, kind, (blob,), (top,), message))
        blob = top
    return CaffeNetwork(name, "data", (size, size, 3), tuple(layers))


NETWORKS: dict[str, CaffeNetwork] = {name: _network(name, size, rows) for name, (size, rows) in _TABLE.items()}
