"""Models released by the original ranker: a NumPy archive and two pickles, read without executing them."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.config import to_json
from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import keyed, read_arrays
from vislang.core.plain_pickle import PlainUnpickler
from vislang.text.vocabulary import END, UNKNOWN, Vocabulary
from vse.config import VseConfig
from vse.inference import TrainedRanker
from vse.model import Ranker

_END = 0  # the original's ids
_UNKNOWN = 1
_FIRST_WORD = 2
_MAX_PICKLE_BYTES = 64 * 2**20
_NEXT_STEP = (
    "expected a model saved by the original code, NAME.npz with NAME.npz.dictionary.pkl and NAME.npz.pkl beside it"
)


def read_original(path: str | Path, backbone_weights: str | Path | None = None) -> TrainedRanker:
    """Import a released model.

    Args:
        path: the ".npz" file; its dictionary and options lie beside it.

    Returns:
        a ranker for features of VGG-19's fc7 and text split at white space.

    Raises:
        CheckpointError: a file that is missing, damaged, hostile or of another model.
    """
    path = Path(path)
    options = _read_plain(path.with_name(path.name + ".pkl"))
    dictionary = _read_plain(path.with_name(path.name + ".dictionary.pkl"))
    arrays = _read_arrays(path)
    encoder = options.get("encoder", "gru")
    if encoder not in ("gru", "bow"):
        raise CheckpointError(f"{path}: its options say encoder {encoder!r}, expected 'gru' or 'bow'; {_NEXT_STEP}")
    try:
        num_rows, word_dim = arrays["Wemb"].shape
        num_features, embed_dim = arrays["ff_image_W"].shape
        config = VseConfig(
            encoder=encoder,
            sentence_pooling="sum" if encoder == "bow" else "last",
            word_dim=word_dim,
            hidden_dim=embed_dim,
            embed_dim=embed_dim,
            margin=float(options.get("margin", 0.2)),
            layers=("fc7@center-crop-224-bgr-mean/v1",),
        )
        pairs = ((int(index), str(word)) for word, index in dictionary.items())
        words = keyed(pairs, f"{path.name}.dictionary.pkl, numbers of words", _NEXT_STEP)
        kept = [words[index] for index in range(_FIRST_WORD, num_rows)]
    except (ValueError, KeyError, TypeError, DataError) as error:
        raise CheckpointError(
            f"{path}: its options or dictionary do not fit its weights ({error}); {_NEXT_STEP}"
        ) from error
    vocabulary = Vocabulary(kept)
    network = Ranker(config, len(vocabulary), num_features)
    _assign(network, arrays, path)
    description = {
        "kind": TrainedRanker.kind,
        "preset": "original",
        "seed": None,
        "config": to_json(config),
        "data": {},
    }
    description["backbone"] = {"name": "vgg19", "weights": {}}
    return TrainedRanker(network, vocabulary, description, backbone_weights=backbone_weights)


def _assign(network: Ranker, arrays: dict[str, np.ndarray], path: Path) -> None:
    sentences = network.sentence_encoders[0]
    images = network.image_encoders[0]
    table = np.zeros(sentences.embedding.embeddings.shape, np.float32)
    table[END] = arrays["Wemb"][_END]
    table[UNKNOWN] = arrays["Wemb"][_UNKNOWN]
    table[UNKNOWN + 1 :] = arrays["Wemb"][_FIRST_WORD:]
    targets: list[tuple[Any, np.ndarray | None]] = [(sentences.embedding.embeddings, table)]
    targets += [(images.linear.kernel, arrays["ff_image_W"]), (images.linear.bias, arrays["ff_image_b"])]
    if sentences.recurrent is not None:
        cell = sentences.recurrent.cell
        for name in ("W", "b", "U", "Wx", "bx", "Ux"):
            targets.append((getattr(cell, name), arrays.get(f"encoder_{name}")))
    for variable, array in targets:
        if array is None or tuple(variable.shape) != array.shape:
            got = "nothing" if array is None else list(array.shape)
            raise CheckpointError(f"{path}: {variable.name} got {got}, expected {list(variable.shape)}; {_NEXT_STEP}")
        variable.assign(array)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        found = read_arrays(path, _NEXT_STEP)
        arrays = {name: np.asarray(array, np.float32) for name, array in found.items()}
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except ValueError as error:
        raise CheckpointError(f"{path} holds no numbers ({error}); {_NEXT_STEP}") from error
    missing = [name for name in ("Wemb", "ff_image_W", "ff_image_b") if name not in arrays]
    if missing:
        raise CheckpointError(f"{path} holds no {', '.join(missing)}; {_NEXT_STEP}")
    return arrays


def _read_plain(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_PICKLE_BYTES:
            raise DataError(f"it is larger than {_MAX_PICKLE_BYTES} bytes")
        value = PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; {_NEXT_STEP}") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise CheckpointError(f"{path} is refused: {error}; {_NEXT_STEP}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, expected a dictionary; {_NEXT_STEP}")
    return value
