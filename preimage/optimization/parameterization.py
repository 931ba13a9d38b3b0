"""What a search moves: the pixels themselves, or the waves that a picture is made of, in uncorrelated colours.

Waves are those of the discrete Hartley transform, which is real and its own inverse. Each is scaled by one over its
frequency, as in natural pictures, and colours are mixed as they are correlated in photographs.

Reference: Olah et al., Feature Visualization, Distill 2017, with its matrix of colours.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

Tensor = Any
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
_MIX = (_COLOURS / np.linalg.norm(_COLOURS, axis=0).max()).T.astype(np.float32)
_EDGE = 0.01  # a given picture's values are kept this far from 0 and 1, where the sigmoid has no inverse


class Pixels:
    """The canvas itself: parameters float32 [B, H, W, 3], RGB 0..255 minus the mean colour."""

    def __init__(self, mean: np.ndarray):
        self.mean = mean

    def centred(self, parameters: Tensor) -> Tensor:
        """Give the canvas."""
        return parameters

    def encoded(self, centred: np.ndarray) -> np.ndarray:
        """Give the parameters of a canvas."""
        return centred


class Fourier:
    """Waves: parameters float32 [B, H, W, 3]; values stay within 0..255 through a sigmoid.

    Args:
        mean: float32 [3], the mean colour, RGB 0..255.
    """

    def __init__(self, mean: np.ndarray):
        self.mean = mean

    def centred(self, parameters: Tensor) -> Tensor:
        """Give the canvas."""
        waves = parameters * wave_scale(*parameters.shape[1:3])[:, :, None]
        spoken = ops.matmul(hartley(waves), _MIX)
        return 255.0 * ops.sigmoid(spoken) - self.mean

    def encoded(self, centred: np.ndarray) -> np.ndarray:
        """Give the parameters of a canvas, float32 [B, H, W, 3]."""
        share = np.clip((np.asarray(centred) + self.mean) / 255.0, _EDGE, 1 - _EDGE)
        plain = np.log(share / (1 - share)) @ np.linalg.inv(_MIX)
        waves = ops.convert_to_numpy(hartley(ops.convert_to_tensor(plain.astype(np.float32))))
        return (waves / wave_scale(*waves.shape[1:3])[:, :, None]).astype(np.float32)

    def noise(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Give small random waves, float32 [H, W, 3]."""
        return 0.01 * random.standard_normal(shape, np.float32)


def hartley(maps: Tensor) -> Tensor:
    """Give the orthonormal discrete Hartley transform of float32 [B, H, W, C] over its two sides."""
    planes = ops.transpose(maps, (0, 3, 1, 2))
    real, imaginary = ops.fft2((planes, ops.zeros_like(planes)))
    area = float(maps.shape[1] * maps.shape[2])
    return ops.transpose(real - imaginary, (0, 2, 3, 1)) / area**0.5


@functools.cache
def wave_scale(height: int, width: int) -> np.ndarray:
    """Give float32 [H, W]: sqrt(H W) / 4 over the frequency in waves per picture, of the mean as of one wave."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    return (np.sqrt(height * width) / 4 / np.maximum(frequency * max(height, width), 1.0)).astype(np.float32)


PARAMETERS = {"pixels": Pixels, "fourier": Fourier}
