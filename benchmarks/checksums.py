"""What the checks of a feature cache cost: of an extraction, and of the first epoch of a training.

Run: python benchmarks/checksums.py [--images 256]
Checks are the times and digests of image files, the checksums of rows, and the search for NaN and clipped numbers; in a
training, each row is checked when it is first read. They are timed inside the runs, because two runs on one machine
differ by more than they cost.
Claim: at most 0.03 of both. The last line is the larger share.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
from extraction import draw_photos  # noqa: E402

import captioner.train  # noqa: E402
import vse.train  # noqa: E402
from vislang.backbones.registry import BACKBONES  # noqa: E402
from vislang.features import cached_extraction, extract  # noqa: E402
from vislang.features.cache import merge, rows  # noqa: E402
from vislang.features.cache.reader import FeatureKey, import_rows  # noqa: E402

BACKBONE = "efficientnet_lite0"
EXTRACTION = ((cached_extraction, "file_records"), (cached_extraction, "with_digests"), (merge, "at_float16_limit"),
              (merge, "row_checksum"), (merge, "files_checksum"), (merge, "same_files"))  # fmt: skip
READING = ((rows.StoredRows, "_check"),)


@contextlib.contextmanager
def timed(functions: tuple[tuple[Any, str], ...]) -> Iterator[list[float]]:
    """Add up the seconds that some functions take."""
    spent = [0.0]

    def counting(real: Any) -> Any:
        def run(*words: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return real(*words, **options)
            finally:
                spent[0] += time.perf_counter() - started

        return run

    with contextlib.ExitStack() as restore:
        for owner, name in functions:
            real = getattr(owner, name)
            setattr(owner, name, counting(real))
            restore.callback(setattr, owner, name, real)
        yield spent


def share_of_extraction(folder: Path, count: int) -> float:
    draw_photos(folder / "photos", (500, 375), count)
    words = ["--images", str(folder / "photos"), "--backbone", BACKBONE, "--layers", "pooled,grid", "--cache"]
    with contextlib.redirect_stdout(sys.stderr):
        extract.main([*words, str(folder / "first.h5")])  # imports TensorFlow and traces the graph
        with timed(EXTRACTION) as spent:
            started = time.perf_counter()
            extract.main([*words, str(folder / "second.h5")])
            total = time.perf_counter() - started
    print(f"extraction of {count} photos: {total:.2f} s, of which checks {spent[0]:.3f} s")
    return spent[0] / total


def write_data(folder: Path, count: int) -> None:
    """Write a data set with five captions an image, and a cache of random features."""
    random = np.random.default_rng(0)
    vocabulary = [f"word{number}" for number in range(300)]
    images = []
    for number in range(count):
        sentences = [{"tokens": random.choice(vocabulary, 11).tolist(), "imgid": number} for _ in range(5)]
        for sentence in sentences:
            sentence["raw"] = " ".join(sentence["tokens"])
        split = "val" if number % 10 == 0 else "train"
        images.append({"imgid": number, "filename": f"{number}.jpg", "split": split, "sentences": sentences})
    (folder / "dataset.json").write_text(json.dumps({"dataset": "benchmark", "images": images}))
    recipe = BACKBONES[BACKBONE].preprocessing
    names = [image["filename"] for image in images]
    for layer, shape in (("pooled", (1280,)), ("grid", (7, 7, 1280))):
        table = random.random((count, *shape), np.float32)
        import_rows(folder / "features.h5", names, table, FeatureKey(BACKBONE, layer, recipe, "benchmark"))


def share_of_training(command: ModuleType, folder: Path, preset: str, layer: str, count: int) -> float:
    out = folder / f"{command.__package__}-{layer}"
    words = ["--dataset", "karpathy", "--data", str(folder), "--cache", str(folder / "features.h5"), "--out", str(out)]
    words += ["--backbone", BACKBONE, "--preset", preset, "--set", "epochs=2", "--set", f"layers={layer}"]
    with contextlib.redirect_stdout(sys.stderr), timed(READING) as spent:
        if command.main(words):
            raise SystemExit(f"{command.__name__} failed")
    first, second = [row["seconds"] for row in json.loads((out / "history.json").read_text())]
    epoch = second - first if second > first else second
    print(f"{command.__package__} on {layer} of {count} images: epoch {epoch:.2f} s, checks {spent[0]:.3f} s once")
    return spent[0] / epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, count)
        shares = {
            "extraction": share_of_extraction(folder, count),
            "ranker": share_of_training(vse.train, folder, "best", "pooled", count),
            "captioner": share_of_training(captioner.train, folder, "scenes", "grid", count),
        }
    for what, share in shares.items():
        print(f"share of checks, {what}: {share:.4f}")
    print(f"largest share of checks: {max(shares.values()):.4f} (claim: at most 0.03)")


if __name__ == "__main__":
    main()
