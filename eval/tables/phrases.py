"""Phrases in their images: results of grounding and of the pointing game, and their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eval.metrics.fixations.auc import roc_auc
from eval.metrics.grounding import MEASURES as GROUNDING_MEASURES
from eval.metrics.grounding import GroundedPhrase, difference_interval, phrase_metrics
from eval.metrics.pointing_game import MEASURES as POINTING_MEASURES
from eval.metrics.pointing_game import PointedPhrase
from eval.results.kinds import (
    ALL,
    MAIN,
    Gain,
    GroundingResult,
    PhraseResult,
    PhraseScores,
    PointingResult,
    WordEvidence,
)
from eval.results.models import ModelInfo, Run, about_ranker, summarize_runs
from eval.results.result import Row, summarize_seeds
from eval.tables.markdown import (
    FROM_MEMORY,
    NOTHING,
    bold,
    cell,
    named,
    note,
    number,
    one_table,
    result_lines,
    section,
    seeds,
    table_lines,
    table_title,
)
from vislang.core.errors import EvalError
from vislang.draw.html import elements

OFF_CENTRE = "off centre"  # the phrases whose boxes do not hold the middle of the image
_SHOWN = ("pointing", "r1", "r5", "r10", "bound")
GROUNDING_HEADS = ("pointing", "R@1", "R@5", "R@10", "bound")
_PUBLISHED = (  # from memory, of the test split of Flickr30k Entities
    ("random †", 26.8),
    ("centre †", 49.2),
    ("Ramanishka et al. 2017 †", 50.1),
)

Outcomes = Mapping[str, Sequence[Any]]  # {method: the outcome of each phrase}


@dataclass(frozen=True, kw_only=True)
class GroundingRun(Run):
    """What one aligner did with each phrase, and what baselines did with its regions, which `proposals` names.

    `methods` are MAIN, and WITH_MAPS where there is a ranker.
    """

    proposals: str
    ranker: ModelInfo | None = None
    methods: dict[str, list[GroundedPhrase]] = field(default_factory=dict)
    baselines: dict[str, list[GroundedPhrase]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PointingRun(Run):
    """What the maps of one captioner did with each phrase, and those of a ranker, as MAIN."""

    ranker: ModelInfo
    methods: dict[str, list[PointedPhrase]]  # {method: the outcome of each phrase}, MAIN among them
    present: list[float] = field(default_factory=list)  # evidence scores of words from captions of the image
    absent: list[float] = field(default_factory=list)  # evidence scores of other words


def grounding_result(row: Row, runs: Sequence[GroundingRun]) -> GroundingResult:
    """Compute the result of one row from the runs of its seeds.

    Raises:
        EvalError: no phrase has a box.
    """
    summary = _summarize(runs, [run.methods for run in runs], runs[0].baselines, GROUNDING_MEASURES)
    return GroundingResult(**vars(row), **summary, proposals=runs[0].proposals, ranker=about_ranker(runs[0].ranker))


def pointing_result(row: Row, runs: Sequence[PointingRun], baselines: Outcomes) -> PointingResult:
    """Compute the result of one row from the runs of its seeds and methods that do not read the phrase.

    Raises:
        EvalError: no phrase has a box, or no word is present or absent.
    """
    summary = _summarize(runs, [run.methods for run in runs], baselines, POINTING_MEASURES)
    for name in summary["methods"]:
        summary["methods"][name][OFF_CENTRE], _ = summarize_seeds([_off_centre(run.methods[name]) for run in runs])
    for name, outcomes in baselines.items():
        summary["baselines"][name][OFF_CENTRE] = _off_centre(outcomes)
    areas = [word_auc(run.present, run.absent) for run in runs]
    evidence = WordEvidence(float(np.mean(areas)), len(runs[0].present), len(runs[0].absent))
    return PointingResult(**vars(row), **summary, word_evidence=evidence, ranker=about_ranker(runs[0].ranker))


def _off_centre(outcomes: Sequence[PointedPhrase]) -> dict[str, float]:
    """Return the metrics of the phrases off the centre; none without such phrases."""
    chosen = [one for one in outcomes if one.off_centre]
    if not chosen:
        return {}
    return phrase_metrics(chosen, POINTING_MEASURES)[ALL]


def word_auc(present: Sequence[float], absent: Sequence[float]) -> float:
    """Return the probability that a present word has more evidence than an absent one, ties counting half.

    Raises:
        EvalError: one of the two is empty.
    """
    if not len(present) or not len(absent):
        raise EvalError(f"got {len(present)} present and {len(absent)} absent words, expected some of both")
    return roc_auc(np.asarray(present), np.asarray(absent))


def _summarize(
    runs: Sequence[Run], outcomes: Sequence[Outcomes], baselines: Outcomes, measures: Sequence[str]
) -> dict[str, Any]:
    """Average the outcomes of each run over seeds, and compare MAIN with the best baseline.

    Returns:
        The fields of every `PhraseResult`.
    """
    methods: dict[str, PhraseScores] = {}
    for name in outcomes[0]:
        of_seeds = [phrase_metrics(one[name], measures) for one in outcomes]
        methods[name] = {}
        for kind in of_seeds[0]:
            methods[name][kind], _ = summarize_seeds([scores[kind] for scores in of_seeds])
    per_seed = []
    ends = []
    of_baselines = {name: phrase_metrics(phrases, measures) for name, phrases in baselines.items()}
    best = max(of_baselines, key=lambda name: of_baselines[name][ALL]["pointing"])
    for one in outcomes:
        scores = phrase_metrics(one[MAIN], measures)[ALL]
        del scores["count"]
        per_seed.append(scores)
        ends.append(difference_interval(one[MAIN], baselines[best]))
    metrics, std, seed_runs = summarize_runs(runs, per_seed)
    low, high = np.mean(ends, axis=0).tolist()
    return {
        "metrics": metrics,
        "std": std,
        "per_seed": seed_runs,
        "methods": methods,
        "baselines": of_baselines,
        "gain": Gain(best, metrics["pointing"] - of_baselines[best][ALL]["pointing"], (low, high)),
    }


def grounding_rows(results: Sequence[GroundingResult]) -> list[elements.Row]:
    """Return the rows of one table: methods that do not read the phrase first.

    The baselines of several kinds of proposals have the proposals in their names.
    """
    kinds = phrase_kinds(results[-1])
    baselines: dict[str, dict[str, PhraseScores]] = {}
    for result in reversed(results):
        baselines.setdefault(result.proposals, result.baselines)
    rows = []
    for proposals, methods in baselines.items():
        for name, scores in methods.items():
            title = name
            if len(baselines) > 1:
                title = f"{name} ({proposals})"
            cells = _cells(scores, _SHOWN, kinds)
            if name.startswith("centre"):  # a point has no recalls
                cells[1 : len(_SHOWN)] = [NOTHING] * (len(_SHOWN) - 1)
            rows.append(elements.Row(title, cells))
    for result in results:
        for name, scores in result.methods.items():
            title = result.name
            if name != MAIN:
                title = f"{title}: {name}"
            rows.append(elements.Row(title, _cells(scores, _SHOWN, kinds), ours=True))
    return rows


def grounding_section(results: Sequence[GroundingResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split."""
    last = one_table(results)
    header = ["method", *GROUNDING_HEADS, *kind_heads(last)]
    return section(
        table_title("Phrase grounding", last),
        f"{_num_phrases(last):,} phrases with boxes. Per cent, higher is better. Pointing: the centre of the best"
        " region lies in an annotated box. R@K: one of the best K regions overlaps an annotated box by half. Bound:"
        " the best possible ranking of the proposals.",
        result_lines(header, grounding_rows(results), results, folder),
        [note(result, _gain_words(result), seeds(result)) for result in results],
    )


def pointing_section(results: Sequence[PointingResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split: baselines first, the main method in bold."""
    last = one_table(results)
    kinds = phrase_kinds(last)
    rows = []
    for name, pointing in _PUBLISHED:
        rows.append([name, number(pointing), *[NOTHING] * (len(POINTING_MEASURES) - 1 + len(kinds))])
    for name, scores in last.baselines.items():
        rows.append([name, *_cells(scores, POINTING_MEASURES, kinds)])
    notes = []
    for result in results:
        for name, scores in result.methods.items():
            title = named(result, folder, f"{result.name}: {name}")
            row = [title, *_cells(scores, POINTING_MEASURES, kinds)]
            if name == MAIN:
                row = bold(row)
            rows.append(row)
        words = result.word_evidence
        separation = (
            f"word evidence separates {words.present:,} words of the image's captions from {words.absent:,} other"
            f" words with ROC AUC {words.roc_auc:.3f}"
        )
        notes.append(note(result, _gain_words(result), separation, seeds(result)))
    return section(
        table_title("Pointing game with the words of given captions", last),
        f"{_num_phrases(last):,} phrases with boxes. Per cent, higher is better. Pointing: the maximum of the phrase's"
        " map lies in an annotated box, no tolerance; correctness: the share of the map that does; concentration: that"
        " share over the boxes' share of the image; central: the maximum lies in the middle 4x4 of 10x10 cells; off"
        " centre: phrases whose boxes do not hold the middle of the image.",
        table_lines(["method", *POINTING_MEASURES, *kind_heads(last)], rows),
        f"{FROM_MEMORY} Of Flickr30k Entities: Ramanishka et al. 2017, arXiv:1612.07360.",
        notes,
    )


def phrase_kinds(result: PhraseResult) -> list[str]:
    """Return the kinds of phrases of a result."""
    return [kind for kind in result.methods[MAIN] if kind != ALL]


def kind_heads(result: PhraseResult) -> list[str]:
    """Return the heads of the columns of each kind of phrases."""
    return [f"pointing: {kind}" for kind in phrase_kinds(result)]


def _cells(scores: PhraseScores, measures: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Return the measures over all phrases, then the pointing accuracy of each kind."""
    cells = [number(scores[ALL].get(measure)) for measure in measures]
    for kind in kinds:
        cells.append(number(scores.get(kind, {}).get("pointing")))
    return cells


def _num_phrases(result: PhraseResult) -> int:
    return round(result.methods[MAIN][ALL]["count"])


def _gain_words(result: PhraseResult) -> str:
    low, high = result.gain.interval
    return (
        f"{result.gain.points:.1f} points ahead of {cell(result.gain.over)} in pointing, 95 % interval over images"
        f" {low:.1f} to {high:.1f}"
    )
