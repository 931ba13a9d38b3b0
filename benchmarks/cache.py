"""Reading shuffled batches of 128 rows from a (30000, 4096) feature cache, against a raw memory map.

Run: python benchmarks/cache.py
Claim: at most 6 times the time of a float16 .npy memory map. The last line is that ratio. The same rows are read from
30 shards, too.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from vislang.features.cache.manifest import FEATURES, FINISHED, Manifest, ShardState, write_manifest  # noqa: E402
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache  # noqa: E402

ROWS = 30_000
WIDTH = 4096
BATCH = 128
BATCHES = 60
SHARD = 1000


def milliseconds(read: Callable[[np.ndarray], object], batches: list[np.ndarray]) -> float:
    """Return the median time of one batch, after a round that warms the page cache."""
    times = []
    for rows in batches * 2:
        started = time.perf_counter()
        read(rows)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[len(batches) :]))


def write_shards(folder: Path, ids: list[str], table: np.ndarray, key: FeatureKey) -> None:
    """Write the rows as shards."""
    folder.mkdir()
    shards = []
    for number, start in enumerate(range(0, ROWS, SHARD)):
        import_rows(folder / f"{number:05d}.h5", ids[start : start + SHARD], table[start : start + SHARD], key)
        shards.append(ShardState(f"{number:05d}", "", FINISHED, SHARD))
    write_manifest(folder, Manifest(FEATURES, "path", tuple(shards)))


def main() -> None:
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = generator.standard_normal((ROWS, WIDTH), np.float32).astype(np.float16)
        ids = [f"{row:06}.jpg" for row in range(ROWS)]
        key = FeatureKey("vgg19", "fc7", "squash-224-bgr-mean/v1", "benchmark")
        np.save(folder / "rows.npy", table)
        import_rows(folder / "cache.h5", ids, table, key)
        with h5py.File(folder / "default.h5", "w") as file:
            file.create_dataset("rows", data=table, chunks=True)
        write_shards(folder / "shards", ids, table, key)
        del table
        batches = [generator.permutation(ROWS)[:BATCH] for _ in range(BATCHES)]
        raw = np.load(folder / "rows.npy", mmap_mode="r")
        cache = open_cache(folder / "cache.h5")
        streamed = cache.resident("vgg19", "fc7", budget_bytes=0)
        resident = cache.resident("vgg19", "fc7")
        shards = open_cache(folder / "shards")
        streamed_shards = shards.resident("vgg19", "fc7", budget_bytes=0)
        with h5py.File(folder / "cache.h5") as ours, h5py.File(folder / "default.h5") as default:
            times = {
                "numpy memory map of float16 rows": milliseconds(lambda rows: np.asarray(raw[rows]), batches),
                "our cache, read by id": milliseconds(
                    lambda rows: cache.read("vgg19", "fc7", [ids[row] for row in rows]), batches
                ),
                "our cache, streamed float32 batch": milliseconds(streamed.rows, batches),
                "30 shards, read by id": milliseconds(
                    lambda rows: shards.read("vgg19", "fc7", [ids[row] for row in rows]), batches
                ),
                "30 shards, streamed float32 batch": milliseconds(streamed_shards.rows, batches),
                "our cache, resident float32 batch": milliseconds(resident.rows, batches),
                "our file through h5py, sorted": milliseconds(lambda rows: ours["vgg19/fc7"][np.sort(rows)], batches),
                "h5py chunks=True, sorted": milliseconds(lambda rows: default["rows"][np.sort(rows)], batches[:5]),
            }
    for name, spent in times.items():
        print(f"{name:40} {spent:8.3f} ms per batch")
    print(f"30 shards / one file: {times['30 shards, read by id'] / times['our cache, read by id']:.2f}")
    ratio = times["our cache, read by id"] / times["numpy memory map of float16 rows"]
    print(f"against chunks=True: {times['h5py chunks=True, sorted'] / times['our cache, read by id']:.0f} times faster")
    print(f"cache / memory map: {ratio:.2f} (claim: at most 6)")


if __name__ == "__main__":
    main()
