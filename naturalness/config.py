"""Every setting of the visual language model, and its named presets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class Expert:
    """One layer of the CNN, and how its cells are predicted.

    Raises:
        ConfigError: a value that is none of the choices.
    """

    # "data" is the image as the CNN takes it.
    layer: str = setting(help="feature layer, before its ReLU where there is one")
    # The original scans; the others are ours.
    context: str = setting(
        "neighbour",
        choices=("neighbour", "scene", "scan"),
        help="what predicts a cell: the one before it by least squares, the image's mean cell, or two-layer LSTMs over"
        " all before it; neighbour and scan in four directions",
    )
    space: str = setting(
        "components",
        choices=("components", "channels"),
        help="what is predicted: the first principal components, half as many as channels, or the channels",
    )
    errors: str = setting(
        "standardised",
        choices=("square", "standardised", "excess"),
        help="squared errors, the same in std of the training errors, or log(1 + e^2) of standardised errors above the"
        " prediction, weighted by the channel's squared skewness",
    )
    gamma: float = setting(
        0.0,
        at_least=0,
        help="weight of its loss in the prior of a reconstruction; 0 for all experts: the mean over those that score"
        " naturalness",
    )

    def __post_init__(self) -> None:
        validate(self)

    def width(self, channels: int) -> int:
        """Return how many numbers of a cell are predicted: of 3 components 2, of 256 half of them."""
        if self.space == "components":
            return (channels + 1) // 2
        return channels


@dataclass(frozen=True)
class NaturalnessConfig:
    """Settings of a model and its training.

    Raises:
        ConfigError: a value outside its range, or settings that contradict each other.
    """

    # Ours: textures, which predict a cell from its neighbour, and objects, from the scene.
    experts: tuple[Expert, ...] = setting(
        (Expert("conv_pw_5_bn"), Expert("conv_pw_11_bn", context="scene", space="channels", errors="excess")),
        help="feature layers and how they are predicted",
    )
    fixation_expert: int = setting(
        -1, help="index of the expert whose errors predict fixations; the others score naturalness"
    )
    information_layer: str = setting("", help="layer whose mutual information shows anomalies; empty: the errors do")
    information_distance: int = setting(6, at_least=1, help="cells between the two of a pair")
    anomaly_weight: float = setting(0.01, at_least=0, help="weight of the errors beside the mutual information")
    # A CNN takes the edge of an image for an object.
    mirror_padding: int = setting(64, at_least=0, help="pixels of mirror image around an image, a multiple of 32")
    pca_cells: int = setting(0, at_least=0, help="cells that components are fitted to, evenly spread; 0: all")
    ridge: float = setting(0.01, at_least=0, help="neighbour: added to the variance of each component")
    # context "scan", as in the original
    depth: int = setting(2, at_least=1, at_most=64, help="scan: stacked LSTMs")
    ramp: bool = setting(False, help="scan: errors count from 0 at the start of a scan to nearly 1 at its end")
    learning_rate: float = setting(10.0, above=0, help="scan: initial learning rate")
    momentum: float = setting(0.9, at_least=0, below=1, help="scan: momentum of SGD")
    batch_size: int = setting(16, at_least=1, help="scan: images in one update")
    updates: int = setting(20_000, at_least=1, help="scan: updates of the training, a multiple of save_every")
    drop_every: int = setting(
        5_000, at_least=1, help="scan: updates until the rate is divided by 10 and the momentum reset"
    )
    save_every: int = setting(1_000, at_least=1, help="scan: updates between checkpoints")
    # the map
    map_side: int = setting(
        0,
        at_least=0,
        help="pixels: fixation maps are computed on the image scaled to the area of a square of this side; 0: at its"
        " own size",
    )
    power: float = setting(1.0, above=0, help="exponent of a cell's error in the map")
    # The original draws an error between two cells, cropped from the top left.
    places: str = setting("cell", choices=("half_cell", "cell"), help="where in the map the error of a cell lies")

    def __post_init__(self) -> None:
        validate(self)
        if self.updates % self.save_every or self.drop_every % self.save_every:
            raise ConfigError(
                f"settings updates {self.updates} and drop_every {self.drop_every}: expected multiples of save_every"
                f" {self.save_every}"
            )
        if self.mirror_padding % 32:
            raise ConfigError(f"setting mirror_padding got {self.mirror_padding}, expected a multiple of 32 pixels")
        if not -len(self.experts) <= self.fixation_expert < len(self.experts):
            raise ConfigError(
                f"setting fixation_expert got {self.fixation_expert} with {len(self.experts)} experts,"
                f" expected {-len(self.experts)} to {len(self.experts) - 1}"
            )

    @property
    def score_experts(self) -> tuple[int, ...]:
        """Indices of the experts that score naturalness.

        The fixation expert is not among them: a patch-shuffled image has fewer objects that attract the eye, not more.
        """
        others = set(range(len(self.experts))) - {self.fixation_expert % len(self.experts)}
        return tuple(sorted(others)) or (0,)

    @property
    def layers(self) -> tuple[str, ...]:
        """The feature layers that are read, each once."""
        layers = [expert.layer for expert in self.experts]
        if self.information_layer:
            layers.append(self.information_layer)
        return tuple(dict.fromkeys(layers))


def _scanning(layers: Sequence[str], gammas: Sequence[float] = ()) -> tuple[Expert, ...]:
    weights = gammas or [0.0] * len(layers)
    found = []
    for layer, gamma in zip(layers, weights, strict=True):
        found.append(Expert(layer, context="scan", errors="square", gamma=gamma))
    return tuple(found)


# Kato and Harada's six layers of VGG-19, and their training. Fixations are predicted by the last layer;
# reconstructions weigh the five of AlexNet.
_KATO_VGG19 = NaturalnessConfig(
    experts=_scanning(
        (
            "data",
            "pre:block1_conv2",
            "pre:block2_conv2",
            "pre:block3_conv4",
            "pre:block4_conv4",
            "pre:block5_conv4",
        )
    ),
    mirror_padding=0,
    pca_cells=100_000,
    ramp=True,
    learning_rate=20.0,
    batch_size=1,
    power=0.5,
    places="half_cell",
)

CONFIGS = {
    # Kato and Harada 2015, on a layer of MobileNet. Predictors of layers share nothing, so the map of one layer needs
    # no other; the original's 20,000 updates would take a day on two cores.
    "kato": NaturalnessConfig(
        experts=(Expert("conv_pw_11_bn", context="scan", errors="square"),),
        mirror_padding=0,
        pca_cells=100_000,
        ramp=True,
        updates=800,
        drop_every=200,
        save_every=100,
        power=0.5,
        places="half_cell",
    ),
    # On the original's CNNs, with its own training; --backbone vgg19, or caffe:VGG-19 with the layers' names there.
    "kato-vgg19": _KATO_VGG19,
    # --backbone caffe:AlexNet --weights FILE.caffemodel
    "kato-alexnet": replace(
        _KATO_VGG19,
        experts=_scanning(("data", "conv1", "conv2", "conv3", "conv4", "conv5"), (0.0, 1.0, 0.1, 0.01, 0.001, 0.0001)),
        learning_rate=10.0,
        batch_size=16,
    ),
    # Its prior of reconstructions: layers before their ReLU, from the shallowest, which weighs most, to the deepest,
    # with predictors that are least squares instead of LSTMs.
    "kato-prior": NaturalnessConfig(
        experts=(
            Expert("conv1_bn", errors="square", gamma=1.0),
            Expert("conv_pw_1_bn", errors="square", gamma=0.1),
            Expert("conv_pw_3_bn", errors="square", gamma=0.01),
            Expert("conv_pw_5_bn", errors="square", gamma=0.001),
            Expert("conv_pw_11_bn", errors="square", gamma=0.0001),
        ),
        mirror_padding=0,
        pca_cells=100_000,
        ramp=True,
        power=0.5,
        places="half_cell",
    ),
    # Ours: least squares for textures, prediction from the rest of the scene for objects.
    # Maps at the area of 800 x 600 pixels.
    "best": NaturalnessConfig(information_layer="conv_pw_11_bn", map_side=693),
    # The bundled model, on EfficientNet-Lite0.
    "bundled": NaturalnessConfig(
        experts=(
            Expert("blocks_4_expand_conv"),
            Expert("blocks_15_expand_conv", context="scene", space="channels", errors="excess"),
        ),
        information_layer="blocks_9_add",
        anomaly_weight=0.02,
        map_side=693,
    ),
}
