"""ReadingOptions: how images are read and encoded, the same in every system."""

from dataclasses import dataclass
from pathlib import Path

from vislang.core.config import Options
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class ReadingOptions(Options):
    """How images are read and encoded.

    Attributes:
        weights: weights file of the backbone; None: VISLANG_WEIGHTS is searched, then Keras downloads.
        proposals: of models that read regions, the detector that proposes them, such as "detector:model.pb"; None: the
            usual place.
        batch_size: images in one forward pass; memory grows with it, not with the number of images.
        strict: raise for the first unreadable image instead of listing it in `skipped`.
        progress: draw a progress bar on stderr.

    Raises:
        ConfigError: an unknown option, or a batch size below 1.
    """

    weights: str | Path | None = None
    proposals: str | None = None
    batch_size: int = 8
    strict: bool = False
    progress: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size got {self.batch_size}, expected 1 or more")
