"""A trained model on disk: a folder of small whole files, loadable whatever moment a run was killed at.

config.json          the kind of model and every setting
vocabulary.json      its words
model.weights.h5     the best weights so far
kept-N.weights.h5    of trainings that keep several of the best: those after N updates
history.json         one row per epoch
training_state.npz   all that a later run needs to go on as if it had never stopped
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.config import to_json
from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import UNREADABLE, read_json, whole_file, write_json
from vislang.core.model_kinds import require_kind_of_folder
from vislang.text.vocabulary import Vocabulary

CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "model.weights.h5"
HISTORY, STATE = "history.json", "training_state.npz"
_NEXT = "point to a folder that training made, such as one written by: make train-f8k"


def start_checkpoint(folder: Path, description: dict[str, Any], vocabulary: Vocabulary | None) -> None:
    """Write what does not change during training.

    Args:
        folder: the checkpoint folder, made if need be.
        description: JSON values; "kind" names the model, "config" its settings.
        vocabulary: the model's words; None: it has none.
    """
    if vocabulary is not None:
        write_json(folder / VOCABULARY, vocabulary.to_json())
    write_json(folder / CONFIG, description)


def describe_run(
    args: argparse.Namespace, kind: str, config: Any, *, num_features: int, backbone: dict[str, Any], fingerprint: str
) -> dict[str, Any]:
    """Give the description of a training run, what its config.json holds.

    Args:
        args: of a command that has the options of `vislang.core.cli.training_parser`.
        kind: of the model.
        config: every setting.
        num_features: width of the features that it is trained on.
        backbone: whose features, from `vislang.features.descriptors.identity`.
        fingerprint: of the training and dev records.
    """
    data = {"dataset": args.dataset, "folder": str(args.data), "cache": str(args.cache), "options": args.option}
    return {
        "kind": kind,
        "preset": args.preset,
        "config": to_json(config),
        "seed": args.seed,
        "num_features": num_features,
        "backbone": backbone,
        "data": {**data, "fingerprint": fingerprint},
    }


def start_or_continue(folder: Path, description: dict[str, Any], vocabulary: Vocabulary | None) -> None:
    """Write the description of a run, or check that the run in the folder is this one.

    Args:
        folder: as for `start_checkpoint`.
        description: as for `start_checkpoint`; "data" may hold places, of which only "fingerprint" has to be equal.
        vocabulary: as for `start_checkpoint`.

    Raises:
        CheckpointError: the folder holds another run.
    """
    if not (folder / CONFIG).is_file():
        start_checkpoint(folder, description, vocabulary)
        return
    kind = description["kind"]
    found = read_settings(folder, kind)
    changed = [name for name in description if name != "data" and found.get(name) != description[name]]
    changed += ["data"] * (found.get("data", {}).get("fingerprint") != description["data"]["fingerprint"])
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
    """Read the description of a model, of one without words too, and check that it is of this kind.

    Raises:
        CheckpointError: no checkpoint, a damaged one, or one of another kind.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} holds no {CONFIG}, expected a checkpoint folder; {_NEXT}")
    try:
        description = read_json(folder / CONFIG, "checkpoint settings", _NEXT)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    found = description.get("kind") if isinstance(description, dict) else None
    require_kind_of_folder(folder, found, kind)
    return description


def save_weights(model: Any, folder: Path, name: str = WEIGHTS) -> None:
    """Replace the best weights, or others of that name; killed halfway, the old ones stay."""
    with whole_file(folder / name) as part:
        model.save_weights(part)


def kept_name(updates: int) -> str:
    """Name the weights after so many updates, where several of the best are kept."""
    return f"kept-{updates:07d}.weights.h5"


def kept_weights(folder: Path) -> list[Path]:
    """List the weights that were kept beside the best, in the order of training; the best alone where none were."""
    return sorted(folder.glob("kept-*.weights.h5")) or [folder / WEIGHTS]


def load_weights(model: Any, folder: Path, path: Path | None = None) -> None:
    """Load the best weights, or others, into a built model.

    Raises:
        CheckpointError: none were saved yet, or they do not fit the model.
    """
    path = path or folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no {path.name}: training has not reached its first validation; train on")
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} does not fit its config.json ({reason}); copy or train the checkpoint anew"
        ) from error


def save_state(path: Path, arrays: list[np.ndarray], progress: dict[str, Any]) -> None:
    """Save the variables and the progress of a run as one whole file.

    Args:
        path: the file.
        arrays: every variable, in a fixed order.
        progress: JSON values, such as epochs done, best score and history.
    """
    named: Any = {f"variable{number:04d}": array for number, array in enumerate(arrays)}
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez(stream, progress=np.array(json.dumps(progress)), **named)


def load_state(path: Path, like: list[np.ndarray]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Load what `save_state` wrote.

    Args:
        path: the file.
        like: the variables of the model that will take them, for their number and shapes.

    Raises:
        CheckpointError: damaged, or saved by another model.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            progress = json.loads(str(saved["progress"]))
            arrays = [saved[name] for name in sorted(saved.files) if name != "progress"]
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read ({error}); delete it to start this run again") from error
    if [array.shape for array in arrays] != [array.shape for array in like]:
        raise CheckpointError(
            f"{path} holds {len(arrays)} variables of another model, expected {len(like)}; "
            "use another --out or delete the folder to start again"
        )
    return arrays, progress
