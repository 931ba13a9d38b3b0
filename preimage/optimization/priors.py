"""What makes a picture likely before any network is asked: two smooth penalties, a bound, and any model of pictures.

Both papers' scalings are here, and their weights must not be mixed: "cvpr15" divides sums by sigma^2 and halves them,
"ijcv16" takes means over pixels of values in units of B and V.

References: Mahendran & Vedaldi, CVPR 2015, arXiv:1412.0035; the same, IJCV 2016, arXiv:1512.02017.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from preimage.config import SIGMA, SIGMA_SIDE, B, PreimageConfig, V
from preimage.optimization.objectives import per_picture
from preimage.optimization.terms import Seen, Tensor, Term
from vislang.core.errors import ConfigError

_FLAT = 1e-5  # below this squared difference the variation is a line: its slope would have no end


def sigma(side: int) -> float:
    """Give the norm of a natural picture minus its mean; it grows with the side."""
    return SIGMA * side / SIGMA_SIDE


class AlphaNorm(Term):
    """Keeps values near the mean colour.

    cvpr15: sum(|x|^alpha) / (2 sigma^2); ijcv16: mean over pixels of (||x(v, u)|| / B)^alpha.
    """

    def __init__(self, alpha: float = 6.0, scaling: str = "ijcv16"):
        self.alpha, self.scaling = alpha, scaling

    def __call__(self, seen: Seen, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Give float32 [B]."""
        x = seen.centred
        if self.scaling == "cvpr15":
            return per_picture(ops.power(ops.square(x), self.alpha / 2)) / (2 * sigma(x.shape[1]) ** 2)
        squared = ops.sum(ops.square(x), axis=-1) / B**2
        return per_picture(ops.power(squared, self.alpha / 2)) / _pixels(x)


class TotalVariation(Term):
    """Keeps neighbours alike: forward differences, the last one 0, each channel on its own.

    cvpr15: sum((dx^2 + dy^2)^(beta/2)) / (2 sigma^2); ijcv16: the same over V^beta, divided by the number of pixels.
    """

    def __init__(self, beta: float = 2.0, scaling: str = "ijcv16"):
        self.beta, self.scaling = beta, scaling

    def __call__(self, seen: Seen, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Give float32 [B]."""
        x = seen.centred
        down = ops.pad(x[:, 1:] - x[:, :-1], ((0, 0), (0, 1), (0, 0), (0, 0)))
        right = ops.pad(x[:, :, 1:] - x[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0)))
        squared = ops.square(down) + ops.square(right)
        if self.scaling == "cvpr15":
            return per_picture(_power(squared, self.beta / 2)) / (2 * sigma(x.shape[1]) ** 2)
        return per_picture(_power(squared / V**2, self.beta / 2)) / _pixels(x)


class Natural(Term):
    """A model of pictures, such as a visual language model, as a prior.

    Args:
        loss: takes float32 [B, S, S, 3], RGB 0..255, and gives float [B], differentiable with the backend in use.
        typical: the loss of photographs, and the term is the squared logarithm of the loss over it: a picture with
            nothing in it is as unlike them as noise; 0: the term is the loss itself, as in the original.
    """

    def __init__(self, loss: Callable[[Any], Any], typical: float = 0.0):
        self.loss, self.typical = loss, typical

    def __call__(self, seen: Seen, arrays: Sequence[Tensor] = ()) -> Tensor:
        """Give float32 [B]."""
        values = ops.cast(self.loss(seen.pictures), "float32")
        if len(values.shape) != 1:
            raise ConfigError(f"a model of pictures gave losses {tuple(values.shape)}, expected one for each picture")
        return ops.square(ops.log(ops.maximum(values / self.typical, 1e-6))) if self.typical else values


def priors(config: PreimageConfig, share: float, natural: Callable[[Any], Any] | None = None) -> list[Term]:
    """Give the priors of a preset, weighted.

    Args:
        config: the settings.
        share: side of the tap's receptive field, as a share of the picture's; says how deep the tap is.
        natural: a model of pictures, if there is one; see `Natural`.
    """
    tv_weight = depth_weight(share) if config.tv_weight is None else config.tv_weight
    terms = []
    if config.alpha_weight:
        terms.append(config.alpha_weight * AlphaNorm(config.alpha, config.scaling))
    if tv_weight:
        terms.append(tv_weight * TotalVariation(config.tv_beta, config.scaling))
    if natural is not None:
        terms.append(config.natural_weight * Natural(natural, config.natural_typical))
    return terms


def depth_weight(share: float) -> float:
    """Give the variation's weight of cvpr15: 1, 10 or 100.

    Its layers 1 to 6 of CaffeNet have fields up to 51 of 227 pixels, layers 7 to 12 up to 131; the same shares tell
    how deep a layer of another network is.
    """
    return 1.0 if share <= 51 / SIGMA_SIDE else 10.0 if share <= 131 / SIGMA_SIDE else 100.0


def within_bound(centred: Tensor, bound: float) -> Tensor:
    """Shorten each pixel's colour vector to at most `bound`.

    Args:
        centred: float32 [B, H, W, 3].
        bound: in values 0..255.
    """
    norms = ops.sqrt(ops.sum(ops.square(centred), axis=-1, keepdims=True))
    return centred * ops.minimum(1.0, bound / ops.maximum(norms, 1e-6))


def _power(squared: Tensor, exponent: float) -> Tensor:
    if exponent == 1.0:
        return squared
    steep = ops.power(ops.maximum(squared, _FLAT), exponent)
    flat = exponent * _FLAT ** (exponent - 1) * squared  # the slope that the original gives to what is nearly flat
    return ops.where(squared > _FLAT, steep, flat)


def _pixels(x: Tensor) -> float:
    return float(np.prod(x.shape[1:3]))
