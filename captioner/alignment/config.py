"""Every setting of the alignment of words and regions, and its named presets."""

from dataclasses import dataclass, replace

from vislang.backbones.feature_name import FeatureName

_CHOICES = {
    "recurrent": ("relu", "gru"),
    "directions": ("sum", "concat"),
    "image_scaling": ("none", "unit", "standardised", "standardised_unit"),
    "pooling": ("max", "sum", "soft"),
    "loss": ("summed_hinge", "softmax"),
    "optimizer": ("adam", "sgd"),
    "schedule": ("constant", "cosine"),
    "batching": ("bucketed", "homogeneous", "shuffled"),
}

_RANGES = (
    (
        "1 or more",
        "min_count max_words word_dim hidden_dim joint_dim epochs batch_size kept",
        lambda value: value >= 1,
    ),
    (
        "0 or more",
        "margin l2 clip_value grad_clip validate_updates same_segment whole_cost proposal_weight whole_weight"
        " whole_dim bag_dim",
        lambda value: value >= 0,
    ),
    (
        "0 to below 1",
        "word_dropout state_dropout region_dropout word_forgetting momentum",
        lambda value: 0 <= value < 1,
    ),
    ("more than 0", "learning_rate temperature softness", lambda value: value > 0),
)


@dataclass(frozen=True)
class AlignmentConfig:
    """Everything that changes a trained aligner; saved inside its checkpoint. Defaults are the paper's."""

    # words
    min_count: int = 5  # rarer words become unknown
    max_words: int = 50  # longer sentences are cut
    word_dim: int = 300
    word_vectors: str = ""  # text file of word vectors to start from, "word x y z ..." a line; "": random ones
    learn_words: bool = False  # the paper keeps them as they are
    recurrent: str = "relu"
    hidden_dim: int = 300
    directions: str = "sum"  # how the states of both directions are joined; or "concat"
    relu_words: bool = True  # words pass through a last ReLU on their way into the joint space
    # pairs of the whole picture and the sentence as a whole, each with a space, a score and a loss of its own
    whole_dim: int = 0  # width of the space of sentences read from the network's states; 0: none
    bag_dim: int = 0  # of sentences as bags of words, with vectors of their own; 0: none
    whole_weight: float = 1.0  # of their scores in what pictures and sentences are ranked by; that of words counts 1
    # regions
    # boxes-KIND adds place and size; vectors such as pooled come last, and are what the whole picture has beside itself
    taps: tuple[str, ...] = ("regions-detector@320",)
    image_scaling: str = "standardised"
    context: bool = False  # a second map of the whole picture is added to every region, the whole picture included
    only_whole: bool = False  # the first region alone, the whole picture: an ablation
    # joint space and score
    joint_dim: int = 1000
    pooling: str = "max"  # of a word's products with the regions; "sum": of the positive ones (DeFrag)
    softness: float = 0.1  # "soft": temperature of the softmax by which regions share a word
    normalised: bool = False  # regions of length 1, and the score divided by the summed lengths of the words
    loss: str = "summed_hinge"
    margin: float = 1.0
    temperature: float = 0.05  # of "softmax", learned from this start
    same_image_is_negative: bool = True
    # regularisation
    word_dropout: float = 0.3
    state_dropout: float = 0.3
    region_dropout: float = 0.3
    word_forgetting: float = 0.0  # share of words read as unknown in training
    l2: float = 0.0  # times half the sum of squared matrices
    # training
    optimizer: str = "sgd"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    schedule: str = "constant"
    clip_value: float = 5.0  # element by element
    grad_clip: float = 0.0  # global norm
    batch_size: int = 100
    batching: str = "bucketed"
    epochs: int = 20
    validate_updates: int = 0  # 0: once an epoch
    kept: int = 5  # checkpoints best on dev, which are measured one by one and averaged
    # decoding
    same_segment: float = 0.15  # beta of the MRF, in deviations of a sentence's products: neighbours on one region
    whole_cost: float = 0.0  # of the whole picture as a place of words, in deviations of their product over regions
    proposal_weight: float = 0.0  # of the logarithm of a proposal's own score, in the same; needs the tap boxes-KIND

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"setting {field} got {getattr(self, field)!r}, expected one of: {', '.join(known)}")
        for words, fields, fits in _RANGES:
            for field in fields.split():
                if not fits(getattr(self, field)):
                    raise ValueError(f"setting {field} got {getattr(self, field)}, expected {words}")
        if not self.taps:
            raise ValueError("setting taps names no tap, expected some such as regions-detector")
        self._check_taps()
        if self.clip_value and self.grad_clip:
            raise ValueError(
                f"settings clip_value {self.clip_value} and grad_clip {self.grad_clip}: set one of them to 0"
            )

    @property
    def whole_dims(self) -> tuple[int, ...]:
        """Widths of the spaces of wholes that there are."""
        return tuple(width for width in (self.whole_dim, self.bag_dim) if width)

    def _check_taps(self) -> None:
        first, *others = (FeatureName.parse(tap) for tap in self.taps)
        has_boxes = first.is_of_regions and others[:1] == [first.of_kind("boxes")]
        if has_boxes:
            others = others[1:]
        if first.kind not in ("regions", "crops") or any(name.is_of_regions for name in others):
            raise ValueError(
                f"setting taps got {','.join(self.taps)}, expected regions-KIND or crops-KIND, then boxes-KIND of the"
                " same kind and recipe or nothing, then vectors such as pooled or nothing"
            )
        if self.proposal_weight and not has_boxes:
            raise ValueError(
                f"setting proposal_weight got {self.proposal_weight} with taps {self.taps[0]}, expected"
                f" {first.of_kind('boxes')} behind it, which holds the scores"
            )


# Ours, chosen on the dev split of Flickr8K; docs/experiments.md tells how.
_BEST = AlignmentConfig(
    min_count=2,
    max_words=40,
    learn_words=True,
    recurrent="gru",
    hidden_dim=384,
    directions="concat",
    relu_words=False,
    whole_dim=1024,
    bag_dim=512,
    whole_weight=3.0,
    context=True,
    taps=("regions-detector@320", "boxes-detector@320", "pooled"),
    joint_dim=512,
    pooling="soft",
    normalised=True,
    loss="softmax",
    same_image_is_negative=False,
    region_dropout=0.4,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    clip_value=0.0,
    grad_clip=2.0,
    batch_size=128,
    epochs=7,
    kept=1,
    whole_cost=2.0,
    proposal_weight=0.5,
)
# Proposals of the grid: their scores are nearer to that of the whole picture than a detector's.
_GRID = {"taps": ("regions-grid", "boxes-grid"), "whole_cost": 0.75, "proposal_weight": 0.65}


ALIGNMENTS = {
    # Karpathy and Fei-Fei 2015. The loss is a sum over the pairs of 100 sentences: clipping its gradient at 500 is
    # clipping that of the mean at 5, and the rate counts likewise. Regions of length 1 start with products that are
    # small beside the margin. Rate, scaling and epochs were chosen on dev.
    "karpathy": AlignmentConfig(image_scaling="standardised_unit", learning_rate=1e-5, clip_value=500.0, epochs=10),
    "best": _BEST,
    # The same without regions, to see what they are worth.
    "best-whole": replace(_BEST, only_whole=True),
    # What comes with the toolkit: small enough for the tree, on proposals that need no other network.
    "box": replace(
        _BEST,
        min_count=8,
        word_dim=64,
        hidden_dim=96,
        joint_dim=96,
        whole_dim=128,
        bag_dim=0,
        region_dropout=0.2,
        **_GRID,
    ),
    # For the drawn scenes: trained within a minute.
    "scenes": replace(
        _BEST,
        min_count=1,
        word_dim=64,
        hidden_dim=96,
        joint_dim=128,
        whole_dim=128,
        bag_dim=0,
        region_dropout=0.2,
        learning_rate=3e-3,
        epochs=6,
        **_GRID,
    ),
}
