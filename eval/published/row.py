"""A row of a published table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table."""

    method: str  # the model and its features
    scores: Mapping[str, float | None]  # by the names of our metrics; None is not published
    source: str  # of the numbers
    frozen: bool = True  # the image network was not fine-tuned, as in this toolkit; such rows are the fair comparison
    recalled: bool = False  # quoted from memory, not checked against the source; no test relies on them

    @property
    def marked_method(self) -> str:
        """The method with the marks of its footnotes."""
        marks = ""
        if self.recalled:
            marks += " †"
        if not self.frozen:
            marks += " ‡"
        return self.method + marks
