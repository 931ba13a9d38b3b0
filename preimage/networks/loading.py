"""Load a network by name, from a trained folder, a Keras file or the files of Caffe."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.errors import ConfigError
from vislang.core.files import path_of
from vislang.core.quiet_backend import import_backend_quietly
from vislang.images.preprocess import find_preprocessing

if TYPE_CHECKING:
    from preimage.networks.network import Network


def load_network(
    name: str | Path = "efficientnet_lite0",
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    preprocessing: str | None = None,
) -> "Network":
    """Load a network to look into.

    Args:
        name: a backbone, as `vislang extract --list` prints them; a folder that `vislang train classifier` wrote; a
            .keras or .h5 file (with `preprocessing`); "caffe:NAME" such as "caffe:VGG_CNN_S", or a .prototxt file, both
            with a .caffemodel as weights.
        weights: a file, instead of the usual places; "random" for tests and timing.
        size: side of the images, other than the network's own.
        preprocessing: a name other than the network's own.

    Raises:
        ConfigError: an unknown name or preprocessing, or a size that the network cannot be rebuilt for.
        DataError: weights that are missing, damaged or of another network.

    Example:
        >>> load_network("compact_scenes", weights="random").shape("grid")
        (8, 8, 128)
    """
    import_backend_quietly()
    name = str(path_of(name, "the network"))
    if name.startswith("caffe:") or name.endswith(".prototxt"):
        return _load_caffe(name, weights, size, preprocessing)
    from preimage.networks.network import Network
    from vislang.backbones.registry import BACKBONES, load_backbone, require_keras
    from vislang.training.checkpoints import CONFIG

    if size is not None and preprocessing is not None and size != find_preprocessing(preprocessing).size:
        raise ConfigError(f"got size {size} and preprocessing {preprocessing}, which says another; give one of them")
    if name not in BACKBONES and (Path(name) / CONFIG).is_file():
        return _load_trained(name, weights, size, preprocessing)
    require_keras(name)
    backbone: Any = load_backbone(name, weights=weights, preprocessing=preprocessing if size is None else str(size))
    aliases = {layer: backbone.keras_layer(layer) for layer in backbone.layers}
    return Network(name, backbone.model, backbone.preprocessing, aliases)


def _load_trained(name: str, weights: str | Path | None, size: int | None, preprocessing: str | None) -> "Network":
    from preimage.classifier.model import load_classifier
    from preimage.networks.network import Network
    from vislang.backbones.resize import at_input_size

    if weights is not None:
        raise ConfigError(f"network {name} holds its own weights, got {weights}; leave --weights out")
    trained = load_classifier(name)
    used = find_preprocessing(preprocessing) if preprocessing else trained.preprocessing
    if size is not None:
        used = find_preprocessing(used.name.replace(f"-{used.size}-", f"-{size}-"))
    model = trained.model
    if used.size != trained.preprocessing.size:
        model = at_input_size(name, trained.model, used.size)
    return Network(name, model, used, trained.layers, classes=trained.classes)


def _load_caffe(name: str, weights: str | Path | None, size: int | None, preprocessing: str | None) -> "Network":
    from preimage.networks.network import Network
    from vislang.backbones.caffe import load as caffe

    if weights is None:
        raise ConfigError(f"network {name} comes without weights; expected --weights FILE.caffemodel")
    if name.startswith("caffe:"):
        model = caffe.load_named(name.removeprefix("caffe:"), weights)
    else:
        model = caffe.load(name, weights, size=None if size is None else (size, size))
    side = model.input_shape[1]
    if preprocessing:
        used = find_preprocessing(preprocessing)
    else:
        default = "squash-224-bgr-drawn/v1" if "illust" in name else "squash-224-bgr-mean/v1"
        used = replace(find_preprocessing(default), size=side, shorter_side=side)
    if size not in (None, side) or used.size != side:
        raise ConfigError(f"network {name} takes images of {side} pixels, got {size or used.size}")
    return Network(name, model, used, find_output=lambda layer: caffe.at_layers(model, [layer]).outputs[0])
