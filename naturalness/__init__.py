"""Naturalness: a language model over CNN features; maps of what is unnatural in an image, and a prior for images."""

from naturalness.api import (
    UnnaturalnessMaps,
    load_model,
    naturalness_percentile,
    naturalness_score,
    unnaturalness_map,
    unnaturalness_maps,
)

__all__ = [
    "UnnaturalnessMaps",
    "load_model",
    "naturalness_percentile",
    "naturalness_score",
    "unnaturalness_map",
    "unnaturalness_maps",
]
