"""A row of a published table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        method: the model and its features.
        scores: by the names of our metrics; None is not published.
        source: of the numbers.
        frozen: the image network was not fine-tuned, as in this toolkit; such rows are the fair comparison.
        recalled: from general knowledge, not verified against the source; no test relies on them.
    """

    method: str
    scores: Mapping[str, float | None]
    source: str
    frozen: bool = True
    recalled: bool = False

    @property
    def marked_method(self) -> str:
        """The method with the marks of its footnotes."""
        marks = ""
        if self.recalled:
            marks += " †"
        if not self.frozen:
            marks += " ‡"
        return self.method + marks
