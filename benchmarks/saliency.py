"""Explaining one image against one decoder pass for each cell, and a whole video from file to file.

Run: python benchmarks/saliency.py [--seconds 10 60 300] [--rounds 3]
Losses of cells are those of an untrained S2VT captioner of the sizes of preset "s2vt"; word maps of images and videos
are those of the bundled models. The videos are drawn here, 25 frames per second. Peak memory is that of the whole
process, TensorFlow included, and has to stay flat in the length of the video.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from timing import fastest

CELLS = 64
WORDS = 12
VOCABULARY = 3000
SENTENCE = " ".join(f"w{index}" for index in range(WORDS))
TWELVE_WORDS = "a man in a red shirt throws a ball to two dogs"


def main() -> None:
    args = parse()
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # from its own folder this file would be the package
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = untrained_captioner(Path(folder) / "captioner")
        ratio = one_image(checkpoint, args.rounds)
    photograph(args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        videos(Path(folder), args.seconds)
    print(f"ratio: {ratio:.0f} times faster than one decoder pass for each cell")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 300], help="lengths of the videos")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def untrained_captioner(folder: Path) -> Path:
    """Write the checkpoint of a captioner that knows the words w0, w1, ..."""
    from dataclasses import replace

    from captioner.config import CONFIGS
    from captioner.models.ensemble import Captioner
    from vislang.backbones.registry import load_backbone
    from vislang.core.config import to_json
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints

    config = replace(CONFIGS["s2vt"], scorers=0, scorer_weight=0.0, consensus_images=0, consensus_weight=0.0)
    backbone = load_backbone("efficientnet_lite0")
    vocabulary = Vocabulary([f"w{index}" for index in range(VOCABULARY)])
    width = backbone.layers["grid"][-1]
    description = {"kind": "captioner", "preset": "s2vt", "config": to_json(config), "seed": 0, "num_features": width}
    description |= {"backbone": {"name": backbone.name, "weights": {"grid": backbone.fingerprint}}, "data": {}}
    checkpoints.start_checkpoint(folder, description, vocabulary)
    checkpoints.save_weights(Captioner(config, len(vocabulary), width), folder)
    return folder


def one_image(checkpoint: Path, rounds: int) -> float:
    """Time the methods of computing losses from cells, and print them."""
    from captioner.api import load_model
    from saliency.methods.gradient import gradient_losses
    from saliency.methods.single_descriptor import query_losses

    model = load_model(checkpoint)
    cells = np.random.default_rng(0).normal(size=(CELLS, model.network.num_features)).astype(np.float32)
    words = np.array(model.vocabulary.encode(SENTENCE.split()), np.int32)
    grid = cells.reshape(1, 8, 8, -1)
    methods: dict[str, Callable] = {
        "a decoder pass for each cell": lambda: [cell_by_cell(model, cell, words) for cell in cells],
        "the same, compiled": lambda: [query_losses(model, cell[None], words) for cell in cells],
        "cells as one batch": lambda: query_losses(model, cells, words),
        "gradient": lambda: gradient_losses(model, grid, words),
    }
    slow = np.array(methods["a decoder pass for each cell"]())
    batch = methods["cells as one batch"]()
    assert np.abs(slow - batch).max() < 1e-3, "both methods must give the same losses"
    best = fastest(methods, rounds)
    print(f"one image, {WORDS} words, {CELLS} cells, hidden size {model.config.hidden_dim}:")
    for name, spent in best.items():
        print(f"  {name}: {1000 * spent:.1f} ms")
    return best["a decoder pass for each cell"] / best["cells as one batch"]


def cell_by_cell(model, cell: np.ndarray, words: np.ndarray) -> list[float]:
    """Return the losses of one cell by definition: start from it, then read word after word."""
    from captioner.models.ensemble import shifted

    memory, state = model.network.start(cell[None, None], np.ones((1, 1), bool))
    losses = []
    for read, word in zip(np.asarray(shifted(words[None]))[0], words, strict=True):
        log_probs, state = model.network.step(memory, state, np.array([read], np.int32))
        losses.append(-float(log_probs[0, word]))
    return losses


def photograph(rounds: int) -> None:
    """Time the word maps of an image of 640x480 pixels, models loaded, and print it."""
    import saliency

    model = saliency.load_model()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8))
    best = fastest({"maps": lambda: saliency.explain_image(model, image, TWELVE_WORDS).maps}, rounds)
    print(f"word maps of a photograph, {len(TWELVE_WORDS.split())} words, bundled models: {best['maps']:.2f} s")


def videos(folder: Path, lengths: list[int]) -> None:
    """Explain videos of several lengths, each in a process of its own."""
    for seconds in lengths:
        clip = draw_video(folder / f"{seconds}.mp4", seconds)
        words = ["--video", str(clip), "--sentence", TWELVE_WORDS, "--fps", "8"]
        command = [sys.executable, "-m", "saliency.explain", *words, "--out", str(folder / "out.mp4"), "--tile", "160"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        spent = time.perf_counter() - started
        assert status == 0, f"saliency.explain ended with status {status}"
        print(f"video of {seconds} s, 8 frames per second, {WORDS} words, start of the process included:")
        print(f"  {spent:.1f} s, {8 * seconds / spent:.1f} frames per second, peak memory {peak_mb(usage):.0f} MB")


def peak_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


def draw_video(path: Path, seconds: int) -> Path:
    """Draw a ball that rolls over noise."""
    from vislang.draw.video import written_video

    noise = np.random.default_rng(0).integers(60, 120, (360, 480, 3)).astype(np.uint8)
    with written_video(path, (480, 360), 25) as add:
        for index in range(25 * seconds):
            frame = noise.copy()
            left = (4 * index) % 400
            frame[150:230, left : left + 80] = (200, 40, 40)
            add(Image.fromarray(frame))
    return path


if __name__ == "__main__":
    main()
