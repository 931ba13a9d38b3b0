"""The public functions that load, read and compare networks. Keras is imported inside them.

Images are whatever `vislang.features.model_inputs.image_sources` takes (paths, folders, patterns, bytes, PIL images,
uint8 arrays, or lists of these), or float32 [B, S, S, 3], RGB 0..255, of the network's size S. Unreadable ones are
listed in `skipped` of the result, unless `strict`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preimage.options import ComparisonOptions, Progress

if TYPE_CHECKING:
    from preimage.backprop.deconvnet import Projections
    from preimage.backprop.top_patches import TopPatches
    from preimage.comparison.network_comparison import Comparison
    from preimage.networks.class_labels import Classifications
    from preimage.networks.network import Network


def load_network(
    name: str | Path = "compact",
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    recipe: str | None = None,
) -> "Network":
    """Load a network to look into.

    Args:
        name: a name of `vislang.backbones.registry.BACKBONES`; a folder that `preimage.train` wrote; a .keras or .h5
            file (with a recipe); "caffe:NAME" of `vislang.backbones.caffe.load.NETWORKS`, or a .prototxt file, both
            with a .caffemodel as weights.
        weights: a file, instead of the usual places; "random" for tests and timing.
        size: side of the images, other than the network's own.
        recipe: of preprocessing, other than the network's own.

    Raises:
        ConfigError: an unknown name or recipe, or a size that the network cannot be rebuilt for.
        DataError: weights that are missing, damaged or of another network.
        CheckpointError: a folder of `preimage.train` that is damaged or not trained yet.

    Example:
        >>> load_network("compact_scenes", weights="random").shape("grid")
        (8, 8, 128)
    """
    from preimage.networks import loading

    return loading.load_network(name, weights=weights, size=size, recipe=recipe)


def classify_images(
    network: "Network",
    images: Any,
    *,
    top: int = 5,
    labels: str | Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> "Classifications":
    """Predict the likeliest classes of images.

    Args:
        network: from `load_network`, one that ends in a softmax.
        images: paths, folders, patterns, bytes, PIL images, uint8 arrays, lists of these, or float32 [B, S, S, 3], RGB
            0..255, of the network's size.
        top: how many classes of each, the most probable first.
        labels: a text file with a class name a line; None: the network's own or ImageNet's, where they fit.
        strict: raise for the first unreadable image.
        progress: called with the number of images just classified.

    Raises:
        ConfigError: a network without classes, or `top` below 1.
        DataError: no image can be read, or labels that are not of these classes.

    Example:
        >>> found = classify_images(network, "photos/", top=1)
        >>> found.labels[0][0].name, len(found.skipped)
        ('1', 0)
    """
    from preimage.networks.class_labels import Classifications, class_names, likeliest_classes
    from preimage.networks.image_inputs import read_batches, require_readable

    class_labels = class_names(network, labels)
    names: list[str] = []
    predicted: list[Any] = []
    skipped: list[Any] = []
    for batch in read_batches(network, images, strict=strict, progress=progress):
        if batch.names:
            predicted += likeliest_classes(network, batch.images, top=top, names=class_labels)
        names += batch.names
        skipped += batch.skipped
    require_readable(names, skipped)
    return Classifications(tuple(names), tuple(predicted), tuple(skipped))


def deconv_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    channel: int | None = None,
    relu_rule: str = "deconvnet",
    strict: bool = False,
) -> "Projections":
    """Project the largest activation of a layer back to the pixels of each image.

    Args:
        network: from `load_network`.
        images: as for `classify_images`.
        layer: its name; of a layer that ends in a ReLU, the values before it.
        channel: of which channel; None: the largest of all.
        relu_rule: how a ReLU passes gradients backwards: "deconvnet", "guided" or "gradient".
        strict: raise for the first unreadable image.

    Raises:
        ConfigError: an unknown layer, channel or rule, or a layer in between that the rule does not cover.
        DataError: no image can be read.

    Example:
        >>> deconv_images(network, "photos/0.png", "last", channel=2).images.shape
        (1, 16, 16, 3)
    """
    from preimage.backprop.deconvnet import Projections, project, strongest_unit
    from preimage.networks.image_inputs import read_images

    inputs = read_images(network, images, strict=strict)
    layer = network.before_relu(layer)
    directions = strongest_unit(layer, network.encode(inputs.images, [layer])[layer], channel)
    projected = project(network, inputs.images, layer, directions, relu_rule=relu_rule)
    activations = directions.reshape(len(directions), -1).sum(axis=1)
    return Projections(inputs.names, projected, activations, inputs.images, inputs.skipped)


def top_patches(
    network: "Network",
    images: Any,
    layer: str,
    channel: int,
    *,
    count: int = 9,
    strict: bool = False,
    progress: Progress | None = None,
) -> "TopPatches":
    """Find the image patches with the largest activations of a channel, at most one in each image.

    Args:
        network: from `load_network`.
        images: as for `classify_images`.
        layer: its name.
        channel: index of a channel, unit or class.
        count: of patches.
        strict: raise for the first unreadable image.
        progress: called with the number of images just read.

    Raises:
        ConfigError: a channel that the layer does not have, or a count below 1.
        DataError: no image can be read.

    Example:
        >>> top_patches(network, "photos/", "last", 2, count=1).patches[0].pixels.shape[-1]
        3
    """
    from preimage.backprop import top_patches as patches

    return patches.top_patches(network, images, layer, channel, count=count, strict=strict, progress=progress)


def compare_networks(
    network_a: "Network",
    network_b: "Network",
    images: Any,
    options: ComparisonOptions = ComparisonOptions(),
    *,
    labels: Sequence[str | Path | None] = (None, None),
    on_start: Callable[[int], object] | None = None,
    progress: Progress | None = None,
) -> "Comparison":
    """Compare what two networks make of the same images, at corresponding layers.

    Args:
        network_a: from `load_network`.
        network_b: from `load_network`; its input may be of another size.
        images: as for `classify_images`; 4 or more.
        options: layers, images, classes and searches.
        labels: files with a class name a line, of either network; None: as for `classify_images`.
        on_start: called once with the number of steps to come.
        progress: called with 1 after each step.

    Raises:
        ConfigError: an unknown layer, class or setting.
        DataError: fewer than 4 images that can be read.

    Example:
        >>> options = ComparisonOptions(layers=("last",), limit=1, iterations=2)
        >>> compare_networks(network, network, "photos/", options).matched_cka.round(3).tolist()
        [1.0]
    """
    from preimage.comparison import network_comparison as comparison

    return comparison.compare_networks(
        network_a, network_b, images, options, labels=labels, on_start=on_start, progress=progress
    )
