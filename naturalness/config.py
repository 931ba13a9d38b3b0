"""Every setting of the visual language model, and its named presets."""

from dataclasses import dataclass

_CHOICES = {
    "space": ("components", "channels"),
    "errors": ("square", "standardised", "excess"),
    "places": ("half_cell", "cell"),
}
PREDICTORS = ("lstm", "linear", "scene")


@dataclass(frozen=True)
class Expert:
    """One tap of the CNN, and how its cells are foretold; in settings it is written TAP:PREDICTOR:SPACE:ERRORS.

    Attributes:
        tap: a layer, before its ReLU where there is one; "data": the picture as the CNN takes it.
        predictor: "lstm": two-layer LSTMs in four directions, the original's; "linear": least squares from the cell
            before, in four directions; "scene": the mean cell of the picture.
        space: "components": the first principal components, half as many as channels; "channels": as they are.
        errors: "square": as they are; "standardised": in deviations of what training pictures left; "excess": of
            standardised errors only what lies above the foretold value, log(1 + e^2), weighted by the squared
            skewness that the channel has in training.
    """

    tap: str
    predictor: str = "linear"
    space: str = "components"
    errors: str = "standardised"

    def __post_init__(self) -> None:
        if self.predictor not in PREDICTORS:
            raise ValueError(f"predictor got {self.predictor!r}, expected one of: {', '.join(PREDICTORS)}")
        for field in ("space", "errors"):
            if getattr(self, field) not in _CHOICES[field]:
                raise ValueError(
                    f"{field} of an expert got {getattr(self, field)!r}, expected one of: {', '.join(_CHOICES[field])}"
                )

    @classmethod
    def parse(cls, text: str) -> "Expert":
        """Read TAP:PREDICTOR:SPACE:ERRORS, of which all but the tap may be left out.

        Raises:
            ValueError: too many parts, or a choice that is not known.
        """
        parts = text.split(":")
        if not parts[0] or len(parts) > 4:
            raise ValueError(f"an expert got {text!r}, expected TAP:PREDICTOR:SPACE:ERRORS")
        return cls(*parts)

    def width(self, channels: int) -> int:
        """Give the number of what is foretold of so many channels: of 3 components 2, of 256 half of them."""
        return (channels + 1) // 2 if self.space == "components" else channels


@dataclass(frozen=True)
class NaturalnessConfig:
    """Settings of a model and its training; each field names what it sets.

    Raises:
        ValueError: a value outside its range or none of the choices.
    """

    experts: tuple[str, ...] = (
        "conv_pw_5_bn:linear",
        "conv_pw_11_bn:scene:channels:excess",
    )  # see `Expert`; ours, of texture, which foretells a cell from its neighbour, and of things, from the scene
    looked_at: int = -1  # the expert whose map says where people look; the others judge how natural a picture is
    belonging: str = ""  # tap whose distant cells say what does not belong; "": none, and only the judges say it
    reach: int = 6  # cells from one to the other
    odd_weight: float = 0.01  # of the judges' errors in the map of what does not belong, beside that
    mirrored: int = 64  # pixels of the picture's mirror image around it: a CNN takes the edge for a thing
    vectors: int = 0  # cells that components are fitted to, spread evenly over pictures; 0: all
    ridge: float = 0.01  # "linear": added to the variance of each component
    # "lstm", as in the original
    depth: int = 2  # LSTMs that stand on one another
    ramp: bool = False  # errors count from 0 at the start of a scan to nearly 1 at its end
    learning_rate: float = 10.0
    momentum: float = 0.9
    batch_size: int = 16
    updates: int = 20_000
    drop_every: int = 5_000  # updates, after which the rate is divided by 10 and the momentum forgotten
    save_every: int = 1_000
    # the map
    power: float = 1.0
    places: str = "cell"  # errors lie where the cell is; "half_cell": as in the original, cropped from the top left

    def __post_init__(self) -> None:
        if self.places not in _CHOICES["places"]:
            raise ValueError(f"setting places got {self.places!r}, expected one of: {', '.join(_CHOICES['places'])}")
        for field in ("depth", "batch_size", "updates", "drop_every", "save_every", "reach"):
            if getattr(self, field) < 1:
                raise ValueError(f"setting {field} got {getattr(self, field)}, expected 1 or more")
        if self.updates % self.save_every or self.drop_every % self.save_every:
            raise ValueError(
                f"settings updates {self.updates} and drop_every {self.drop_every}: expected multiples of save_every"
                f" {self.save_every}"
            )
        if not self.experts or not self.parsed:
            raise ValueError("setting experts is empty, expected one or more")
        if self.mirrored < 0 or self.mirrored % 32:
            raise ValueError(f"setting mirrored got {self.mirrored}, expected a multiple of 32 pixels")
        if not -len(self.experts) <= self.looked_at < len(self.experts):
            raise ValueError(f"setting looked_at got {self.looked_at} with {len(self.experts)} experts")

    @property
    def parsed(self) -> tuple[Expert, ...]:
        """The experts; raises ValueError where one is none."""
        return tuple(Expert.parse(text) for text in self.experts)

    @property
    def judges(self) -> tuple[int, ...]:
        """The experts by which a picture is natural or not: a torn one has fewer things that draw the eye, not more."""
        return tuple(set(range(len(self.experts))) - {self.looked_at % len(self.experts)}) or (0,)

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that are read, none twice."""
        return tuple(dict.fromkeys([*(expert.tap for expert in self.parsed), *filter(None, [self.belonging])]))


CONFIGS = {
    # Kato and Harada 2015, on a tap of MobileNet. Predictors of taps share nothing, so the map of one tap needs no
    # other; the original's 20,000 updates would take a day on two cores.
    "kato": NaturalnessConfig(
        experts=("conv_pw_11_bn:lstm:components:square",),
        mirrored=0,
        vectors=100_000,
        ramp=True,
        updates=800,
        drop_every=200,
        save_every=100,
        power=0.5,
        places="half_cell",
    ),
    "best": NaturalnessConfig(belonging="conv_pw_11_bn"),
    # What comes with the toolkit, on its own small CNN.
    "box": NaturalnessConfig(
        ("stage2_block4_add:linear", "stage3_block5_add:scene:channels:excess"), belonging="stage3_block5_add"
    ),
}
