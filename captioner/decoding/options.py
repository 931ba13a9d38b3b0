"""The options of decoding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vislang.core.config import Options, setting, validate
from vislang.core.errors import ConfigError

METHODS = ("beam", "greedy", "diverse", "sample")

_BEAMS = ("beam", "diverse")
_METHODS_OF = {  # of the options that not every method uses
    "width": _BEAMS,
    "length_power": _BEAMS,
    "repetition_weight": _BEAMS,
    "scorer_weight": _BEAMS,
    "consensus_weight": _BEAMS,
    "groups": ("diverse",),
    "diversity": ("diverse",),
    "temperature": ("sample",),
    "top_p": ("sample",),
    "seed": ("sample",),
}
_DEFAULTS = {
    "max_words": 20,
    "forbid_repeats": False,
    "no_repeat_ngram": 0,
    "width": 5,
    "length_power": 0.0,
    "repetition_weight": 0.0,
    "scorer_weight": 0.0,
    "consensus_weight": 0.0,
    "diversity": 0.5,
    "temperature": 1.0,
    "top_p": 1.0,
    "seed": 0,
}


@dataclass(frozen=True)
class DecodeOptions(Options):
    """How sentences are found. None: the captioner's preset or else the method's default.

    Raises:
        ConfigError: an unknown option, a value outside its range, or one that the method does not use.
    """

    method: str = setting("beam", choices=METHODS, help="search for the most probable captions, or sampling")
    num: int = setting(1, at_least=1, help="captions of each image")
    max_words: int | None = setting(None, at_least=1, help="longest caption, the end mark included")
    forbid_repeats: bool | None = setting(None, help="no word twice in a row")
    no_repeat_ngram: int | None = setting(
        None, at_least=0, help="no so many words in a row occur twice in a caption; 0: they may"
    )
    width: int | None = setting(None, at_least=1, help="beam, diverse: beam width, over all groups")
    length_power: float | None = setting(
        None, at_least=0, help="beam, diverse: captions compare by log-probability / length ** length_power"
    )
    repetition_weight: float | None = setting(
        None, at_least=0, help="beam, diverse: re-ranking penalty of each word that a caption repeats"
    )
    scorer_weight: float | None = setting(
        None, at_least=0, help="beam, diverse: re-ranking weight of the image-text scorers' mean cosine"
    )
    consensus_weight: float | None = setting(
        None,
        at_least=0,
        help="beam, diverse: re-ranking weight of CIDEr-D with captions of the nearest training images",
    )
    groups: int | None = setting(None, at_least=1, help="diverse: groups of beams; none: one for each beam")
    diversity: float | None = setting(
        None, at_least=0, help="diverse: penalty of a word for each earlier group that chose it at the same step"
    )
    temperature: float | None = setting(None, above=0, help="sample: temperature of the softmax")
    top_p: float | None = setting(
        None, above=0, at_most=1, help="sample: total probability of the most probable words to draw from"
    )
    seed: int | None = setting(None, at_least=0, help="sample: seed of the random numbers")

    def __post_init__(self) -> None:
        validate(self)
        for name, methods in _METHODS_OF.items():
            if getattr(self, name) is not None and self.method not in methods:
                raise ConfigError(
                    f"{name} is for method {' or '.join(methods)}, got method {self.method}; leave one out"
                )
        if self.method == "greedy" and self.num > 1:
            raise ConfigError(f"setting num got {self.num} with method 'greedy', expected 1; 'beam' finds several")
        if self.width is not None and self.num > self.width:
            raise ConfigError(f"setting num got {self.num}, expected at most the width {self.width}; widen the beam")
        if self.width is not None and self.groups is not None and self.width % self.groups:
            raise ConfigError(f"setting groups got {self.groups}, expected a divisor of the width {self.width}")

    def completed(self, preset: Mapping[str, Any]) -> "DecodeOptions":
        """Return the options with a value for each that the method uses, except `groups`.

        Args:
            preset: values that precede the defaults. Its width grows to `num` and to a multiple of `groups`.
        """
        values = {}
        for name, default in _DEFAULTS.items():
            if getattr(self, name) is None and self.method in _METHODS_OF.get(name, METHODS):
                values[name] = preset.get(name, default)
        if "width" in values:
            groups = self.groups or 1
            values["width"] = -(-max(values["width"], self.num) // groups) * groups  # all groups are of one size
        return replace(self, **values)

    @property
    def is_reranked(self) -> bool:
        """Whether the sentences that the search finds are re-ranked."""
        return any((self.repetition_weight, self.scorer_weight, self.consensus_weight))

    def of_search(self) -> "DecodeOptions":
        """Return the options of the search itself: where its results are re-ranked, it returns all beams."""
        if not self.is_reranked:
            return self
        return replace(self, num=self.width or 1, repetition_weight=0.0, scorer_weight=0.0, consensus_weight=0.0)
