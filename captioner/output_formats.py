"""Captions as lines for people and as rows for programs."""

import csv
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.metrics.captions.coco_files import coco_image_id
from vislang.core.cli import json_line, printable, shown_name
from vislang.images.video import is_video

if TYPE_CHECKING:
    from captioner.inference import Caption

END_MARK = "<end>"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Captioned:
    """One image or video and its captions, one or more, the best first."""

    path: Path
    captions: "Sequence[Caption]"
    picture: str | None = None  # data URI of what a page shows; None: the file, where that is an image

    @property
    def name(self) -> str:
        """The path as text."""
        return shown_name(str(self.path))


def word_probabilities(caption: "Caption") -> list[tuple[str, float]]:
    """Pair each word with its probability; the end mark comes last, unless the caption was cut."""
    return list(zip([*caption.words, END_MARK], caption.probabilities, strict=False))


def image_id(path: Path) -> int | str:
    """Return the id of an image in COCO's results format: its number for a COCO file name, else the file name."""
    return coco_image_id(shown_name(path.name))


def text_lines(image: Captioned, explain: bool) -> list[str]:
    """Return `path<TAB>caption`; several captions on lines of their own, after their log-probabilities.

    On a terminal "(low confidence)" follows captions that the model does not trust; programs read two columns.
    """
    indent = ""
    lines = []
    if len(image.captions) > 1:
        indent = " " * 10
        lines.append(printable(image.name))
    for caption in image.captions:
        text = printable(caption.text)
        if caption.trusted is False and sys.stdout.isatty():
            text += "  (low confidence)"
        if indent:
            lines.append(f"  {caption.log_prob:8.3f}  {text}")
        else:
            lines.append(f"{printable(image.name)}\t{text}")
        if explain:
            for line in filter(None, (confidence_words(caption), printable(_words_line(caption)))):
                lines.append(f"{indent}  {line}")
    return lines


def confidence_words(caption: "Caption") -> str:
    """Return such as "confidence 71 %", "low confidence 12 %" where it is not trusted, "" where there is none."""
    if caption.confidence is None:
        return ""
    words = f"confidence {100 * caption.confidence:.0f} %"
    if caption.trusted:
        return words
    return f"low {words}"


def json_row(image: Captioned, explain: bool) -> dict[str, Any]:
    """Return {"image" or "video", "captions": [{"caption", "log_prob", "confidence", "trusted"}]}.

    Each caption has "words", too, where they are to be explained; of a model that is not calibrated, "confidence" and
    "trusted" are None.
    """
    rows = []
    for caption in image.captions:
        row: dict[str, Any] = {
            "caption": caption.text,
            "log_prob": round(caption.log_prob, 6),
            "confidence": caption.confidence,
            "trusted": caption.trusted,
        }
        if explain:
            row["words"] = [{"word": word, "probability": round(p, 6)} for word, p in word_probabilities(caption)]
        rows.append(row)
    kind = "image"
    if is_video(image.path):
        kind = "video"
    return {kind: image.name, "captions": rows}


def json_lines(image: Captioned, explain: bool) -> list[str]:
    """Return one line of JSON, the `json_row`."""
    return [json_line(json_row(image, explain))]


def csv_lines(image: Captioned, explain: bool) -> list[str]:
    """Return a row for each caption, with the columns of `csv_header`."""
    lines = []
    for rank, caption in enumerate(image.captions, start=1):
        numbers = [rank, f"{caption.log_prob:.6f}", caption.confidence]
        row = [_text_cell(image.name), *numbers, _text_cell(caption.text)]
        if explain:
            row.append(_text_cell(_words_line(caption)))
        lines.append(_csv_line(row))
    return lines


def csv_header(explain: bool) -> str:
    """Return the names of the columns."""
    columns = ["image", "rank", "log_prob", "confidence", "caption"]
    if explain:
        columns.append("word_probabilities")
    return _csv_line(columns)


LINES: dict[str, Callable[[Captioned, bool], list[str]]] = {
    "text": text_lines,
    "jsonl": json_lines,
    "csv": csv_lines,
}


def _words_line(caption: "Caption") -> str:
    return "  ".join(f"{word} {probability:.3f}" for word, probability in word_probabilities(caption))


def _text_cell(text: str) -> str:
    """Return text for a cell: after an apostrophe where a spreadsheet would take it for a formula."""
    if text.startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text


def _csv_line(row: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(row)  # so that either of them in a name is quoted
    return line.getvalue()[:-2]
