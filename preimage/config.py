"""Every setting of a search for pictures, and its named presets.

References: Mahendran & Vedaldi, CVPR 2015 ("cvpr15"); the same, IJCV 2016 ("ijcv16"); Kato & Harada 2015 ("kato");
Olah et al., Feature Visualization, Distill 2017 ("fourier"). The first two scale their priors differently, so that a
weight of one means nothing in the other.
"""

from dataclasses import dataclass, replace

from vislang.core.errors import ConfigError

SIGMA, SIGMA_SIDE = 27098.1157, 227  # norm of a natural picture of this side minus its mean, values 0..255
B = 80.0  # a usual distance of a pixel from the mean colour, values 0..255
V = B / 6.5  # a usual difference of neighbours

_CHOICES = {
    "scaling": ("cvpr15", "ijcv16"),
    "rule": ("momentum", "adagrad_momentum", "adam"),
    "rate_unit": ("one", "sigma_squared", "pixels"),
    "start": ("normal", "uniform", "training", "image"),
    "parameters": ("pixels", "fourier"),
    "objective": ("relative", "standardised"),
}


@dataclass(frozen=True)
class PreimageConfig:
    """Settings of one search; each field names what it sets.

    Raises:
        ValueError: a value outside its range or none of the choices.
    """

    # the sum
    data_weight: float = 1.0  # of the objective of inversions and caricatures
    activation_weight: float = 1.0  # of the objective of maximisations
    objective: str = "relative"  # of inversions: relative squared error, or "standardised" by the deviation of units
    scaling: str = "ijcv16"  # of the two priors
    alpha: float = 6.0
    alpha_weight: float = 1.0
    tv_beta: float = 2.0
    tv_weight: float | None = 1.0  # None: 1, 10 or 100 by the depth of the tap
    natural_weight: float = 10.0  # of a visual language model, where one is given
    natural_typical: float = 1.0  # its loss of photographs, from which a picture may not stray; 0: the less the better
    bound: float = 0.0  # largest distance of a pixel from the mean colour, values 0..255; 0: none
    # the search
    parameters: str = "pixels"
    start: str = "uniform"
    rule: str = "adagrad_momentum"
    rate: float = 0.05 * B**2 / 6.0
    rate_unit: str = "pixels"  # the rate times the number of pixels, sigma squared, or one
    momentum: float = 0.9
    iterations: tuple[int, ...] = (300, 50)  # stages; the velocity starts anew in each
    rates: tuple[float, ...] = (1.0, 0.1)  # of the stages, times `rate`
    jitter: int = -1  # largest offset in pixels; -1: a quarter of the tap's stride
    zoom: float = 0.0  # largest change of scale, as a share; with it jitter is no longer of whole pixels
    still: int = 1  # last stages, which do not jitter

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"setting {field} got {getattr(self, field)!r}, expected one of: {', '.join(known)}")
        for field, kind in (("iterations", int), ("rates", float)):  # from a command line they come as words
            try:
                object.__setattr__(self, field, tuple(kind(value) for value in getattr(self, field)))
            except ValueError:
                raise ValueError(f"setting {field} got {getattr(self, field)}, expected numbers") from None
        if not self.iterations or min(self.iterations) < 1 or len(self.iterations) != len(self.rates):
            raise ValueError(
                f"settings iterations={self.iterations} and rates={self.rates}: expected one rate for each stage of"
                " 1 iteration or more"
            )
        if not 0 <= self.zoom < 0.5:
            raise ValueError(f"setting zoom got {self.zoom}, expected 0 to below 0.5")
        if not 0 <= self.momentum < 1 or self.rate <= 0 or self.tv_beta <= 0 or self.alpha <= 0:
            raise ValueError("settings rate, alpha and tv_beta must be above 0, momentum from 0 to below 1")


CONFIGS = {
    "cvpr15": PreimageConfig(
        scaling="cvpr15",
        alpha_weight=8e-10,
        tv_weight=None,
        start="normal",
        rule="momentum",
        rate=0.004,
        rate_unit="sigma_squared",
        iterations=(100, 200, 100),
        rates=(1.0, 0.1, 0.01),
        jitter=0,
    ),
    "ijcv16": PreimageConfig(data_weight=100.0, bound=2 * B),
    # The visual language model is the only prior. Losses are means, which is why the rate is so large.
    "kato": PreimageConfig(
        objective="standardised",
        alpha_weight=0.0,
        tv_weight=0.0,
        natural_typical=0.0,
        start="training",
        rule="momentum",
        rate=2.0**19,
        rate_unit="one",
        iterations=(1000,),
        rates=(1.0,),
        jitter=0,
    ),
    "fourier": PreimageConfig(
        data_weight=100.0,
        activation_weight=30.0,
        parameters="fourier",
        rule="adam",
        rate=0.05,
        rate_unit="one",
        iterations=(250, 50),
        rates=(1.0, 0.3),
        jitter=8,
    ),
    # For maximisation: what is found has to hold wherever it is and however large, so that it is less of a pattern that
    # only this network knows.
    "robust": PreimageConfig(
        activation_weight=30.0,
        data_weight=100.0,
        tv_weight=60.0,
        parameters="fourier",
        rule="adam",
        rate=0.05,
        rate_unit="one",
        iterations=(250,),
        rates=(1.0,),
        jitter=32,
        zoom=0.3,
        still=0,
    ),
    "style": PreimageConfig(
        alpha_weight=0.0,
        tv_weight=0.0,
        start="image",
        rule="adam",
        rate=4.0,
        rate_unit="one",
        iterations=(200, 50),
        rates=(1.0, 0.25),
        jitter=0,
    ),
}


def first_stage(config: PreimageConfig) -> PreimageConfig:
    """Keep the first stage alone, as maximisation and caricatures do; it jitters."""
    return replace(config, iterations=config.iterations[:1], rates=config.rates[:1], still=0)


def with_iterations(config: PreimageConfig, first: int) -> PreimageConfig:
    """Give the first stage so many iterations, and later ones in proportion.

    Raises:
        ConfigError: less than 1.
    """
    if first < 1:
        raise ConfigError(f"got {first} iterations, expected 1 or more")
    share = first / config.iterations[0]
    return replace(config, iterations=tuple(max(1, round(count * share)) for count in config.iterations))
