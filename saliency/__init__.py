"""Caption-guided saliency: where in an image, and when in a video, each word of a sentence comes from."""

from saliency.api import explain_image, explain_video, load_model
from vislang.features.reading_options import ReadingOptions

__all__ = ["ReadingOptions", "explain_image", "explain_video", "load_model"]
