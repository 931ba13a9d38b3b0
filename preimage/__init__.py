"""Images from features: what a network keeps of an image, what its units respond to, and what it exaggerates."""

from preimage.api import classify_images, compare_networks, deconv_images, load_network, top_patches
from preimage.image_synthesis import (
    caricature_images,
    filters_from_noise,
    invert_images,
    maximize_units,
    style_images,
)
from preimage.options import ComparisonOptions, SearchOptions, StyleOptions

__all__ = [
    "ComparisonOptions",
    "SearchOptions",
    "StyleOptions",
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
