"""From JPEG files to features, against the bare forward pass on arrays that are already decoded.

Run: python benchmarks/extraction.py [--backbone mobilenet_v2] [--images 128]
Claims: at least 0.85 of the bare forward pass, and 10 times the images per second of `model.predict` on single images.
Rounds are interleaved and the best of each counts, so that other work on the machine disturbs both alike.
The last line is the smaller ratio to the bare forward pass.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402

from vislang.backbones.registry import LoadedBackbone, load_backbone  # noqa: E402
from vislang.features.pipeline import encode_images  # noqa: E402
from vislang.images.preprocess import prepare  # noqa: E402

LAYERS = ("pooled", "grid")
BATCH = 32
ROUNDS = 5
SINGLES = 12


def draw_photos(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Draw images with gradients, shapes and noise, whose files are about as large as photographs of that size."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = []
    for index in range(count):
        light = Image.fromarray(generator.integers(0, 255, (9, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(light)
        for _ in range(20):
            x = generator.integers(0, size[0])
            y = generator.integers(0, size[1])
            radius = generator.integers(5, 60)
            colour = tuple(int(each) for each in generator.integers(0, 255, 3))
            draw.ellipse([int(x - radius), int(y - radius), int(x + radius), int(y + radius)], fill=colour)
        grain = generator.normal(0, 8, (size[1], size[0], 1))
        pixels = np.clip(np.asarray(light) + grain, 0, 255).astype(np.uint8)
        paths.append(folder / f"{index:04}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=85)
    return paths


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock time and CPU time."""
    wall = time.perf_counter()
    cores = time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cores


def one_by_one(backbone: LoadedBackbone, paths: list[Path]) -> list[np.ndarray]:
    """Encode as users often write it: load with Keras, predict a batch of one, average by hand."""
    import keras

    grid = keras.Model(backbone.model.input, backbone.model.get_layer("out_relu").output)
    features = []
    for path in paths:
        pixels = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(backbone.preprocessing.size,) * 2))
        features.append(grid.predict(pixels[None] / 127.5 - 1, verbose=0).mean(axis=(1, 2)))
    return features


def compare(backbone: LoadedBackbone, paths: list[Path]) -> tuple[float, float]:
    """Return images per second relative to the bare forward pass, and to one by one (0 where that is not measured)."""
    decoded = np.stack([prepare(path, backbone.preprocessing) for path in paths])
    starts = range(0, len(paths), BATCH)

    def bare() -> None:
        for start in starts:
            backbone.encode(decoded[start : start + BATCH], LAYERS)

    def pipeline() -> None:
        encode_images(backbone, paths, LAYERS, batch_size=BATCH)

    backbone.encode(decoded[:BATCH], LAYERS)
    times = [(seconds(bare), seconds(pipeline)) for _ in range(ROUNDS)]
    (best_bare, bare_cores), (best_pipeline, pipeline_cores) = np.min(times, axis=0) / len(paths)
    print(f"  bare forward pass  {1 / best_bare:7.1f} images/s")
    print(f"  files to features  {1 / best_pipeline:7.1f} images/s ({best_bare / best_pipeline:.2f} of it)")
    print(f"  CPU time           {1000 * bare_cores:.1f} and {1000 * pipeline_cores:.1f} ms per image")
    if backbone.name != "mobilenet_v2":
        return best_bare / best_pipeline, 0.0
    single = min(seconds(lambda: one_by_one(backbone, paths[:SINGLES]))[0] for _ in range(2)) / SINGLES
    print(f"  predict per image  {1 / single:7.1f} images/s (ours: {single / best_pipeline:.1f} times that; claim: 10)")
    return best_bare / best_pipeline, single / best_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=128)
    args = parser.parse_args()
    backbone = load_backbone(args.backbone, weights="random")
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        for size in ((224, 224), (500, 375)):
            paths = draw_photos(Path(name) / f"{size[0]}", size, args.images)
            kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
            print(f"{args.backbone}, {len(paths)} JPEG files of {size[0]}x{size[1]}, {kilobytes:.0f} kB each")
            ratios.append(compare(backbone, paths)[0])
    print(f"files to features / bare forward pass: {min(ratios):.2f} (claim: at least 0.85)")


if __name__ == "__main__":
    main()
