"""Command: train a captioner on cached features. Resumable: rerun the same command."""

import argparse
import sys

from captioner.config import CONFIGS
from vislang.training.command import cached_training_parser, train


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return cached_training_parser("captioner.train", __doc__, CONFIGS)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "captioner.training.two_stages", "CaptionerTraining")


if __name__ == "__main__":
    sys.exit(main())
