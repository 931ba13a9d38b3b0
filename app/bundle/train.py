"""Command: distil the small CNN of the toolkit from larger ones. Stopped, the same command goes on."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.bundle.config import PupilConfig
from app.bundle.model_card import read_model_card
from vislang.core.cli import (
    DONE,
    add_settings,
    command_parser,
    import_backend_quietly,
    progress_is_shown,
    run_command,
)

_SUFFIX = ".weights.h5"
_CARD = "compact"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.train", __doc__)
    parser.add_argument("--dataset", default="flickr8k", help="name of the reader (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, help="its folder: train is shown, dev is validated on")
    parser.add_argument("--images", action="append", default=[], metavar="DIR", help="more photographs; repeatable")
    parser.add_argument("--lessons", type=Path, default=Path("runs/distill/lessons"), metavar="DIR",
        help="where the teachers' answers are kept, 4 GB for Flickr8K; the same for every pupil (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--teachers", default="mobilenet_v2:256,mobilenet_0.75:128", metavar="NAME:N,...",
        help="backbones, and how many directions of each one's grid are taught (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--hints", default="block_5_add,block_12_add", metavar="LAYER,...",
        help="layers of the first teacher, of 40x40 or 20x20 cells, that teach the pupil's own (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--views", type=int, default=5, help="of each photograph (default: %(default)s)")
    parser.add_argument("--smallest", type=float, default=0.25, help="share of it in a view (default: %(default)s)")
    parser.add_argument("--colours", type=float, default=0.35, help="change of light in a view (default: %(default)s)")
    add_settings(parser, {"student": PupilConfig()})
    parser.add_argument("--run", required=True, type=Path, metavar="DIR", help="folder of the training")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the weights, and a card beside them")
    parser.add_argument("--json", action="store_true", help="print the last history row as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: distill(args))


def distill(args: argparse.Namespace) -> int:
    """Read the photographs, ask the teachers, train the pupil, write what it became."""
    from datasets.records import of_split
    from datasets.registry import read_dataset
    from vislang.core.config import override, to_json
    from vislang.core.files import read_json, require_writable_folder
    from vislang.features.pipeline import list_images

    import_backend_quietly()
    from app.bundle.student import train_pupil

    config = override(PupilConfig(), args.set)
    if args.out:
        require_writable_folder(args.out.parent)
    records = read_dataset(args.dataset, args.data)
    train = of_split(records, "train")
    paths = [Path(str(record.path)) for record in train]
    paths += [path for folder in args.images for path in list_images(folder)]
    dev_paths = [Path(str(record.path)) for record in of_split(records, "dev")]
    lessons, dev, targets = prepare(args, paths, dev_paths)
    run = {"config": to_json(config), "lessons": described(args, len(paths)), "views": args.views}
    start_or_continue(args.run / "config.json", run)
    meaning = directions(lessons, [record.captions for record in train], config.meaning_width)
    network, history = train_pupil(config, lessons, meaning, dev, targets, args.run)
    best = max(history, key=lambda row: row["score"])
    scores = {"on": f"{len(dev)} photographs of dev, shown whole; share of the teachers' variance explained"}
    scores |= {name: round(best[name], 3) for name in ("cells", "pooled", "meaning") if name in best}
    if args.out:
        primer = args.run / "primer" / "history.json"
        rows = [*history, *(read_json(primer, "history", "train again") if primer.is_file() else [])]
        seconds = round(sum(row["seconds"] for row in rows))
        write_network(args, config, network, {"photographs": len(paths), "seconds": seconds, "scores": scores})
    print(json.dumps(history[-1]) if args.json else f"{args.run}: {scores}")
    return DONE


def prepare(args: argparse.Namespace, paths: Sequence[Path], dev_paths: Sequence[Path]) -> tuple[Any, list[Any], Any]:
    """Give the lessons, with every teacher's answers on disk; the dev photographs; and what should be seen in these."""
    from tqdm import tqdm

    from app.bundle.targets import Lessons

    start_or_continue(args.lessons / "lessons.json", described(args, len(paths)))
    teachers, widths = teachers_of(args.teachers)
    images = list(map(photograph, paths))
    dev = list(map(photograph, dev_paths))
    hints = tuple(layer for layer in args.hints.split(",") if layer)
    lessons = Lessons(images, teachers, widths, hints, args.views, args.smallest, args.colours, 0, args.lessons)
    total = args.views * len(images)
    with tqdm(total=total, desc="asking the teachers", unit="view", disable=not progress_is_shown()) as bar:
        subjects = lessons.prepare(bar.update)
    return lessons, dev, lessons.targets_of_whole(subjects, dev, "dev")


def directions(lessons: Any, captions: Sequence[Sequence[str]], width: int) -> Any:
    """Find the directions of the teachers' means over cells that carry words, over all views."""
    import numpy as np

    from app.bundle.caption_directions import meaning_directions, word_table
    from vislang.text.tokenizer import TOKENIZERS

    words = word_table([[TOKENIZERS["treebank"](caption) for caption in of_image] for of_image in captions])
    rows = [np.load(lessons.path(view), mmap_mode="r")[: len(words)] for view in range(lessons.views)]
    means = np.concatenate([block.mean(axis=1, dtype=np.float32) for block in rows])
    return meaning_directions(means, np.tile(words, (lessons.views, 1)), width)


def write_network(args: argparse.Namespace, config: Any, network: Any, about: dict[str, Any]) -> None:
    """Write the network with plain convolutions, in half precision, and its card.

    Args:
        args: of the command.
        config: of the pupil.
        network: of `StandardisedConv2D`.
        about: for the card: "photographs", "seconds" and "scores".
    """
    import tempfile

    from vislang.backbones.compact import build_compact, fold
    from vislang.core.files import write_json
    from vislang.core.half_precision import halve

    plain = fold(network, build_compact(config.size, config.width, config.channels))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"whole{_SUFFIX}"
        plain.save_weights(whole)
        halve(whole, args.out)
    name = args.out.name.removesuffix(_SUFFIX)
    write_json(args.out.with_name(f"{name}.json"), make_card(args, config, plain, about))
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.2f} MB, and its card", file=sys.stderr)


def make_card(args: argparse.Namespace, config: Any, plain: Any, about: dict[str, Any]) -> dict[str, Any]:
    """Say what the weights are, where they come from and what they can do; `about` as for `write_network`."""
    from vislang.core.bundled_models import sha256_of
    from vislang.core.config import to_json
    from vislang.core.provenance import provenance

    made = provenance()
    card = read_model_card(_CARD)
    side = plain.get_layer("grid").output.shape[1]
    more = [Path(folder).name for folder in args.images]
    words = [f"python -m app.bundle.train --data data/{args.dataset}", *(f"--images {name}" for name in more)]
    for name in ("teachers", "hints", "views", "smallest", "colours"):
        words.append(f"--{name} {getattr(args, name)}")
    words += [f"--run runs/distill/{args.run.name}", f"--out vislang/pretrained/{args.out.name}"]
    return {
        "name": args.out.name.removesuffix(_SUFFIX),
        "description": f"{card.description}; {plain.count_params():,} weights; input {config.size}x{config.size} RGB,"
        f" recipe squash-{config.size}-tf/v1; taps grid {side}x{side}x{config.channels}, pooled {config.channels}",
        "command": " ".join([*words, *(f"--set {setting}" for setting in args.set)]),
        "settings": to_json(config),
        "data": f"{about['photographs']:,} photographs and drawings: split train of {args.dataset}"
        f"{''.join(f' and {name}' for name in more)}; none of a dev or test split; validated on dev",
        "teachers": "MobileNets of keras.applications, trained on ImageNet; only their activations were learned from",
        "commit": made.commit,
        "date": made.date,
        "seconds": about["seconds"],
        "scores": about["scores"],
        "intended_use": card.intended_use,
        "limitations": card.limitations,
        "licence": "Apache-2.0",
        "data_terms": "the images were used for research under their own terms; none is stored",
        "stored_as": "float16",
        "sha256": sha256_of(args.out),
    }


def described(args: argparse.Namespace, count: int) -> dict[str, Any]:
    """Say what the lessons are, whose number of views may grow."""
    same = {name: getattr(args, name) for name in ("dataset", "teachers", "hints", "smallest", "colours")}
    return {**same, "images": [Path(folder).name for folder in args.images], "photographs": count}


def start_or_continue(path: Path, description: dict[str, Any]) -> None:
    """Write what a folder is for, or check that it is for this.

    Raises:
        CheckpointError: it is for something else.
    """
    from vislang.core.errors import CheckpointError
    from vislang.core.files import read_json, write_json

    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, description)
        return
    found = read_json(path, "settings", f"delete {path.parent} to start again")
    changed = []
    for name in description:
        if found.get(name) != description[name]:
            changed.append(name)
    if changed:
        raise CheckpointError(f"{path} is of another run (its {', '.join(changed)} differ); choose another folder")


def teachers_of(words: str) -> tuple[list[Any], tuple[int, ...]]:
    """Load the teachers that words such as "mobilenet_v2:512,mobilenet_0.75:256" name.

    Raises:
        ConfigError: words of another form.
    """
    from app.bundle.targets import SIDE
    from vislang.backbones.registry import load_backbone
    from vislang.core.errors import ConfigError

    teachers = []
    widths = []
    for word in words.split(","):
        name, colon, width = word.rpartition(":")
        if not colon or not width.isdecimal() or int(width) < 1:
            raise ConfigError(f"--teachers got {word!r}, expected NAME:N, such as mobilenet_v2:512")
        teachers.append(load_backbone(name, recipe=str(SIDE)))
        widths.append(int(width))
    return teachers, tuple(widths)


def photograph(path: Path) -> Any:
    """Read a photograph, no larger than teachers and pupils can make use of."""
    from PIL import Image

    from app.bundle.targets import SIDE
    from vislang.images.decode import decode_image

    image = decode_image(path, shorter_side=2 * SIDE)
    scale = 1.5 * SIDE / min(image.size)
    if scale >= 1:
        return image
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)


if __name__ == "__main__":
    sys.exit(main())
