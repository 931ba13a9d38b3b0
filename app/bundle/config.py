"""Settings of the student network that is distilled from larger ones."""

from dataclasses import dataclass

from vislang.core.config import setting, validate


@dataclass(frozen=True)
class StudentConfig:
    """How the student is built and trained.

    Raises:
        ConfigError: a value outside its range.
    """

    size: int = setting(240, at_least=32, help="side of the input in pixels")
    width: float = setting(1.0, above=0, help="multiplier of the channels of all layers")
    channels: int = setting(512, at_least=1, help="channels of the feature layers")
    warmup_passes: int = setting(6, at_least=0, help="warm-up passes with hints from the teacher's shallow layers")
    passes: int = setting(10, at_least=1, help="passes over all views")
    batch_size: int = setting(64, at_least=1, help="views in one update")
    learning_rate: float = setting(2.5e-2, above=0, help="highest rate of Muon; falls along a cosine")
    mirrored: float = setting(0.5, at_least=0, at_most=1, help="share of views that are mirrored, targets too")
    mixing: float = setting(0.0, at_least=0, at_most=1, help="share of batches that are mixed in pairs (mixup)")
    pooled_weight: float = setting(0.5, at_least=0, help="weight of the loss of the mean over cells")
    caption_weight: float = setting(1.0, at_least=0, help="weight of both losses in the caption directions")
    caption_directions: int = setting(64, at_least=0, help="number of caption directions; 0: none")
    precision: str = setting("bfloat16", choices=("float32", "bfloat16"), help="of the arithmetic")
    seed: int = setting(0, at_least=0, help="of everything random")

    def __post_init__(self) -> None:
        validate(self)
