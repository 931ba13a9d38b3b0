"""Every setting of the visual language model, and its named presets."""

from dataclasses import dataclass

_CHOICES = {
    "predictor": ("lstm", "linear"),
    "errors": ("plain", "standardised"),
    "places": ("half_cell", "cell"),
}


@dataclass(frozen=True)
class NaturalnessConfig:
    """Settings of a model and its training; each field names what it sets.

    Raises:
        ValueError: a value outside its range or none of the choices.
    """

    # what is foretold
    taps: tuple[str, ...] = ("conv_pw_11_bn",)  # layers before their ReLU; "data": the picture as the CNN takes it
    kept: float = 0.5  # share of principal components, the half rounded up
    vectors: int = 0  # cells that the components are fitted to, spread evenly over pictures; 0: all
    # by what
    predictor: str = "linear"  # "lstm": two-layer LSTMs; "linear": least squares from the cell before, exact
    depth: int = 2  # "lstm": layers
    ridge: float = 0.01  # "linear": added to the variance of each component
    ramp: bool = False  # errors count from 0 at the start of a scan to nearly 1 at its end
    errors: str = "standardised"  # in deviations of what the training pictures left; "plain": as they are
    # the map
    map_taps: tuple[str, ...] = ()  # of `taps`; none named: all
    scales: tuple[float, ...] = (1.0, 0.6)  # of the picture; maps of all are averaged
    power: float = 0.5
    places: str = "cell"  # errors lie where the cell is; "half_cell": as in the original, cropped from the top left
    # training of "lstm"
    learning_rate: float = 10.0
    momentum: float = 0.9
    batch_size: int = 16
    updates: int = 20_000
    drop_every: int = 5_000  # updates, after which the rate is divided by 10 and the momentum forgotten
    save_every: int = 1_000

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"setting {field} got {getattr(self, field)!r}, expected one of: {', '.join(known)}")
        for field in ("depth", "batch_size", "updates", "drop_every", "save_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"setting {field} got {getattr(self, field)}, expected 1 or more")
        if not 0 < self.kept <= 1:
            raise ValueError(f"setting kept got {self.kept}, expected a share above 0, at most 1")
        if not self.taps or len(set(self.taps)) != len(self.taps):
            raise ValueError(f"setting taps got {self.taps}, expected one layer or more, none twice")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"setting scales got {self.scales}, expected one above 0 or more")
        if not set(self.map_taps) <= set(self.taps):
            raise ValueError(f"setting map_taps got {self.map_taps}, expected some of taps {self.taps}")

    def components(self, channels: int) -> int:
        """Give how many principal components are kept of so many channels: of 3 two, of 256 half of them."""
        return max(1, min(channels, int(channels * self.kept + 0.5)))


CONFIGS = {
    # Kato and Harada 2015, for a tap of MobileNet's before its ReLU. The predictors of taps share nothing, so the map
    # of one tap needs no other; 20,000 updates of the original would take a day on two cores.
    "kato": NaturalnessConfig(
        vectors=100_000,
        predictor="lstm",
        ramp=True,
        errors="plain",
        scales=(1.0,),
        places="half_cell",
        updates=1_000,
        drop_every=250,
        save_every=125,
    ),
    "best": NaturalnessConfig(),
    # What comes with the toolkit, on its own small CNN.
    "box": NaturalnessConfig(taps=("stage3_block5_add",)),
}
