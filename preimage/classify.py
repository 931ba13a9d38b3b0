"""Command: what does a network take pictures for? Print its likeliest classes and their probabilities.

Examples:
    python -m preimage.classify --network mobilenet_0.75 --image dog.jpg
    python -m preimage.classify --network runs/pacs-drawings-0 --folder drawings --top 3 --json
    python -m preimage.classify --network caffe:VGG_CNN_S --weights VGG_CNN_S.caffemodel --image cat.jpg tub.jpg
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from preimage.cli import add_labels, describe_command, opened_network, require_files
from vislang.core.cli import DONE, SKIPPED_SOME, progress_is_shown, run_command, shown_name

_BATCH = 16


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.classify", __doc__, draws=False, network="mobilenet_0.75")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", nargs="+", default=[], type=Path, metavar="FILE", help="pictures")
    source.add_argument("--folder", metavar="WHERE", help="folder or pattern")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes of each (default: %(default)s)")
    add_labels(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: classify_pictures(args))


def classify_pictures(args: argparse.Namespace) -> int:
    """Look at all pictures and print; what cannot be read is skipped unless it is the only one."""
    from vislang.core.errors import ConfigError
    from vislang.features.pipeline import list_images

    if args.top < 1:
        raise ConfigError(f"--top got {args.top}, expected 1 or more")
    require_files(*args.image)
    paths = list_images(args.folder) if args.folder else args.image
    network = opened_network(args)
    from preimage.networks.class_labels import class_names, classify

    names, skipped = class_names(network, args.labels), []
    if names is None:
        print(f"nobody named the classes of {network.name}; give --labels FILE for names", file=sys.stderr)
    rows = [
        (path, guesses)
        for batch, pictures in readable(network, paths, skipped)
        for path, guesses in zip(batch, classify(network, pictures, top=args.top, names=names), strict=True)
    ]
    tell(args, network, rows, skipped)
    return SKIPPED_SOME if skipped else DONE


def readable(network: Any, paths: Sequence[Path], skipped: list[tuple[str, str]]) -> Iterator[tuple[list[Path], Any]]:
    """Give paths and their pictures, float32 [B, S, S, 3], batch by batch; put (name, reason) of others in `skipped`.

    Raises:
        DataError: the only picture cannot be read.
    """
    import numpy as np
    from tqdm import tqdm

    from vislang.core.errors import DataError

    batch: list[Path] = []
    pictures: list[Any] = []
    for number, path in enumerate(tqdm(paths, unit="picture", disable=not progress_is_shown() or len(paths) == 1)):
        try:
            pictures += [network.pictures([path])[0]]
            batch.append(path)
        except DataError as error:
            if len(paths) == 1:
                raise
            skipped.append((shown_name(str(path)), str(error)))
        if batch and (len(batch) == _BATCH or number == len(paths) - 1):
            yield batch, np.stack(pictures)
            batch, pictures = [], []


def tell(
    args: argparse.Namespace, network: Any, rows: Sequence[tuple[Path, Any]], skipped: Sequence[tuple[str, str]]
) -> None:
    """Print the guesses, a line for each or one JSON document."""
    import json

    if args.json:
        pictures = [
            {
                "name": shown_name(str(path)),
                "classes": [
                    {"number": one.number, "name": one.name, "probability": round(one.probability, 6)}
                    for one in guesses
                ],
            }
            for path, guesses in rows
        ]
        told = {
            "network": network.name,
            "size": network.size,
            "pictures": pictures,
            "skipped": list(map(list, skipped)),
        }
        print(json.dumps(told, ensure_ascii=False, allow_nan=False))
    else:
        for path, guesses in rows:
            print(shown_name(str(path)))
            for one in guesses:
                print(f"  {one.probability:.3f}  {one.name}")
    for name, reason in skipped:
        print(f"skipped: {name}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
