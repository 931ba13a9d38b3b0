"""Every setting of the ranker, and its named presets."""

from dataclasses import dataclass, replace

_CHOICES = {
    "tokenizer": ("treebank", "whitespace"),
    "encoder": ("gru", "bigru", "lstm", "bow"),
    "sentence_pooling": ("last", "max", "sum"),
    "image_scaling": ("none", "unit", "standardised"),
    "image_pooling": ("mean", "attention"),
    "loss": ("summed_hinge", "hardest_hinge", "softmax"),
    "optimizer": ("adam", "kiros_adam"),
    "schedule": ("constant", "cosine", "step"),
    "batching": ("bucketed", "homogeneous", "shuffled"),
}

_SIZES = "epochs batch_size embed_dim members max_words word_dim hidden_dim attention_heads step_epochs min_count"
_RANGES = (
    ("1 or more", _SIZES, lambda value: value >= 1),
    ("0 or more", "drop_rarest warmup_updates validate_updates margin grad_clip l2", lambda value: value >= 0),
    ("0 to below 1", "sentence_dropout word_forgetting image_dropout", lambda value: 0 <= value < 1),
    ("more than 0", "learning_rate temperature", lambda value: value > 0),
)


@dataclass(frozen=True)
class VseConfig:
    """Everything that changes a trained ranker; saved inside its checkpoint. Defaults are the original's."""

    # words
    tokenizer: str = "whitespace"
    min_count: int = 1  # rarer words become unknown
    drop_rarest: int = 2  # the original counts its words without the two special ones and so loses two
    append_end: bool = True  # the original reads an end mark after each sentence, single words included
    max_words: int = 100  # longer sentences are cut
    # sentence side
    encoder: str = "gru"
    word_dim: int = 300
    hidden_dim: int = 1024
    sentence_pooling: str = "last"  # the state after the last word; "max" or "sum" over all
    project_sentences: bool = False  # a linear map after pooling; without one, hidden_dim must be embed_dim
    sentence_dropout: float = 0.0
    word_forgetting: float = 0.0  # share of words read as unknown in training
    # image side
    # Vectors are joined; a grid or regions are descriptors. "pooled@320" is of images of that size, "pooled@RECIPE" of
    # any recipe; training writes the recipe's name out in the checkpoint.
    taps: tuple[str, ...] = ("pooled",)
    image_scaling: str = "unit"  # of the input: as it is, length 1, or per dimension by training mean and deviation
    image_pooling: str = "mean"  # "attention" adds learned weightings of the descriptors
    attention_heads: int = 8
    image_dropout: float = 0.0
    normalize_images_in_loss: bool = False  # the original's code: only when ranking; its paper: always
    # joint space and loss
    embed_dim: int = 1024
    loss: str = "summed_hinge"
    margin: float = 0.2  # cosine units
    warmup_updates: int = 0  # "hardest_hinge" starts as "summed_hinge", without which it may collapse
    temperature: float = 0.05  # of "softmax", learned from this start
    same_image_is_negative: bool = True  # the original lets two captions of one image push each other away
    # training
    optimizer: str = "kiros_adam"
    learning_rate: float = 2e-4
    schedule: str = "constant"
    step_epochs: int = 15  # "step": a tenth of the rate after so many epochs
    grad_clip: float = 2.0  # global norm of the gradient
    l2: float = 0.0  # times the sum of all squared weights
    batch_size: int = 128
    batching: str = "homogeneous"
    epochs: int = 15
    validate_updates: int = 100  # 0: once an epoch
    members: int = 1  # rankers trained side by side, whose scores are averaged

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"setting {field} got {getattr(self, field)!r}, expected one of: {', '.join(known)}")
        if not self.project_sentences and self.sentence_width != self.embed_dim:
            raise ValueError(
                f"sentences are {self.sentence_width} wide and embed_dim is {self.embed_dim}; "
                "make them equal or set project_sentences=true"
            )
        if (self.encoder == "bow") != (self.sentence_pooling == "sum"):
            raise ValueError(
                f"encoder {self.encoder!r} got sentence_pooling {self.sentence_pooling!r}; "
                "'sum' goes with 'bow' and only with it"
            )
        if not self.taps:
            raise ValueError("setting taps names no tap, expected some such as pooled")
        for words, fields, fits in _RANGES:
            for field in fields.split():
                if not fits(getattr(self, field)):
                    raise ValueError(f"setting {field} got {getattr(self, field)}, expected {words}")

    @property
    def sentence_width(self) -> int:
        """Width of a sentence before the projection."""
        if self.encoder == "bow":
            return self.word_dim
        return self.hidden_dim * (2 if self.encoder == "bigru" else 1)


# Ours, chosen on the dev split of Flickr8K; docs/experiments.md tells how.
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
    taps=("pooled", "pooled@320"),
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
    members=2,
)


CONFIGS = {
    # The original to the letter: Kiros et al. 2014 as its code of 2017 has it.
    "kiros": VseConfig(),
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
    # What comes with the toolkit: small enough for the tree.
    "box": replace(
        _BEST,
        min_count=5,
        word_dim=128,
        hidden_dim=256,
        taps=("pooled",),
        embed_dim=384,
        members=1,
    ),
    # For the drawn scenes: small enough for two minutes, and able to look at places.
    "scenes": replace(
        _BEST,
        word_dim=100,
        hidden_dim=128,
        sentence_dropout=0.2,
        taps=("grid",),
        image_pooling="attention",
        image_dropout=0.2,
        embed_dim=256,
        learning_rate=2e-3,
        batch_size=128,
        epochs=8,
        members=1,
    ),
}
