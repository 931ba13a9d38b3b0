"""Index generated thumbnails by a command that is killed again and again: bytes written, memory, and the end.

Run: python benchmarks/indexing.py [--count 2000] [--kills 5] [--store URL]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import vse
from vse.index.images import collection_of
from vse.index.open_store import open_store

WIDTH = 512


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        folder = Path(place)
        draw(folder / "pictures", args.count)
        save_ranker(folder / "ranker")
        whole = folder / "whole"
        written, _, seconds = index(folder, str(whole))
        print(f"{args.count} thumbnails, undisturbed: {seconds:.0f} s, {written / 1e6:.1f} MB written", flush=True)
        killed = args.store or str(folder / "killed")
        total = 0
        for _ in range(args.kills):
            total += index(folder, killed, after=seconds / (args.kills + 1))[0]
        written, memory, _ = index(folder, killed)
        total += written
        final = args.count * WIDTH * 4 / 1e6
        if not args.store:
            final = sum(path.stat().st_size for path in Path(killed).iterdir()) / 1e6
        compare(folder, whole, killed)
        print(f"killed {args.kills} times: {total / 1e6:.1f} MB written for {final:.1f} MB")
        early = memory[len(memory) // 5]
        print(f"memory: {early:.0f} MB after a fifth, {memory[-1]:.0f} MB at the end, {max(memory):.0f} MB at most")
        print(f"ratio: {total / 1e6 / final:.2f} bytes written a byte of the index")


def index(folder: Path, store: str, after: float | None = None) -> tuple[int, list[float], float]:
    """Run `vislang index`, and kill it so many seconds after it has begun to store.

    Returns:
        Bytes written, memory in MB at regular times since it stored something, and seconds since then.
    """
    command = [sys.executable, "-m", "vse.build_index", str(folder / "pictures"), "--store", store]
    command += ["--model", str(folder / "ranker"), "--batch-size", "64"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    written = 0
    memory: list[float] = []
    begun = None
    while process.poll() is None:
        try:
            written = int(Path(f"/proc/{process.pid}/io").read_text().split("wchar: ")[1].split()[0])
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (OSError, IndexError):  # it has ended
            break
        if begun is None and written > 500 * WIDTH * 4:
            begun = time.perf_counter()
        if begun is not None and "RssAnon" in status:
            memory.append(int(status.split("RssAnon:")[1].split()[0]) / 1e3)
        if begun is not None and after is not None and time.perf_counter() - begun > after:
            process.kill()
        time.sleep(0.05)
    code = process.wait()
    assert code in (0, -9), f"the command ended with {code}"
    return written, memory, time.perf_counter() - (begun or time.perf_counter())


def compare(folder: Path, whole: Path, killed: str) -> None:
    """Print whether two stores hold the same images and vectors."""
    collection = collection_of(vse.load_model(folder / "ranker"))
    with open_store(whole, collection) as first, open_store(killed, collection) as second:
        ids = sorted(first.ids())
        same = ids == sorted(second.ids())
        largest = 0.0
        for start in range(0, len(ids), 10_000):
            some = ids[start : start + 10_000]
            largest = max(largest, float(np.abs(first.vectors(some) - second.vectors(some)).max()))
    print(f"{len(ids)} images, the same ones: {same}; vectors differ by {largest:.1e} at most")


def draw(folder: Path, count: int) -> None:
    """Save JPEGs of coloured noise, 64 x 64."""
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:04d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        coarse.resize((64, 64)).save(path)


def save_ranker(folder: Path) -> None:
    """Save an untrained ranker over the small CNN of drawn scenes: only its speed and width matter here."""
    from vislang.backbones.registry import load_backbone
    from vislang.core.config import to_json
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints
    from vse.config import VseConfig
    from vse.model import Ranker

    backbone = load_backbone("compact_scenes")
    config = VseConfig(
        hidden_dim=12, embed_dim=WIDTH, word_dim=6, tokenizer="treebank", ensemble_size=1, project_sentences=True
    )
    vocabulary = Vocabulary(["a", "dog"])
    (width,) = backbone.layers["pooled"]
    description = {"kind": "vse", "preset": "test", "config": to_json(config), "seed": 0, "num_features": width}
    weights = {"pooled": backbone.fingerprint}
    description |= {"backbone": {"name": "compact_scenes", "weights": weights}, "data": {}}
    checkpoints.start_checkpoint(folder, description, vocabulary)
    checkpoints.save_weights(Ranker(config, len(vocabulary), width), folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--store", metavar="URL", help="of the killed command (default: a folder)")
    parser.add_argument("--place", type=Path, help="folder of everything (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
