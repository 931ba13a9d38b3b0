"""The evaluation suite: metrics of arrays and texts, results and their tables and pages, tasks of trained models."""

from eval.api import caption_metrics, fixation_metrics, retrieval_metrics

__all__ = ["caption_metrics", "fixation_metrics", "retrieval_metrics"]
