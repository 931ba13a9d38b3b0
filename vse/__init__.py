"""Visual-semantic embedding: images and sentences in one space, ranked both ways."""

from vse.api import (
    encode_images,
    encode_sentences,
    load_model,
    regularities,
    retrieve_captions,
    retrieve_images,
)

__all__ = [
    "encode_images",
    "encode_sentences",
    "load_model",
    "regularities",
    "retrieve_captions",
    "retrieve_images",
]
