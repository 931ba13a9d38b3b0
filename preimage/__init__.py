"""Pictures from features: what a network keeps of a photograph, what its units look for, and what it exaggerates."""

from preimage.api import (
    caricature_images,
    classify_images,
    compare_networks,
    deconv_images,
    filters_from_noise,
    invert_images,
    load_network,
    maximize_units,
    style_images,
    top_patches,
)

__all__ = [
    "caricature_images",
    "classify_images",
    "compare_networks",
    "deconv_images",
    "filters_from_noise",
    "invert_images",
    "load_network",
    "maximize_units",
    "style_images",
    "top_patches",
]
