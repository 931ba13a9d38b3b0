"""Colour controls of style transfer, in NumPy: paint the style in the content's colours, or move luminance alone.

Reference: Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, CVPR 2017, arXiv:1611.07865.
"""

import numpy as np

from vislang.core.errors import unknown_name

MATCHES = ("pca", "chol", "sym")
CONTROLS = ("none", *MATCHES, "luminance")
_EPSILON = 1e-5  # added to the variances of colours between 0 and 1
_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def matched_colours(target: np.ndarray, source: np.ndarray, way: str = "pca") -> np.ndarray:
    """Give the target the mean and covariance of the source's colours: x' = A (x - mean_t) + mean_s.

    Args:
        target: float [H, W, 3], RGB 0..255.
        source: float [h, w, 3], RGB 0..255.
        way: "pca", A = S_s^1/2 S_t^-1/2; "chol", A = L_s L_t^-1 of the Cholesky factors; "sym", the Monge map
            A = S_t^-1/2 (S_t^1/2 S_s S_t^1/2)^1/2 S_t^-1/2, which changes colours least.

    Returns:
        float32 [H, W, 3], clipped to 0..255.
    """
    if way not in MATCHES:
        raise unknown_name("way to match colours", way, MATCHES)
    (mean_t, cov_t), (mean_s, cov_s) = _moments(target), _moments(source)
    if way == "chol":
        matrix = np.linalg.cholesky(cov_s) @ np.linalg.inv(np.linalg.cholesky(cov_t))
    elif way == "pca":
        matrix = _root(cov_s) @ np.linalg.inv(_root(cov_t))
    else:
        root, inverse = _root(cov_t), np.linalg.inv(_root(cov_t))
        matrix = inverse @ _root(root @ cov_s @ root) @ inverse
    moved = (np.asarray(target, np.float64) / 255.0 - mean_t) @ matrix.T + mean_s
    return np.clip(255.0 * moved, 0.0, 255.0).astype(np.float32)


def natural_contrast(pictures: np.ndarray) -> np.ndarray:
    """Give each picture the mean and deviation that photographs have.

    Args:
        pictures: float [B, H, W, 3], RGB 0..255.

    Returns:
        float32 of the same shape, clipped to 0..255.
    """
    mean, deviation = (f(pictures, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.std))
    return np.clip((pictures - mean) / np.maximum(deviation, 1e-6) * 60.0 + 120.0, 0.0, 255.0).astype(np.float32)


def luminance(picture: np.ndarray) -> np.ndarray:
    """Give the luminance of RGB in all three channels, of the same shape."""
    return np.repeat((picture @ _YIQ[0])[..., None], 3, axis=-1).astype(np.float32)


def matched_luminance(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Shift a grey style picture to the content's mean luminance."""
    return (style - style.mean() + content.mean()).astype(np.float32)


def with_chroma(grey: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Give a picture with one's luminance and the other's colours.

    Args:
        grey: float [..., 3], RGB 0..255, whose luminance is taken.
        content: float [..., 3], whose chroma is taken.
    """
    parts = content @ _YIQ.T
    parts[..., 0] = grey @ _YIQ[0]
    return np.clip(parts @ np.linalg.inv(_YIQ).T, 0.0, 255.0).astype(np.float32)


def _moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    colours = np.asarray(picture, np.float64).reshape(-1, 3) / 255.0
    return colours.mean(axis=0), np.cov(colours.T, bias=True) + _EPSILON * np.eye(3)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
