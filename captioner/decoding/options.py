"""How sentences are found: the options of decoding."""

from dataclasses import dataclass

from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError

METHODS = ("beam", "greedy", "diverse", "sample")


@dataclass(frozen=True)
class DecodeOptions:
    """How sentences are found. Options of other methods than the chosen one are ignored.

    Raises:
        ConfigError: a value outside its range, or options that contradict each other.
    """

    method: str = setting("beam", choices=METHODS, help="search for the likeliest captions, or sampling")
    num: int = setting(1, at_least=1, help="captions of each image")
    max_words: int = setting(20, at_least=1, help="longest caption, the end mark included")
    forbid_repeats: bool = setting(False, help="no word follows itself")
    # "greedy" is one beam
    width: int = setting(5, at_least=1, help="beam, diverse: beam width, over all groups")
    length_power: float = setting(
        0.0, at_least=0, help="beam, diverse: captions compare by log-probability / length ** length_power"
    )
    scorer_weight: float = setting(0.0, at_least=0, help="re-ranking: weight of the image-text scorers' mean cosine")
    consensus_weight: float = setting(
        0.0, at_least=0, help="re-ranking: weight of the CIDEr-D with the captions of the nearest training images"
    )
    groups: int | None = setting(None, at_least=1, help="diverse: groups of beams; none: one for each beam")
    diversity: float = setting(
        0.5, at_least=0, help="diverse: penalty of a word for each earlier group that chose it at the same step"
    )
    temperature: float = setting(1.0, above=0, help="sample: temperature of the softmax")
    top_p: float = setting(1.0, above=0, at_most=1, help="sample: probability of the likeliest words to draw from")
    seed: int = setting(0, at_least=0, help="sample: seed of the random numbers")

    def __post_init__(self) -> None:
        validate(self)
        if self.method == "greedy" and self.num > 1:
            raise ConfigError(f"setting num got {self.num} with method 'greedy', expected 1; 'beam' finds several")
        if self.method in ("beam", "diverse") and self.num > self.width:
            raise ConfigError(f"setting num got {self.num}, expected at most the width {self.width}; widen the beam")
        if self.method == "diverse" and self.groups is not None and self.width % self.groups:
            raise ConfigError(f"setting groups got {self.groups}, expected a divisor of the width {self.width}")
