"""Ranking images and captions whose embeddings lie in files, both ways in one pass: its memory and time.

One caption in a hundred says the same as that of another image, so that there are ties.

Run: python benchmarks/streamed_ranking.py [--images 4000] [--captions-per-image 5] [--width 512] [--sample 50]
At full size, twelve minutes of the processor: --images 100000
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eval.metrics.ranking import BLOCK, Ranks, retrieval_ranks
from eval.metrics.row_file import RowFile, in_blocks

_TIED = 1e-12  # of float64 scores of equal embeddings


def main() -> None:
    args = parse()
    owners = np.repeat(np.arange(args.images), args.captions_per_image)
    with tempfile.TemporaryDirectory(dir=args.place) as folder:
        images, captions = write_embeddings(args.images, args.captions_per_image, args.width, Path(folder))
        print(f"{len(images)} images x {len(captions)} captions, width {args.width}, block {BLOCK}", flush=True)
        before = cpu_seconds(lambda: product_of_some_tiles(images, captions, args.tiles))
        ranked: list[Ranks] = []
        started = time.perf_counter()
        ours = cpu_seconds(lambda: ranked.append(retrieval_ranks(images, captions, owners)))
        elapsed = time.perf_counter() - started
        peak = peak_memory()
        after = cpu_seconds(lambda: product_of_some_tiles(images, captions, args.tiles))
        report_sample(args.sample, images, captions, owners, ranked[0])
    rows = len(images) // rows_of_tile(args.captions_per_image)
    share = args.tiles / (rows * (len(captions) // BLOCK))
    product = (before + after) / 2 / share
    print(f"both rankings: {elapsed:.0f} s, {ours:.0f} s of the processor; peak memory of the process {peak:.0f} MB")
    print(f"bare product, from {args.tiles} tiles before and after: {product:.0f} s of the processor")
    print(f"ratio: both rankings take {ours / product:.2f} times as long as one bare product")


def write_embeddings(num_images: int, per_image: int, width: int, folder: Path) -> tuple[RowFile, RowFile]:
    """Write unit vectors of images and of their captions, with the recall of a good model."""
    random = np.random.default_rng(0)
    images = RowFile(width, folder)
    captions = RowFile(width, folder)
    for block in in_blocks(num_images, 1000):
        count = block.stop - block.start
        rows = random.standard_normal((count, width), dtype=np.float32)
        near = 0.2 * np.repeat(rows, per_image, axis=0)
        near += random.standard_normal(near.shape, dtype=np.float32)
        near[::100] = near[np.arange(0, len(near), 100) - per_image]
        images.append(normalised(rows))
        captions.append(normalised(near))
    return images, captions


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rows_of_tile(per_image: int) -> int:
    return BLOCK // per_image


def product_of_some_tiles(images: RowFile, captions: RowFile, count: int) -> None:
    """Multiply embeddings of the first images with those of some captions, `count` tiles of the ranking's size."""
    rows = images[0 : rows_of_tile(len(captions) // len(images))]
    for tile in range(count):
        start = tile * BLOCK % (len(captions) - BLOCK + 1)
        rows @ captions[start : start + BLOCK].T


def report_sample(sample: int, images: RowFile, captions: RowFile, owners: np.ndarray, ranks: Ranks) -> None:
    """Print how many ranks of a sample differ from a sorted definition in float64, in which equal embeddings tie."""
    chosen = np.unique(np.linspace(0, len(images) - 1, sample).astype(int))
    of_captions = np.flatnonzero(np.isin(owners, chosen))
    expected = []
    for image, row in zip(chosen, images[chosen], strict=True):
        expected.append(rank_by_definition(row, owners == image, captions))
    for caption, row in zip(of_captions, captions[of_captions], strict=True):
        expected.append(rank_by_definition(row, np.arange(len(images)) == owners[caption], images))
    ours = np.concatenate([ranks.image_to_text[chosen], ranks.text_to_image[of_captions]])
    steps = np.abs(np.array(expected) - ours)
    print(f"{np.count_nonzero(steps)} of {len(steps)} ranks differ from the definition, by {steps.max()} at most")


def rank_by_definition(query: np.ndarray, right: np.ndarray, candidates: RowFile) -> int:
    """Count the wrong candidates whose float64 score is not below that of the best right one."""
    parts = [candidates[block].astype(np.float64) @ query.astype(np.float64) for block in in_blocks(len(candidates))]
    scores = np.concatenate(parts)
    return int(np.count_nonzero(scores[~right] >= scores[right].max() - _TIED))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the time that all threads of this process worked: other work on the machine hardly changes it."""
    started = time.process_time()
    work()
    return time.process_time() - started


def peak_memory() -> float:
    """Return the most memory, in MB, that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--captions-per-image", type=int, default=5)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--tiles", type=int, default=8, help="of the bare product")
    parser.add_argument("--sample", type=int, default=50, help="images that are checked, with their captions")
    parser.add_argument("--place", type=Path, help="folder with room for the embeddings (default: that of TMPDIR)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
