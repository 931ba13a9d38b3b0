"""Model cards: the prose of `cards/NAME.md` (Mitchell et al. 2019, arXiv:1810.03993) beside what training measured."""

from dataclasses import dataclass
from pathlib import Path

_CARDS = Path(__file__).resolve().parent / "cards"


@dataclass(frozen=True)
class ModelCard:
    """The prose about a bundled model."""

    description: str  # what the model is
    intended_use: str  # what it does well
    limitations: str  # what it does badly


def read_model_card(name: str) -> ModelCard:
    """Read the prose about a bundled model, such as "ranker"."""
    text = (_CARDS / f"{name}.md").read_text(encoding="utf-8")
    description, rest = text.split("\n## Intended use\n")
    intended_use, limitations = rest.split("\n## Limitations\n")
    return ModelCard(description.strip(), intended_use.strip(), limitations.strip())
