"""Every setting of the alignment of words and regions, and its named presets."""

from dataclasses import dataclass, replace
from typing import Any

from captioner.config import OTHER_PROPOSALS
from vislang.backbones.feature_name import FeatureName
from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class AlignmentConfig:
    """Everything that changes a trained aligner; saved inside its checkpoint. Defaults are the paper's.

    Raises:
        ConfigError: a value outside its range, or settings that contradict each other.
    """

    # words
    min_count: int = setting(5, at_least=1, help="words that occur less often become unknown")
    max_words: int = setting(50, at_least=1, help="longer sentences are cut")
    word_dim: int = setting(300, at_least=1, help="width of word vectors")
    word_vectors: str = setting("", help='text file of word vectors to start from, "word x y z ..." a line')
    learn_words: bool = setting(False, help="word vectors are trained; the paper keeps them fixed")
    recurrent: str = setting("relu", choices=("relu", "gru"), help="kind of the bidirectional recurrent cell")
    hidden_dim: int = setting(300, at_least=1, help="width of the recurrent state")
    directions: str = setting("sum", choices=("sum", "concat"), help="how the states of both directions are joined")
    relu_words: bool = setting(True, help="words pass through a last ReLU on their way into the joint space")
    # global embeddings: whole images and sentences, each with a space, a score and a loss of its own
    global_dim: int = setting(0, at_least=0, help="width of the global space of sentences as states; 0: none")
    bag_dim: int = setting(0, at_least=0, help="width of the global space of sentences as bags of words; 0: none")
    global_weight: float = setting(1.0, at_least=0, help="weight of the global scores beside the score of the words")
    # regions
    # boxes-KIND adds place and size; vectors such as pooled come last and belong to the whole image alone.
    layers: tuple[str, ...] = setting(("regions-detector@320",), help="regions-KIND, then boxes-KIND, then vectors")
    image_scaling: str = setting(
        "standardised",
        choices=("none", "unit", "standardised", "standardised_unit"),
        help="of region features: none, length 1, by the mean and std of each dimension in training, or both",
    )
    context: bool = setting(False, help="a second map of the whole image is added to every region")
    global_only: bool = setting(False, help="use the whole image alone, without regions: an ablation")
    # joint space and score
    joint_dim: int = setting(1000, at_least=1, help="width of the joint space of words and regions")
    pooling: str = setting(
        "max", choices=("max", "sum", "soft"), help="of a word's products with the regions; sum: of the positive ones"
    )
    pooling_temperature: float = setting(0.1, above=0, help="temperature of pooling=soft")
    normalised: bool = setting(False, help="regions have length 1, and the score is divided by the words' summed norms")
    loss: str = setting("summed_hinge", choices=("summed_hinge", "softmax"), help="ranking loss")
    margin: float = setting(1.0, at_least=0, help="margin of the hinge loss")
    temperature: float = setting(0.05, above=0, help="initial temperature of the softmax loss, learned")
    same_image_is_negative: bool = setting(True, help="other sentences of the same image count as negatives")
    # regularisation
    embedding_dropout: float = setting(0.3, at_least=0, below=1, help="dropout of word vectors")
    state_dropout: float = setting(0.3, at_least=0, below=1, help="dropout of recurrent states")
    region_dropout: float = setting(0.3, at_least=0, below=1, help="dropout of region features")
    word_dropout: float = setting(0.0, at_least=0, below=1, help="share of words read as unknown in training")
    l2: float = setting(0.0, at_least=0, help="weight of half the sum of squared matrices")
    # training
    optimizer: str = setting("sgd", choices=("adam", "sgd"), help="kind of optimiser")
    learning_rate: float = setting(1e-4, above=0, help="highest learning rate")
    momentum: float = setting(0.9, at_least=0, below=1, help="of optimizer=sgd")
    schedule: str = setting("constant", choices=("constant", "cosine"), help="of the learning rate")
    clip_value: float = setting(5.0, at_least=0, help="largest element of the gradient; 0: not clipped")
    clip_norm: float = setting(0.0, at_least=0, help="largest global norm of the gradient; 0: not clipped")
    batch_size: int = setting(100, at_least=1, help="pairs of image and sentence in one update")
    batching: str = setting(
        "bucketed",
        choices=("bucketed", "homogeneous", "shuffled"),
        help="similar lengths together, equal lengths only, or at random",
    )
    epochs: int = setting(20, at_least=1, help="passes over the training sentences")
    validate_updates: int = setting(0, at_least=0, help="updates between validations; 0: once an epoch")
    best_checkpoints: int = setting(
        5, at_least=1, help="best checkpoints on dev, which are evaluated one by one and averaged"
    )
    # decoding; weights are in standard deviations of a sentence's products over the regions
    beta: float = setting(0.15, at_least=0, help="beta of the MRF: reward of adjacent words on one region")
    whole_image_cost: float = setting(0.0, at_least=0, help="penalty of the whole image as the region of a word")
    proposal_weight: float = setting(
        0.0, at_least=0, help="weight of the logarithm of a proposal's own score; needs boxes-KIND in layers"
    )

    def __post_init__(self) -> None:
        validate(self)
        self._check_layers()
        if self.clip_value and self.clip_norm:
            raise ConfigError(
                f"settings clip_value {self.clip_value} and clip_norm {self.clip_norm}: set one of them to 0"
            )

    @property
    def global_dims(self) -> tuple[int, ...]:
        """Widths of the global spaces that there are."""
        return tuple(width for width in (self.global_dim, self.bag_dim) if width)

    def _check_layers(self) -> None:
        first, *others = map(FeatureName.parse, self.layers)
        has_boxes = first.is_of_regions and others[:1] == [first.of_kind("boxes")]
        if has_boxes:
            others = others[1:]
        if first.kind not in ("regions", "crops") or any(name.is_of_regions for name in others):
            raise ConfigError(
                f"setting layers got {','.join(self.layers)}, expected regions-KIND or crops-KIND, then boxes-KIND of"
                " the same kind and preprocessing or nothing, then vectors such as pooled or nothing"
            )
        if self.proposal_weight and not has_boxes:
            raise ConfigError(
                f"setting proposal_weight got {self.proposal_weight} with layers {self.layers[0]}, expected"
                f" {first.of_kind('boxes')} after it, which holds the scores"
            )


# Ours, chosen on the dev split of Flickr8K; see docs/experiments.md.
_BEST = AlignmentConfig(
    min_count=2,
    max_words=40,
    learn_words=True,
    recurrent="gru",
    hidden_dim=384,
    directions="concat",
    relu_words=False,
    global_dim=1024,
    bag_dim=512,
    global_weight=3.0,
    context=True,
    layers=("regions-detector@320", "boxes-detector@320", "pooled"),
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
    clip_norm=2.0,
    batch_size=128,
    epochs=7,
    best_checkpoints=1,
    whole_image_cost=2.0,
    proposal_weight=0.5,
)
# Their scores are nearer to that of the whole image than a detector's.
_GRID: dict[str, Any] = {"whole_image_cost": 0.75, "proposal_weight": 0.65}
_SELECTIVE: dict[str, Any] = {"whole_image_cost": 0.75, "proposal_weight": 1.0}
_FOR_OTHER_PROPOSALS = ("best", "best-whole", "everyday", "bundled", "karpathy")


def _with_proposals(config: AlignmentConfig, proposals: str) -> AlignmentConfig:
    """Return a preset for other proposals, such as "grid@320"."""
    if len(config.layers) == 1:
        return replace(config, layers=(f"regions-{proposals}",))
    layers = (f"regions-{proposals}", f"boxes-{proposals}", *config.layers[2:])
    scores = _SELECTIVE if proposals.startswith("selective") else _GRID
    return replace(config, layers=layers, **scores)


ALIGNMENTS = {
    # Karpathy and Fei-Fei 2015. The loss is a sum over the pairs of 100 sentences: clipping its gradient at 500 is
    # clipping that of the mean at 5, and the rate counts likewise. Regions of length 1 start with products that are
    # small beside the margin. Rate, scaling and epochs were chosen on dev.
    "karpathy": AlignmentConfig(image_scaling="standardised_unit", learning_rate=1e-5, clip_value=500.0, epochs=10),
    "best": _BEST,
    # For Flickr8K and COCO together.
    "everyday": _BEST,
    # The same without regions: an ablation.
    "best-whole": replace(_BEST, global_only=True),
    # The bundled model, small enough for the repository, on proposals that need no other network.
    "bundled": replace(
        _BEST,
        min_count=8,
        word_dim=64,
        hidden_dim=96,
        joint_dim=96,
        global_dim=128,
        bag_dim=0,
        region_dropout=0.2,
        layers=("regions-grid@320", "boxes-grid@320"),
        **_GRID,
    ),
    # For the drawn scenes: trained within a minute.
    "scenes": replace(
        _BEST,
        min_count=1,
        word_dim=64,
        hidden_dim=96,
        joint_dim=128,
        global_dim=128,
        bag_dim=0,
        region_dropout=0.2,
        learning_rate=3e-3,
        epochs=6,
        layers=("regions-grid", "boxes-grid"),
        **_GRID,
    ),
}

for _name in _FOR_OTHER_PROPOSALS:
    for _proposals in OTHER_PROPOSALS:
        ALIGNMENTS[f"{_name}-{_proposals}"] = _with_proposals(ALIGNMENTS[_name], _proposals)
