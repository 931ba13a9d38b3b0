"""Command: measure how often a model scores a changed part of an image as more anomalous than before the change."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core import cli

if TYPE_CHECKING:
    import numpy as np

SIDE = 224  # pixels of an image
PART = 96  # pixels of the square that is changed
PATCH = 28  # pixels of the patches of a patch-shuffled image


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("naturalness.changes", __doc__)
    cli.add_model(parser, "visual language model")
    cli.add_weights(parser)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--dataset", default="flickr8k", help="name of its reader (default: %(default)s)")
    parser.add_argument("--split", default="dev", help="(default: %(default)s)")
    parser.add_argument("--limit", type=int, default=200, metavar="N", help="images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes and their places (default: %(default)s)")
    parser.add_argument("--out", default=Path("results"), type=Path, help="folder of results (default: %(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: measure(args))


def measure(args: argparse.Namespace) -> int:
    """Count the changes that the model notices; write a result file and print the percentages."""
    import json

    import numpy as np
    from tqdm import tqdm

    from eval.results.experiments import ChangeResult
    from eval.results.result import write_result
    from naturalness.api import load_model
    from vislang.core.files import require_writable_folder
    from vislang.core.seeds import stream

    require_writable_folder(args.out)
    images = read_images(args)
    model = load_model(args.model, weights=args.weights)
    noticed: dict[str, list[bool]] = {name: [] for name in (*CHANGES, "patch-shuffled")}
    for index, image in enumerate(tqdm(images, disable=not cli.progress_is_shown())):
        other = images[(index + 1) % len(images)]
        random = stream(args.seed, "changes", index)
        top, left = random.integers(0, (SIDE - PART) // 32 + 1, 2) * 32
        place = np.s_[top : top + PART, left : left + PART]
        before = model.map(image, kind="anomaly")
        for name, change in CHANGES.items():
            changed = image.copy()
            changed[place] = change(image[place], other[place], random)
            noticed[name].append(bool(model.map(changed, kind="anomaly")[place].mean() > before[place].mean()))
        noticed["patch-shuffled"].append(model.score(shuffled(image, PATCH, random)) < model.score(image))
    result = ChangeResult(
        name=f"{model.description['preset']}-{model.description['backbone']['name']}",
        dataset=args.dataset,
        split=args.split,
        metrics={name: round(100 * float(np.mean(one)), 1) for name, one in noticed.items()},
        num_images=len(images),
        seed=args.seed,
    )
    write_result(args.out, result)
    print(json.dumps(result.metrics))
    return cli.DONE


def read_images(args: argparse.Namespace) -> list["np.ndarray"]:
    """Read random images of a split, squashed to uint8 [224, 224, 3]."""
    from datasets import registry
    from naturalness.inference import as_pixels
    from vislang.core.errors import DataError
    from vislang.core.seeds import stream
    from vislang.images.decode import decode_image

    records = []
    for one in registry.read(args.dataset, args.data, split=args.split):
        if one.path is not None:
            records.append(one)
    chosen = stream(args.seed, "photographs").permutation(len(records))[: args.limit]
    if len(chosen) < 2:
        raise DataError(f"{len(chosen)} images were found, expected at least 2; a change takes from another one")
    return [as_pixels(decode_image(records[row].path).resize((SIDE, SIDE))) for row in chosen]


def shuffled(part: "np.ndarray", side: int, random: Any) -> "np.ndarray":
    """Shuffle the square patches of an image, `side` pixels each: uint8 [H, W, 3]."""
    down = part.shape[0] // side
    across = part.shape[1] // side
    pieces = part[: down * side, : across * side].reshape(down, side, across, side, 3).swapaxes(1, 2)
    pieces = pieces.reshape(-1, side, side, 3)[random.permutation(down * across)]
    result = part.copy()
    whole = pieces.reshape(down, across, side, side, 3).swapaxes(1, 2).reshape(down * side, across * side, 3)
    result[: down * side, : across * side] = whole
    return result


def _blurred(part: "np.ndarray", other: "np.ndarray", random: Any) -> "np.ndarray":
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(part, (4, 4, 0))


# From a part of an image, the same part of another image and a random state to what replaces it.
CHANGES: dict[str, Callable[["np.ndarray", "np.ndarray", Any], "np.ndarray"]] = {
    "paste": lambda part, other, random: other,
    "shuffle of 8 pixels": lambda part, other, random: shuffled(part, 8, random),
    "shuffle of 16 pixels": lambda part, other, random: shuffled(part, 16, random),
    "upside down": lambda part, other, random: part[::-1],
    "blur": _blurred,
}


if __name__ == "__main__":
    sys.exit(main())
