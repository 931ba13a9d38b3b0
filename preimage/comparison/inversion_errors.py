"""How well layers are inverted: several searches, at several layers, from the same images, in one table.

A search is the name of a preset; "PRESET+prior" adds a model of natural images to its priors; "prior" leaves that model
as the only prior.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 for the model of natural images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.results.experiments import InversionRow
from preimage.api import invert_images
from preimage.comparison.class_agreement import predicted_class_ranks, same_class
from preimage.comparison.similarity import gradient_similarities, mean_pairwise_distance
from preimage.config import PreimageConfig, search_config
from preimage.networks.class_labels import require_classes
from preimage.networks.network import Network
from preimage.optimization.priors import PriorModel
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError

ALONE = "prior"
ADDED = "+prior"
_PRIOR_PRESET = "ijcv16"  # whose search "prior" uses, without its priors


@dataclass(frozen=True)
class LayerInversions:
    """Inversions of B images by one search at one layer.

    Attributes:
        search: its name.
        layer: the inverted layer.
        images: float32 [B, S, S, 3], RGB 0..255, the inversions.
        feature_error: float64 [B], ||f - f0||^2 / ||f0||^2.
        distance: float64 [B], ||f - f0|| over the mean distance between two images.
        gradients: float64 [B], 0..1, intersection of the histograms of gradient orientations.
        same_class: bool [B], the network predicts the image's class for the inversion; None without classes.
        second_network_rank: int [B], the rank, from 0, of the class that a second network predicts for the image among
            its classes of the inversion; None without one.
    """

    search: str
    layer: str
    images: np.ndarray
    feature_error: np.ndarray
    distance: np.ndarray
    gradients: np.ndarray
    same_class: np.ndarray | None
    second_network_rank: np.ndarray | None

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
        if self.second_network_rank is not None:
            for top in (1, 5):
                metrics[f"second_network_top{top}"] = round(100 * float((self.second_network_rank < top).mean()), 1)
        return InversionRow(self.search, self.layer, metrics, std, self.feature_error.round(6).tolist())


def needs_prior_model(search: str) -> bool:
    """Return whether a search uses a model of natural images."""
    return search in (ALONE, "kato") or search.endswith(ADDED)


def config_of_search(search: str, settings: Sequence[str] = ()) -> PreimageConfig:
    """Return the settings of a search by its name.

    Args:
        search: a preset, "PRESET+prior" or "prior".
        settings: changes, such as ["data_weight=3"].

    Raises:
        ConfigError: an unknown preset or setting.
    """
    if search == ALONE:
        return replace(search_config(_PRIOR_PRESET, settings), alpha_weight=0.0, tv_weight=0.0)
    return search_config(search.removesuffix(ADDED), settings)


def measure_inversions(
    network: Network,
    images: np.ndarray,
    layers: Sequence[str],
    names: Sequence[str],
    *,
    prior_model: PriorModel | None = None,
    second_network: Network | None = None,
    settings: Sequence[str] = (),
    options: SearchOptions = SearchOptions(),
) -> list[LayerInversions]:
    """Invert images by each search at each layer.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255, B of 2 or more.
        names: of the searches; see the module.
        prior_model: a model of natural images.
        second_network: one with classes, that the searches do not use.
        settings: changes of all presets.
        options: of all searches, which start alike.

    Raises:
        ConfigError: an unknown layer, search or setting, a search that needs `prior_model` without it, or
            `prior_model` for searches that do not use it.
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
    rows = []
    for layer in layers:
        target = network.encode(images, [layer])[layer]
        norms = np.linalg.norm(target.reshape(len(images), -1).astype(np.float64), axis=1)
        scale = norms / mean_pairwise_distance(target)
        for name, config in configs.items():
            prior = prior_model if needs_prior_model(name) else None
            found = invert_images(network, images, layer, preset=config, prior_model=prior, options=options)
            error = found.measures["feature_error"]
            ranks = None
            if second_network is not None:
                ranks = predicted_class_ranks(second_network, images, found.images)
            rows.append(
                LayerInversions(
                    search=name,
                    layer=layer,
                    images=found.images,
                    feature_error=error,
                    distance=np.sqrt(error) * scale,
                    gradients=gradient_similarities(images, found.images),
                    same_class=same_class(network, images, found.images),
                    second_network_rank=ranks,
                )
            )
    return rows
