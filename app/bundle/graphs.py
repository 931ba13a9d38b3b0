"""Command: write the ONNX graphs of the bundled models and of the CNN that they read, and list them in the cards.

Needs the extra `export`. Run it after app.bundle.pack; a model without graphs is run by TensorFlow.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from app.bundle.packed_models import PACKED_MODELS
from vislang.core.cli import DEFAULT_BACKBONE, DONE, command_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.graphs", __doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *PACKED_MODELS], metavar="NAME", help="bundled models (default: all)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: write_graphs(args.names or list(PACKED_MODELS)))


def write_graphs(names: list[str]) -> int:
    """Write the graphs of some bundled models and of the CNN."""
    from vislang.core.onnx_graphs import RUNTIME

    os.environ[RUNTIME] = "keras"
    for path in (write_shipped_cnn(DEFAULT_BACKBONE), *map(write_bundled, names)):
        size = sum(file.stat().st_size for file in path.glob("*.onnx"))
        print(f"{path}: graphs of {size / 1e3:.0f} kB")
    return DONE


def write_bundled(name: str) -> Path:
    """Write the graphs of a bundled model into its folder, and their SHA-256 into its card; return the folder."""
    from app.export.folder import write_graphs_beside
    from app.export.loading import load_trained
    from vislang.core.bundled_models import PRETRAINED
    from vislang.core.files import read_json, write_json
    from vislang.core.onnx_graphs import GRAPHS

    folder = PRETRAINED / name
    card_path = PRETRAINED / f"{name}.json"
    card = read_json(card_path, "model card", "pack the model first")
    for path in (*folder.glob("*.onnx"), folder / GRAPHS):
        path.unlink(missing_ok=True)
    card["sha256"] = hashes_of(folder)
    write_json(card_path, card)  # else the model, changed, could not be loaded
    write_graphs_beside(load_trained(folder), folder)
    card["sha256"] = hashes_of(folder)
    write_json(card_path, card)
    return folder


def hashes_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by its name."""
    from vislang.core.bundled_models import sha256_of

    return {file.name: sha256_of(file) for file in sorted(folder.iterdir())}


def write_shipped_cnn(name: str) -> Path:
    """Write the graph of a CNN for images of any size, without weights, and return its folder."""
    import keras

    from app.export.folder import shipped_entry, write_cnn
    from app.export.graphs import ExportedFeatures
    from vislang.backbones.exported import SHIPPED
    from vislang.backbones.registry import load_backbone
    from vislang.backbones.resize import at_input_size
    from vislang.core.compile import compiled
    from vislang.core.files import write_json
    from vislang.core.onnx_graphs import GRAPHS, CnnEntry

    loaded: Any = load_backbone(name)
    grid = at_input_size(name, keras.Model(loaded.model.input, loaded.model.get_layer("head_relu").output), None)
    head = keras.Model(grid.input, [keras.ops.mean(grid.output, axis=(1, 2)), grid.output])
    entry = shipped_entry(CnnEntry(name, loaded.preprocessing.name, loaded.layers, loaded.fingerprint))

    def features(images: Any) -> Any:
        return head(images, training=False)

    function = compiled(features, ((None, None, None, 3), "float32"))
    folder = SHIPPED / name
    folder.mkdir(parents=True, exist_ok=True)
    graph, cnn = write_cnn(ExportedFeatures(function, entry), loaded.model, folder / "cnn_0.onnx")
    document = {"fingerprint": loaded.fingerprint, "graphs": {"cnn_0": graph}, "cnns": {"cnn_0": cnn}}
    write_json(folder / GRAPHS, document)
    return folder


if __name__ == "__main__":
    sys.exit(main())
