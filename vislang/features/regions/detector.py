"""Object detectors as proposers: frozen graphs, SavedModel folders and TF-Hub modules."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.saved_model import Call, load_module, module_call
from vislang.backbones.weights import WEIGHTS_FOLDER
from vislang.core.errors import DataError, brief
from vislang.features.regions.proposals import Proposer

_USUAL = "centernet_mbv3_coco_frozen.pb"
_NEXT = "name one: --proposals detector:FILE.pb, detector:FOLDER or detector:hub:HANDLE; or take --proposals grid"


class DetectorProposer(Proposer):
    """Boxes of a trained detector, of all its classes together.

    Supported are the outputs of TensorFlow's object detection models ("detection_boxes" [1, K, 4] as (y0, x0, y1, x1)
    in shares, "detection_scores" [1, K]) and of CenterNet ([1, K, 6]: x0, y0, x1, y1 in pixels, score, class).

    Args:
        name: as the user wrote it.
        where: a frozen graph (.pb), a SavedModel folder or "hub:HANDLE"; "": a file in VISLANG_WEIGHTS. A graph is a
            program: load only those you trust.
    """

    same = 0.7

    def __init__(self, name: str, where: str):
        place = where or str(_usual_place())
        if not place.startswith("hub:") and not Path(place).exists():
            raise DataError(f"detector {place}: no such file or folder; {_NEXT}")
        try:
            self._call, self._side, self._dtype = _load(place)
        except DataError:
            raise
        except Exception as error:  # protobuf, TensorFlow and the hub each raise their own
            raise DataError(f"detector {place} cannot be loaded ({brief(error)}); {_NEXT}") from error
        super().__init__(name, _fingerprint(place))

    def propose(self, image: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return all detections, however low their scores."""
        squared = image.resize((self._side, self._side), Image.Resampling.BILINEAR)
        outputs = self._call(np.asarray(squared)[None].astype(self._dtype))
        if {"detection_boxes", "detection_scores"} <= set(outputs):
            boxes = outputs["detection_boxes"][0][:, [1, 0, 3, 2]]
            return boxes, outputs["detection_scores"][0]
        rows = next((rows[0] for rows in outputs.values() if rows.ndim == 3 and rows.shape[-1] == 6), None)
        if rows is None:
            shapes = ", ".join(f"{name} {list(rows.shape)}" for name, rows in outputs.items())
            raise DataError(f"detector {self.name} answers {shapes}, expected detection_boxes and detection_scores")
        return rows[:, :4] / self._side, rows[:, 4]


def _usual_place() -> Path:
    folder = os.environ.get(WEIGHTS_FOLDER)
    path = Path(folder or ".") / _USUAL
    if not folder or not path.is_file():
        raise DataError(f"{WEIGHTS_FOLDER} ({folder or 'not set'}) holds no detector {_USUAL}; {_NEXT}")
    return path


def _load(place: str) -> tuple[Call, int, Any]:
    """Return the network as a function, the side of its input and its type."""
    if place.endswith(".pb") and Path(place).is_file():
        call, declared = _load_frozen(Path(place))
    else:
        module = load_module(place)
        outputs_of, _, declared = module_call(place, module)

        def call(batch: np.ndarray, keep: Any = module) -> dict[str, np.ndarray]:
            return outputs_of(batch)

    side = 512
    if declared.shape.rank == 4 and declared.shape[1]:
        side = declared.shape[1]
    return call, side, declared.dtype.as_numpy_dtype


def _load_frozen(path: Path) -> tuple[Call, Any]:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(path.read_bytes())
    inputs = [node for node in graph.node if node.op == "Placeholder"]
    read = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
    ends = [node.name for node in graph.node if node.name not in read and node.op not in ("Const", "NoOp")]
    if len(inputs) != 1 or not ends:
        raise DataError(f"detector {path} has {len(inputs)} inputs and {len(ends)} outputs, expected one image input")
    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    function = wrapped.prune(f"{inputs[0].name}:0", [f"{name}:0" for name in ends])
    (declared,) = function.inputs

    def call(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in zip(ends, function(tf.constant(batch)), strict=True)}

    return call, declared


def _fingerprint(place: str) -> str:
    """Compute the SHA-256 (hex) of the files; of a handle, that of its name."""
    digest = hashlib.sha256()
    if place.startswith("hub:"):
        digest.update(place.encode())
    for path in sorted(Path(place).rglob("*")) if Path(place).is_dir() else [Path(place)] * Path(place).is_file():
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
