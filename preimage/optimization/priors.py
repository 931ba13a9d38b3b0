"""Image priors: two smoothness penalties, a bound on colours, and any learned model of natural images.

The scalings of both papers are here, and their weights must not be mixed: "cvpr15" divides sums by sigma^2 and halves
them, "ijcv16" takes means over pixels of values in units of B and V.

References: Mahendran & Vedaldi, CVPR 2015, arXiv:1412.0035; the same, IJCV 2016, arXiv:1512.02017.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from preimage.config import SIGMA, SIGMA_SIDE, B, PreimageConfig, V
from preimage.networks.network import Network
from preimage.optimization.terms import SearchState, Tensor, Term, per_image
from vislang.core.errors import ConfigError

# Takes float32 [B, S, S, 3], RGB 0..255, and returns float [B], differentiable: `load_model().loss` of naturalness.
PriorModel = Callable[[Any], Any]
_FLAT = 1e-5  # below this squared difference the variation is linear: its gradient would be unbounded


def sigma(side: int) -> float:
    """Return the norm of a natural image of this side minus its mean."""
    return SIGMA * side / SIGMA_SIDE


class AlphaNorm(Term):
    """Penalises values far from the mean colour.

    cvpr15: sum(|x|^alpha) / (2 sigma^2); ijcv16: mean over pixels of (||x(v, u)|| / B)^alpha.
    """

    def __init__(self, alpha: float = 6.0, scaling: str = "ijcv16"):
        self.alpha = alpha
        self.scaling = scaling

    def __call__(self, state: SearchState, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Return the norm of each image, float32 [B]."""
        x = state.centred
        if self.scaling == "cvpr15":
            return per_image(ops.power(ops.square(x), self.alpha / 2)) / (2 * sigma(x.shape[1]) ** 2)
        squared = ops.sum(ops.square(x), axis=-1) / B**2
        return per_image(ops.power(squared, self.alpha / 2)) / _pixels(x)


class TotalVariation(Term):
    """Penalises differences of neighbouring pixels: forward differences, the last one 0, each channel on its own.

    cvpr15: sum((dx^2 + dy^2)^(beta/2)) / (2 sigma^2); ijcv16: the same over V^beta, divided by the number of pixels.
    """

    def __init__(self, beta: float = 2.0, scaling: str = "ijcv16"):
        self.beta = beta
        self.scaling = scaling

    def __call__(self, state: SearchState, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Return the variation of each image, float32 [B]."""
        x = state.centred
        down = ops.pad(x[:, 1:] - x[:, :-1], ((0, 0), (0, 1), (0, 0), (0, 0)))
        right = ops.pad(x[:, :, 1:] - x[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0)))
        squared = ops.square(down) + ops.square(right)
        if self.scaling == "cvpr15":
            return per_image(_power(squared, self.beta / 2)) / (2 * sigma(x.shape[1]) ** 2)
        return per_image(_power(squared / V**2, self.beta / 2)) / _pixels(x)


class LearnedPrior(Term):
    """The loss of a model of natural images, such as a visual language model.

    With the `typical` loss of natural images, the term is the squared logarithm of the loss over it, since an image
    without content is as unlike them as noise; with 0 the loss itself, as in Kato & Harada 2015.
    """

    def __init__(self, loss: PriorModel, typical: float = 0.0):
        self.loss = loss
        self.typical = typical

    def __call__(self, state: SearchState, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Return the term of each image, float32 [B]; the model must return one loss per image."""
        losses = ops.cast(self.loss(state.images), "float32")
        if len(losses.shape) != 1:
            raise ConfigError(f"the prior model returned losses {tuple(losses.shape)}, expected one per image")
        if not self.typical:
            return losses
        return ops.square(ops.log(ops.maximum(losses / self.typical, 1e-6)))


def with_priors(
    objective: Term, network: Network, layer: str, config: PreimageConfig, prior_model: PriorModel | None = None
) -> Term:
    """Add the priors of a preset, and a model of natural images if there is one, to a weighted objective.

    The receptive field of the layer decides how deep the search is; some priors weigh more for deep layers.
    """
    tv_weight = config.tv_weight
    if tv_weight is None:
        tv_weight = cvpr15_tv_weight(network.receptive_field(layer).side / network.size)
    total = objective
    if config.alpha_weight:
        total = total + config.alpha_weight * AlphaNorm(config.alpha, config.scaling)
    if tv_weight:
        total = total + tv_weight * TotalVariation(config.tv_beta, config.scaling)
    if prior_model is not None:
        total = total + config.prior_weight * LearnedPrior(prior_model, config.prior_loss)
    return total


def cvpr15_tv_weight(field_share: float) -> float:
    """Return the weight of total variation in cvpr15, 1, 10 or 100, by the receptive field's share of the image.

    Layers 1 to 6 of its CaffeNet have receptive fields up to 51 of 227 pixels, layers 7 to 12 up to 131; the same
    shares tell how deep a layer of another network is.
    """
    if field_share <= 51 / SIGMA_SIDE:
        return 1.0
    if field_share <= 131 / SIGMA_SIDE:
        return 10.0
    return 100.0


def clip_colour_norms(centred: Tensor, bound: float) -> Tensor:
    """Shorten each pixel's colour vector, float32 [B, H, W, 3], to at most `bound`."""
    norms = ops.sqrt(ops.sum(ops.square(centred), axis=-1, keepdims=True))
    return centred * ops.minimum(1.0, bound / ops.maximum(norms, 1e-6))


def _power(squared: Tensor, exponent: float) -> Tensor:
    """Return squared^exponent with a bounded gradient at 0."""
    if exponent == 1.0:
        return squared
    steep = ops.power(ops.maximum(squared, _FLAT), exponent)
    flat = exponent * _FLAT ** (exponent - 1) * squared  # the gradient that the original has where x is nearly flat
    return ops.where(squared > _FLAT, steep, flat)


def _pixels(x: Tensor) -> float:
    return float(np.prod(x.shape[1:3]))
