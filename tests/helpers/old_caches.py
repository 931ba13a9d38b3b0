"""Feature caches as they were written before rows had checksums: keys of variable length, nothing beside the rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from vislang.features.cache.keys import FeatureKey


def write_old_cache(path: Path, ids: Sequence[str], layers: Mapping[FeatureKey, np.ndarray]) -> None:
    """Write rows, float [N, ...], of backbones whose names are those of their groups."""
    with h5py.File(path, "w") as file:
        file["ids"] = np.array([name.encode() for name in ids])
        for key, rows in layers.items():
            file[f"{key.backbone}/{key.layer}"] = rows.astype("<f2")
            file[f"{key.backbone}/{key.layer}"].attrs["key"] = key.to_json()
