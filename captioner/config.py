"""Every setting of the captioner, and its named presets."""

from dataclasses import dataclass, replace
from typing import Any

from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError

# Region proposals that presets can be trained on instead of their own; a preset each, such as "regions-grid@320".
OTHER_PROPOSALS = (
    "detector", "grid", "grid@320", "selective", "selective@320", "selective@448", "edges", "edges@320",
)  # fmt: skip


@dataclass(frozen=True)
class CaptionerConfig:
    """Everything that changes a trained captioner; saved inside its checkpoint. Defaults are the paper's mRNN.

    Raises:
        ConfigError: a value outside its range, or settings that contradict each other.
    """

    # words
    min_count: int = setting(5, at_least=1, help="words that occur less often become unknown")
    # The original leaves unknown words out.
    unknown_words: str = setting("skip", choices=("skip", "keep"), help="unknown words of training captions")
    max_words: int = setting(50, at_least=1, help="longer training captions are cut")
    # model
    model: str = setting("mrnn", choices=("mrnn", "lstm", "attend", "s2vt"), help="kind of caption generator")
    word_dim: int = setting(512, at_least=1, help="width of word vectors")
    hidden_dim: int = setting(512, at_least=1, help="width of the recurrent state")
    recurrent_layers: int = setting(
        1, at_least=1, at_most=64, help="attend: recurrent layers; the second reads the attended features"
    )
    attention_heads: int = setting(1, at_least=1, help="attend: attention heads")
    # The paper shows the image at the first step only, the original's code at every step.
    feed_once: bool = setting(True, help="mrnn: the image enters at the first step only")
    relu_encoders: bool = setting(False, help="mrnn: ReLU on the image and word inputs")
    # The original's code leaves the second tanh out.
    lstm_tanh: bool = setting(True, help="lstm: the cell's output passes through tanh")
    reading_order: str = setting(
        "given", choices=("given", "snake"), help="s2vt: order of the descriptors; snake: every other row backwards"
    )
    block_side: int = setting(1, at_least=1, help="s2vt: side of the blocks of cells that are average-pooled")
    attention_dim: int = setting(512, at_least=1, help="attend: width of the attention, shared among the heads")
    tied_words: bool = setting(False, help="attend: the output layer is the word table")
    scorers: int = setting(
        0, at_least=0, at_most=64, help="bag-of-words image-text scorers that re-rank finished captions"
    )
    scorer_word_dim: int = setting(512, at_least=1, help="width of the scorers' word vectors")
    scorer_dim: int = setting(1024, at_least=1, help="width of the scorers' joint space")
    # image
    layers: tuple[str, ...] = setting(("pooled",), help="feature layers, concatenated; pooled@320: of 320-pixel images")
    image_scaling: str = setting(
        "standardised",
        choices=("none", "unit", "standardised"),
        help="of image features: none, length 1, or by the mean and std of each dimension in training",
    )
    # regularisation
    embedding_dropout: float = setting(0.5, at_least=0, below=1, help="dropout of word vectors")
    image_dropout: float = setting(0.5, at_least=0, below=1, help="dropout of image features")
    output_dropout: float = setting(0.5, at_least=0, below=1, help="dropout before the output layer")
    word_dropout: float = setting(0.0, at_least=0, below=1, help="share of words read as unknown in training")
    mean_descriptor_rate: float = setting(
        0.0, at_least=0, at_most=1, help="share of training images shown as one descriptor, their mean"
    )
    label_smoothing: float = setting(0.0, at_least=0, below=1, help="share of the target spread over all words")
    weighted_cross_entropy: float = setting(
        0.0, at_least=0, at_most=1, help="share of a caption's weight that is its CIDEr-D with the image's others"
    )
    scheduled_sampling: float = setting(
        0.0, at_least=0, at_most=1, help="share of words read from the model itself, reached linearly over training"
    )
    l2: float = setting(1e-8, at_least=0, help="weight of half the sum of squared matrices")
    # training
    optimizer: str = setting("rmsprop", choices=("adam", "rmsprop"), help="kind of optimiser")
    learning_rate: float = setting(1e-3, above=0, help="highest learning rate")
    schedule: str = setting("constant", choices=("constant", "cosine"), help="of the learning rate")
    clip_norm: float = setting(0.0, at_least=0, help="largest global norm of the gradient; 0: not clipped")
    clip_value: float = setting(5.0, at_least=0, help="largest element of the gradient; 0: not clipped")
    batch_size: int = setting(100, at_least=1, help="captions in one update")
    batching: str = setting(
        "bucketed",
        choices=("bucketed", "homogeneous", "shuffled", "by_image"),
        help="similar lengths together, equal lengths only, at random, or all captions of an image together",
    )
    epochs: int = setting(10, at_least=1, help="passes over the training captions")
    select_by: str = setting(
        "perplexity", choices=("cider", "perplexity"), help="of dev, which chooses the epoch; cider: greedy captions"
    )
    best_checkpoints: int = setting(
        1,
        at_least=1,
        help="best weights of single epochs that are kept beside the best; all epochs: as many as there are",
    )
    ensemble_size: int = setting(
        1, at_least=1, at_most=64, help="generators trained side by side, whose probabilities are averaged"
    )
    # self-critical training on CIDEr-D, after cross-entropy
    self_critical_epochs: int = setting(0, at_least=0, help="epochs of self-critical training on CIDEr-D")
    self_critical_rate: float = setting(5e-5, above=0, help="its learning rate")
    self_critical_samples: int = setting(5, at_least=2, help="captions it draws for each image")
    # decoding
    beam: int = setting(7, at_least=1, help="beam width")
    length_power: float = setting(
        0.0, at_least=0, help="hypotheses compare by log-probability / length ** length_power"
    )
    decode_words: int = setting(20, at_least=1, help="longest caption, the end mark included")
    forbid_repeats: bool = setting(False, help="no word twice in a row")
    no_repeat_ngram: int = setting(
        0, at_least=0, help="no so many words in a row occur twice in a caption; 0: they may"
    )
    repetition_weight: float = setting(
        0.0, at_least=0, help="re-ranking: penalty of each word, other than function words, that a caption repeats"
    )
    scorer_weight: float = setting(0.0, at_least=0, help="re-ranking: weight of the scorers' mean cosine")
    consensus_images: int = setting(0, at_least=0, help="re-ranking: nearest training images, by the scorers")
    consensus_weight: float = setting(
        0.0, at_least=0, help="re-ranking: weight of the CIDEr-D with the captions of the nearest training images"
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.attention_dim % self.attention_heads:
            raise ConfigError(
                f"setting attention_heads got {self.attention_heads}, expected a divisor of attention_dim"
                f" {self.attention_dim}"
            )
        for field in ("scorer_weight", "consensus_images"):
            if getattr(self, field) and not self.scorers:
                raise ConfigError(
                    f"setting {field} got {getattr(self, field)} with scorers 0, expected scorers=1 or more"
                )
        if self.consensus_weight and not self.consensus_images:
            raise ConfigError(
                f"setting consensus_weight got {self.consensus_weight} with consensus_images 0, expected 1 or more"
            )
        if self.tied_words and self.model != "attend":
            raise ConfigError(f"setting tied_words got true with model {self.model!r}; only 'attend' can tie its words")


# Ours, chosen on the dev split of Flickr8K; see docs/experiments.md.
_BEST = CaptionerConfig(
    unknown_words="keep",
    max_words=20,
    model="attend",
    word_dim=300,
    attention_dim=256,
    attention_heads=8,
    tied_words=True,
    scorers=2,
    layers=("grid@320", "efficientnet_lite2::grid@320"),
    embedding_dropout=0.3,
    image_dropout=0.3,
    output_dropout=0.4,
    label_smoothing=0.1,
    l2=0.0,
    optimizer="adam",
    schedule="cosine",
    clip_norm=2.0,
    clip_value=0.0,
    batch_size=64,
    epochs=6,
    select_by="cider",
    ensemble_size=2,
    beam=20,
    length_power=0.7,
    repetition_weight=0.5,
    scorer_weight=8.0,
    consensus_images=20,
    consensus_weight=4.0,
)


# For saliency, which reads the mean descriptor of an image: training shows some images as their mean.
_S2VT = replace(
    _BEST,
    model="s2vt",
    hidden_dim=512,
    reading_order="snake",
    block_side=2,
    tied_words=False,
    layers=("grid",),
    mean_descriptor_rate=0.3,
    batching="by_image",
    batch_size=128,
    epochs=8,
    ensemble_size=1,
    scorer_weight=4.0,
)


# For the data of `vislang snippets`: a region, its place and its whole image in one vector.
_REGIONS = CaptionerConfig(
    min_count=3,
    unknown_words="keep",
    max_words=12,
    model="lstm",
    word_dim=256,
    hidden_dim=384,
    layers=("described-detector@320",),
    embedding_dropout=0.3,
    image_dropout=0.5,
    output_dropout=0.4,
    l2=0.0,
    optimizer="adam",
    schedule="cosine",
    clip_norm=2.0,
    clip_value=0.0,
    batch_size=128,
    epochs=4,
    beam=5,
    length_power=0.7,
    decode_words=13,
)


# Without captions of the training images, which a checkpoint with them may not share.
_NO_CONSENSUS: dict[str, Any] = {"consensus_images": 0, "consensus_weight": 0.0}


CONFIGS = {
    # Karpathy and Fei-Fei 2015: ReLU, the image at the first step only, 512 wide, RMSprop, beam 7. The original's
    # constant rate of 1e-3 makes the loss explode in the first updates; it rises and falls here.
    "karpathy": CaptionerConfig(
        layers=("pooled@320",),
        embedding_dropout=0.3,
        image_dropout=0.3,
        output_dropout=0.3,
        schedule="cosine",
        learning_rate=5e-4,
        epochs=8,
        length_power=0.7,
    ),
    # neuraltalk's default generator with its sizes and its cell without the second tanh.
    "neuraltalk": CaptionerConfig(model="lstm", word_dim=256, hidden_dim=256, lstm_tanh=False),
    # Ramanishka et al. 2017: sizes, rates and dropout of the original; features as they are, greedy captions.
    "ramanishka": CaptionerConfig(
        min_count=1,
        max_words=24,
        model="s2vt",
        reading_order="snake",
        word_dim=300,
        hidden_dim=1300,
        layers=("grid",),
        image_scaling="none",
        optimizer="adam",
        learning_rate=5e-4,
        clip_value=0.0,
        l2=0.0,
        batching="by_image",
        beam=1,
        decode_words=25,
    ),
    "best": _BEST,
    "s2vt": _S2VT,
    # For Flickr8K and COCO together.
    "everyday": _BEST,
    "everyday-s2vt": _S2VT,
    # The bundled model, small enough for the repository and without captions of the training data.
    "bundled": replace(
        _BEST,
        word_dim=256,
        hidden_dim=384,
        layers=("grid@320",),
        scorer_word_dim=128,
        scorer_dim=256,
        epochs=8,
        ensemble_size=1,
        length_power=0.85,
        scorer_weight=4.0,
        **_NO_CONSENSUS,
    ),
    # The bundled "explainer".
    "bundled-s2vt": replace(
        _S2VT,
        layers=("grid@320",),
        word_dim=200,
        hidden_dim=448,
        scorers=1,
        scorer_word_dim=128,
        scorer_dim=256,
        learning_rate=2e-3,
        **_NO_CONSENSUS,
    ),
    "regions": _REGIONS,
    # For the snippets of the aligner of the same name.
    "everyday-regions": _REGIONS,
    # The bundled "region-captioner".
    "bundled-regions": replace(
        _REGIONS, min_count=20, word_dim=96, hidden_dim=128, layers=("described-grid@320",), image_dropout=0.3
    ),
    # For the drawn scenes: trained within a minute.
    "scenes": replace(
        _BEST,
        min_count=1,
        max_words=30,
        word_dim=64,
        hidden_dim=128,
        attention_dim=64,
        attention_heads=4,
        scorers=0,
        layers=("grid",),
        embedding_dropout=0.1,
        image_dropout=0.1,
        output_dropout=0.1,
        label_smoothing=0.0,
        learning_rate=3e-3,
        epochs=8,
        ensemble_size=1,
        beam=5,
        repetition_weight=0.0,  # scenes hold objects that differ in one word
        decode_words=30,
        scorer_weight=0.0,
        **_NO_CONSENSUS,
    ),
    # For regions of the drawn scenes.
    "scenes-regions": replace(
        _REGIONS,
        min_count=1,
        word_dim=64,
        hidden_dim=96,
        layers=("described-grid",),
        embedding_dropout=0.1,
        image_dropout=0.2,
        output_dropout=0.1,
        learning_rate=3e-3,
    ),
}

for _name in ("regions", "everyday-regions"):
    for _proposals in OTHER_PROPOSALS:
        CONFIGS[f"{_name}-{_proposals}"] = replace(CONFIGS[_name], layers=(f"described-{_proposals}",))
