"""FeatureName: the one parser of names of features, such as "pooled", "grid@320", "pre:conv5" or "regions-detector".

LAYER            the output of a layer, or a name of the backbone's own, such as "pooled"; also "layer:LAYER"
pre:LAYER        its values before the activation that the layer holds
blob:NAME        of Caffe's networks: what is left in a blob in the end
KIND-PROPOSALS   of regions: KIND of REGION_KINDS, PROPOSALS of `vislang.features.regions.proposers.PROPOSERS`
NAME@WHAT        any of these with a preprocessing other than the backbone's own: its name, or a size such as 320
BACKBONE::NAME   any of these of another backbone than the one that the command names
"""

from dataclasses import dataclass, replace

from vislang.core.errors import ConfigError

LAYER = "layer"
BLOB = "blob"
REGION_KINDS = ("boxes", "regions", "crops", "described")
_BEFORE_RELU = "pre:"
_BACKBONE = "::"


@dataclass(frozen=True)
class FeatureName:
    """The parts of a feature's name; `str` joins them again."""

    layer: str  # a layer, a blob, or a name of the backbone's own; "" for regions
    kind: str = LAYER  # "layer", "blob", or one of REGION_KINDS
    proposals: str = ""  # how regions are proposed, such as "grid"; "" where there are none
    preprocessing: str = ""  # its name or a size; "" for the backbone's own
    before_relu: bool = False  # whether the values before the layer's own activation are meant
    backbone: str = ""  # "" for the one that a command or checkpoint names

    @classmethod
    def parse(cls, text: str) -> "FeatureName":
        """Take a name apart.

        Raises:
            ConfigError: it names no layer.
        """
        backbone, separator, rest = text.partition(_BACKBONE)
        if not separator:
            backbone = ""
            rest = text
        name, _, preprocessing = rest.partition("@")
        kind, _, proposals = name.partition("-")
        if kind in REGION_KINDS and proposals:
            return cls("", kind, proposals, preprocessing, backbone=backbone)
        layer = name.removeprefix(_BEFORE_RELU)
        kind = LAYER
        if layer.startswith("blob:"):
            kind = BLOB
        layer = layer.removeprefix(f"{kind}:")
        if not layer:
            raise ConfigError(f"{text!r} names no feature, expected one such as pooled, grid@320 or regions-grid")
        return cls(layer, kind, "", preprocessing, name.startswith(_BEFORE_RELU), backbone)

    @property
    def is_of_regions(self) -> bool:
        """Whether these are features of regions."""
        return self.kind in REGION_KINDS

    @property
    def stored(self) -> str:
        """The name without backbone and preprocessing: what a loaded backbone and a cache's group call it."""
        return str(replace(self, preprocessing="", backbone=""))

    def of_kind(self, kind: str) -> "FeatureName":
        """Return the name of another kind of features of the same regions.

        Raises:
            ConfigError: these are no features of regions.
        """
        if not self.is_of_regions:
            raise ConfigError(f"{self} is no feature of regions, expected one such as regions-grid")
        return replace(self, kind=kind)

    def in_cache(self, backbone: str) -> tuple[str, str]:
        """Return what a feature cache calls the backbone and this feature of it, such as ("vgg16@320", "grid").

        Args:
            backbone: whose feature it is, where the name says none.
        """
        backbone = self.backbone or backbone
        if self.preprocessing:
            backbone = f"{backbone}@{self.preprocessing}"
        return backbone, self.stored

    def __str__(self) -> str:
        if self.is_of_regions:
            name = f"{self.kind}-{self.proposals}"
        elif self.kind == BLOB:
            name = f"blob:{self.layer}"
        else:
            name = self.layer
        if self.before_relu:
            name = _BEFORE_RELU + name
        if self.preprocessing:
            name = f"{name}@{self.preprocessing}"
        if self.backbone:
            name = f"{self.backbone}{_BACKBONE}{name}"
        return name
