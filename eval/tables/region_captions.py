"""Captions of annotated boxes: results of scores over seeds, and their table with published rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.metrics.captions.score import Captions, References, score_captions
from eval.published.captions import COLUMNS
from eval.published.retrieval import KARPATHY
from eval.results.kinds import RegionCaptionResult
from eval.results.models import ModelInfo, Run, about_ranker, summarize_runs
from eval.results.result import Row
from eval.tables.captions import percent
from eval.tables.markdown import (
    note,
    number,
    one_table,
    result_lines,
    result_row,
    section,
    seeds,
    source_line,
    table_title,
)
from vislang.draw.html import elements

_HEADER = ("model", "input", "BLEU-1", "2", "3", "4", "METEOR", "ROUGE-L", "CIDEr", "source")
# BLEU from memory, the others verified: regions of COCO, 45 annotated snippets for each image.
_PUBLISHED: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("people †", (61.5, 45.2, 30.1, 22.0, None, None, None)),
    ("full-frame RNN †", (14.2, 6.0, 2.2, 0.0, 13.3, 21.0, 20.3)),
    ("region RNN †", (35.2, 23.0, 16.1, 14.8, 15.8, 35.1, 61.6)),
)


@dataclass(frozen=True, kw_only=True)
class RegionRun(Run):
    """The captions of one captioner, by box, what it was trained on, and the ranker whose maps chose them, if any."""

    captions: Captions
    reads: str
    ranker: ModelInfo | None = None


def region_caption_result(
    row: Row, runs: Sequence[RegionRun], references: References, tokenizer: str | None = None
) -> RegionCaptionResult:
    """Score the captions of one row's seeds against the phrases that name each box.

    `tokenizer` is "ptb", "treebank" or None for the best that runs.
    """
    scores = [score_captions(run.captions, references, tokenizer=tokenizer) for run in runs]
    metrics, std, per_seed = summarize_runs(runs, [percent(one.corpus) for one in scores])
    return RegionCaptionResult(
        **vars(row),
        metrics=metrics,
        std=std,
        per_seed=per_seed,
        reads=runs[0].reads,
        num_boxes=len(references),
        tokenizer=scores[0].tokenizer,
        ranker=about_ranker(runs[0].ranker),
        skipped=dict(scores[0].skipped),
    )


def region_caption_section(results: Sequence[RegionCaptionResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split, published rows first."""
    last = one_table(results)
    rows = []
    for name, numbers in _PUBLISHED:
        rows.append(elements.Row(name, ["regions of COCO", *map(number, numbers)], KARPATHY))
    for result in results:
        rows.append(result_row(result, COLUMNS, f"here, {seeds(result)}", [result.reads]))
    return section(
        table_title("Region captions", last),
        f"{last.num_boxes:,} annotated boxes, scored against the phrases that name their content. Times 100, higher is"
        " better. A model of whole images captions the crop of the box.",
        result_lines(_HEADER, rows, results, folder),
        source_line(rows),
        "† METEOR, ROUGE-L and CIDEr from the paper, BLEU quoted from memory; another data set, 45 references."
        " Models of whole images write sentences; the phrases are short.",
        list(map(note, results)),
    )
