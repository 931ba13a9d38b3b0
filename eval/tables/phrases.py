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
from eval.results.models import Run, summarize_runs
from eval.results.result import Row, Scores, SeedRun, summarize_seeds
from eval.tables.markdown import NOTHING, bold, cell, named, note, number, one_table, section, seeds, table_lines
from vislang.core.errors import EvalError

SHOWN = ("pointing", "r1", "r5", "r10", "bound")
_PUBLISHED = (  # recalled, of the test split of Flickr30k Entities
    ("random †", 26.8),
    ("centre †", 49.2),
    ("Ramanishka et al. 2017 †", 50.1),
)

Outcomes = Mapping[str, Sequence[Any]]  # {method: the outcome of each phrase}


@dataclass(frozen=True, kw_only=True)
class GroundingRun(Run):
    """What one aligner did with each phrase, and what baselines did with its regions, which `proposals` names."""

    proposals: str
    phrases: list[GroundedPhrase] = field(default_factory=list)
    baselines: dict[str, list[GroundedPhrase]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PointingRun(Run):
    """What the maps of one captioner did with each phrase.

    Attributes:
        methods: {method: the outcome of each phrase}, MAIN among them.
        present: evidence scores of words from captions of the image.
        absent: evidence scores of other words.
    """

    methods: dict[str, list[PointedPhrase]]
    present: list[float] = field(default_factory=list)
    absent: list[float] = field(default_factory=list)


def grounding_result(row: Row, runs: Sequence[GroundingRun]) -> GroundingResult:
    """Compute the result of one row.

    Args:
        row: what was grounded.
        runs: one for each seed; the metrics are means over them.

    Raises:
        EvalError: no phrase has a box.
    """
    summary = _summarize(runs, [{MAIN: run.phrases} for run in runs], runs[0].baselines, GROUNDING_MEASURES)
    return GroundingResult(**vars(row), **vars(summary), proposals=runs[0].proposals)


def pointing_result(row: Row, runs: Sequence[PointingRun], baselines: Outcomes) -> PointingResult:
    """Compute the result of one row.

    Args:
        row: what was measured.
        runs: one for each seed; the metrics are means over them.
        baselines: {method: the outcome of each phrase} of methods that do not read the phrase.

    Raises:
        EvalError: no phrase has a box, or no word is present or absent.
    """
    summary = _summarize(runs, [run.methods for run in runs], baselines, POINTING_MEASURES)
    areas = [word_auc(run.present, run.absent) for run in runs]
    evidence = WordEvidence(float(np.mean(areas)), len(runs[0].present), len(runs[0].absent))
    return PointingResult(**vars(row), **vars(summary), word_evidence=evidence)


def word_auc(present: Sequence[float], absent: Sequence[float]) -> float:
    """Return the probability that a present word has more evidence than an absent one, ties counting half.

    Raises:
        EvalError: one of the two is empty.
    """
    if not len(present) or not len(absent):
        raise EvalError(f"got {len(present)} present and {len(absent)} absent words, expected some of both")
    return roc_auc(np.asarray(present), np.asarray(absent))


@dataclass(frozen=True)
class _Summary:
    """The fields that every `PhraseResult` has."""

    metrics: Scores
    std: Scores
    per_seed: tuple[SeedRun, ...]
    methods: dict[str, PhraseScores]
    baselines: dict[str, PhraseScores]
    gain: Gain


def _summarize(
    runs: Sequence[Run], outcomes: Sequence[Outcomes], baselines: Outcomes, measures: Sequence[str]
) -> _Summary:
    """Average the outcomes of each run over seeds, and compare MAIN with the best baseline."""
    methods = {}
    for name in outcomes[0]:
        per_seed = [phrase_metrics(one[name], measures) for one in outcomes]
        if name == MAIN:
            metrics, std, seed_runs = summarize_runs(runs, [_without_count(scores[ALL]) for scores in per_seed])
        methods[name] = {kind: summarize_seeds([one[kind] for one in per_seed])[0] for kind in per_seed[0]}
    of_baselines = {name: phrase_metrics(phrases, measures) for name, phrases in baselines.items()}
    best = max(of_baselines, key=lambda name: of_baselines[name][ALL]["pointing"])
    ends = [difference_interval(one[MAIN], baselines[best]) for one in outcomes]
    low, high = np.mean(ends, axis=0).tolist()
    gain = Gain(best, metrics["pointing"] - of_baselines[best][ALL]["pointing"], (low, high))
    return _Summary(metrics, std, seed_runs, methods, of_baselines, gain)


def _without_count(scores: Scores) -> Scores:
    return {name: value for name, value in scores.items() if name != "count"}


def grounding_section(results: Sequence[GroundingResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split: methods that do not read the phrase first, ours in bold.

    Args:
        results: one or more, of one data set and split, best last.
        folder: path of the results' folder for links; None: no links.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    last = one_table(results)
    kinds = phrase_kinds(last)
    rows = [[name, *grounding_numbers(name, scores, kinds)] for name, scores in baseline_rows(results)]
    for result in results:
        rows.append(bold([named(result, folder), *grounding_numbers(result.name, result.methods[MAIN], kinds)]))
    header = ["method", "pointing", "R@1", "R@5", "R@10", "bound", *(f"pointing: {kind}" for kind in kinds)]
    return section(
        f"Phrase grounding: {last.dataset}, {last.split}",
        f"{_num_phrases(last):,} phrases with boxes. Per cent, higher is better. Pointing: the centre of the best"
        " region lies in an annotated box. R@K: one of the best K regions overlaps an annotated box by half. Bound:"
        " the best possible ranking of the proposals.",
        table_lines(header, rows),
        [note(result, _gain_words(result), seeds(result)) for result in results],
    )


def pointing_section(results: Sequence[PointingResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split; see `grounding_section`."""
    last = one_table(results)
    kinds = phrase_kinds(last)
    rows = []
    for name, pointing in _PUBLISHED:
        rows.append([name, number(pointing), NOTHING, *(NOTHING for _ in kinds)])
    for name, scores in last.baselines.items():
        rows.append([name, *_pointing_numbers(scores, kinds)])
    for result in results:
        for name, scores in result.methods.items():
            title = named(result, folder, f"{result.name}: {name}")
            row = [title, *_pointing_numbers(scores, kinds)]
            if name == MAIN:
                row = bold(row)
            rows.append(row)
    notes = []
    for result in results:
        words = result.word_evidence
        separation = (
            f"word evidence separates {words.present:,} words of the image's captions from {words.absent:,} other"
            f" words with ROC AUC {words.roc_auc:.3f}"
        )
        notes.append(note(result, _gain_words(result), separation, seeds(result)))
    return section(
        f"Pointing game with the words of given captions: {last.dataset}, {last.split}",
        f"{_num_phrases(last):,} phrases with boxes. Per cent, higher is better. Pointing: the maximum of the phrase's"
        " map lies in an annotated box, no tolerance; correctness: the share of the map that does. † recalled,"
        " Flickr30k Entities.",
        table_lines(["method", "pointing", "correctness", *(f"pointing: {kind}" for kind in kinds)], rows),
        notes,
    )


def phrase_kinds(result: PhraseResult) -> list[str]:
    """Return the kinds of phrases that a result tells apart."""
    return [kind for kind in result.methods[MAIN] if kind != ALL]


def baseline_rows(results: Sequence[GroundingResult]) -> list[tuple[str, PhraseScores]]:
    """Return name and scores of the baselines of each kind of proposals; several kinds become part of the names."""
    by_proposals: dict[str, dict[str, PhraseScores]] = {}
    for result in reversed(results):
        by_proposals.setdefault(result.proposals, result.baselines)
    rows = []
    for proposals, baselines in by_proposals.items():
        for name, scores in baselines.items():
            if len(by_proposals) > 1:
                name = f"{name} ({proposals})"
            rows.append((name, scores))
    return rows


def grounding_numbers(method: str, scores: PhraseScores, kinds: Sequence[str]) -> list[str]:
    """Return the cells of one row; the centre is a point and has no recalls."""
    numbers = [number(scores[ALL]["pointing"])]
    for measure in SHOWN[1:]:
        if method.startswith("centre"):
            numbers.append(NOTHING)
        else:
            numbers.append(number(scores[ALL][measure]))
    return numbers + _by_kind(scores, kinds)


def _pointing_numbers(scores: PhraseScores, kinds: Sequence[str]) -> list[str]:
    return [*(number(scores[ALL][measure]) for measure in POINTING_MEASURES), *_by_kind(scores, kinds)]


def _by_kind(scores: PhraseScores, kinds: Sequence[str]) -> list[str]:
    return [number(scores.get(kind, {}).get("pointing")) for kind in kinds]


def _num_phrases(result: PhraseResult) -> int:
    return round(result.methods[MAIN][ALL]["count"])


def _gain_words(result: PhraseResult) -> str:
    low, high = result.gain.interval
    return (
        f"{result.gain.points:.1f} points ahead of {cell(result.gain.over)} in pointing, 95 % interval over images"
        f" {low:.1f} to {high:.1f}"
    )
