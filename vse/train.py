"""Command: train an image-sentence ranker on cached features. Resumable: rerun the same command."""

import argparse
import sys

from vislang.training.command import cached_training_parser, train
from vse.config import CONFIGS


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    return cached_training_parser("vse.train", __doc__, CONFIGS)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "vse.training", "RankerTraining")


if __name__ == "__main__":
    sys.exit(main())
