"""The public face of preimage. Keras is imported inside the functions: importing `preimage` costs nothing.

network = load_network("mobilenet_0.75")
found = invert_images(network, ["cat.jpg"], "conv_pw_5_relu", preset="ijcv16")
found.pictures  # float32 [B, S, S, 3], RGB 0..255
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from preimage.comparison.networks import Comparison
    from preimage.networks.class_labels import Guess
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages


def load_network(name: str = "compact", **options: Any) -> "Network":
    """Load a network to look into.

    Args:
        name: of `vislang.backbones.registry.BACKBONES`, a folder that `preimage.train` wrote, a .keras file,
            "caffe:NAME" or a
            .prototxt file.
        **options: `weights`, `size` and `recipe`; see `preimage.networks.network.load_network`.
    """
    from preimage.networks import network as networks

    return networks.load_network(name, **options)


def classify_images(
    network: "Network", images: Sequence[Any], *, top: int = 5, labels: str | Path | None = None
) -> "list[list[Guess]]":
    """Say what a network takes pictures for.

    Args:
        network: from `load_network`, one with classes.
        images: see `invert_images`.
        top: how many classes of each, the likeliest first.
        labels: a text file with a class name a line; None: see `preimage.networks.class_labels.class_names`.

    Returns:
        for each picture its guesses: `number`, `name` and `probability`, 0..1.

    Raises:
        ConfigError: a network without classes, or `top` below 1.
        DataError: a picture that cannot be read, or names that are not of these classes.
    """
    from preimage.networks.class_labels import class_names, classify

    names = class_names(network, labels)
    return classify(network, _pictures(network, images), top=top, names=names)


def invert_images(
    network: "Network",
    images: Sequence[Any],
    layer: str,
    *,
    preset: str = "ijcv16",
    settings: Sequence[str] = (),
    **options: Any,
) -> "Preimages":
    """Find pictures that a layer cannot tell from given ones.

    Args:
        network: from `load_network`.
        images: paths, bytes, PIL images or uint8 arrays, or float32 [B, S, S, 3] RGB 0..255 as they are.
        layer: the tap; see `preimage.networks.network`.
        preset: of `preimage.config.CONFIGS`: "ijcv16", "cvpr15", "kato" or "fourier".
        settings: changes of it, such as ["data_weight=300"].
        **options: `mask`, `deviation`, `natural`, `seeds`, `watch`, `watch_every`, `progress`; see
            `preimage.optimization.searches.invert`.

    Returns:
        with the measure "feature_error".

    Raises:
        ConfigError: an unknown layer, preset or setting, or a search that diverges.
        DataError: a picture that cannot be read.
    """
    from preimage.optimization import searches

    return searches.invert(network, _pictures(network, images), layer, _config(preset, settings), **options)


def maximize_units(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    preset: str = "robust",
    settings: Sequence[str] = (),
    photos: Sequence[Any] = (),
    **options: Any,
) -> "Preimages":
    """Find the pictures that channels, units or classes answer to most.

    Args:
        network: from `load_network`.
        layer: the tap; "scores" for classes.
        channels: which, one picture each.
        preset: "robust", "fourier", "ijcv16" or "cvpr15".
        settings: changes of it.
        photos: pictures whose largest responses set the scale, as in the paper; none: drawn noise.
        **options: `whole`, `contrast`, `largest`, `natural`, `seeds`, `watch`, `watch_every`, `progress`; see
            `preimage.optimization.searches.maximize`.

    Returns:
        with the measures "activation" and, of classes, "rank".
    """
    from preimage.optimization import searches

    if len(photos):
        options["largest"] = searches.largest_responses(network, layer, channels, _pictures(network, photos))
    return searches.maximize(network, layer, channels, _config(preset, settings), **options)


def caricature_images(
    network: "Network",
    images: Sequence[Any],
    layer: str,
    *,
    preset: str = "ijcv16",
    settings: Sequence[str] = (),
    **options: Any,
) -> "Preimages":
    """Exaggerate in pictures what a layer sees in them.

    Args:
        network: from `load_network`.
        images: see `invert_images`.
        layer: the tap.
        preset: "ijcv16" or "fourier".
        settings: changes of it.
        **options: `natural`, `seeds`, `watch`, `watch_every`, `progress`.

    Returns:
        with the measure "gain".
    """
    from preimage.optimization import searches

    return searches.caricature_of(network, _pictures(network, images), layer, _config(preset, settings), **options)


def style_images(
    network: "Network",
    contents: Sequence[Any],
    style: Any,
    *,
    preset: str = "style",
    settings: Sequence[str] = (),
    content_layer: str | None = None,
    style_layers: Sequence[str] = (),
    regions: "tuple[np.ndarray, np.ndarray] | None" = None,
    texture: Any = None,
    running: dict[str, Any] | None = None,
    **controls: Any,
) -> "Preimages":
    """Paint pictures in the style of another.

    Args:
        network: from `load_network`; of VGG kind it does best.
        contents: see `invert_images`.
        style: one picture.
        preset: "style".
        settings: changes of it, such as ["start=uniform"].
        content_layer: whose maps are kept; None: a middle one.
        style_layers: whose Gram matrices are matched; none: the first of each size.
        regions: see `preimage.style_transfer.transfer.stylise`.
        texture: a picture whose fine strokes are first put on the style.
        running: `seeds`, `watch`, `watch_every`, `progress`.
        **controls: `content_weight`, `style_weight`, `normalisation`, `colour`; see
            `preimage.style_transfer.transfer.StyleControls`.

    Returns:
        with the measure "loss".
    """
    from preimage.style_transfer.transfer import StyleControls, default_layers, finer_style, stylise

    config, chosen = _config(preset, settings), default_layers(network)
    layers = tuple(style_layers) or chosen[1]
    source = _pictures(network, [style])[0]
    if texture is not None:
        source = finer_style(
            network, source, _pictures(network, [texture])[0], layers[: max(1, len(layers) // 2)], config
        )
    wanted = StyleControls(content_layer or chosen[0], layers, **controls)
    return stylise(network, _pictures(network, contents), source, wanted, config, regions=regions, **(running or {}))


def deconv_images(
    network: "Network", images: Sequence[Any], layer: str, *, channel: int | None = None, rule: str = "deconvnet"
) -> "np.ndarray":
    """Bring the strongest activation of a layer back to the pixels.

    Args:
        network: from `load_network`.
        images: see `invert_images`.
        layer: the tap.
        channel: of which channel; None: the strongest of all.
        rule: "deconvnet", "guided" or "gradient".

    Returns:
        float32 [B, S, S, 3]; `preimage.backprop.deconvnet.shown` turns it into colours.
    """
    from preimage.backprop.deconvnet import project, strongest_unit

    pictures, layer = _pictures(network, images), network.unclipped(layer)
    features = network.encode(pictures, [layer])[layer]
    return project(network, pictures, layer, strongest_unit(features, channel), rule=rule)


def filters_from_noise(network: "Network", layer: str, channels: Sequence[int], **options: Any) -> "np.ndarray":
    """See filters from white noise; see `preimage.optimization.white_noise.filters_from_noise`."""
    from preimage.optimization import white_noise

    return white_noise.filters_from_noise(network, layer, channels, **options)


def top_patches(network: "Network", layer: str, channel: int, images: Sequence[str | Path], **options: Any) -> Any:
    """Find the patches of photographs that activate a channel most."""
    from preimage.backprop import top_patches as patches

    return patches.top_patches(network, layer, channel, images, **options)


def compare_networks(network_a: "Network", network_b: "Network", images: Sequence[Any], **options: Any) -> "Comparison":
    """Set what two networks make of the same pictures side by side.

    Args:
        network_a: from `load_network`.
        network_b: from `load_network`; its input may be of another size.
        images: paths, bytes, PIL images or uint8 arrays, 4 or more; one that cannot be read is left out and listed.
        **options: fields of `preimage.comparison.networks.CompareSettings`, such as `layers`, `depths`, `limit`,
            `preset`,
            `iterations` and `seed`; and `labels`, `begin`, `progress` of
            `preimage.comparison.networks.compare_networks`.

    Returns:
        pictures, measures and alignments as arrays.

    Raises:
        ConfigError: an unknown tap, class or setting.
        DataError: fewer than 4 pictures that can be read.
    """
    from dataclasses import fields

    from preimage.comparison import networks as comparison
    from vislang.core.errors import unknown_name

    running = {name: options.pop(name) for name in ("labels", "begin", "progress") if name in options}
    known = [field.name for field in fields(comparison.CompareSettings)]
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known)
    return comparison.compare_networks(network_a, network_b, images, comparison.CompareSettings(**options), **running)


def _config(preset: str, settings: Sequence[str]) -> Any:
    from preimage.config import CONFIGS
    from vislang.core.config import override
    from vislang.core.config import preset as find_preset

    return override(find_preset(CONFIGS, preset), settings)


def _pictures(network: "Network", images: Any) -> "np.ndarray":
    """Give float32 [B, S, S, 3]; what already is that stays as it is."""
    import numpy as np

    if isinstance(images, np.ndarray) and images.dtype == np.float32 and images.shape[1:3] == (network.size,) * 2:
        return images
    return network.pictures(images)
