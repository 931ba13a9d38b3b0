"""Command: write a trained model as ONNX graphs or as a TensorFlow SavedModel, with its words and settings.

Examples:
    vislang export captioner --out exported/captioner
    vislang export runs/vse-f8k-best-0 --format savedmodel --out exported/ranker

Both forms hold the CNN whose features the model reads. Commands take a folder of ONNX graphs as --model and run it
with ONNX Runtime, without TensorFlow. Rankers, captioners (of regions, too), aligners and naturalness models can be
exported; classifiers, baselines that copy captions of the nearest images, and as ONNX graphs the presets "kato" of
naturalness, which scan cells one by one, cannot.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from vislang.core import cli


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("app.export.command", __doc__)
    parser.add_argument("model", metavar="MODEL", help="checkpoint folder, or the name of a bundled model")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument("--format", default="onnx", choices=("onnx", "savedmodel"), help="(default: %(default)s)")
    cli.add_weights(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: export(args))


def export(args: argparse.Namespace) -> int:
    """Load the model and write it."""
    from vislang.core.errors import ConfigError
    from vislang.core.files import require_writable_folder
    from vislang.core.onnx_graphs import RUNTIME

    if args.out.is_dir() and any(args.out.iterdir()):
        raise ConfigError(f"--out {args.out} holds files, expected a folder that is new or empty")
    os.environ[RUNTIME] = "keras"  # graphs are made from the Keras network
    from app.export.conversion import require_converter
    from app.export.folder import write_onnx, write_saved_model
    from app.export.loading import checkpoint_of, load_trained

    if args.format == "onnx":
        require_converter()
    model = load_trained(args.model, args.weights)
    require_writable_folder(args.out)
    write = write_onnx if args.format == "onnx" else write_saved_model
    part = args.out.with_name(f".{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    try:
        names = write(model, checkpoint_of(args.model), part)
        part.replace(args.out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"wrote {len(names)} graphs, {size / 1e6:.1f} MB: {', '.join(names)}", file=sys.stderr)
    return cli.DONE


if __name__ == "__main__":
    sys.exit(main())
