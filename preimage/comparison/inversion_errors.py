"""How well layers are inverted: several searches, at several layers, from the same pictures, in one table.

A search is the name of a preset; "PRESET+natural" adds a model of pictures to its priors; "natural" leaves that model
as the only prior.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 for the model of pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from preimage.comparison.per_layer import gradients_kept, resized, same_class
from preimage.comparison.similarity import mean_pairwise_distance
from preimage.config import CONFIGS, PreimageConfig
from preimage.networks.network import SCORES, Network
from preimage.optimization import searches
from vislang.core.config import override
from vislang.core.config import preset as find_preset
from vislang.core.errors import ConfigError

ALONE, ADDED = "natural", "+natural"
NATURAL_PRESET = "ijcv16"  # whose search "natural" takes, without its priors


@dataclass(frozen=True)
class Inverted:
    """What one search makes of B pictures at one layer.

    Attributes:
        search: its name.
        layer: the tap.
        pictures: float32 [B, S, S, 3], RGB 0..255.
        feature_error: float64 [B], ||f - f0||^2 / ||f0||^2.
        distance: float64 [B], ||f - f0|| over the mean distance between two pictures.
        gradients: float64 [B], 0..1, intersection of the histograms of gradient orientations.
        same_class: bool [B], the network itself gives the inversion the class of the picture; None without classes.
        recognised: int [B], the place, from 0, of the picture's class among those that the judge sees in the
            inversion; None without a judge.
    """

    search: str
    layer: str
    pictures: np.ndarray
    feature_error: np.ndarray
    distance: np.ndarray
    gradients: np.ndarray
    same_class: np.ndarray | None
    recognised: np.ndarray | None


def search_settings(search: str, settings: Sequence[str] = ()) -> tuple[PreimageConfig, bool]:
    """Give the settings of a search by its name, and whether it needs a model of pictures.

    Args:
        search: see the module.
        settings: changes, such as ["natural_weight=3"].

    Raises:
        ConfigError: an unknown preset or setting.
    """
    if search == ALONE:
        return replace(override(CONFIGS[NATURAL_PRESET], settings), alpha_weight=0.0, tv_weight=0.0), True
    needed = search.endswith(ADDED) or search == "kato"
    return override(find_preset(CONFIGS, search.removesuffix(ADDED)), settings), needed


def measure_inversions(
    network: Network,
    pictures: np.ndarray,
    layers: Sequence[str],
    names: Sequence[str],
    *,
    natural: Callable[[Any], Any] | None = None,
    judge: Network | None = None,
    settings: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> list[Inverted]:
    """Invert pictures by each search at each layer.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255, B of 2 or more.
        layers: the taps.
        names: the searches; see the module.
        natural: a model of pictures; see `preimage.optimization.priors.Natural`.
        judge: an independent network with classes.
        settings: changes of all presets.
        seed: of the first picture; the others have the numbers behind it. All searches start alike.
        progress: called with 1 after each iteration.

    Raises:
        ConfigError: an unknown layer, search or setting, or a search that needs `natural` without it.
    """
    plans = [(name, *search_settings(name, settings)) for name in names]
    for name, _, needed in plans:
        if needed and natural is None:
            raise ConfigError(f"search {name} needs a model of pictures; train one: python -m naturalness.train")
    seeds = [seed + number for number in range(len(pictures))]
    found = []
    for layer in layers:
        target = network.encode(pictures, [layer])[layer]
        norms = np.linalg.norm(target.reshape(len(pictures), -1).astype(np.float64), axis=1)
        scale = norms / mean_pairwise_distance(target)
        for name, config, needed in plans:
            prior = natural if needed else None
            made = searches.invert(network, pictures, layer, config, natural=prior, seeds=seeds, progress=progress)
            error = made.measures["feature_error"]
            kept = [gradients_kept(*pair) for pair in zip(pictures, made.pictures, strict=True)]
            own, told = same_class(network, pictures, made.pictures), recognised_at(judge, pictures, made.pictures)
            found.append(Inverted(name, layer, made.pictures, error, np.sqrt(error) * scale, np.array(kept), own, told))
    return found


def recognised_at(judge: Network | None, pictures: np.ndarray, inversions: np.ndarray) -> np.ndarray | None:
    """Give the place, from 0, of the judge's class of each picture among its classes of the inversion, int [B]."""
    if judge is None:
        return None
    true, scores = (judge.encode(resized(one, judge.size), [SCORES])[SCORES] for one in (pictures, inversions))
    own = np.take_along_axis(scores, true.argmax(axis=1)[:, None], axis=1)
    return (scores > own).sum(axis=1)


def in_numbers(row: Inverted) -> dict[str, Any]:
    """Give the numbers of one search at one layer, for JSON: means, deviations, and each picture's error."""
    told: dict[str, Any] = {"search": row.search, "layer": row.layer, "pictures": len(row.pictures)}
    for name in ("feature_error", "distance", "gradients"):
        values = getattr(row, name)
        told |= {name: round(float(values.mean()), 5), f"{name}_deviation": round(float(values.std(ddof=1)), 5)}
    if row.same_class is not None:
        told["same_class"] = round(100 * float(row.same_class.mean()), 1)
    if row.recognised is not None:
        told |= {f"judge_top{top}": round(100 * float((row.recognised < top).mean()), 1) for top in (1, 5)}
    return told | {"feature_errors": [round(float(value), 6) for value in row.feature_error]}
