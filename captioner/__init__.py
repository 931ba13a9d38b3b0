"""Captions for photographs: recurrent generators over image descriptors, and the ways of decoding them."""

from captioner.api import caption_images, load_model

__all__ = ["caption_images", "load_model"]
