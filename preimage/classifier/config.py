"""Every setting of a classifier that is trained to be looked into, and its named presets."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of a network and its training; each field names what it sets.

    Raises:
        ValueError: a value outside its range.
    """

    # the network
    backbone: str = "mobilenet_0.75"  # of `vislang.backbones.registry.BACKBONES`; "": a small CNN from scratch
    channels: tuple[int, ...] = (24, 48, 96, 128, 192)  # of the small CNN, a block each
    recipe: str = "squash-96-tf/v1"  # of the small CNN; a backbone brings its own
    dropout: float = 0.3  # of the pooled features
    # the training; its length is counted in updates, so that it does not grow with the pictures
    batch_size: int = 28
    updates: int = 96
    head_updates: int = 24  # first ones, which train the last layer alone
    save_every: int = 12  # updates; then comes a validation
    head_rate: float = 1e-2
    learning_rate: float = 5e-5  # of the other updates; it falls to nearly 0 by a cosine
    weight_decay: float = 0.0  # of all weights, times the rate
    label_smoothing: float = 0.1
    smallest: float = 0.35  # share of a picture's area that is shown at least
    colours: float = 0.3  # largest change of brightness, contrast and colour

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "channels", tuple(int(number) for number in self.channels))
        except ValueError:
            raise ValueError(f"setting channels got {self.channels}, expected whole numbers such as 32,64") from None
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"setting channels got {self.channels}, expected one or more, each 1 or more")
        for field in ("batch_size", "updates", "save_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"setting {field} got {getattr(self, field)}, expected 1 or more")
        if self.updates % self.save_every or self.head_updates % self.save_every:
            raise ValueError(
                f"settings updates {self.updates} and head_updates {self.head_updates}: expected multiples of"
                f" save_every {self.save_every}"
            )
        if not 0 <= self.head_updates < self.updates:
            raise ValueError(
                f"setting head_updates got {self.head_updates}, expected 0 to below updates {self.updates}"
            )
        for field in ("dropout", "label_smoothing", "colours"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"setting {field} got {getattr(self, field)}, expected 0 to below 1")
        if not 0 < self.smallest <= 1:
            raise ValueError(f"setting smallest got {self.smallest}, expected above 0 to 1")

    @property
    def epochs(self) -> int:
        """How many times `save_every` updates are made."""
        return self.updates // self.save_every

    @property
    def head_epochs(self) -> int:
        """The first of them, which train the last layer alone."""
        return self.head_updates // self.save_every

    def rate(self, epoch: int) -> float:
        """Give the learning rate of an epoch, counted from 0."""
        if epoch < self.head_epochs:
            return self.head_rate
        share = (epoch - self.head_epochs + 0.5) / (self.epochs - self.head_epochs)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


CLASSIFIERS = {
    # The features of a backbone, tuned; whatever it was trained on before stays in it.
    "finetuned": ClassifierConfig(),
    # Five blocks; at the last map a unit sees 80 of 96 pixels. All that it knows comes from the pictures given.
    "scratch": ClassifierConfig(
        backbone="",
        updates=480,
        head_updates=0,
        save_every=24,
        learning_rate=2e-3,
        weight_decay=1e-2,
    ),
}
