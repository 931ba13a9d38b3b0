"""Images from features: what a network keeps of an image, what its units respond to, and what it exaggerates."""

from preimage.api import caricature_images, deconv_images, invert_images, maximize_units, style_images
from preimage.backprop.top_patches import top_patches
from preimage.comparison.network_comparison import compare_networks
from preimage.networks.class_labels import classify_images
from preimage.networks.loading import load_network
from preimage.optimization.white_noise import filters_from_noise
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
