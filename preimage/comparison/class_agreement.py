"""Whether networks predict the same class for an image and for what was made from it."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from preimage.networks.class_labels import class_ranks

if TYPE_CHECKING:
    from preimage.networks.network import Network


def class_scores(network: "Network", images: np.ndarray) -> np.ndarray:
    """Return the class scores of images of any size, float32 [B, C].

    Args:
        network: one with classes.
        images: float [B, S, S, 3], RGB 0..255, resized to the network's size.
    """
    from preimage.networks.network import SCORES

    return network.encode(resized_images(images, network.size), [SCORES])[SCORES]


def same_class(network: "Network", images: np.ndarray, inversions: np.ndarray) -> np.ndarray | None:
    """Return whether a network predicts the same class for images and inversions, bool [B]; None without classes.

    Args:
        images: float [B, S, S, 3], RGB 0..255.
        inversions: float [B, S, S, 3], RGB 0..255.
    """
    if not network.has_classes:
        return None
    return class_scores(network, images).argmax(axis=1) == class_scores(network, inversions).argmax(axis=1)


def predicted_class_ranks(network: "Network", images: np.ndarray, inversions: np.ndarray) -> np.ndarray:
    """Return the rank, from 0, that the class predicted for each image has for its inversion, int [B].

    Args:
        network: one with classes.
        images: float [B, S, S, 3], RGB 0..255.
        inversions: float [B, S, S, 3], RGB 0..255.
    """
    predicted = class_scores(network, images).argmax(axis=1)
    return class_ranks(class_scores(network, inversions), predicted)


def resized_images(images: np.ndarray, size: int) -> np.ndarray:
    """Resize float [B, S, S, 3], RGB 0..255, to float32 [B, size, size, 3]."""
    if images.shape[1] == size:
        return np.asarray(images, np.float32)
    resized = []
    for pixels in np.clip(np.rint(images), 0, 255).astype(np.uint8):
        image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
        resized.append(np.asarray(image, np.float32))
    return np.stack(resized)
