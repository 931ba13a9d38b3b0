"""The table of each kind of result."""

from collections.abc import Callable, Sequence
from typing import Any

from eval.results import experiments, kinds
from eval.results.result import Result
from eval.tables.calibration import calibration_section
from eval.tables.captions import caption_section
from eval.tables.classification import classification_section
from eval.tables.experiments import (
    benchmark_section,
    change_section,
    comparison_section,
    inversion_section,
    maximisation_section,
)
from eval.tables.fixations import fixation_section
from eval.tables.metric_agreement import agreement_section
from eval.tables.phrases import grounding_section, pointing_section
from eval.tables.region_captions import region_caption_section
from eval.tables.retrieval import retrieval_section
from vislang.core.errors import EvalError

SECTIONS: dict[type[Result], Callable[[Sequence[Any], str | None], str]] = {
    kinds.RetrievalResult: retrieval_section,
    kinds.CaptionResult: caption_section,
    kinds.CalibrationResult: calibration_section,
    kinds.GroundingResult: grounding_section,
    kinds.RegionCaptionResult: region_caption_section,
    kinds.PointingResult: pointing_section,
    kinds.FixationResult: fixation_section,
    experiments.ChangeResult: change_section,
    kinds.ClassificationResult: classification_section,
    experiments.ComparisonResult: comparison_section,
    experiments.InversionResult: inversion_section,
    experiments.MaximisationResult: maximisation_section,
    experiments.AgreementResult: agreement_section,
    experiments.BenchmarkResult: benchmark_section,
}


def table_section(results: Sequence[Result], folder: str | None = None) -> str:
    """Return the Markdown section of results of one table; each of `SECTIONS` does so for one kind of result.

    `results` are of one kind, in the order of their rows, the best last; `folder` is the path of the results' folder
    from the page, ending in "/", for links to the JSON files, None: no links.

    Raises:
        EvalError: no results, results of several tables, or one whose parts do not fit together.
    """
    make = SECTIONS[type(results[0])]
    try:
        return make(results, folder)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        names = ", ".join(result.file_name() for result in results)
        raise EvalError(f"no table of {names}: their values do not fit together ({error!r}); make them anew") from error
