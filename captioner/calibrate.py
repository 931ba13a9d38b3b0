"""Command: calibrate a trained captioner on dev images; training does so at its end."""

import argparse
import sys
from pathlib import Path

from vislang.core.cli import DONE, command_parser, run_command
from vislang.training.command import add_data_sets


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("captioner.calibrate", __doc__)
    parser.add_argument(
        "--model", required=True, type=Path, metavar="DIR", help="checkpoint folder of a trained captioner"
    )
    add_data_sets(parser)
    parser.set_defaults(sampling=None)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: calibrate_checkpoint(args))


def calibrate_checkpoint(args: argparse.Namespace) -> int:
    """Write the calibration into the checkpoint folder, and print how well the model is calibrated."""
    from captioner.api import load_model
    from captioner.training.calibration import calibrate, dev_splits
    from vislang.training.cached_data import read_sources

    model = load_model(args.model)
    splits = dev_splits(read_sources(args))
    for name, scores in calibrate(model, splits, args.model).items():
        others = scores.num_captions - scores.num_trusted
        print(
            f"{name}: expected calibration error of {scores.num_words:,} words {scores.ece:.3f}"
            f" (before {scores.ece_before:.3f}); good are {scores.good_trusted} of {scores.num_trusted} captions that"
            f" are trusted, {scores.good_others} of {others} others"
        )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
