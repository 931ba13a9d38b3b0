"""All caption metrics on 5,000 images x 5 references: the suite against pycocoevalcap, one metric after the other.

Run: python benchmarks/captions.py [--images 5000] [--references 5] [--without-index]
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np

from eval.metrics.captions.meteor_paraphrases import make_index
from eval.metrics.captions.score import CaptionScores, score_captions


def main() -> None:
    args = parse()
    candidates, references = synthetic_captions(args.images, args.references)
    print(f"{len(candidates)} images x {args.references} references, such as {next(iter(candidates.values()))!r}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VISLANG_CACHE"] = folder
        if not args.without_index:
            once, _ = seconds(make_index)
            print(f"index of METEOR's paraphrases, made once for each machine and not counted below: {once:.2f} s")
        compare(candidates, references)


def compare(candidates: dict[int, str], references: dict[int, list[str]]) -> None:
    ours, our_scores = seconds(lambda: score_captions(candidates, references))
    print(f"this suite: {ours:.2f} s, tokenizer {our_scores.tokenizer}, not run: {', '.join(our_scores.skipped)}")
    theirs, their_scores = seconds(lambda: pycocoevalcap_scores(candidates, references))
    print(f"pycocoevalcap, one after the other: {theirs:.2f} s")
    report_differences(our_scores, their_scores)
    print(f"ratio: {ours / theirs:.2f} of pycocoevalcap's time")


def pycocoevalcap_scores(candidates: dict[int, str], references: dict[int, list[str]]) -> dict[str, float]:
    """Score as pycocoevalcap's own `eval.py` does, without SPICE."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    def step(name: str, work: Callable[[], object]) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            spent, result = seconds(work)
        print(f"  {name}: {spent:.2f} s")
        return result

    given = {image: [{"caption": caption} for caption in captions] for image, captions in references.items()}
    written = {image: [{"caption": caption}] for image, caption in candidates.items()}
    tokenizer = PTBTokenizer()
    reference_tokens, candidate_tokens = step("PTB", lambda: (tokenizer.tokenize(given), tokenizer.tokenize(written)))
    bleu = step("BLEU", lambda: Bleu(4).compute_score(reference_tokens, candidate_tokens, verbose=0))[0]
    scores = dict(zip(("bleu1", "bleu2", "bleu3", "bleu4"), bleu, strict=True))
    for name, metric in (("meteor", Meteor), ("rouge_l", Rouge), ("cider", Cider)):
        scores[name] = step(
            metric.__name__, lambda metric=metric: metric().compute_score(reference_tokens, candidate_tokens)
        )[0]
    return scores


def report_differences(ours: CaptionScores, theirs: dict[str, float]) -> None:
    for name, score in theirs.items():
        print(f"  {name}: {ours.corpus[name]:.6f}, differs by {abs(ours.corpus[name] - score):.1e}")


def synthetic_captions(num_images: int, per_image: int) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Return candidates and references that a small grammar generates; captions of one image share most words."""
    random = np.random.default_rng(0)
    names = [f"{first}{last}" for first in ("bal", "cor", "din", "fel", "gam", "hul") for last in SYLLABLES]
    things = THINGS + names  # a long tail of rare words, as in real captions
    rarity = 1 / np.arange(1, len(things) + 1)
    rarity /= rarity.sum()

    def pick(words: list[str]) -> str:
        return words[random.integers(len(words))]

    def sentence(who: str, does: str, where: str) -> str:
        words = [pick(["a", "the", "one", "a young", "two"]), pick([*COLOURS, ""]), who]
        words += [pick([does, does, pick(DOES)]), pick([pick(MANNERS), ""]), pick(["on", "in", "near", "beside"])]
        words += [pick(["the", "a", "some"]), pick([where, where, pick(PLACES)]), pick(["", "", pick(ENDINGS)])]
        return " ".join(word for word in words if word).capitalize() + pick([".", " .", ""])

    candidates = {}
    references = {}
    for image in range(num_images):
        scene = (things[random.choice(len(things), p=rarity)], pick(DOES), pick(PLACES))
        candidates[image] = sentence(*scene)
        references[image] = [sentence(*scene) for _ in range(per_image)]
    return candidates, references


SYLLABLES = ["an", "er", "ion", "ox", "ute", "ish", "old", "ama", "eti", "ong"]
THINGS = ["man", "dog", "woman", "boy", "girl", "child", "horse", "player", "bike", "surfer", "cat", "bird", "car"]
COLOURS = ["red", "blue", "white", "black", "brown", "small", "large", "green", "tall", "wet"]
DOES = [
    "runs",
    "is running",
    "jumps",
    "jumped",
    "stands",
    "is sitting",
    "plays with a ball",
    "climbs",
    "rides",
    "sleeps",
]
MANNERS = ["quickly", "with a smile", "with another dog", "wearing a hat", "in the air", "holding a stick", "alone"]
PLACES = ["grass", "beach", "snowy mountain", "street", "water", "field of flowers", "rock wall", "city park", "pool"]
ENDINGS = ["while people watch", "at night", "on a sunny day", "next to a tree", "during a race", "in front of a house"]


def seconds(work: Callable) -> tuple[float, object]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument(
        "--without-index", action="store_true", help="without the index of paraphrases, as at the first run"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
