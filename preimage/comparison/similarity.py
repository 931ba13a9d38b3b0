"""Similarity of features, of images and of predictions, in NumPy; no network is involved.

References: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019, arXiv:1905.00414;
Nguyen, Raghu & Kornblith 2021, arXiv:2010.15327 (the debiased form), after Song et al., JMLR 2012;
Mahendran & Vedaldi, IJCV 2016 (histograms of gradients), and CVPR 2015 (the distance over the mean distance).
"""

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import ConfigError

BINS = 18  # of 20 degrees
_LUMINANCE = np.array([0.2989, 0.5870, 0.1140])  # ITU-R BT.601


def centred_gram(features: NDArray, *, debiased: bool = True) -> NDArray[np.float64]:
    """Return the Gram matrix [n, n] of features float [n, ...] of n inputs, with centred columns.

    Debiased with the unbiased estimator of HSIC, which takes 4 inputs or more: where n is small against the number of
    features, the plain `alignment` is near 1 whatever the features are.
    """
    flat = np.asarray(features).reshape(len(features), -1)
    flat = flat - flat.mean(axis=0)
    gram = (flat @ flat.T).astype(np.float64)
    return _u_centred(gram) if debiased else gram


def alignment(gram: NDArray, other: NDArray) -> float:
    """Return the linear centred kernel alignment (CKA) of two centred Gram matrices, float [n, n] both.

    It is ||Y'X||^2 / (||X'X|| ||Y'Y||) of centred features X and Y, since <XX', YY'> = ||Y'X||^2: 0..1, higher is more
    similar; debiased about 0, and then also below 0, for unrelated features; NaN where the features of either do not
    differ between inputs.
    """
    if gram.shape != other.shape:
        raise ConfigError(f"got features of {len(gram)} and of {len(other)} inputs, expected the same inputs for both")
    norm = np.sqrt(np.square(gram).sum() * np.square(other).sum())
    return float((gram * other).sum() / norm) if norm > 0 else float("nan")


def _u_centred(gram: NDArray) -> NDArray[np.float64]:
    """Centre without the diagonal, so that inner products are unbiased (Szekely & Rizzo 2014)."""
    n = len(gram)
    if n < 4:
        raise ConfigError(f"debiased alignment got {n} inputs, expected 4 or more; give more, or debiased=False")
    off_diagonal = gram - np.diag(np.diag(gram))
    sums = off_diagonal.sum(axis=0) / (n - 2)
    centred = off_diagonal - sums[:, None] - sums[None, :] + sums.sum() / (n - 1)
    np.fill_diagonal(centred, 0.0)
    return centred


def mean_pairwise_distance(features: NDArray) -> float:
    """Return the mean Euclidean distance between the features of two inputs, float [n, ...] with n of 2 or more."""
    gram = centred_gram(features, debiased=False)
    squares = np.diag(gram)
    rows, columns = np.triu_indices(len(gram), 1)
    return float(np.sqrt(np.maximum(squares[rows] + squares[columns] - 2 * gram[rows, columns], 0.0)).mean())


def orientation_histogram(image: NDArray) -> NDArray[np.float64]:
    """Return the histogram of an image's gradient orientations, weighted by gradient magnitude.

    Sobel gradients of the luminance with repeated edges. Angles are in degrees, counter-clockwise from the
    direction to the right; a bin holds its upper end, and the first also -180. The image is RGB [H, W, 3] or grey
    [H, W]; the histogram, float64 [BINS], has the sum 1, or 0 for an image without any gradient.
    """
    grey = np.asarray(image, np.float64)
    grey = np.pad(grey @ _LUMINANCE if grey.ndim == 3 else grey, 1, "edge")
    across = grey[:, 2:] - grey[:, :-2]
    across = across[:-2] + 2 * across[1:-1] + across[2:]
    down = grey[2:] - grey[:-2]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    angles = np.degrees(np.arctan2(-down, across))
    indices = np.clip(np.ceil((angles + 180.0) * BINS / 360.0).astype(int) - 1, 0, BINS - 1)
    masses = np.bincount(indices.ravel(), np.hypot(across, down).ravel(), BINS)
    return masses / max(masses.sum(), 1e-300)


def histogram_intersection(one: NDArray, other: NDArray) -> float:
    """Return the sum of the bin-wise minimum: 0..1 for histograms of sum 1, and 1 where they are equal."""
    return float(np.minimum(one, other).sum())


def gradient_similarities(images: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Return the intersection, 0..1, of the orientation histograms of pairs of images [B, H, W, 3], float64 [B]."""
    similarities = []
    for image, other in zip(images, others, strict=True):
        similarities.append(histogram_intersection(orientation_histogram(image), orientation_histogram(other)))
    return np.array(similarities)
