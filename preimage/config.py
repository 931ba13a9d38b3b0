"""Settings of a search for images, and their presets.

References: Mahendran & Vedaldi, CVPR 2015 ("cvpr15"); the same, IJCV 2016 ("ijcv16"); Kato & Harada 2015 ("kato");
Olah et al., Feature Visualization, Distill 2017 ("fourier"). The first two scale their priors differently, so that a
weight of one means nothing in the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vislang.core.config import override, preset, setting, validate
from vislang.core.errors import ConfigError

SIGMA, SIGMA_SIDE = 27098.1157, 227  # norm of a natural image of this side minus its mean, values 0..255
B = 80.0  # a usual distance of a pixel from the mean colour, values 0..255
V = B / 6.5  # a usual difference of neighbours


@dataclass(frozen=True)
class PreimageConfig:
    """Settings of one search; what contradicts itself or a range is a ConfigError."""

    # the loss
    data_weight: float = setting(1.0, help="weight of the objective of inversions and caricatures")
    activation_weight: float = setting(1.0, help="weight of the objective of maximisations")
    objective: str = setting(
        "relative", choices=("relative", "standardised"), help="of inversions: relative squared error, or std units"
    )
    scaling: str = setting("ijcv16", choices=("cvpr15", "ijcv16"), help="units of the alpha and TV priors")
    alpha: float = setting(6.0, above=0, help="exponent of the alpha-norm prior")
    alpha_weight: float = setting(1.0, help="weight of the alpha-norm prior")
    tv_beta: float = setting(2.0, above=0, help="exponent of the total variation prior")
    tv_weight: float | None = setting(1.0, help="weight of the TV prior; none: 1, 10 or 100 by the layer's depth")
    prior_weight: float = setting(10.0, help="weight of the prior model, such as a visual language model")
    prior_loss: float = setting(
        1.0, help="the prior model's loss of photographs, which the image is held to; 0: the smaller the better"
    )
    bound: float = setting(0.0, help="largest distance of a pixel from the mean colour, values 0..255; 0: none")
    # the search
    parameters: str = setting("pixels", choices=("pixels", "fourier"), help="what is optimised")
    start: str = setting("uniform", choices=("normal", "uniform", "training", "image"), help="initial image")
    update_rule: str = setting(
        "adagrad_momentum", choices=("momentum", "adagrad_momentum", "adam"), help="update rule of the search"
    )
    rate: float = setting(0.05 * B**2 / 6.0, above=0, help="learning rate, in units of rate_unit")
    rate_unit: str = setting(
        "pixels", choices=("one", "sigma_squared", "pixels"), help="one, sigma squared or the number of pixels"
    )
    momentum: float = setting(0.9, at_least=0, below=1, help="momentum of the update rule")
    iterations: tuple[int, ...] = setting((300, 50), at_least=1, help="of each stage; the velocity restarts in each")
    rates: tuple[float, ...] = setting((1.0, 0.1), help="of each stage, times rate")
    jitter: int = setting(-1, at_least=-1, help="largest offset in pixels; -1: a quarter of the layer's stride")
    zoom: float = setting(
        0.0, at_least=0, below=0.5, help="largest change of scale, as a share; jitter is then of parts of pixels"
    )
    still_stages: int = setting(1, at_least=0, help="last stages, without jitter")

    def __post_init__(self) -> None:
        validate(self)
        if len(self.iterations) != len(self.rates):
            raise ConfigError(
                f"settings iterations got {len(self.iterations)} stages and rates {len(self.rates)}, expected one rate"
                " for each stage, such as iterations=300,50 and rates=1,0.1"
            )


_FOURIER = PreimageConfig(
    data_weight=100.0,
    activation_weight=30.0,
    parameters="fourier",
    update_rule="adam",
    rate=0.05,
    rate_unit="one",
    iterations=(250, 50),
    rates=(1.0, 0.3),
    jitter=8,
)
CONFIGS = {
    # Mahendran and Vedaldi, CVPR 2015.
    "cvpr15": PreimageConfig(
        scaling="cvpr15",
        alpha_weight=8e-10,
        tv_weight=None,
        start="normal",
        update_rule="momentum",
        rate=0.004,
        rate_unit="sigma_squared",
        iterations=(100, 200, 100),
        rates=(1.0, 0.1, 0.01),
        jitter=0,
    ),
    # Mahendran and Vedaldi, IJCV 2016.
    "ijcv16": PreimageConfig(data_weight=100.0, bound=2 * B),
    # Kato and Harada 2015: the visual language model is the only prior. Losses are means, which is why the rate is so
    # large.
    "kato": PreimageConfig(
        objective="standardised",
        alpha_weight=0.0,
        tv_weight=0.0,
        prior_loss=0.0,
        start="training",
        update_rule="momentum",
        rate=2.0**19,
        rate_unit="one",
        iterations=(1000,),
        rates=(1.0,),
        jitter=0,
    ),
    # Olah et al. 2017: the search changes Fourier coefficients.
    "fourier": _FOURIER,
    # For maximisation: translations and scalings make the image less of a pattern that only this network responds to.
    "robust": replace(_FOURIER, tv_weight=60.0, iterations=(250,), rates=(1.0,), jitter=32, zoom=0.3, still_stages=0),
    # For style transfer, from the image itself.
    "style": PreimageConfig(
        alpha_weight=0.0,
        tv_weight=0.0,
        start="image",
        update_rule="adam",
        rate=4.0,
        rate_unit="one",
        iterations=(200, 50),
        rates=(1.0, 0.25),
        jitter=0,
    ),
}


def search_config(name: "str | PreimageConfig", settings: str | Iterable[str] = ()) -> PreimageConfig:
    """Return a preset of CONFIGS by its name, or a config itself, with changes such as "data_weight=300"."""
    if isinstance(settings, str):
        settings = [settings]
    if isinstance(name, str):
        name = preset(CONFIGS, name)
    return override(name, settings)


def first_stage(config: PreimageConfig) -> PreimageConfig:
    """Return the first stage alone, with jitter, as maximisation and caricatures use it."""
    return replace(config, iterations=config.iterations[:1], rates=config.rates[:1], still_stages=0)


def with_iterations(config: PreimageConfig, first: int) -> PreimageConfig:
    """Return settings with so many iterations, 1 or more, in the first stage, and in later ones in proportion."""
    if first < 1:
        raise ConfigError(f"got {first} iterations, expected 1 or more")
    share = first / config.iterations[0]
    return replace(config, iterations=tuple(max(1, round(count * share)) for count in config.iterations))
