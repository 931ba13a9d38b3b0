"""Beam search of a batch in one graph: against a loop over images, steps and candidates in Python, and against greedy.

Run: python benchmarks/decoding.py [--images 256] [--loop-images 16] [--width 5] [--preset best] [--rounds 3]
The network is the preset's with random weights, over a grid of 49 descriptors; hardly any sentence ends before its 20
words, so that nothing saves time by ending early. The loop calls the network's step as it is written once for each
image and word, with the image's beams as its batch, and sorts candidates in Python; the last line is the ratio to it.
Two more loops frame it: a faster one, whose step is compiled, and a slower one that goes beam by beam, as captioners of
the time did.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from vislang.text.vocabulary import END, START

# As on Flickr8K with MobileNetV2.
NUM_WORDS = 2600
CELLS = 49
FEATURES = 1280
MAX_WORDS = 20


def main() -> None:
    args = parse()
    from captioner.decoding.decoder import Decoder
    from captioner.decoding.options import DecodeOptions

    network = random_network(args.preset)
    descriptors = random_images(args.images)
    mask = np.ones(descriptors.shape[:2], bool)
    beam = Decoder(network, DecodeOptions(width=args.width, num=args.width, max_words=MAX_WORDS))
    greedy = Decoder(network, DecodeOptions(method="greedy", max_words=MAX_WORDS))
    print(f"{args.images} images of {CELLS} descriptors, preset {args.preset}, {NUM_WORDS} words, beam {args.width}")

    compiled, uncompiled = steps_of(network)
    found = beam(descriptors, mask)  # the first call of everything compiles
    greedy(descriptors, mask)
    search_one(compiled, descriptors[:1], args.width)
    best = dict.fromkeys(("beam", "greedy", "loop", "compiled"), np.inf)
    some = descriptors[: args.loop_images]
    for _ in range(args.rounds):  # in turns, so that other work on the machine disturbs all alike
        best["beam"] = min(best["beam"], seconds(lambda: beam(descriptors, mask)))
        best["greedy"] = min(best["greedy"], seconds(lambda: greedy(descriptors, mask)))
        for name, step in (("loop", uncompiled), ("compiled", compiled)):
            spent = seconds(lambda step=step: [search_one(step, one[None], args.width) for one in some])
            best[name] = min(best[name], spent)
    one_by_one = seconds(lambda: search_one(uncompiled, descriptors[:1], args.width, beams_at_once=False))

    each = {name: best[name] / (args.images if name == "beam" else len(some)) for name in ("beam", "loop", "compiled")}
    print(f"one graph: {1000 * each['beam']:.1f} ms per image; greedy {1000 * best['greedy'] / args.images:.1f} ms")
    print(f"loop over {len(some)} images: {1000 * each['loop']:.1f} ms per image")
    for name, spent in (("with a compiled step", each["compiled"]), ("beam by beam", one_by_one)):
        print(f"loop {name}: {1000 * spent:.0f} ms, {spent / each['beam']:.1f} times the graph's")
    report_differences(found, [search_one(compiled, one[None], args.width) for one in some])
    print(f"beam {args.width} costs {best['beam'] / best['greedy']:.1f} times greedy")
    print(f"ratio: {each['loop'] / each['beam']:.1f} times faster than the loop over images")


def steps_of(network) -> tuple[tuple[Callable, Callable], tuple[Callable, Callable]]:
    """Return `start` and `step` compiled for any number of rows, and as they are."""
    import tensorflow as tf

    start = tf.function(network.start, autograph=False, reduce_retracing=True)
    step = tf.function(network.step, autograph=False, reduce_retracing=True)
    return (start, step), (network.start, network.step)


def search_one(functions: tuple[Callable, Callable], image: np.ndarray, width: int, *, beams_at_once: bool = True):
    """Beam search of one image, float32 [1, N, D], in Python: a list of (log_prob, words), best first."""
    import tensorflow as tf

    start, step = functions
    memory, state = start(tf.constant(image), tf.ones(image.shape[:2], tf.bool))
    ended = []
    growing = [(0.0, [])]
    for _ in range(MAX_WORDS):
        last = np.array([words[-1] if words else START for _, words in growing], np.int32)
        log_probs, state = step_all(step, memory, state, last, beams_at_once)
        log_probs[:, [0, 1, 3]] = -np.inf
        candidates = [(log_prob, words, -1) for log_prob, words in ended]
        for parent, (log_prob, words) in enumerate(growing):
            for word in np.argpartition(-log_probs[parent], width)[:width].tolist():
                candidates.append((log_prob + float(log_probs[parent, word]), [*words, word], parent))
        candidates = sorted(candidates, key=lambda one: -one[0])[:width]
        ended = [(log_prob, words) for log_prob, words, _ in candidates if words[-1] == END]
        going_on = [candidate for candidate in candidates if candidate[1][-1] != END]
        growing = [(log_prob, words) for log_prob, words, _ in going_on]
        if not growing:
            break
        parents = np.array([parent for _, _, parent in going_on])
        state = tf.nest.map_structure(lambda leaf, parents=parents: tf.gather(leaf, parents), state)
    return sorted([*ended, *growing], key=lambda one: -one[0])


def step_all(step: Callable, memory, state, last: np.ndarray, at_once: bool):
    """Read one word of each beam: float32 [beams, V] log-probabilities and the next state."""
    import tensorflow as tf

    if at_once:
        log_probs, state = step(memory, state, tf.constant(last))
        return log_probs.numpy(), state
    of_each = []
    for row in range(len(last)):
        of_row = tf.nest.map_structure(lambda leaf, row=row: leaf[row : row + 1], state)
        of_each.append(step(memory, of_row, last[row : row + 1]))
    state = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *(one for _, one in of_each))
    return np.concatenate([log_probs.numpy() for log_probs, _ in of_each]), state


def report_differences(found, looped: list[list[tuple[float, list[int]]]]) -> None:
    """Print how many sentences differ: matrix products of other sizes round differently, so near ties may swap."""
    others = 0
    total = 0
    for words, sentences in zip(found.words, looped, strict=False):
        for ours, (_, theirs) in zip(words, sentences, strict=True):
            others += ours[: len(theirs)].tolist() != theirs or (ours[len(theirs) :] != END).any()
            total += 1
    gaps = [abs(found.log_probs[row, 0] - sentences[0][0]) for row, sentences in enumerate(looped)]
    print(f"different sentences: {others} of {total}; best log-probabilities differ by {max(gaps):.0e} at most")


def random_network(preset: str):
    from captioner.config import CONFIGS
    from captioner.models.ensemble import Captioner
    from vislang.core.seeds import seed_everything, stream

    seed_everything(0)
    network = Captioner(CONFIGS[preset], NUM_WORDS, FEATURES)
    network.set_output_bias(stream(0, "benchmark").normal(0, 2, NUM_WORDS).astype(np.float32))
    return network


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, CELLS, FEATURES), np.float32)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--loop-images", type=int, default=8, help="images of the loops (default: %(default)s)")
    parser.add_argument("--width", type=int, default=5)
    parser.add_argument("--preset", default="best", help="settings of the captioner (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
