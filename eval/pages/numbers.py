"""The cards of numbers that lead the pages of results with an interval for each metric."""

from eval.results.result import Result
from vislang.draw.html.elements import number_card, spread_words


def metric_card(
    title: str,
    result: Result,
    metric: str,
    *,
    spread: str | None = None,
    unit: str = "",
    full: float = 100.0,
) -> str:
    """Return the card of one metric of a result with intervals; title and unit, behind the number, are plain text.

    `spread` is how much the seeds differ, in words, None: from the result; `full` the value at the end of the bar.
    """
    seeds = [run.metrics[metric] for run in result.per_seed]
    if spread is None:
        spread = spread_words(result.std.get(metric))
    interval = result.intervals[metric]
    return number_card(title, result.metrics[metric], interval, seeds, spread=spread, unit=unit, full=full)
