"""Command: train a small classifier on pictures of some domains, to compare networks that saw different ones.

Examples:
    python -m preimage.train --data pacs --domains photo --out runs/pacs-photo-0
    python -m preimage.train --data pacs --domains art_painting cartoon sketch --out runs/pacs-drawings-0
    python -m preimage.train --data pacs --domains photo --preset scratch --out runs/pacs-photo-scratch-0

All commands of preimage take the folder as --network. Every network gets equally many pictures and updates, unless
--per-class says otherwise. The last weights are kept; nothing is chosen on dev, which is only measured, and test is not
looked at. Killed, it goes on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preimage.classifier.config import CLASSIFIERS
from vislang.core.cli import DONE, SKIPPED_SOME, add_preset, command_parser, import_backend_quietly, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("preimage.train", __doc__)
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="holds DOMAIN/CLASS/*.jpg, as PACS does"
    )
    parser.add_argument("--domains", required=True, nargs="+", metavar="NAME", help="such as photo")
    add_preset(parser, CLASSIFIERS, "finetuned")
    parser.add_argument(
        "--backbone", metavar="NAME", help="of finetuned; compact is in the box (default: the preset's)"
    )
    parser.add_argument("--weights", metavar="FILE", help="of the backbone (default: VISLANG_WEIGHTS)")
    parser.add_argument(
        "--per-class", type=int, metavar="N",
        help="pictures of each class, over all domains (default: what the smallest class of any domain has; 0: all)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="checkpoint folder")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Read pictures, train, and say where the checkpoint lies."""
    import json

    from vislang.core.config import override
    from vislang.core.errors import ConfigError
    from vislang.core.files import require_writable_folder

    more = [] if args.backbone is None else [f"backbone={args.backbone}"]
    config = override(CLASSIFIERS[args.preset], [*more, *args.set])
    if args.backbone and not CLASSIFIERS[args.preset].backbone:
        raise ConfigError(
            f"--preset {args.preset} has no backbone, got --backbone {args.backbone}; choose --preset finetuned"
        )
    splits, classes, fingerprint = read_pictures(args)
    require_writable_folder(args.out)
    import_backend_quietly()
    rows, skipped = fit(args, config, splits, classes, fingerprint)
    done = {
        "out": str(args.out),
        "pictures": len(splits["train"]),
        "dev_pictures": len(splits["dev"]),
        "dev_accuracy": round(rows[-1]["dev_accuracy"], 1),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }
    words = "{out}: {pictures} pictures, {dev_accuracy} % of {dev_pictures} dev pictures right, {seconds} s"
    print(json.dumps(done) if args.json else words.format(**done))
    for name, reason in skipped[:10]:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if skipped else DONE


def read_pictures(args: argparse.Namespace) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """Give the records of train and dev that are taken, the classes, and the fingerprint of the whole data set."""
    from datasets.pacs import balanced, classes_of, of_domains, read_pacs, smallest_class
    from datasets.records import data_fingerprint, of_split

    records = read_pacs(args.data)
    splits = {}
    for split in ("train", "dev"):
        all_domains = of_split(records, split)
        chosen = of_domains(all_domains, args.domains)
        if args.per_class is None or split == "dev" and args.per_class:
            chosen = balanced(chosen, smallest_class(all_domains))
        elif args.per_class:
            chosen = balanced(chosen, args.per_class)
        splits[split] = chosen
    return splits, classes_of(records), data_fingerprint(records)


def fit(
    args: argparse.Namespace, config: Any, splits: dict[str, Any], classes: Sequence[str], fingerprint: str
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Build, train and keep the best; gives the history, and (name, reason) of pictures that could not be read."""
    import numpy as np

    from preimage.classifier.model import build_classifier, save_architecture
    from preimage.classifier.training import ClassificationTask, Phases, ViewBatches, make_validate
    from vislang.core.seeds import seed_everything
    from vislang.images.preprocess import prepare
    from vislang.training.callbacks import ResumableTraining, fit_resumably
    from vislang.training.checkpoints import start_or_continue

    seed_everything(args.seed)
    classifier = build_classifier(config, classes, weights=args.weights)
    recipe = classifier.recipe
    skipped: list[Any] = []
    pictures, labels = {}, {}
    for split, records in splits.items():
        pictures[split], labels[split] = decoded(records, classes, recipe.size, skipped)
    start_or_continue(args.out, describe(args, config, classifier, splits, fingerprint), None)
    save_architecture(args.out, classifier.model)
    task = ClassificationTask(classifier)
    task.prepare(config, len(classes))
    batches = ViewBatches(pictures["train"], labels["train"], config=config, recipe=recipe, seed=args.seed)
    seen = np.stack([prepare(picture, recipe) for picture in pictures["dev"]])
    validate = make_validate(task, seen, labels["dev"])
    # The latest weights are the best: the rate falls to nearly 0, and dev is too small to choose between epochs.
    keeper = ResumableTraining(args.out, validate, score="updates", saved_model=classifier.model)
    return fit_resumably(task, batches, keeper, epochs=config.epochs, callbacks=[Phases(config)]), skipped


def decoded(records: Sequence[Any], classes: Sequence[str], side: int, skipped: list[tuple[str, str]]) -> tuple:
    """Give RGB pictures, none much larger than a network of this side needs, and int [N], their classes.

    Raises:
        DataError: none of them can be read.
    """
    import numpy as np

    from vislang.core.errors import DataError
    from vislang.images.decode import decode_image

    pictures, labels = [], []
    for record in records:
        try:
            picture = decode_image(record.path, shorter_side=2 * side)
        except DataError as error:
            skipped.append((record.image_id, str(error)))
            continue
        pictures.append(picture.reduce(max(1, min(picture.size) // (2 * side))))
        labels.append(classes.index(record.label))
    if not pictures:
        raise DataError(f"none of {len(records)} pictures can be read, first {skipped[0][0]}: {skipped[0][1]}")
    return pictures, np.array(labels)


def describe(
    args: argparse.Namespace, config: Any, classifier: Any, splits: dict[str, Any], fingerprint: str
) -> dict[str, Any]:
    """Give the config.json of the checkpoint."""
    from preimage.classifier.model import KIND
    from vislang.core.config import to_json

    return {
        "kind": KIND,
        "preset": args.preset,
        "config": to_json(config),
        "seed": args.seed,
        "classes": list(classifier.classes),
        "domains": list(args.domains),
        "pictures": {split: [record.image_id for record in records] for split, records in splits.items()},
        "recipe": classifier.recipe.name,
        "layers": classifier.layers,
        "backbone": classifier.origin or {"name": "none"},
        "data": {"folder": str(args.data), "fingerprint": fingerprint},
    }


if __name__ == "__main__":
    sys.exit(main())
