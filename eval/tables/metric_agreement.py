"""How well caption metrics agree with people: Kendall's tau of scores and ratings, beside published values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.captions.human_judgements import Judged
from eval.tables.retrieval import commit_words, table_line
from vislang.core.errors import EvalError

EXPERT, CROWD = "expert", "crowd"
VARIANTS = {EXPERT: "c", CROWD: "b"}  # tau-c allows for tables that are not square: 4 ratings, many scores
TITLES = {"bleu1": "BLEU-1", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L", "meteor": "METEOR", "cider": "CIDEr"}
BAR = 1.5

# Times 100. The experts' values were looked up: what the published code prints, in aimagelab/pacscore#3 and, all but
# BLEU-1, in jmhessel/clipscore#3. The crowd's are recalled from the paper, arXiv:2104.08718.
PUBLISHED = {
    EXPERT: {"bleu1": 32.3, "bleu4": 30.8, "rouge_l": 32.3, "meteor": 41.8, "cider": 43.9},
    CROWD: {"bleu4": 16.9, "meteor": 22.2, "cider": 24.6},
}
RECALLED = (CROWD,)


def kendall_tau(scores: NDArray[np.float64], ratings: NDArray[np.float64], variant: str) -> float:
    """Give Kendall's tau times 100, -100..100; every rating is a data point of its own.

    Args:
        scores: float [P], of a metric, one for each pair of image and candidate.
        ratings: float [P, R], higher is better.
        variant: "b" or "c", two ways to allow for ties.

    Raises:
        EvalError: other numbers of both, or scores or ratings that are all equal.
    """
    from scipy.stats import kendalltau

    if len(scores) != len(ratings):
        raise EvalError(f"{len(scores)} scores and ratings of {len(ratings)} pairs were given, expected one score each")
    tau = kendalltau(np.repeat(scores, ratings.shape[1]), ratings.ravel(), variant=variant).statistic
    if not np.isfinite(tau):
        raise EvalError("all scores or all ratings are equal, so that no order can agree; give more pairs")
    return 100 * float(tau)


def agreement(judged: Judged, scores: Mapping[str, NDArray[np.float64]], variant: str) -> dict[str, Any]:
    """Give tau of each metric, by the published way and by two others.

    Args:
        judged: P pairs with R ratings each.
        scores: for each metric float [P].
        variant: "b" or "c", the published one.
    """
    other = "b" if variant == "c" else "c"
    mean = judged.ratings.mean(axis=1, keepdims=True)
    shown = {name: scores[name] for name in TITLES if name in scores}
    result = {
        "pairs": len(judged.candidates),
        "images": len(set(judged.images)),
        "ratings": int(judged.ratings.size),
        "own_references": judged.own,
        "variant": f"tau-{variant}",
        "tau": {name: kendall_tau(values, judged.ratings, variant) for name, values in shown.items()},
        f"tau_{other}": {name: kendall_tau(values, judged.ratings, other) for name, values in shown.items()},
    }
    if judged.ratings.shape[1] > 1:
        result["tau_of_mean_rating"] = {name: kendall_tau(values, mean, variant) for name, values in shown.items()}
    return result


def agreement_table(document: Mapping[str, Any]) -> str:
    """Write the Markdown page of a document with a part for "expert" and one for "crowd"."""
    lines = [
        "# Do the metrics agree with people?",
        "",
        "Kendall's tau times 100 between each metric and human judgements of captions of Flickr8K images; higher is"
        " better. Made by `make metric-agreement F8K=DIR`.",
    ]
    for name, heading in ((EXPERT, "Experts"), (CROWD, "Crowd")):
        part = document[name]
        lines += ["", f"## {heading}: {part['variant']}, {part['ratings']:,} ratings of {part['pairs']:,} pairs", ""]
        lines += _table(name, part)
    lines += ["", *_PROTOCOL, ""]
    lines += [f"- not measured, {name}: {why}" for name, why in document["skipped"].items()]
    lines.append(f"- {'; '.join(['tokenizer ' + document['tokenizer'], commit_words(document), document['date']])}")
    return "\n".join(lines) + "\n"


def _table(name: str, part: Mapping[str, Any]) -> list[str]:
    other = next(key for key in part if key.startswith("tau_") and len(key) == 5)
    others = {other: f"here, tau-{other[-1]}", "tau_of_mean_rating": "here, against the mean of the ratings"}
    extra = {key: words for key, words in others.items() if key in part}
    mark = " †" * (name in RECALLED)
    lines = [table_line(["metric", f"published{mark}", "here", "difference", f"within {BAR}", *extra.values()])]
    lines.append("|---" * (5 + len(extra)) + "|")
    for metric, tau in part["tau"].items():
        published = PUBLISHED[name].get(metric)
        apart = None if published is None else tau - published
        words = (
            ["–"] * 3 if apart is None else [f"{published:.1f}", f"{apart:+.2f}", "yes" if abs(apart) <= BAR else "no"]
        )
        rest = [f"{part[key][metric]:.2f}" for key in extra]
        lines.append(table_line([TITLES[metric], words[0], f"**{tau:.2f}**", words[1], words[2], *rest]))
    return lines


_PROTOCOL = (
    "† recalled from the CLIPScore paper (arXiv:2104.08718), not verified against it. The experts' values were looked"
    " up: what the published code prints, in aimagelab/pacscore#3 and, all but BLEU-1, in jmhessel/clipscore#3.",
    "",
    "## The protocol",
    "",
    "- A pair is an image and a caption that was written for this or another image. Each pair is scored as if it were"
    " an image of its own, against the captions of the image.",
    "- Experts: a pair whose candidate, letter for letter, is one of the image's five references is left out. Each of"
    " the three ratings, 1 to 4, is a data point of its own, against all five references; tau-c.",
    "- Crowd: all pairs stay, and a reference that is a candidate for its own image is taken out of the references of"
    ' all pairs of that image. The rating is the share of people who said "yes"; tau-b.',
    "- Captions are tokenized with PTB. BLEU is coco-caption's of a single caption. CIDEr takes its n-gram weights"
    " from all data points of a table, so that a pair with three ratings counts three times.",
    "- The caption key `2258277193_586949ec62.jpg.1` names no image and is read as the first caption of"
    " `2258277193_586949ec62.jpg`; neither file judges it.",
)
