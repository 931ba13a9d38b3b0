"""A process that adds images to a store and prints each number of images that the store has acknowledged.

Run: python store_writer.py URL FIRST [COUNT]: COUNT images, or ever more, whose ids are the numbers from FIRST.
"""

import sys

import numpy as np

from vse.index.open_store import open_store
from vse.index.store import Collection, Record

COLLECTION = Collection("a" * 64, 16)
TOGETHER = 7


def vector_of(number: int) -> np.ndarray:
    """Return the vector of an image, float32 [16], of length 1."""
    vector = np.random.default_rng(number).standard_normal(COLLECTION.width).astype(np.float32)
    return vector / np.linalg.norm(vector)


def main(url: str, first: int, count: int = sys.maxsize) -> None:
    """Add images until the process is killed or all are there."""
    with open_store(url, COLLECTION) as store:
        number = first
        while number < first + count:
            some = range(number, min(number + TOGETHER, first + count))
            store.add([Record(f"/{one}") for one in some], np.stack(list(map(vector_of, some))))
            number = some.stop
            print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
