"""Command: train the small CNN for drawn scenes, `--out vislang/pretrained/compact-scenes.weights.h5`.

It learns the shape and colour in each cell of its grid and, from the pooled features, which shapes and colours are
present and which shape has which colour. Its scenes hold only the pairs of colour and shape of split train, and have
other seeds than those of data sets.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle.model_card import read_model_card
from datasets.scenes.backgrounds import BACKGROUNDS
from datasets.scenes.cell_labels import LabelledScenes, augmented_batch, draw_labelled_scenes
from datasets.scenes.draw import pairs_of_split
from datasets.scenes.shapes import COLOURS, SHAPES
from vislang.core.bundled_models import sha256_of
from vislang.core.cli import DONE, command_parser, progress_is_shown, run_command
from vislang.core.errors import DataError
from vislang.core.files import check_outputs, write_json
from vislang.core.quiet_backend import import_backend_quietly
from vislang.core.seeds import seed_everything, stream

SCENE_SEED = 7_000_000  # data sets count up from 0, so no scene is in both
_SUFFIX = ".weights.h5"
_CARD = "compact-scenes"
_BATCH = 64
_PEAK_RATE = 2e-3
_NUM_TEST = 300  # scenes that it is evaluated on


def build_with_heads(network: Any) -> Any:
    """Return the network with the heads that it is trained with, which are thrown away afterwards."""
    import keras

    grid = network.get_layer("grid").output
    pooled = network.output
    num_shapes = len(SHAPES)
    num_colours = len(COLOURS)
    bound = keras.layers.Dense(num_shapes * num_colours)(keras.layers.Dense(256, "relu")(pooled))
    outputs = {
        "cell_shape": keras.layers.Dense(num_shapes + 1, name="cell_shape")(grid),
        "cell_colour": keras.layers.Dense(num_colours + 1, name="cell_colour")(grid),
        "present": keras.layers.Dense(num_shapes + num_colours, name="present")(pooled),
        "background": keras.layers.Dense(len(BACKGROUNDS), name="background")(pooled),
        "colour_of": keras.layers.Reshape((num_shapes, num_colours), name="colour_of")(bound),
    }
    return keras.Model(network.input, outputs)


def unseen_pair_mask() -> np.ndarray:
    """Return float32 [1 + colours, 1 + shapes]: -1e9 for pairs that split train lacks, else 0; row and column 0 are 0.

    Added to logits, it excludes those pairs. Without it the network learns from their absence that they are impossible,
    and a fish in a new colour gets the shape that had that colour. Together with the recolouring of `augmented_batch`
    it raised the accuracy of cells of dev, shape and colour, from 15 % to 72 %.
    """
    table = np.full((1 + len(COLOURS), 1 + len(SHAPES)), -1e9, np.float32)
    table[0] = 0
    table[:, 0] = 0
    for colour, shape in pairs_of_split("train"):
        table[1 + list(COLOURS).index(colour), 1 + list(SHAPES).index(shape)] = 0
    return table


def head_losses() -> dict[str, Callable[[Any, Any], Any]]:
    """Return the loss of each head; labels of -1 are unknown and ignored."""
    import keras
    from keras import ops

    table = unseen_pair_mask()

    def mean_known(loss: Any, known: Any) -> Any:
        known = ops.cast(known, "float32")
        return ops.sum(loss * known) / ops.maximum(ops.sum(known), 1.0)

    def cross_entropy(labels: Any, logits: Any) -> Any:
        loss = keras.losses.sparse_categorical_crossentropy(ops.maximum(labels, 0), logits, from_logits=True)
        return mean_known(loss, labels >= 0)

    def cell_shape(labels: Any, logits: Any) -> Any:  # labels [B, 8, 8, 2] are shape and colour
        labels = ops.cast(labels, "int32")
        return cross_entropy(labels[..., 0], logits + ops.take(table, ops.maximum(labels[..., 1], 0), axis=0))

    def cell_colour(labels: Any, logits: Any) -> Any:
        labels = ops.cast(labels, "int32")
        return cross_entropy(labels[..., 1], logits + ops.take(table.T, labels[..., 0], axis=0))

    def present(labels: Any, logits: Any) -> Any:
        known = ops.cast(labels >= 0, "float32")
        return mean_known(ops.softplus(logits) - labels * logits, known)

    def colour_of(labels: Any, logits: Any) -> Any:
        return cross_entropy(labels, logits + table.T[1:, 1:])

    losses = (cell_shape, cell_colour, present, colour_of)
    return {"background": cross_entropy} | {loss.__name__: loss for loss in losses}


def batches(scenes: LabelledScenes, seed: int) -> Any:
    """Return shuffled, augmented batches as a `keras.utils.PyDataset`."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.epoch = -1
            self.on_epoch_end()

        def __len__(self) -> int:
            return len(scenes.images) // _BATCH

        def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            rows = np.sort(self.order[index * _BATCH : (index + 1) * _BATCH])
            return augmented_batch(scenes, rows, stream(seed, "batch", self.epoch, index))

        def on_epoch_end(self) -> None:
            self.epoch += 1
            self.order = stream(seed, "order", self.epoch).permutation(len(scenes.images))

    return Batches()


def train_network(scenes: LabelledScenes, epochs: int, seed: int) -> tuple[Any, Any]:
    """Train on labelled scenes: the network alone, rounded to half precision, and the network with its heads."""
    import keras

    from vislang.backbones.compact_scenes import build_compact_scenes

    seed_everything(seed)
    network = build_compact_scenes()
    with_heads = build_with_heads(network)
    steps = epochs * (len(scenes.images) // _BATCH)
    warm = max(1, steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, steps, warmup_target=_PEAK_RATE, warmup_steps=warm)
    weights = {"cell_shape": 4.0, "cell_colour": 4.0, "present": 2.0, "background": 0.5, "colour_of": 0.5}
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0)
    with_heads.compile(optimizer, head_losses(), loss_weights=weights)
    verbose = 2 if progress_is_shown() else 0
    with_heads.fit(batches(scenes, seed), epochs=epochs, verbose=verbose, shuffle=False)
    network.set_weights([weight.astype(np.float16).astype(np.float32) for weight in network.get_weights()])
    return network, with_heads


def accuracies(with_heads: Any, scenes: LabelledScenes) -> dict[str, float]:
    """Return the accuracy of the heads, % of the cells that show an object, or of the objects."""
    found = with_heads.predict(scenes.images.astype(np.float32) / 127.5 - 1, batch_size=128, verbose=0)
    seen = scenes.cell_shape > 0
    shape = found["cell_shape"].argmax(-1) == scenes.cell_shape
    colour = found["cell_colour"].argmax(-1) == scenes.cell_colour
    present = scenes.colour_of >= 0
    parts = {
        "cells: shape": shape[seen],
        "cells: colour": colour[seen],
        "cells: shape and colour": (shape & colour)[seen],
        "cells: empty": (found["cell_shape"].argmax(-1) == 0)[~seen],
        "pooled: shapes present": (found["present"][:, : len(SHAPES)] > 0) == present,
        "pooled: background": found["background"].argmax(-1) == scenes.background,
    }
    return {name: round(100 * float(right.mean()), 1) for name, right in parts.items()}


def save_half(network: Any, path: Path) -> str:
    """Write the weights in half precision and return the SHA-256 of the file."""
    from vislang.core.half_precision import halve

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"whole{_SUFFIX}"
        network.save_weights(whole)
        halve(whole, path)
    return sha256_of(path)


def make_card(args: argparse.Namespace, scores: dict[str, float], sha256: str, seconds: float) -> dict[str, Any]:
    """Return the model card."""
    card = read_model_card(_CARD)
    return {
        "name": _CARD,
        "description": f"{card.description}; input 64x64 RGB, preprocessing squash-64-tf/v1; feature layers grid"
        " 8x8x128, pooled 128",
        "command": f"python -m app.bundle.train_scenes --out vislang/pretrained/{Path(args.out).name}"
        f" --scenes {args.scenes} --epochs {args.epochs} --seed {args.seed}",
        "data": f"{args.scenes} scenes drawn by datasets.scenes, split train, seed {SCENE_SEED}; no photographs",
        "held_out": "the 42 of 112 (colour, shape) pairs of splits dev and test; recoloured training images had"
        " shape labels only",
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(seconds),
        "scores": [{"on": f"{_NUM_TEST} scenes of split test, unseen pairs, same seed; accuracy, %", **scores}],
        "intended_use": card.intended_use,
        "limitations": card.limitations,
        "licence": "Apache-2.0",
        "stored_as": "float16",
        "sha256": sha256,
    }


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.train_scenes", __doc__)
    parser.add_argument(
        "--out", required=True, help=f"file to write, ending in {_SUFFIX}; a model card is written beside it"
    )
    parser.add_argument("--scenes", type=int, default=5000, help="scenes to draw for training (default 5000)")
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal weights on one machine (default 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    out = Path(args.out)
    if not out.name.endswith(_SUFFIX):
        raise DataError(f"--out got {args.out!r}, expected a file name ending in {_SUFFIX}, such as {_CARD}{_SUFFIX}")
    if args.scenes < _BATCH or args.epochs < 1:
        raise DataError(
            f"got --scenes {args.scenes} --epochs {args.epochs}, expected at least {_BATCH} scenes and 1 epoch"
        )
    check_outputs({"--out": out})
    begin = time.monotonic()
    # All scenes are drawn before TensorFlow starts threads, which forked processes would lose.
    test = draw_labelled_scenes("test", _NUM_TEST, SCENE_SEED)
    train = draw_labelled_scenes("train", args.scenes, SCENE_SEED)
    import_backend_quietly()
    network, with_heads = train_network(train, args.epochs, args.seed)
    seconds = time.monotonic() - begin
    scores = accuracies(with_heads, test)
    digest = save_half(network, out)
    write_json(out.with_name(out.name.removesuffix(_SUFFIX) + ".json"), make_card(args, scores, digest, seconds))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {seconds:.0f} s; {scores}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
