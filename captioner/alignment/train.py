"""Command: train the alignment of words and regions on cached features. Resumable: rerun the same command."""

import argparse
import sys

from captioner.alignment.config import ALIGNMENTS
from vislang.training.command import cached_training_parser, train


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return cached_training_parser("captioner.alignment.train", __doc__, ALIGNMENTS)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "captioner.alignment.training", "AlignerTraining")


if __name__ == "__main__":
    sys.exit(main())
