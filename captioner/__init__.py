"""Captions for photographs: recurrent generators over image descriptors, and the ways of decoding them."""

from captioner.api import caption_images, describe_regions, load_aligner, load_model, place_words

__all__ = ["caption_images", "describe_regions", "load_aligner", "load_model", "place_words"]
