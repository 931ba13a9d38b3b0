"""Agreement of caption metrics with human judgements: Kendall's tau, with published values."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.captions.human_judgements import Judged
from eval.results.experiments import AgreementPart, AgreementResult
from eval.tables.markdown import NOTHING, note, number, section, table_lines
from vislang.core.errors import EvalError

EXPERT = "expert"
CROWD = "crowd"
VARIANTS = {EXPERT: "c", CROWD: "b"}  # tau-c corrects for tables that are not square: 4 ratings, many scores
TITLES = {"bleu1": "BLEU-1", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L", "meteor": "METEOR", "cider": "CIDEr"}
TOLERANCE = 1.5
_OTHER = {"b": "c", "c": "b"}

# Times 100. The experts' values were looked up: what the published code prints, in aimagelab/pacscore#3 and, all but
# BLEU-1, in jmhessel/clipscore#3. The crowd's are from memory of the paper, arXiv:2104.08718.
PUBLISHED = {
    EXPERT: {"bleu1": 32.3, "bleu4": 30.8, "rouge_l": 32.3, "meteor": 41.8, "cider": 43.9},
    CROWD: {"bleu4": 16.9, "meteor": 22.2, "cider": 24.6},
}


def kendall_tau(scores: NDArray[np.float64], ratings: NDArray[np.float64], variant: str) -> float:
    """Compute Kendall's tau times 100, -100..100, of scores float [P] and ratings float [P, R]; each rating is a point.

    `variant` "b" or "c" is how ties are corrected for.

    Raises:
        EvalError: other numbers of scores and ratings, or all of either are equal.
    """
    from scipy.stats import kendalltau

    if len(scores) != len(ratings):
        raise EvalError(f"got {len(scores)} scores and ratings of {len(ratings)} pairs, expected one score each")
    tau = kendalltau(np.repeat(scores, ratings.shape[1]), ratings.ravel(), variant=variant).statistic
    if not np.isfinite(tau):
        raise EvalError("all scores or all ratings are equal, so tau is not defined; give more pairs")
    return 100 * float(tau)


def agreement(judged: Judged, scores: Mapping[str, NDArray[np.float64]], variant: str) -> AgreementPart:
    """Compute tau of each metric, scores float [P], in the published variant, "b" or "c", and in two others."""
    other = _OTHER[variant]
    part = AgreementPart(
        pairs=len(judged.candidates),
        images=len(set(judged.images)),
        ratings=int(judged.ratings.size),
        own_references=judged.own,
        variant=f"tau-{variant}",
    )
    mean = judged.ratings.mean(axis=1, keepdims=True)
    for name in TITLES:
        if name not in scores:
            continue
        part.tau[name] = kendall_tau(scores[name], judged.ratings, variant)
        part.other_tau[name] = kendall_tau(scores[name], judged.ratings, other)
        if judged.ratings.shape[1] > 1:
            part.tau_of_mean_rating[name] = kendall_tau(scores[name], mean, variant)
    return part


def agreement_section(results: Sequence[AgreementResult], folder: str | None = None) -> str:
    """Return the Markdown section of the newest result."""
    result = results[-1]
    link = ""
    if folder is not None:
        link = f" All numbers: [{result.file_name()}]({folder}{result.file_name()})."
    skipped = [f"- not measured, {name}: {reason}" for name, reason in result.skipped.items()]
    return section(
        "Agreement of caption metrics with human judgements",
        "Kendall's tau times 100 between each metric and human judgements of captions of Flickr8K images; higher is"
        f" better. Made by `make metric-agreement F8K=DIR`.{link}",
        *_part(EXPERT, "Experts", result.expert),
        *_part(CROWD, "Crowd (published: †)", result.crowd),
        _PROTOCOL,
        [*skipped, note(result, f"tokenizer {result.tokenizer}")],
    )


def _part(name: str, heading: str, part: AgreementPart) -> tuple[str, list[str]]:
    others = {f"here, tau-{_OTHER[part.variant[-1]]}": part.other_tau}
    if part.tau_of_mean_rating:
        others["here, against the mean of the ratings"] = part.tau_of_mean_rating
    rows = []
    for metric, tau in part.tau.items():
        published = PUBLISHED[name].get(metric)
        difference = NOTHING
        agrees = NOTHING
        if published is not None:
            difference = f"{tau - published:+.2f}"
            agrees = "no"
            if abs(tau - published) <= TOLERANCE:
                agrees = "yes"
        rest = [f"{values[metric]:.2f}" for values in others.values()]
        rows.append([TITLES[metric], number(published), f"**{tau:.2f}**", difference, agrees, *rest])
    header = ["metric", "published", "here", "difference", f"within {TOLERANCE}", *others]
    title = f"### {heading}: {part.variant}, {part.ratings:,} ratings of {part.pairs:,} pairs"
    return title, table_lines(header, rows)


_PROTOCOL = (
    "† quoted from memory, not checked against the CLIPScore paper (arXiv:2104.08718). The experts' values were looked"
    " up: what the published code prints, in aimagelab/pacscore#3 and, all but BLEU-1, in jmhessel/clipscore#3.",
    "",
    "### Protocol",
    "",
    "- A pair is an image and a caption that was written for this or another image. Each pair is scored as an image of"
    " its own, against the captions of the image.",
    "- Experts: pairs whose candidate equals, letter for letter, one of the image's five references are left out. Each"
    " of the three ratings, 1 to 4, is a data point, against all five references; tau-c.",
    "- Crowd: all pairs stay, and a reference that is a candidate for its own image is removed from the references of"
    ' all pairs of that image. The rating is the share of people who said "yes"; tau-b.',
    "- Captions are tokenized with PTB. BLEU is coco-caption's of a single caption. CIDEr takes its n-gram weights"
    " from all data points of a table, so that a pair with three ratings counts three times.",
    "- The caption key `2258277193_586949ec62.jpg.1` names no image and is read as the first caption of"
    " `2258277193_586949ec62.jpg`; neither file judges it.",
)
