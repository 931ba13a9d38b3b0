"""How well layers are inverted: several searches, at several layers, from the same images, in one table.

A search is the name of a preset; "PRESET+prior" adds a model of natural images to its priors; "prior" leaves that model
as the only prior.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 for the model of natural images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from eval.results.experiments import InversionRow
from preimage.api import invert_images
from preimage.comparison.similarity import gradient_similarities, mean_pairwise_distance
from preimage.config import PreimageConfig, search_config
from preimage.networks.class_labels import class_ranks, class_scores, require_classes
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from preimage.optimization.priors import PriorModel

MEASURES = ("feature_error", "distance", "same_class", "same_class_other", "gradients")  # of `LayerInversions`
ALONE = "prior"
ADDED = "+prior"
_PRIOR_PRESET = "ijcv16"  # whose search "prior" uses, without its priors


@dataclass(frozen=True)
class LayerInversions:
    """Inversions of B images at one layer.

    `other_rank` is the rank, from 0, of the class that another network predicts for the image among its classes of the
    inversion. What concerns the classes of a network without any is None.
    """

    layer: str
    images: np.ndarray  # float32 [B, S, S, 3], RGB 0..255, the inversions
    feature_error: np.ndarray  # float64 [B], ||f - f0||^2 / ||f0||^2; lower is better
    distance: np.ndarray  # float64 [B], ||f - f0|| over the mean distance between two images; lower is better
    gradients: np.ndarray  # float64 [B], 0..1, intersection of the histograms of gradient orientations
    same_class: np.ndarray | None  # bool [B], the network predicts the image's class for the inversion
    other_rank: np.ndarray | None  # int [B]
    search: str = ""  # its name, where there are several

    @property
    def same_class_other(self) -> np.ndarray | None:
        """Whether the other network predicts the image's class for the inversion, bool [B]."""
        return None if self.other_rank is None else self.other_rank == 0

    def to_row(self) -> InversionRow:
        """Return means, standard deviations and the error of each image, for a result."""
        metrics = {}
        std = {}
        for name in ("feature_error", "distance", "gradients"):
            values = getattr(self, name)
            metrics[name] = round(float(values.mean()), 5)
            std[name] = round(float(values.std(ddof=1)), 5)
        if self.same_class is not None:
            metrics["same_class"] = round(100 * float(self.same_class.mean()), 1)
        if self.other_rank is not None:
            for top in (1, 5):
                metrics[f"second_network_top{top}"] = round(100 * float((self.other_rank < top).mean()), 1)
        return InversionRow(self.search, self.layer, metrics, std, self.feature_error.round(6).tolist())


def invert_layer(
    network: "Network",
    images: np.ndarray,
    layer: str,
    config: PreimageConfig,
    mean_distance: float,
    *,
    other: "Network | None" = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> LayerInversions:
    """Invert images float32 [B, S, S, 3], RGB 0..255, at a layer, and measure the inversions.

    Args:
        mean_distance: between the features of two images.
        other: a network that also classifies the inversions.
    """
    found = invert_images(network, images, layer, preset=config, prior_model=prior_model, options=options)
    error = found.measures["feature_error"]
    features = network.encode(images, [layer])[layer].reshape(len(images), -1)
    norms = np.linalg.norm(features.astype(np.float64), axis=1)
    rank = predicted_class_ranks(network, images, found.images)
    return LayerInversions(
        layer=layer,
        images=found.images,
        feature_error=error,
        distance=np.sqrt(error) * norms / mean_distance,
        gradients=gradient_similarities(images, found.images),
        same_class=None if rank is None else rank == 0,
        other_rank=None if other is None else predicted_class_ranks(other, images, found.images),
    )


def predicted_class_ranks(network: "Network", images: np.ndarray, inversions: np.ndarray) -> np.ndarray | None:
    """Return the rank, from 0, that the class predicted for each image has for its inversion; None without classes.

    Both are float [B, S, S, 3], RGB 0..255.
    """
    if not network.has_classes:
        return None
    return class_ranks(class_scores(network, inversions), class_scores(network, images).argmax(axis=1))


def needs_prior_model(search: str) -> bool:
    """Return whether a search uses a model of natural images."""
    return search in (ALONE, "kato") or search.endswith(ADDED)


def config_of_search(search: str, settings: Sequence[str] = ()) -> PreimageConfig:
    """Return the settings of a search by its name, changed by settings such as ["data_weight=3"]."""
    if search == ALONE:
        return replace(search_config(_PRIOR_PRESET, settings), alpha_weight=0.0, tv_weight=0.0)
    return search_config(search.removesuffix(ADDED), settings)


def measure_inversions(
    network: "Network",
    images: np.ndarray,
    layers: Sequence[str],
    names: Sequence[str],
    *,
    prior_model: "PriorModel | None" = None,
    second_network: "Network | None" = None,
    settings: Sequence[str] = (),
    options: SearchOptions = SearchOptions(),
) -> list[LayerInversions]:
    """Invert images by each search at each layer.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255, B of 2 or more.
        names: of the searches; see the module.
        prior_model: a model of natural images, if and only if a search uses one.
        second_network: one with classes, that the searches do not use.
        settings: changes of all presets.
        options: of all searches, which start alike.
    """
    configs = {name: config_of_search(name, settings) for name in names}
    needing = [name for name in names if needs_prior_model(name)]
    if needing and prior_model is None:
        raise ConfigError(
            f"search {needing[0]} needs a model of natural images; train one: python -m naturalness.train"
        )
    if prior_model is not None and not needing:
        raise ConfigError(f"searches {', '.join(names)} do not use the prior model; add {names[0]}{ADDED} or {ALONE}")
    if second_network is not None:
        require_classes(second_network)
    found = []
    for layer in layers:
        mean_distance = mean_pairwise_distance(network.encode(images, [layer])[layer])
        for name, config in configs.items():
            inversions = invert_layer(
                network, images, layer, config, mean_distance, other=second_network,
                prior_model=prior_model if needs_prior_model(name) else None, options=options,
            )  # fmt: skip
            found.append(replace(inversions, search=name))
    return found
