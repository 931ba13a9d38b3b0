"""FeatureKey: where stored features come from. Blocks may be mixed only if their keys are equal."""

import dataclasses
import json
from dataclasses import dataclass, field

from vislang.core.errors import DataError
from vislang.core.files import parse_json

PUBLISHED = "as published"  # the preprocessing of features that others computed


@dataclass(frozen=True)
class FeatureKey:
    """Where features come from. Library versions are recorded but not compared."""

    backbone: str  # "mobilenet_v2", "hub:HANDLE", a local path
    layer: str  # "pooled", "grid", "fc7" or the name of a layer
    preprocessing: str  # a name of vislang.images.preprocess, or PUBLISHED
    weights: str  # fingerprint of the weight arrays
    versions: dict[str, str] = field(default_factory=dict, compare=False)

    def to_json(self) -> str:
        """Return the JSON text that is stored with the rows."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "FeatureKey":
        """Rebuild a key.

        Raises:
            DataError: the text is no key.
        """
        try:
            values = parse_json(text)
            for name in ("backbone", "layer", "preprocessing", "weights"):
                if not isinstance(values[name], str):
                    raise TypeError(f"{name} is not a text")
            versions = {str(name): str(value) for name, value in values["versions"].items()}
            return cls(values["backbone"], values["layer"], values["preprocessing"], values["weights"], versions)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"not a feature key: {error!r}") from error

    def difference(self, other: "FeatureKey") -> str:
        """Return how `other` differs, such as "preprocessing is A, expected B"; empty when equal."""
        fields = ("backbone", "layer", "preprocessing", "weights")
        differing = [name for name in fields if getattr(self, name) != getattr(other, name)]
        return ", ".join(f"{name} is {getattr(self, name)}, expected {getattr(other, name)}" for name in differing)
