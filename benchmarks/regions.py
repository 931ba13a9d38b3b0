"""Twenty region vectors of an image: RoI-align on one feature map, against cropping and encoding every box.

Run: python benchmarks/regions.py [--images 16] [--rounds 3] [--backbone mobilenet_v2] [--preprocessing 320]
The CNN has random weights, the boxes are the grid proposals of random images; RoI-align pays for its map as well.
What each kind of proposals costs is printed beside it: those of OpenCV or a detector only where these are installed.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from timing import fastest

from vislang.backbones.registry import load_backbone
from vislang.core.errors import ToolkitError
from vislang.features.regions.proposers import PROPOSERS, load_proposer
from vislang.features.regions.region_features import RegionBackbone
from vislang.images.preprocess import prepare

SIDES = (500, 375)  # as most of Flickr's photographs


def main() -> None:
    args = parse()
    backbone = load_backbone(args.backbone, weights="random", preprocessing=args.preprocessing)
    regions = RegionBackbone(backbone, load_proposer("grid"))
    images = random_images(args.images)
    batch = np.stack([prepare(image, backbone.preprocessing) for image in images])
    methods = {
        "one map": lambda: backbone.encode(batch, ["grid"]),
        "boxes": lambda: regions.encode_decoded(images, batch, ["boxes-grid"]),
        "regions": lambda: regions.encode_decoded(images, batch, ["regions-grid"]),
        "crops": lambda: regions.encode_decoded(images, batch, ["crops-grid"]),
    }
    best = fastest(methods, args.rounds)
    each = {name: 1000 * spent / len(images) for name, spent in best.items()}
    print(f"{len(images)} images, {args.backbone} at {backbone.preprocessing.size} px, ms per image")
    print(f"the map alone {each['one map']:.1f}; with grid proposals {each['boxes']:.1f}")
    print(f"20 vectors by RoI-align {each['regions']:.1f}, by 20 crops {each['crops']:.1f}, both with proposals")
    grids = backbone.encode(batch, ["grid"])["grid"]
    for name in PROPOSERS:
        print(f"proposals {name}: {proposal_cost(name, images, grids, args.rounds)}")
    print(f"ratio: {best['crops'] / best['regions']:.1f} times faster than 20 crops")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--preprocessing", default="320")
    return parser.parse_args()


def random_images(count: int) -> list[Image.Image]:
    """Draw flat rectangles over noise, so that every kind of proposals finds something."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(count):
        pixels = random.integers(90, 130, (SIDES[1], SIDES[0], 3)).astype(np.uint8)
        for _ in range(6):
            left = random.integers(0, SIDES[0] - 120)
            top = random.integers(0, SIDES[1] - 120)
            width, height = random.integers(40, 120, 2)
            pixels[top : top + height, left : left + width] = random.integers(0, 255, 3)
        images.append(Image.fromarray(pixels))
    return images


def proposal_cost(name: str, images: list[Image.Image], grids: np.ndarray, rounds: int) -> str:
    """Return what proposals cost beside the feature map, or why they are not available."""
    try:
        proposer = load_proposer(name)
    except ToolkitError as error:
        return f"not available ({str(error).split(';')[0]})"
    pairs = list(zip(images, grids, strict=True))
    spent = fastest({name: lambda: [proposer.propose(*pair) for pair in pairs]}, rounds)[name]
    return f"{1000 * spent / len(images):.1f} ms per image"


if __name__ == "__main__":
    main()
