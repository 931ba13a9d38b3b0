"""All caption metrics of a set of captions, with one tokenizer call and one METEOR process.

A metric that cannot run is left out with its reason, and the others are still computed. Corpus scores are those of
pycocoevalcap: BLEU, METEOR, ROUGE-L 0..1, CIDEr-D 0..10, higher is better.
"""

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.bleu_rouge import bleu, rouge_l
from eval.metrics.captions.cider import cider
from eval.metrics.captions.coco_files import ImageId, references_of
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.meteor import Meteor, MeteorScores
from eval.metrics.captions.ngrams import count_ngrams
from eval.metrics.captions.ptb_tokenizer import PTB, TREEBANK, ptb_tokenize, treebank_tokenize
from vislang.core.errors import EvalError, unknown_name

Floats = NDArray[np.float64]
Captions = Mapping[ImageId, str]
References = Mapping[ImageId, Sequence[str]]
Tokens = tuple[list[str], list[list[str]]]  # tokenized captions, and the references of each

METRICS = ("bleu", "meteor", "rouge", "cider", "spice")
BLEU_NAMES = ("bleu1", "bleu2", "bleu3", "bleu4")
_NO_SPICE = (
    "SPICE needs Stanford CoreNLP 3.6, which pycocoevalcap fetches from the network and which does not start on "
    "Java 9 or later; score the same results file with coco-caption and Java 8"
)


@dataclass(frozen=True)
class CaptionScores:
    """Every metric of one set of captions.

    Attributes:
        corpus: by name: bleu1 .. bleu4, meteor, rouge_l, cider; without those in `skipped`.
        per_image: by the same names float64 [N]; their mean is the corpus score of rouge_l and cider only.
        image_ids: the N images, in the order of `per_image`.
        tokenizer: "ptb" or "treebank" (no Java; PTB and it agree on 99.9 % of Flickr8K's captions).
        skipped: for each metric or tool that did not run, why.
        statistics: "bleu" float64 [N, 10] and "meteor" float64 [N, 23], which add up over images.
        unused_references: images that have references but no caption here; 0 when a whole split was captioned.
    """

    corpus: dict[str, float]
    per_image: dict[str, Floats]
    image_ids: tuple[ImageId, ...]
    tokenizer: str
    skipped: dict[str, str]
    statistics: dict[str, Floats] = field(default_factory=dict)
    unused_references: int = 0


def score_captions(
    candidates: Captions,
    references: References,
    *,
    metrics: Sequence[str] = METRICS,
    df: DocumentFrequencies | None = None,
    tokenizer: str | None = None,
    meteor: Meteor | None = None,
) -> CaptionScores:
    """Score one caption for each image.

    Args:
        candidates: one raw caption for each image id.
        references: for each image id its raw captions, one or more; other images are ignored.
        metrics: any of `METRICS`.
        df: stored n-gram frequencies for CIDEr, needed for a single image and recommended for small sets.
        tokenizer: "ptb", "treebank" (no Java), or None for "ptb" where there is Java and "treebank" elsewhere.
        meteor: a running METEOR; None: one is started and stopped.

    Raises:
        ConfigError: an unknown metric or tokenizer.
        EvalError: captions that cannot be scored, or tokenizer "ptb" was requested and cannot run.
    """
    return score_systems({"": candidates}, references, metrics=metrics, df=df, tokenizer=tokenizer, meteor=meteor)[""]


def score_systems(
    systems: Mapping[str, Captions],
    references: References,
    *,
    metrics: Sequence[str] = METRICS,
    df: DocumentFrequencies | None = None,
    tokenizer: str | None = None,
    meteor: Meteor | None = None,
) -> dict[str, CaptionScores]:
    """Score several sets of captions with one tokenizer call and one METEOR; see `score_captions`.

    `systems` holds the captions of each name; all share the references.
    """
    _require_known(metrics, tokenizer)
    chosen = {name: references_of(captions, references) for name, captions in systems.items()}
    skipped = {}
    if "spice" in metrics:
        skipped["spice"] = _NO_SPICE
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))  # METEOR runs there, in parallel with the other metrics
        if "meteor" in metrics and meteor is None:
            try:
                meteor = stack.enter_context(Meteor())
            except EvalError as error:
                skipped["meteor"] = str(error)
        texts: list[str] = []
        for name, captions in systems.items():
            texts += [*captions.values(), *chain(*chosen[name])]
        used, words_of = _tokenize(texts, tokenizer, skipped)
        tokens = {}
        for name, captions in systems.items():
            others = []
            for texts_of_image in chosen[name]:
                others.append(list(map(words_of.__getitem__, texts_of_image)))
            tokens[name] = list(map(words_of.__getitem__, captions.values())), others
        running = None
        if "meteor" in metrics and meteor is not None:
            running = pool.submit(_meteor_scores, meteor, tokens)
        scores = {}
        for name, captions in systems.items():
            unused = max(0, len(references) - len(captions))
            scores[name] = CaptionScores({}, {}, tuple(captions), used, dict(skipped), {}, unused)
            _add_scores(scores[name], *tokens[name], metrics, df)
        if running is not None:
            for name, found in running.result().items():
                _add_meteor(scores[name], found)
    return scores


def _require_known(metrics: Sequence[str], tokenizer: str | None) -> None:
    for name in metrics:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    if tokenizer not in (None, PTB, TREEBANK):
        raise unknown_name("tokenizer", str(tokenizer), (PTB, TREEBANK))


def _meteor_scores(meteor: Meteor, tokens: Mapping[str, Tokens]) -> dict[str, MeteorScores | str]:
    """Return METEOR of each set, or why it failed."""
    try:
        meteor.prepare(chain.from_iterable([*candidates, *chain(*others)] for candidates, others in tokens.values()))
    except EvalError as error:
        return dict.fromkeys(tokens, str(error))
    found: dict[str, MeteorScores | str] = {}
    for name, (candidates, others) in tokens.items():
        try:
            found[name] = meteor.score(candidates, others)
        except EvalError as error:
            found[name] = str(error)
    return found


def _tokenize(texts: list[str], tokenizer: str | None, skipped: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return the tokenizer used and, for each text, its words joined by spaces."""
    distinct = list(dict.fromkeys(texts))
    if tokenizer != TREEBANK:
        try:
            return PTB, dict(zip(distinct, ptb_tokenize(distinct), strict=True))
        except EvalError as error:
            if tokenizer == PTB:
                raise
            skipped["ptb"] = f"{error} (scored with the tokenizer {TREEBANK!r} instead)"
    return TREEBANK, dict(zip(distinct, treebank_tokenize(distinct), strict=True))


def _add_scores(
    result: CaptionScores,
    candidates: list[str],
    references: list[list[str]],
    metrics: Sequence[str],
    df: DocumentFrequencies | None,
) -> None:
    if "bleu" in metrics or "cider" in metrics:
        ngrams = count_ngrams(candidates, references)
    if "bleu" in metrics:
        scores = bleu(ngrams)
        result.corpus.update(zip(BLEU_NAMES, scores.corpus.tolist(), strict=True))
        result.per_image.update(zip(BLEU_NAMES, scores.per_image.T, strict=True))
        result.statistics["bleu"] = scores.statistics
    if "rouge" in metrics:
        _add_mean(result, "rouge_l", rouge_l(candidates, references))
    if "cider" in metrics:
        reason = _why_no_cider(len(candidates), df, result.tokenizer)
        if reason:
            result.skipped["cider"] = reason
        else:
            _add_mean(result, "cider", cider(ngrams, df=df))


def _why_no_cider(num_images: int, df: DocumentFrequencies | None, tokenizer: str) -> str:
    """Return why CIDEr has no meaning, "" where it has one."""
    if df is None and num_images == 1:
        return "CIDEr of one image is always 0 without document frequencies; give df"
    if df is not None and df.tokenizer != tokenizer:
        return (
            f"the document frequencies were counted on {df.tokenizer!r} words and these captions are {tokenizer!r} "
            "words; give a table of the same tokenizer"
        )
    return ""


def _add_mean(result: CaptionScores, name: str, per_image: Floats) -> None:
    result.per_image[name] = per_image
    result.corpus[name] = float(per_image.mean())


def _add_meteor(result: CaptionScores, found: MeteorScores | str) -> None:
    if isinstance(found, str):
        result.skipped["meteor"] = found
        return
    result.corpus["meteor"] = found.corpus
    result.per_image["meteor"] = found.per_image
    result.statistics["meteor"] = found.statistics
