"""Naturalness: a language model over CNN features; maps of what is unnatural in a picture, and a prior for pictures."""

from naturalness.api import load_model, naturalness_score, unnaturalness_map

__all__ = ["load_model", "naturalness_score", "unnaturalness_map"]
