"""Captions for images and videos: recurrent generators, decoding, and alignment of words with regions."""

from captioner.api import (
    CaptionedImages,
    DecodeOptions,
    caption_images,
    caption_video,
    describe_regions,
    encode_regions,
    ground_phrases,
    load_aligner,
    load_model,
)
from vislang.features.reading_options import ReadingOptions

__all__ = [
    "CaptionedImages",
    "DecodeOptions",
    "ReadingOptions",
    "caption_images",
    "caption_video",
    "describe_regions",
    "encode_regions",
    "ground_phrases",
    "load_aligner",
    "load_model",
]
