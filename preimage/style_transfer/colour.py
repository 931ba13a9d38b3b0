"""Colour controls of style transfer, in NumPy: move the style to the content's colours, or transfer luminance alone.

Reference: Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, CVPR 2017, arXiv:1611.07865.
"""

import numpy as np

from vislang.core.errors import unknown_name

MATCHES = ("pca", "chol", "sym")
CONTROLS = ("none", *MATCHES, "luminance")
_EPSILON = 1e-5  # added to the variances of colours between 0 and 1
_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_PHOTOGRAPH_MEAN = 120.0  # of the pixels of photographs, values 0..255
_PHOTOGRAPH_STD = 60.0


def matched_colours(target: np.ndarray, source: np.ndarray, method: str = "pca") -> np.ndarray:
    """Move a target to the mean and covariance of the source's colours: x' = A (x - mean_t) + mean_s.

    Both are float [H, W, 3], RGB 0..255; the result is float32, clipped to 0..255.

    Args:
        method: "pca", A = S_s^1/2 S_t^-1/2; "chol", A = L_s L_t^-1 of the Cholesky factors; "sym", the Monge map
            A = S_t^-1/2 (S_t^1/2 S_s S_t^1/2)^1/2 S_t^-1/2, which changes colours least.
    """
    if method not in MATCHES:
        raise unknown_name("method of matching colours", method, MATCHES)
    mean_t, cov_t = _moments(target)
    mean_s, cov_s = _moments(source)
    if method == "chol":
        matrix = np.linalg.cholesky(cov_s) @ np.linalg.inv(np.linalg.cholesky(cov_t))
    elif method == "pca":
        matrix = _root(cov_s) @ np.linalg.inv(_root(cov_t))
    else:
        root = _root(cov_t)
        inverse = np.linalg.inv(root)
        matrix = inverse @ _root(root @ cov_s @ root) @ inverse
    moved = (np.asarray(target, np.float64) / 255.0 - mean_t) @ matrix.T + mean_s
    return np.clip(255.0 * moved, 0.0, 255.0).astype(np.float32)


def photograph_contrast(images: np.ndarray) -> np.ndarray:
    """Bring each image float [B, H, W, 3], RGB 0..255, to the mean and std of photographs: float32, clipped."""
    mean = np.mean(images, axis=(1, 2, 3), keepdims=True)
    std = np.std(images, axis=(1, 2, 3), keepdims=True)
    standardised = (images - mean) / np.maximum(std, 1e-6)
    return np.clip(standardised * _PHOTOGRAPH_STD + _PHOTOGRAPH_MEAN, 0.0, 255.0).astype(np.float32)


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the luminance of RGB float [..., 3] in all three channels, float32 [..., 3]."""
    return np.repeat((image @ _YIQ[0])[..., None], 3, axis=-1).astype(np.float32)


def with_chroma(grey: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Combine the luminance of `grey` with the chroma of `content`, RGB 0..255 [..., 3] both: float32, clipped."""
    yiq = content @ _YIQ.T
    yiq[..., 0] = grey @ _YIQ[0]
    return np.clip(yiq @ np.linalg.inv(_YIQ).T, 0.0, 255.0).astype(np.float32)


def _moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean [3] and covariance [3, 3] of an image's colours, values 0..1."""
    colours = np.asarray(image, np.float64).reshape(-1, 3) / 255.0
    return colours.mean(axis=0), np.cov(colours.T, bias=True) + _EPSILON * np.eye(3)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return the square root of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
