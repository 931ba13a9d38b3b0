"""A trained model on disk: a folder of files, each written whole, loadable whatever moment a run was killed at.

config.json          the kind of model and every setting
vocabulary.json      its words
model.weights.h5     the best weights so far
kept-N.weights.h5    of trainings that keep several of the best: those after N updates
history.json         one row per epoch
training_state.npz   all that resuming needs to be exact
.training.lock       while a training runs
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.bundled_models import bundled_checkpoints
from vislang.core.errors import CheckpointError, DataError, brief, suggestion
from vislang.core.files import parse_json, read_arrays, read_json, whole_file, write_json
from vislang.core.model_kinds import require_kind_of_folder
from vislang.core.onnx_graphs import GRAPHS
from vislang.text.vocabulary import Vocabulary

CONFIG = "config.json"
VOCABULARY = "vocabulary.json"
WEIGHTS = "model.weights.h5"
HISTORY = "history.json"
STATE = "training_state.npz"
LOCK = ".training.lock"
_NEXT = "name a folder that training wrote, or a bundled model"


def start_checkpoint(folder: Path, description: dict[str, Any], vocabulary: Vocabulary | None) -> None:
    """Write what does not change during training.

    Args:
        folder: the checkpoint folder; created if it does not exist.
        description: JSON values; "kind" names the model, "config" holds its settings.
        vocabulary: the model's words; None: it has none.
    """
    if vocabulary is not None:
        write_json(folder / VOCABULARY, vocabulary.to_json())
    write_json(folder / CONFIG, description)


def start_or_continue(folder: Path, description: dict[str, Any], vocabulary: Vocabulary | None) -> None:
    """Write the description of a run, or check that the run in the folder is this one.

    Args:
        description: as for `start_checkpoint`; of "data" only "fingerprint" has to be equal, paths may differ.

    Raises:
        CheckpointError: the folder holds another run.
    """
    if not (folder / CONFIG).is_file():
        start_checkpoint(folder, description, vocabulary)
        return
    found = read_settings(folder, description["kind"])
    changed = []
    for name in description:
        if name != "data" and found.get(name) != description[name]:
            changed.append(name)
    if found.get("data", {}).get("fingerprint") != description["data"]["fingerprint"]:
        changed.append("data")
    if changed:
        raise CheckpointError(
            f"{folder} holds another run (its {', '.join(changed)} differ); choose another --out or delete the folder"
        )


def read_vocabulary(folder: str | Path) -> Vocabulary:
    """Read the words of a model.

    Raises:
        CheckpointError: missing or damaged.
    """
    try:
        words = read_json(Path(folder) / VOCABULARY, "checkpoint vocabulary", _NEXT)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    return Vocabulary.from_json(words)


def read_settings(folder: str | Path, kind: str) -> dict[str, Any]:
    """Read config.json alone, which models without words have too, and check that it is of this kind.

    Raises:
        CheckpointError: no checkpoint, a damaged one, or one of another kind.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} holds no {CONFIG}, expected a checkpoint folder or a bundled model;"
            f" {suggestion(folder.name, bundled_checkpoints())}"
        )
    try:
        description = read_json(folder / CONFIG, "checkpoint settings", _NEXT)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    found = None
    if isinstance(description, dict):
        found = description.get("kind")
    require_kind_of_folder(folder, found, kind)
    return description


def save_weights(model: Any, folder: Path, name: str = WEIGHTS) -> None:
    """Replace the best weights, or those of another name; killed halfway, the old ones stay.

    Graphs in the folder, which were exported with other weights, are no longer used.
    """
    (folder / GRAPHS).unlink(missing_ok=True)
    with whole_file(folder / name) as part:
        model.save_weights(part)


def kept_name(updates: int) -> str:
    """Return the file name of weights after so many updates, where several of the best are kept."""
    return f"kept-{updates:07d}.weights.h5"


def kept_weights(folder: Path) -> list[Path]:
    """List the files of the several best weights in the order of training, or that of the best where it is alone."""
    return sorted(folder.glob("kept-*.weights.h5")) or [folder / WEIGHTS]


def stored_shapes(path: Path) -> list[tuple[int, ...]]:
    """Read the shapes of the arrays of a weights file, but not their numbers; there is at least one.

    Raises:
        CheckpointError: the file is missing or damaged, or its arrays lie in other files.
    """
    if not path.is_file():
        reason = "training has not reached its first validation; train on"
        raise CheckpointError(f"{path.parent} holds no {path.name}: {reason}")
    import h5py  # after --help

    shapes: list[tuple[int, ...]] = []

    def add(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError("its arrays lie in other files")
            shapes.append(item.shape)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(add)
        if not shapes:
            raise ValueError("it holds no arrays")
    except Exception as error:  # h5py raises many kinds on damaged files
        raise CheckpointError(
            f"{path} is no weights file ({brief(error)}); copy or train the checkpoint anew"
        ) from error
    return shapes


def stored_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a weights file by their names in it, float32.

    Raises:
        CheckpointError: the file is missing or damaged, or its arrays lie in other files.
    """
    import h5py  # after --help

    stored_shapes(path)
    arrays: dict[str, np.ndarray] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            arrays[name] = np.asarray(item[()], np.float32)

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return arrays


def load_weights(model: Any, folder: Path, path: Path | None = None) -> None:
    """Load the best weights into a built model.

    Args:
        path: of other weights in the folder; None: the best.

    Raises:
        CheckpointError: none were saved yet, or they do not fit the model.
    """
    path = path or folder / WEIGHTS
    largest = max(math.prod(variable.shape) for variable in model.weights)
    if max(map(math.prod, stored_shapes(path))) > largest:
        raise CheckpointError(
            f"{path} holds larger arrays than its config.json says; copy or train the checkpoint anew"
        )
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras each raise their own kinds
        raise CheckpointError(
            f"{path} does not fit its config.json ({brief(error)}); copy or train the checkpoint anew"
        ) from error


def save_state(path: Path, arrays: list[np.ndarray], progress: dict[str, Any]) -> None:
    """Write the variables and the progress of a run as one whole file.

    Args:
        arrays: every variable, of any shape and dtype, in a fixed order.
        progress: JSON values, such as epochs done, best score and history.
    """
    named: Any = {f"variable{index:04d}": array for index, array in enumerate(arrays)}
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez(stream, progress=np.array(json.dumps(progress)), **named)


def load_state(path: Path, like: list[np.ndarray]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read what `save_state` wrote.

    Args:
        like: the current values of the variables, for their number and shapes.

    Raises:
        CheckpointError: damaged, or saved by another model.
    """
    next_step = "delete it to start this run again"
    try:
        saved = read_arrays(path, next_step)
        progress = parse_json(str(saved.pop("progress")))
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} holds no progress of a training ({error}); {next_step}") from error
    arrays = [saved[name] for name in sorted(saved)]
    if [array.shape for array in arrays] != [array.shape for array in like]:
        raise CheckpointError(
            f"{path} holds {len(arrays)} variables of another model, expected {len(like)}; "
            "use another --out or delete the folder to start again"
        )
    return arrays, progress
