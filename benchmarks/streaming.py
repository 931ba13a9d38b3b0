"""Training on grids that are read from the cache batch by batch, against the same grids on the compute device.

The same captioner, batches and updates in processes of `captioner.train`, in turns; random 7 x 7 x 1280 grids. Prints
the shortest second epoch and the peak memory of each way, and the ratio of their speeds last.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SETTINGS = (
    "layers=grid",
    "ensemble_size=1",
    "scorers=0",
    "scorer_weight=0",
    "consensus_images=0",
    "consensus_weight=0",
)
SETTINGS += ("epochs=2", "min_count=1", "select_by=perplexity")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each way (default: %(default)s)")
    parser.add_argument("--images", type=int, default=600, help="5 captions each (default: %(default)s)")
    return parser


def write_data(folder: Path, count: int) -> None:
    """Write dataset.json and a cache of random grids, float16 [count + 10, 7, 7, 1280]; the last 10 are for dev."""
    import numpy as np

    from vislang.features.cache.reader import FeatureKey, import_rows

    random = np.random.default_rng(0)
    vocabulary = [f"word{number}" for number in range(2000)]
    images = []
    for number in range(count + 10):
        texts = [" ".join(random.choice(vocabulary, random.integers(8, 15))) for _ in range(5)]
        sentences = [{"raw": text, "tokens": text.split()} for text in texts]
        split = "train" if number < count else "val"
        images.append({"imgid": number, "filename": f"{number}.jpg", "split": split, "sentences": sentences})
    (folder / "dataset.json").write_text(json.dumps({"dataset": "made", "images": images}))
    grids = random.random((count + 10, 7, 7, 1280), np.float32).astype(np.float16)
    names = [image["filename"] for image in images]
    import_rows(folder / "features.h5", names, grids, FeatureKey("random", "grid", "none", "f" * 64))


def train(folder: Path, gigabytes: float, number: int) -> tuple[float, float]:
    """Train in a process of its own; return seconds of the second epoch, and peak memory in MB."""
    out = folder / f"run-{gigabytes:g}-{number}"
    words = [
        "--dataset",
        "karpathy",
        "--data",
        str(folder),
        "--cache",
        str(folder / "features.h5"),
        "--backbone",
        "random",
    ]
    words += ["--preset", "best", "--device-memory", str(gigabytes), "--out", str(out)]
    for setting in SETTINGS:
        words += ["--set", setting]
    child = subprocess.Popen([sys.executable, "-m", "captioner.train", *words], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit("error: the training failed")
    history = json.loads((out / "history.json").read_text())
    return history[1]["seconds"], usage.ru_maxrss / 1024


def main() -> None:
    args = build_parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, args.images)
        measured: dict[float, list[tuple[float, float]]] = {4.0: [], 0.0: []}
        for number in range(args.rounds):
            for gigabytes, pairs in measured.items():
                pairs.append(train(folder, gigabytes, number))
    resident, resident_memory = min(measured[4.0])
    streamed, streamed_memory = min(measured[0.0])
    size = args.images * 7 * 7 * 1280 * 2 / 2**20
    print(f"{args.images} images with 5 captions, grids of {size:.0f} MB")
    print(f"on the device     {resident:7.1f} s an epoch, peak memory {resident_memory:.0f} MB")
    print(f"from the cache    {streamed:7.1f} s an epoch, peak memory {streamed_memory:.0f} MB")
    print(f"ratio of speeds, from the cache / on the device: {resident / streamed:.2f}")


if __name__ == "__main__":
    main()
