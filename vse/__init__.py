"""Visual-semantic embedding: images and sentences in one space, ranked both ways."""

from vislang.features.reading_options import ReadingOptions
from vse.api import (
    EncodedImages,
    Match,
    Retrieved,
    encode_images,
    encode_sentences,
    load_model,
    regularities,
    retrieve_captions,
    retrieve_images,
)

__all__ = [
    "EncodedImages",
    "Match",
    "ReadingOptions",
    "Retrieved",
    "encode_images",
    "encode_sentences",
    "load_model",
    "regularities",
    "retrieve_captions",
    "retrieve_images",
]
