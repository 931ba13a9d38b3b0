"""Where weights come from, how they are read, and the fingerprint by which features remember them."""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core import bundled_models as pretrained
from vislang.core.errors import DataError, brief

WEIGHTS_FOLDER = "VISLANG_WEIGHTS"


def find_weights(name: str, files: Iterable[str], given: str | Path | None) -> Path | None:
    """Return a backbone's weights file: the given one, else in VISLANG_WEIGHTS, else bundled; None if there is none.

    Raises:
        DataError: the given file or the folder VISLANG_WEIGHTS does not exist, or a bundled file differs from its card.
    """
    if given is not None:
        path = Path(given)
        if not path.is_file():
            raise DataError(f"weights {path} of backbone {name}: no such file")
        return path
    folders = [pretrained.PRETRAINED]
    if os.environ.get(WEIGHTS_FOLDER):
        folders.insert(0, Path(os.environ[WEIGHTS_FOLDER]))
        if not folders[0].is_dir():
            raise DataError(f"{WEIGHTS_FOLDER} is {folders[0]}, expected a folder; correct it or unset it")
    candidates = (folder / file for folder in folders for file in files)
    found = next((path for path in candidates if path.is_file()), None)
    if found is not None and found.parent == pretrained.PRETRAINED:
        pretrained.verify(found)
    return found


def packaged_file(package: str, name: str) -> Path | None:
    """Find a file that an installed pip package carries, without importing the package; None when there is none."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    return None


def read_model(path: Path) -> Any:
    """Read a whole Keras model, in safe mode: a file that holds code is refused."""
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py, json and Keras each raise their own
        raise DataError(f"{path}: not a Keras model that can be loaded safely ({brief(error)})") from error


def read_weights(model: Any, path: Path) -> Any:
    """Fill a model from a weights file and return it."""
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras each raise their own
        raise DataError(f"{path}: not the weights of {model.name} ({brief(error)})") from error
    return model


def fill_randomly(model: Any) -> Any:
    """Fill every kernel with He-normal numbers from a seed of their own, and return the model."""
    generator = np.random.default_rng(0)
    for variable in model.weights:
        if len(variable.shape) > 1:
            fan_in = np.prod(variable.shape[:-1])
            variable.assign(generator.standard_normal(variable.shape, np.float32) * np.sqrt(2.0 / fan_in))
    return model


def fingerprint(arrays: Iterable[Any]) -> str:
    """Compute the SHA-256 (hex) of arrays in their order: shape, type and bytes, but neither names nor file format."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()
