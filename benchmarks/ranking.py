"""Ranking 5,000 images and 25,000 captions both ways: against sorting every query, and against the bare product.

Run: python benchmarks/ranking.py [--images 5000] [--captions-per-image 5] [--width 1024] [--sample 250] [--rounds 3]
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from eval.metrics.ranking import BLOCK, Ranks, retrieval_ranks


def main() -> None:
    args = parse()
    images, captions, owners = synthetic_embeddings(args.images, args.captions_per_image, args.width)
    print(f"{len(images)} images x {len(captions)} captions, width {args.width}, float32, block {BLOCK}")

    scores = np.empty((len(images), len(captions)), np.float32)

    best_product = np.inf
    best_ours = np.inf
    for _ in range(args.rounds):  # in turns, so that other work on the machine disturbs both alike
        best_product = min(best_product, seconds(lambda: np.matmul(images, captions.T, out=scores)))
        best_ours = min(best_ours, seconds(lambda: retrieval_ranks(images, captions, owners)))
    print(f"bare product, once: {best_product:.2f} s (both directions: {2 * best_product:.2f} s)")
    print(f"both rankings from one product: {best_ours:.2f} s = {best_ours / best_product:.2f} x one product")

    tracemalloc.start()
    ranks = retrieval_ranks(images, captions, owners)
    print(f"extra memory: {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB")
    tracemalloc.stop()

    sample = np.linspace(0, len(images) - 1, min(args.sample, len(images))).astype(int)
    started = time.perf_counter()
    slow_ranks = [sort_queries_of(image, images, captions, owners) for image in sample]
    slow = (time.perf_counter() - started) * len(images) / len(sample)
    print(f"sorting every query: {slow:.1f} s, from {len(sample)} images and their captions")
    report_differences(slow_ranks, sample, ranks)
    print(f"ratio: {slow / best_ours:.1f} times faster than sorting every query")


def sort_queries_of(image: int, images: np.ndarray, captions: np.ndarray, owners: np.ndarray) -> list[int]:
    """Rank one image and its captions as the original does: a product, then a sort and look-ups for each query."""
    own = np.flatnonzero(owners == image)
    order = np.argsort(np.dot(images[image], captions.T))[::-1]
    ranks = [int(min(np.where(order == caption)[0][0] for caption in own))]
    for scores in np.dot(captions[own], images.T):
        ranks.append(int(np.where(np.argsort(scores)[::-1] == image)[0][0]))
    return ranks


def report_differences(slow_ranks: list[list[int]], sample: np.ndarray, ranks: Ranks) -> None:
    """Print how many ranks differ: float32 sums in another order may swap scores closer than their rounding."""
    ours = [
        [int(ranks.image_to_text[image]), *ranks.text_to_image[ranks.image_of_caption == image].tolist()]
        for image in sample
    ]
    steps = np.abs(np.concatenate(slow_ranks) - np.concatenate(ours))
    print(f"different ranks: {np.count_nonzero(steps)} of {len(steps)} queries, by {steps.max()} at most")


def synthetic_embeddings(num_images: int, per_image: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors of images and captions, with the recall of a good model, and the image of each caption."""
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(num_images), per_image)
    images = random.standard_normal((num_images, width), dtype=np.float32)
    captions = 0.12 * images[owners] + random.standard_normal((len(owners), width), dtype=np.float32)
    return normalised(images), normalised(captions), owners


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions-per-image", type=int, default=5)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--sample", type=int, default=250, help="images whose queries are sorted")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
