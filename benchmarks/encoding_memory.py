"""Peak memory of `vse.encode_images` on a folder with a decompression bomb and broken files among photographs.

Run: python benchmarks/encoding_memory.py [--model DIR --images DIR]
Claim: under 1.5 GB with MobileNetV2, TensorFlow included. The last line is the ratio to that bound.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

BOUND_MB = 1500
CODE = """
import sys
from vislang.core.quiet_backend import import_backend_quietly
import_backend_quietly()
import vse
encoded = vse.encode_images(vse.load_model(sys.argv[1]), sys.argv[2])
print(len(encoded), "encoded,", len(encoded.skipped), "skipped")
for one in encoded.skipped:
    print(" ", one.reason)
"""


def draw_folder(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(200):
        picture = Image.fromarray(random.integers(0, 255, (375, 500, 3), dtype=np.uint8))
        picture.save(folder / f"{index:03}.jpg")
    whole = (folder / "000.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "letter.jpg").write_text("Dear Sir")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")


def untrained_ranker(folder: Path) -> None:
    from vislang.core.config import to_json
    from vislang.core.quiet_backend import import_backend_quietly
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints

    import_backend_quietly()
    from vislang.backbones.registry import load_backbone
    from vse.config import VseConfig
    from vse.model import Ranker

    model_file = folder / "mobilenet_v2.keras"
    load_backbone("mobilenet_v2", weights="random").model.save(model_file)
    name = str(model_file)
    layers = ("pooled@squash-224-tf/v1", "pooled@squash-320-tf/v1")  # the two input sizes of preset "best"
    config = VseConfig(layers=layers)
    vocabulary = Vocabulary(["dog"])
    backbone = load_backbone(name, preprocessing="squash-224-tf/v1")
    description = {"kind": "vse", "preset": "none", "config": to_json(config), "seed": 0, "num_features": 2560}
    description |= {"backbone": {"name": name, "weights": dict.fromkeys(layers, backbone.fingerprint)}, "data": {}}
    checkpoints.start_checkpoint(folder, description, vocabulary)
    checkpoints.save_weights(Ranker(config, len(vocabulary), 2560), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a trained ranker (default: an untrained one over MobileNetV2)")
    parser.add_argument("--images", type=Path, help="folder of images (default: random ones)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.images or Path(name) / "photos"
        checkpoint = args.model or Path(name) / "ranker"
        if args.images is None:
            folder.mkdir()
            draw_folder(folder)
        if args.model is None:
            checkpoint.mkdir()
            untrained_ranker(checkpoint)
        root = Path(__file__).resolve().parent.parent
        environment = {**os.environ, "PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-c", CODE, str(checkpoint), str(folder)], check=True, env=environment)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB, bound {BOUND_MB} MB, ratio {peak / BOUND_MB:.2f}")


if __name__ == "__main__":
    main()
