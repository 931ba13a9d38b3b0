"""RoI-align: the mean features of boxes, from a feature map that was computed once for the whole image.

References: He et al. 2017 (Mask R-CNN), arXiv:1703.06870, with average pooling over the whole box.
"""

import numpy as np

SAMPLES = 8  # along each side of a box


def roi_align(grids: np.ndarray, boxes: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
    """Average a map over boxes, at sample points between which it is linear.

    The mean of bilinear samples on a regular lattice is a product of a sum down and a sum across, so no single sample
    is ever computed.

    Args:
        grids: float [B, H, W, F]; the image's edges are the map's, so cell centres lie at (0.5, 1.5, ...) / H.
        boxes: float [B, N, 4] in shares of the image; samples beyond the outermost centres take their value.
        samples: along each side of a box; none lies on its edge.

    Returns:
        float32 [B, N, F].
    """
    count, height, width, channels = grids.shape
    down = _weights(boxes[..., 1], boxes[..., 3], height, samples)  # [B, N, H]
    across = _weights(boxes[..., 0], boxes[..., 2], width, samples)  # [B, N, W]
    both = down[..., :, None] * across[..., None, :]  # [B, N, H, W]
    cells = np.asarray(grids, np.float32).reshape(count, height * width, channels)
    return np.matmul(both.reshape(*both.shape[:2], -1), cells)


def _weights(low: np.ndarray, high: np.ndarray, cells: int, samples: int) -> np.ndarray:
    """Return float32 [..., cells] that sum to 1: how much each cell counts in the mean of samples from low to high."""
    steps = (np.arange(samples) + 0.5) / samples
    places = (low[..., None] + (high - low)[..., None] * steps) * cells - 0.5  # [..., S] in cells
    places = np.clip(places, 0.0, cells - 1.0)
    shares = np.maximum(0.0, 1.0 - np.abs(places[..., None] - np.arange(cells)))  # [..., S, cells]
    return shares.mean(axis=-2).astype(np.float32)
