"""Markdown that all tables of results are made of."""

import re
from collections.abc import Iterable, Sequence

from eval.published.row import PublishedRow
from eval.results.result import R, Result
from vislang.core.errors import EvalError
from vislang.draw.html.elements import Row

NOTHING = "–"
FROM_MEMORY = "† quoted from memory, not checked against the paper."
_DATASETS = {
    "flickr8k": "Flickr8K",
    "flickr30k": "Flickr30K",
    "coco": "COCO",
    "msrvtt": "MSR-VTT",
    "osie": "OSIE",
    "pacs": "PACS",
}
_SYSTEMS = {"vse": "ranker", "alignment": "aligner", "captioner": "captioner", "regions": "region captioner"}
_BACKBONES = {
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "mobilenet_0.75": "MobileNet 0.75",
    "vgg19_block3": "VGG-19",
    "vgg16": "VGG-16",
    "vgg19": "VGG-19",
    "inception_v3": "Inception-v3",
    "compact_scenes": "CNN of scenes",
    "none": "no backbone",
}
_SETTINGS = {"consensus_weight=0": "without consensus re-ranking", "maps": "with the maps of a ranker"}
_ROW_NAME = re.compile(
    rf"(?:({'|'.join(_SYSTEMS)})-)?(?:([\w@-]+)-)?({'|'.join(map(re.escape, _BACKBONES))})((?:-[\w.=]+)*)(?![\w.])"
)


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; cells are Markdown."""
    lines = [_line(header), "|---" * len(header) + "|"]
    lines.extend(map(_line, rows))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def result_lines(
    header: Sequence[str], rows: Sequence[Row], results: Sequence[Result], folder: str | None
) -> list[str]:
    """Return the lines of a table whose rows, as `elements.table` takes them, are published ones and results in bold.

    The head of a row of `results` is its name, or "NAME: METHOD" of a result with several methods.
    The rows of `results` link their files in `folder`; None: no links. Published sources are numbers of `source_line`.
    """
    by_name = {result.name: result for result in results}
    sources = _published_sources(rows)
    lines = []
    for row in rows:
        cells = [cell(row_words(row.head)), *row.cells]
        if row.ours:
            result = by_name.get(row.head) or by_name[row.head.rpartition(": ")[0]]
            cells[0] = named(result, folder, row.head)
            cells = bold(cells)
        if row.source in sources:
            cells.append(f"[{sources.index(row.source) + 1}]")
        elif row.source is not None:
            cells.append(row.source)
        lines.append(cells)
    return table_lines(header, lines)


def source_line(rows: Sequence[Row]) -> str:
    """Return the line that names the numbered sources of published rows; "" where there are none."""
    numbered = [f"[{index}] {source}" for index, source in enumerate(_published_sources(rows), 1)]
    if not numbered:
        return ""
    return f"Sources: {'; '.join(numbered)}."


def _published_sources(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.source for row in rows if row.source is not None and not row.ours))


def dataset_words(name: str) -> str:
    """Return the name of a data set as its authors spell it; any other name as it is."""
    return cell(_DATASETS.get(name, name))


def table_title(title: str, result: Result) -> str:
    """Return the heading of the table of a result's data set and split."""
    return f"{title}: {dataset_words(result.dataset)}, {result.split}"


def row_words(name: str) -> str:
    """Return the name of a row in words: for "vse-best-mobilenet_v2", "ranker best, MobileNetV2"."""
    found = _ROW_NAME.match(name)
    if found is None:
        return name
    system, preset, backbone, settings = found.groups()
    words = [" ".join(filter(None, (_SYSTEMS.get(system), preset))), _BACKBONES[backbone]]
    for setting in filter(None, settings.split("-")):
        words.append(_SETTINGS.get(setting, setting.replace("_", " ")))
    return ", ".join(filter(None, words)) + name[found.end() :]


def section(title: str, *paragraphs: str | Sequence[str]) -> str:
    """Return a Markdown section: a heading, then paragraphs, each a text or its lines; empty ones are left out."""
    blocks = [f"## {title}"]
    for paragraph in paragraphs:
        text = paragraph
        if not isinstance(text, str):
            text = "\n".join(text)
        if text:
            blocks.append(text)
    return "\n\n".join(blocks) + "\n"


def cell(text: str) -> str:
    """Escape plain text for a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def bold(cells: Iterable[str]) -> list[str]:
    """Return the cells of a row in bold."""
    return [f"**{text}**" for text in cells]


def named(result: Result, folder: str | None, name: str | None = None) -> str:
    """Return a name, by default the result's own, as a link to its JSON file where there is a folder."""
    text = cell(row_words(name or result.name))
    if folder is None:
        return text
    return f"[{text}]({folder}{result.file_name()})"


def number(value: float | None, std: float | None = None, digits: int = 1) -> str:
    """Format a number, such as "22.3", "22.3 ± 0.4" or "–" for None."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    if std is not None:
        text += f" ± {std:.{digits}f}"
    return text


def metric_number(name: str, value: float | None, std: float | None = None) -> str:
    """Format a metric: as `number`, but "6" for a median rank, and three digits for a reciprocal rank."""
    digits = 1
    if name.endswith("mrr"):
        digits = 3
    if value is None or not name.endswith("medr"):
        return number(value, std, digits)
    text = number(value).removesuffix(".0")
    if std is not None:
        text += f" ± {std:.1f}"
    return text


def published_row(row: PublishedRow) -> Row:
    """Return a published row for a table of Markdown or HTML."""
    cells = [metric_number(name, value) for name, value in row.scores.items()]
    return Row(row.marked_method, cells, row.source)


def result_row(result: Result, columns: Sequence[str], source: str, first: Sequence[str] = ()) -> Row:
    """Return a result for a table of Markdown or HTML: the cells `first`, then the metrics `columns`."""
    cells = [*first]
    for name in columns:
        cells.append(metric_number(name, result.metrics.get(name), result.std.get(name)))
    return Row(result.name, cells, source, ours=True)


def count(amount: int, noun: str) -> str:
    """Format an amount, such as "1 seed" or "5 seeds"."""
    if amount == 1:
        return f"1 {noun}"
    return f"{amount:,} {noun}s"


def seeds(result: Result) -> str:
    """Return how many seeds a row has."""
    return count(max(1, len(result.per_seed)), "seed")


def origin(result: Result) -> str:
    """Return the commit and the day of a result."""
    made = result.provenance
    if made.commit is None:
        return f"outside git; {made.date}"
    changes = ""
    if made.dirty:
        changes = " with changes"
    return f"commit {made.commit[:10]}{changes}; {made.date}"


def note(result: Result, *parts: str) -> str:
    """Return a list item about a row: its name, the given parts, its commit and day."""
    words = "; ".join([*filter(None, parts), origin(result)])
    if not result.name:
        return f"- {words}"
    return f"- {cell(row_words(result.name))}: {words}"


def one_table(results: Sequence[R]) -> R:
    """Return the last of results that belong into one table.

    Raises:
        EvalError: no results, or results of several tables.
    """
    if len({result.table_key() for result in results}) != 1:
        tables = {", ".join(filter(None, (result.dataset, result.split))) for result in results}
        shown = "; ".join(sorted(tables)) or "nothing"
        raise EvalError(f"got results of {shown}, expected one data set and split for a table")
    return results[-1]
