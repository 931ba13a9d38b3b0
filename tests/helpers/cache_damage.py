"""Program: damage a feature cache many times and print what its reader makes of it.

python tests/helpers/cache_damage.py FOLDER CASES SEED
"""

import json
import logging
import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vislang.core.errors import DataError  # noqa: E402
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache  # noqa: E402

IDS = [f"{number}.jpg" for number in range(5)]
SHAPES = {"pooled": (5, 6), "grid": (5, 2, 2, 3)}


def numbers_of(path: Path) -> list:
    """Return all that a user can read from a cache."""
    with open_cache(path) as cache:
        found = []
        for key in cache.layers():
            rows = cache.read(key.backbone, key.layer)
            found.append((key, sorted(key.versions.items()), rows.shape, rows.tobytes()))
        return [cache.ids, found]


def damage(content: bytes, generator: random.Random) -> bytes:
    """Change 1 to 4 bytes, or cut the file."""
    damaged = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        damaged[generator.randrange(len(damaged))] = generator.choice((0, 1, 255, generator.randrange(256)))
    if generator.random() < 0.05:
        del damaged[generator.randrange(len(damaged)) :]
    return bytes(damaged)


def main() -> None:
    folder, cases, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    logging.disable(logging.CRITICAL)
    sound = folder / "sound.h5"
    for layer, shape in SHAPES.items():
        key = FeatureKey("mobilenet_v2", layer, "squash-224-tf/v1", "ab" * 32, {"keras": "3"})
        import_rows(sound, IDS, np.random.default_rng(0).normal(size=shape), key)
    true = numbers_of(sound)
    found = {"true numbers": 0, "refused": 0, "other numbers": []}
    for number in range(cases):
        (folder / "damaged.h5").write_bytes(damage(sound.read_bytes(), random.Random(f"{seed}/{number}")))
        try:
            if numbers_of(folder / "damaged.h5") == true:
                found["true numbers"] += 1
            else:
                found["other numbers"].append(number)
        except DataError:
            found["refused"] += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main()
