"""OpenCV's saliency of a picture from its pixels alone: what models must beat."""

import functools
import sys
from typing import Any

import numpy as np

BOTTOM_UP = {  # name: method of cv2.saliency
    "spectral residual": "StaticSaliencySpectralResidual_create",
    "fine-grained": "StaticSaliencyFineGrained_create",
}


@functools.cache
def opencv() -> Any:
    """Give OpenCV with its saliency module, or None after saying once what to install."""
    try:
        import cv2

        cv2.saliency  # noqa: B018  (the plain package lacks it)
    except (ImportError, AttributeError):
        print(
            "no OpenCV: bottom-up baselines are left out; pip install opencv-contrib-python-headless", file=sys.stderr
        )
        return None
    return cv2


def bottom_up_maps(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Give the maps of a picture, each float32 [H, W], 0 to 1; none without OpenCV.

    Args:
        pixels: uint8 [H, W, 3], RGB.

    References: Hou and Zhang 2007 (spectral residual); Montabone and Soto 2010 (fine-grained).
    """
    cv2 = opencv()
    if cv2 is None:
        return {}
    turned = np.ascontiguousarray(pixels[:, :, ::-1])
    return {
        name: np.asarray(getattr(cv2.saliency, make)().computeSaliency(turned)[1], np.float32)
        for name, make in BOTTOM_UP.items()
    }
