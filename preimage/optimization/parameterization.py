"""What a search optimises: pixels, or the coefficients of a Hartley transform in decorrelated colours.

The discrete Hartley transform is real and its own inverse. Each coefficient is scaled by one over its frequency, as in
natural images, and colours are mixed with their covariance in photographs.

Reference: Olah et al., Feature Visualization, Distill 2017, with its colour matrix.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from vislang.core.seeds import stream

Tensor = Any
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
_MIX = (_COLOURS / np.linalg.norm(_COLOURS, axis=0).max()).T.astype(np.float32)
_EDGE = 0.01  # distance of a given image's values from 0 and 1, where the sigmoid has no inverse


class Pixels:
    """The canvas itself: parameters float32 [B, H, W, 3], RGB 0..255 minus the mean colour float32 [3]."""

    def __init__(self, mean: np.ndarray):
        self.mean = mean

    def centred(self, parameters: Tensor) -> Tensor:
        """Return the canvas, float32 [B, H, W, 3]."""
        return parameters

    def encoded(self, centred: np.ndarray) -> np.ndarray:
        """Return the parameters of a canvas, float32 [B, H, W, 3]."""
        return centred


class Fourier(Pixels):
    """Hartley coefficients: parameters float32 [B, H, W, 3]; a sigmoid keeps pixels within 0..255."""

    def centred(self, parameters: Tensor) -> Tensor:
        """Return the canvas, float32 [B, H, W, 3], RGB 0..255 minus the mean colour."""
        scaled = parameters * frequency_scale(*parameters.shape[1:3])[:, :, None]
        return 255.0 * ops.sigmoid(ops.matmul(hartley(scaled), _MIX)) - self.mean

    def encoded(self, centred: np.ndarray) -> np.ndarray:
        """Return the parameters of a canvas, float32 [B, H, W, 3]."""
        share = np.clip((np.asarray(centred) + self.mean) / 255.0, _EDGE, 1 - _EDGE)
        decorrelated = np.log(share / (1 - share)) @ np.linalg.inv(_MIX)
        coefficients = ops.convert_to_numpy(hartley(ops.convert_to_tensor(decorrelated.astype(np.float32))))
        return (coefficients / frequency_scale(*coefficients.shape[1:3])[:, :, None]).astype(np.float32)


def hartley(maps: Tensor) -> Tensor:
    """Return the orthonormal discrete Hartley transform of float32 [B, H, W, C] over its two sides."""
    planes = ops.transpose(maps, (0, 3, 1, 2))
    real, imaginary = ops.fft2((planes, ops.zeros_like(planes)))
    area = float(maps.shape[1] * maps.shape[2])
    return ops.transpose(real - imaginary, (0, 2, 3, 1)) / area**0.5


@functools.cache
def frequency_scale(height: int, width: int) -> np.ndarray:
    """Return float32 [H, W]: sqrt(H W) / 4 over the frequency in cycles per image, at least 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    return (np.sqrt(height * width) / 4 / np.maximum(frequency * max(height, width), 1.0)).astype(np.float32)


def spectral_noise(mean: np.ndarray, size: int, count: int = 32) -> np.ndarray:
    """Return noise with the spectrum and colours of photographs, float32 [count, size, size, 3], RGB 0..255."""
    noise = []
    for index in range(count):
        random = stream(index, "preimage", "drawn")
        noise.append(0.1 * random.standard_normal((size, size, 3), np.float32))
    return np.asarray(Fourier(mean).centred(np.stack(noise))) + mean


PARAMETERS = {"pixels": Pixels, "fourier": Fourier}
