"""Settings of a classifier and its training, and their presets."""

import math
from dataclasses import dataclass

from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of a network and its training; what contradicts itself or a range is a ConfigError."""

    # the network
    backbone: str = setting("mobilenet_0.75", help="pretrained network to fine-tune; empty: a small CNN from scratch")
    channels: tuple[int, ...] = setting((24, 48, 96, 128, 192), at_least=1, help="of each block of the small CNN")
    preprocessing: str = setting("squash-96-tf/v1", help="preprocessing of the small CNN; a backbone brings its own")
    dropout: float = setting(0.3, at_least=0, below=1, help="dropout of the pooled features")
    # the training; its length is counted in updates, so that it does not grow with the number of images
    batch_size: int = setting(28, at_least=1, help="images in one update")
    updates: int = setting(96, at_least=1, help="updates of the training, a multiple of save_every")
    head_updates: int = setting(24, at_least=0, help="first updates, which train the last layer alone")
    save_every: int = setting(12, at_least=1, help="updates between validations")
    head_rate: float = setting(1e-2, above=0, help="learning rate of the head updates")
    learning_rate: float = setting(5e-5, above=0, help="highest rate of the other updates; falls along a cosine")
    weight_decay: float = setting(0.0, at_least=0, help="decay of all weights, times the rate")
    label_smoothing: float = setting(0.1, at_least=0, below=1, help="share of the target spread over all classes")
    min_area: float = setting(0.35, above=0, at_most=1, help="smallest share of an image's area in a random crop")
    colour_jitter: float = setting(0.3, at_least=0, below=1, help="largest change of brightness, contrast and colour")

    def __post_init__(self) -> None:
        validate(self)
        if self.updates % self.save_every or self.head_updates % self.save_every:
            raise ConfigError(
                f"settings updates {self.updates} and head_updates {self.head_updates}: expected multiples of"
                f" save_every {self.save_every}"
            )
        if self.head_updates >= self.updates:
            raise ConfigError(
                f"setting head_updates got {self.head_updates}, expected 0 to below updates {self.updates}"
            )

    @property
    def epochs(self) -> int:
        """How many times `save_every` updates are made."""
        return self.updates // self.save_every

    @property
    def head_epochs(self) -> int:
        """The first of them, which train the last layer alone."""
        return self.head_updates // self.save_every

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if epoch < self.head_epochs:
            return self.head_rate
        share = (epoch - self.head_epochs + 0.5) / (self.epochs - self.head_epochs)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


CLASSIFIERS = {
    # The features of a backbone, tuned; whatever it was trained on before stays in it.
    "finetuned": ClassifierConfig(),
    # Five blocks; the receptive field of the last map is 80 of 96 pixels. It learns from the given images alone.
    "scratch": ClassifierConfig(
        backbone="", updates=480, head_updates=0, save_every=24, learning_rate=2e-3, weight_decay=1e-2
    ),
}
