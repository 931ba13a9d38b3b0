"""OpenCV's bottom-up saliency of an image: baselines that no model is needed for.

References: Hou and Zhang 2007 (spectral residual); Montabone and Soto 2010 (fine-grained).
"""

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
    """Return OpenCV with its saliency module, or None after printing once what to install."""
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
    """Return the maps of an image, each float32 [H, W], 0 to 1; none without OpenCV.

    Args:
        pixels: uint8 [H, W, 3], RGB.
    """
    cv2 = opencv()
    maps: dict[str, np.ndarray] = {}
    if cv2 is None:
        return maps
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    for name, method in BOTTOM_UP.items():
        saliency = getattr(cv2.saliency, method)()
        maps[name] = np.asarray(saliency.computeSaliency(bgr)[1], np.float32)
    return maps
