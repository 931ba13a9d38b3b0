"""Every setting of the captioner, and its named presets."""

from dataclasses import dataclass, replace

_CHOICES = {
    "model": ("mrnn", "lstm", "attend", "s2vt"),
    "reading_order": ("given", "snake"),
    "image_scaling": ("none", "unit", "standardised"),
    "unknown_words": ("skip", "keep"),
    "optimizer": ("adam", "rmsprop"),
    "schedule": ("constant", "cosine"),
    "batching": ("bucketed", "homogeneous", "shuffled", "by_image"),
    "select_by": ("cider", "perplexity"),
}

_RANGES = (
    (
        "1 or more",
        "epochs batch_size members block_side word_dim hidden_dim look_dim heads layers judge_word_dim judge_dim "
        "min_count max_words beam decode_words",
        lambda value: value >= 1,
    ),
    (
        "0 or more",
        "grad_clip clip_value l2 length_power self_critical_epochs judges judge_weight neighbours neighbour_weight",
        lambda value: value >= 0,
    ),
    (
        "0 to below 1",
        "word_dropout image_dropout output_dropout word_forgetting label_smoothing",
        lambda value: 0 <= value < 1,
    ),
    ("0 to 1", "scheduled_sampling consensus mean_views", lambda value: 0 <= value <= 1),
    ("more than 0", "learning_rate self_critical_rate", lambda value: value > 0),
    ("2 or more", "self_critical_samples", lambda value: value >= 2),
)


@dataclass(frozen=True)
class CaptionerConfig:
    """Everything that changes a trained captioner; saved inside its checkpoint. Defaults are the paper's mRNN."""

    # words
    min_count: int = 5  # rarer words become unknown
    unknown_words: str = "skip"  # in training captions: left out, as the original does, or read as the unknown word
    max_words: int = 50  # longer training captions are cut
    # model
    model: str = "mrnn"
    word_dim: int = 512
    hidden_dim: int = 512
    layers: int = 1  # "attend": recurrent layers; the second reads what was looked at
    heads: int = 1  # "attend": ways of looking at once
    feed_once: bool = True  # "mrnn": the image at the first step only (the paper); the original's code: at every step
    relu_encoders: bool = False  # "mrnn": image and words pass through ReLU on their way in
    lstm_tanh: bool = True  # "lstm": the cell's output passes through tanh; the original's code: it does not
    reading_order: str = "given"  # "s2vt": of the descriptors; "snake": of a grid, every other row backwards
    block_side: int = 1  # "s2vt": of blocks of cells whose mean is read as one descriptor
    look_dim: int = 512  # "attend": width of what is looked at, shared among the heads
    tied_words: bool = False  # "attend": the output layer is the word table
    judges: int = 0  # bags of words beside the image in one space, which choose among finished captions
    judge_word_dim: int = 512
    judge_dim: int = 1024  # of the joint space
    # image
    taps: tuple[str, ...] = ("pooled",)  # as in the ranker; "pooled@320" is of images of that size
    image_scaling: str = "standardised"  # as it is, length 1, or per dimension by training mean and deviation
    # regularisation
    word_dropout: float = 0.5
    image_dropout: float = 0.5
    output_dropout: float = 0.5
    word_forgetting: float = 0.0  # share of words read as unknown in training
    mean_views: float = 0.0  # share of training images that are read as one descriptor, the mean of theirs
    label_smoothing: float = 0.0
    consensus: float = 0.0  # share of a caption's weight that is its CIDEr-D with the image's other captions
    scheduled_sampling: float = 0.0  # share of words read from the model itself, reached linearly over training
    l2: float = 1e-8  # times half the sum of squared matrices
    # training
    optimizer: str = "rmsprop"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    grad_clip: float = 0.0  # global norm
    clip_value: float = 5.0  # element by element
    batch_size: int = 100
    batching: str = "bucketed"
    epochs: int = 10
    select_by: str = "perplexity"  # of the dev split, or its CIDEr-D with greedy captions
    members: int = 1  # generators trained side by side, whose word probabilities are averaged
    # self-critical training on CIDEr-D, after cross-entropy
    self_critical_epochs: int = 0
    self_critical_rate: float = 5e-5
    self_critical_samples: int = 5
    # decoding
    beam: int = 7
    length_power: float = 0.0  # hypotheses compare by log-probability / length ** length_power
    decode_words: int = 20  # the end mark included
    judge_weight: float = 0.0  # of the judges' mean cosine, added to what hypotheses compare by
    neighbours: int = 0  # training images nearest by the judges, kept with the model
    neighbour_weight: float = 0.0  # of a hypothesis' CIDEr-D with their captions, added in the same way

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"setting {field} got {getattr(self, field)!r}, expected one of: {', '.join(known)}")
        for words, fields, fits in _RANGES:
            for field in fields.split():
                if not fits(getattr(self, field)):
                    raise ValueError(f"setting {field} got {getattr(self, field)}, expected {words}")
        if not self.taps:
            raise ValueError("setting taps names no tap, expected some such as pooled")
        if self.look_dim % self.heads:
            raise ValueError(f"setting heads got {self.heads}, expected a divisor of look_dim {self.look_dim}")
        if self.judge_weight and not self.judges:
            raise ValueError(f"setting judge_weight got {self.judge_weight} with judges 0, expected 1 judge or more")
        if self.neighbours and not self.judges:
            raise ValueError(f"setting neighbours got {self.neighbours} with judges 0, expected 1 judge or more")
        if self.neighbour_weight and not self.neighbours:
            raise ValueError(
                f"setting neighbour_weight got {self.neighbour_weight} with neighbours 0, expected 1 neighbour or more"
            )
        if self.tied_words and self.model != "attend":
            raise ValueError(f"setting tied_words got true with model {self.model!r}; only 'attend' can tie its words")


# Ours, chosen on the dev split of Flickr8K; docs/experiments.md tells how.
_BEST = CaptionerConfig(
    unknown_words="keep",
    max_words=20,
    model="attend",
    word_dim=300,
    look_dim=256,
    heads=8,
    tied_words=True,
    judges=2,
    taps=("grid@320",),
    word_dropout=0.3,
    image_dropout=0.3,
    output_dropout=0.4,
    label_smoothing=0.1,
    l2=0.0,
    optimizer="adam",
    schedule="cosine",
    grad_clip=2.0,
    clip_value=0.0,
    batch_size=64,
    epochs=6,
    select_by="cider",
    members=2,
    beam=20,
    length_power=0.7,
    judge_weight=4.0,
    neighbours=20,
    neighbour_weight=4.0,
)


# For explanations: they ask a network about the mean of a picture, from which this one has also written.
_S2VT = replace(
    _BEST,
    model="s2vt",
    hidden_dim=512,
    reading_order="snake",
    block_side=2,
    tied_words=False,
    taps=("grid",),
    mean_views=0.3,
    batching="by_image",
    batch_size=128,
    epochs=8,
    members=1,
)


# For the snippets of `captioner.make_snippets`: a region, its place and its whole picture in one vector.
_REGIONS = CaptionerConfig(
    min_count=3,
    unknown_words="keep",
    max_words=12,
    model="lstm",
    word_dim=256,
    hidden_dim=384,
    taps=("described-detector@320",),
    word_dropout=0.3,
    image_dropout=0.5,
    output_dropout=0.4,
    l2=0.0,
    optimizer="adam",
    schedule="cosine",
    grad_clip=2.0,
    clip_value=0.0,
    batch_size=128,
    epochs=4,
    beam=5,
    length_power=0.7,
    decode_words=13,
)


CONFIGS = {
    # Karpathy and Fei-Fei 2015: ReLU, the image at the first step only, 512 wide, RMSprop, beam 7. The original's
    # constant rate of 1e-3 makes the loss explode in the first updates; it rises and falls here.
    "karpathy": CaptionerConfig(
        taps=("pooled@320",),
        word_dropout=0.3,
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
        taps=("grid",),
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
    # What comes with the toolkit: small enough for the tree, and without any caption of the training data.
    "box": replace(
        _BEST,
        word_dim=200,
        hidden_dim=288,
        look_dim=192,
        judges=1,
        judge_word_dim=128,
        judge_dim=256,
        taps=("grid",),
        epochs=8,
        members=1,
        neighbours=0,
        neighbour_weight=0.0,
    ),
    "box-s2vt": replace(
        _S2VT,
        word_dim=200,
        hidden_dim=448,
        judges=1,
        judge_word_dim=128,
        judge_dim=256,
        learning_rate=2e-3,
        neighbours=0,
        neighbour_weight=0.0,
    ),
    "regions": _REGIONS,
    "box-regions": replace(
        _REGIONS, min_count=20, word_dim=96, hidden_dim=128, taps=("described-grid",), image_dropout=0.3
    ),
    # For the drawn scenes: trained within a minute.
    "scenes": replace(
        _BEST,
        min_count=1,
        max_words=30,
        word_dim=64,
        hidden_dim=128,
        look_dim=64,
        heads=4,
        judges=0,
        taps=("grid",),
        word_dropout=0.1,
        image_dropout=0.1,
        output_dropout=0.1,
        label_smoothing=0.0,
        learning_rate=3e-3,
        epochs=8,
        members=1,
        beam=5,
        decode_words=30,
        judge_weight=0.0,
        neighbours=0,
        neighbour_weight=0.0,
    ),
    "scenes-regions": replace(
        _REGIONS,
        min_count=1,
        word_dim=64,
        hidden_dim=96,
        taps=("described-grid",),
        word_dropout=0.1,
        image_dropout=0.2,
        output_dropout=0.1,
        learning_rate=3e-3,
    ),
}
