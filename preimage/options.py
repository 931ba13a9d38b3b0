"""How searches, style transfer and comparisons run; importing them does not import Keras."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislang.core.config import Options
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

Progress = Callable[[int], object]  # called with the number of steps just done


@dataclass(frozen=True)
class SearchOptions(Options):
    """How a search over images runs, whatever it minimises.

    Attributes:
        seed: of the first image's noise and jitter; image k of a batch has seed + k.
        watch: called with the iteration, counted from 1, and the images float32 [B, S, S, 3], RGB 0..255.
        watch_every: iterations between two calls of `watch`; the last iteration is always among them.
        progress: called with 1 after each iteration.
        strict: raise for the first unreadable image instead of listing it in `skipped`.
    """

    seed: int = 0
    watch: "Callable[[int, np.ndarray], object] | None" = None
    watch_every: int = 10
    progress: Progress | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.watch_every < 1:
            raise ConfigError(f"watch_every got {self.watch_every}, expected 1 or more")


@dataclass(frozen=True)
class StyleOptions(Options):
    """What style transfer matches.

    Attributes:
        content_layer: layer whose feature maps are kept; None: the last map of the fifth size.
        style_layers: layers whose Gram matrices are matched; none: one of each of the first five sizes.
        content_weight: weight of the content loss.
        style_weight: weight of the style loss.
        normalisation: "relative", "paper", "port" or "neural-style"; weights are relative to it.
        colour: "none"; "pca", "chol" or "sym": the style in the content's colours; "luminance": grey textures only.
    """

    content_layer: str | None = None
    style_layers: tuple[str, ...] = ()
    content_weight: float = 1.0
    style_weight: float = 10.0
    normalisation: str = "relative"
    colour: str = "none"


@dataclass(frozen=True)
class ComparisonOptions(Options):
    """How two networks are compared.

    Attributes:
        layers: layers of the first network, shallow ones first; none: `num_layers` of them, evenly spread.
        layers_b: those of the second network that they are compared with; none: matched
            automatically, layers that are as deep.
        num_layers: how many layers, where none are named; None: 4.
        limit: images that are inverted and exaggerated, evenly spread over those given.
        cka_images: images that CKA is computed over, at most; memory grows with it.
        pooled: CKA of features averaged over positions, instead of all positions.
        classes: names of classes to maximise; none: the four shared ones that are predicted most often for the images.
        channels: channels to maximise at each layer of both, beside the most distinctive ones of the images.
        preset: of inversions and caricatures: "ijcv16", "fourier" or "cvpr15".
        settings: changes of this preset, such as ("data_weight=300",).
        iterations: of the first stage of all searches, later stages in proportion; None: the presets' own.
        seed: of all searches.
    """

    layers: tuple[str, ...] = ()
    layers_b: tuple[str, ...] = ()
    num_layers: int | None = None
    limit: int = 6
    cka_images: int = 200
    pooled: bool = False
    classes: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    preset: str = "ijcv16"
    settings: tuple[str, ...] = ()
    iterations: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layers and self.num_layers is not None:
            raise ConfigError(f"got layers and num_layers {self.num_layers}, expected one of them; leave one out")
        for name, least in (("limit", 1), ("cka_images", 4)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} got {getattr(self, name)}, expected {least} or more")
