"""Command: train a small classifier on images of some domains, to compare networks that saw different ones.

Examples:
    python -m preimage.train --data pacs --domains photo --out runs/pacs-photo-0
    python -m preimage.train --data pacs --domains art_painting cartoon sketch --out runs/pacs-drawings-0
    python -m preimage.train --data pacs --domains photo --preset scratch --out runs/pacs-photo-scratch-0

All commands of preimage take the folder as --network. Every network gets equally many images and updates, unless
--per-class says otherwise. The latest weights are kept; nothing is chosen on dev, which is only measured, and test is
not looked at. Resumable: rerun the same command.
"""

import argparse
import sys
from pathlib import Path

from preimage.classifier.config import CLASSIFIERS
from vislang.core.config_options import add_preset
from vislang.training.command import train, training_parser


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = training_parser("preimage.train", __doc__)
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="holds DOMAIN/CLASS/*.jpg, as PACS does"
    )
    parser.add_argument("--domains", required=True, nargs="+", metavar="NAME", help="such as photo")
    add_preset(parser, CLASSIFIERS, "finetuned")
    parser.add_argument("--backbone", metavar="NAME", help="of finetuned (default: the preset's)")
    parser.add_argument("--weights", metavar="FILE", help="of the backbone (default: VISLANG_WEIGHTS)")
    parser.add_argument(
        "--per-class", type=int, metavar="N",
        help="images of each class, over all domains (default: what the smallest class of any domain has; 0: all)",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "preimage.classifier.specification", "ClassifierTraining")


if __name__ == "__main__":
    sys.exit(main())
