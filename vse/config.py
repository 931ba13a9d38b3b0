"""Every setting of the ranker, and its named presets."""

from dataclasses import dataclass, replace

from vislang.core.config import setting, validate
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class VseConfig:
    """Everything that changes a trained ranker; saved inside its checkpoint. Defaults are the original's.

    Raises:
        ConfigError: a value outside its range, or settings that contradict each other.
    """

    # words
    tokenizer: str = setting("whitespace", choices=("treebank", "whitespace"), help="how captions become words")
    min_count: int = setting(1, at_least=1, help="words that occur less often become unknown")
    # The original counts its words without the two special ones and so loses two.
    drop_rarest: int = setting(2, at_least=0, help="rarest words that are left out of the vocabulary")
    # The original reads an end mark after each sentence, single words included.
    append_end: bool = setting(True, help="sentences end with an end mark")
    max_words: int = setting(100, at_least=1, help="longer sentences are cut")
    # sentence encoder
    encoder: str = setting("gru", choices=("gru", "bigru", "lstm", "bow"), help="sentence encoder")
    word_dim: int = setting(300, at_least=1, help="width of word vectors")
    hidden_dim: int = setting(1024, at_least=1, help="width of the recurrent state, per direction")
    sentence_pooling: str = setting(
        "last", choices=("last", "max", "sum"), help="state after the last word, or maximum or sum over all words"
    )
    project_sentences: bool = setting(
        False, help="linear map after pooling; without it the pooled width must be embed_dim"
    )
    sentence_dropout: float = setting(0.0, at_least=0, below=1, help="dropout in the sentence encoder")
    word_dropout: float = setting(0.0, at_least=0, below=1, help="share of words read as unknown in training")
    # image encoder
    # Training writes the full name of the preprocessing into the checkpoint.
    layers: tuple[str, ...] = setting(
        ("pooled",),
        help="feature layers, concatenated; pooled@320 is of 320-pixel images, pooled@NAME of a preprocessing",
    )
    image_scaling: str = setting(
        "unit",
        choices=("none", "unit", "standardised", "standardised_unit"),
        help="of image features: none, length 1, by the mean and std of each dimension in training, or both",
    )
    image_pooling: str = setting(
        "mean", choices=("mean", "attention"), help="over an image's descriptors; attention adds learned weightings"
    )
    attention_heads: int = setting(8, at_least=1, help="weightings of image_pooling=attention")
    image_dropout: float = setting(0.0, at_least=0, below=1, help="dropout of image features")
    # The original's code normalises only when it ranks, its paper always.
    normalize_images_in_loss: bool = setting(False, help="image embeddings have length 1 in the loss too")
    # joint space and loss
    embed_dim: int = setting(1024, at_least=1, help="width of the joint space")
    loss: str = setting("summed_hinge", choices=("summed_hinge", "hardest_hinge", "softmax"), help="ranking loss")
    margin: float = setting(0.2, at_least=0, help="margin of the hinge losses, in units of the cosine")
    # Without a warm-up the hardest-negative loss may collapse.
    warmup_updates: int = setting(0, at_least=0, help="first updates of hardest_hinge that use summed_hinge")
    temperature: float = setting(0.05, above=0, help="initial temperature of the softmax loss, learned")
    # The original lets two captions of one image push each other away.
    same_image_is_negative: bool = setting(True, help="other captions of the same image count as negatives")
    # training
    teacher_epochs: int = setting(
        3, at_least=1, help="with --teacher: passes over its sentences, before those over the images"
    )
    optimizer: str = setting("kiros_adam", choices=("adam", "kiros_adam"), help="kiros_adam is the original's Adam")
    learning_rate: float = setting(2e-4, above=0, help="highest learning rate")
    schedule: str = setting(
        "constant", choices=("constant", "cosine", "step"), help="of the learning rate; step divides it by 10"
    )
    step_epochs: int = setting(15, at_least=1, help="epochs between the divisions of schedule=step")
    clip_norm: float = setting(2.0, at_least=0, help="largest global norm of the gradient; 0: not clipped")
    l2: float = setting(0.0, at_least=0, help="weight of the sum of all squared weights")
    batch_size: int = setting(128, at_least=1, help="pairs of image and sentence in one update")
    batching: str = setting(
        "homogeneous",
        choices=("bucketed", "homogeneous", "shuffled"),
        help="similar lengths together, equal lengths only, or at random",
    )
    epochs: int = setting(15, at_least=1, help="passes over the training sentences")
    validate_updates: int = setting(100, at_least=0, help="updates between validations; 0: once an epoch")
    ensemble_size: int = setting(
        1, at_least=1, at_most=64, help="rankers trained side by side, whose scores are averaged"
    )

    def __post_init__(self) -> None:
        validate(self)
        if not self.project_sentences and self.sentence_width != self.embed_dim:
            raise ConfigError(
                f"sentences are {self.sentence_width} wide and embed_dim is {self.embed_dim}; "
                "make them equal or set project_sentences=true"
            )
        if (self.encoder == "bow") != (self.sentence_pooling == "sum"):
            raise ConfigError(
                f"encoder {self.encoder!r} got sentence_pooling {self.sentence_pooling!r}; "
                "'sum' goes with 'bow' and only with it"
            )

    @property
    def sentence_width(self) -> int:
        """Width of a sentence before the projection."""
        if self.encoder == "bow":
            return self.word_dim
        if self.encoder == "bigru":
            return 2 * self.hidden_dim
        return self.hidden_dim


# Ours, chosen on the dev split of Flickr8K; see docs/experiments.md.
_BEST = VseConfig(
    tokenizer="treebank",
    min_count=2,
    drop_rarest=0,
    append_end=False,
    encoder="bigru",
    hidden_dim=512,
    sentence_pooling="max",
    project_sentences=True,
    sentence_dropout=0.3,
    # EfficientNet-Lite2 beside the backbone of the training.
    layers=("pooled", "pooled@320", "efficientnet_lite2::pooled", "efficientnet_lite2::pooled@320"),
    image_scaling="standardised",
    image_dropout=0.4,
    normalize_images_in_loss=True,
    loss="softmax",
    same_image_is_negative=False,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    batch_size=256,
    batching="bucketed",
    epochs=7,
    validate_updates=0,
    ensemble_size=2,
)


CONFIGS = {
    # Kiros et al. 2014, as its code of 2017 has it but for the differences listed in docs/differences.md.
    "kiros": VseConfig(),
    # The same with what raises it most on dev: larger images, comparable features, dropout; see docs/experiments.md.
    "kiros-tuned": VseConfig(
        layers=("pooled@320",), image_scaling="standardised_unit", image_dropout=0.4, sentence_dropout=0.3
    ),
    # The original's linear sentence side, for image arithmetic (vse.regularities).
    "kiros-bow": VseConfig(encoder="bow", sentence_pooling="sum", word_dim=1024),
    # Faghri et al. 2018: hardest negatives, cosine on both sides.
    "vsepp": VseConfig(
        tokenizer="treebank",
        drop_rarest=0,
        append_end=False,
        image_scaling="none",
        normalize_images_in_loss=True,
        loss="hardest_hinge",
        warmup_updates=235,
        same_image_is_negative=False,
        optimizer="adam",
        schedule="step",
        batching="bucketed",
        epochs=30,
        validate_updates=0,
    ),
    "best": _BEST,
    # For Flickr8K and COCO together.
    "everyday": _BEST,
    # The bundled model, small enough for the repository.
    "bundled": replace(
        _BEST,
        min_count=5,
        word_dim=256,
        hidden_dim=384,
        layers=("pooled", "pooled@320"),
        embed_dim=512,
    ),
    # For the drawn scenes: two minutes of training, with attention over the grid.
    "scenes": replace(
        _BEST,
        word_dim=100,
        hidden_dim=128,
        sentence_dropout=0.2,
        layers=("grid",),
        image_pooling="attention",
        image_dropout=0.2,
        embed_dim=256,
        learning_rate=2e-3,
        batch_size=128,
        epochs=8,
        ensemble_size=1,
    ),
}
