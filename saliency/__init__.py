"""Caption-guided saliency: where in a picture, and when in a video, each word of a sentence comes from."""

from saliency.api import explain_image, explain_video, load_model

__all__ = ["explain_image", "explain_video", "load_model"]
