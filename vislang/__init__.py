"""The ground that every system stands on: images, text, backbones, features, training, drawing."""

import os

from vislang.core.version import __version__

# TensorFlow reads this while it is loaded; its notes on CPU features and missing GPUs would bury what a command says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__all__ = ["__version__"]
