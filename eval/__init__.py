"""The evaluation suite: metrics of arrays and texts, results and their tables and pages, tasks of trained models."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.metrics.captions.score import score_captions
    from eval.metrics.fixations.evaluate import FixationProtocol, evaluate_maps
    from eval.metrics.ranking import ranks_from_scores
    from eval.metrics.retrieval import retrieval_metrics

__all__ = ["FixationProtocol", "evaluate_maps", "ranks_from_scores", "retrieval_metrics", "score_captions"]
_MODULES = {
    "FixationProtocol": "eval.metrics.fixations.evaluate",
    "evaluate_maps": "eval.metrics.fixations.evaluate",
    "ranks_from_scores": "eval.metrics.ranking",
    "retrieval_metrics": "eval.metrics.retrieval",
    "score_captions": "eval.metrics.captions.score",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: commands import the package before they parse their options."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
