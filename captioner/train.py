"""Command: train a captioner on cached features. Resumable: rerun the same command."""

import argparse
import sys

from captioner.config import CONFIGS
from vislang.core.cli import run_command, training_parser


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return training_parser("captioner.train", __doc__, CONFIGS)


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Train, and return the exit code."""
    from captioner.training.specification import SPEC
    from vislang.training.fit import run_training

    return run_training(args, SPEC)


if __name__ == "__main__":
    sys.exit(main())
