"""The metrics as functions of arrays and texts, for use from Python; see `eval.run` for trained models."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from eval.metrics.captions.score import CaptionScores
    from eval.metrics.fixations.evaluate import FixationProtocol, FixationScores
    from eval.metrics.retrieval import RetrievalMetrics


def retrieval_metrics(scores: "ArrayLike", image_of_caption: "ArrayLike") -> "RetrievalMetrics":
    """Compute recall at 1, 5 and 10, median and mean rank of both directions; ties are ranked pessimistically.

    Args:
        scores: float [N, M] of N images and M captions, higher is better.
        image_of_caption: int [M], the row of the image that each caption describes.

    Raises:
        EvalError: shapes that do not fit, NaN or infinite scores, or an image without captions.
    """
    from eval.metrics import ranking, retrieval

    return retrieval.retrieval_metrics(ranking.ranks_from_scores(scores, image_of_caption))


def caption_metrics(
    captions: Mapping[int | str, str], references: Mapping[int | str, Sequence[str]], *, tokenizer: str | None = None
) -> "CaptionScores":
    """Compute BLEU-1 to 4, METEOR, ROUGE-L and CIDEr-D, equal to pycocoevalcap's.

    Args:
        captions: one for each image id.
        references: one or more for each image id.
        tokenizer: "ptb", "treebank" (no Java), or None for "ptb" where there is Java.

    Raises:
        EvalError: images without references, or texts that cannot be scored.
    """
    from eval.metrics.captions.score import score_captions

    return score_captions(captions, references, tokenizer=tokenizer)


def fixation_metrics(
    records: Sequence[Any], methods: Mapping[str, Callable[[Any], Any]], protocol: "FixationProtocol | None" = None
) -> "dict[str, FixationScores]":
    """Compute AUC-Judd, AUC-Borji, shuffled AUC, NSS, CC, SIM, KL and information gain of saliency maps.

    Args:
        records: `datasets.fixations.records.FixationRecord` of at least 2 images.
        methods: {name: function of a record that returns its map, float [h, w]}.
        protocol: how maps are scored; None: the default.

    Raises:
        EvalError: fewer than 2 images.
    """
    from eval.metrics.fixations.evaluate import FixationProtocol, evaluate_maps

    return evaluate_maps(records, methods, protocol or FixationProtocol())
