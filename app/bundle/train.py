"""Command: distil the small CNN of the toolkit from larger ones. Interrupted, the same command resumes."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle.config import StudentConfig
from app.bundle.model_card import read_model_card
from vislang.core.cli import (
    DONE,
    add_images,
    add_json,
    add_settings,
    command_parser,
    print_written,
    progress_is_shown,
    run_command,
)
from vislang.core.quiet_backend import import_backend_quietly

_SUFFIX = ".weights.h5"
_CARD = "compact"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.train", __doc__)
    add_images(parser, "more images to train on, beside split train")
    parser.add_argument("--dataset", default="flickr8k", help="name of the reader (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set; dev is validated on")
    parser.add_argument(
        "--targets", type=Path, default=Path("runs/distill/targets"), metavar="DIR",
        help="where the teachers' features are stored, 4 GB for Flickr8K; all students share them (default:"
        " %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--teachers", default="mobilenet_v2:256,mobilenet_0.75:128", metavar="NAME:N,...",
        help="backbones, and how many principal directions of each one's grid are targets (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--hints", default="block_5_add,block_12_add", metavar="LAYER,...",
        help="layers of the first teacher, of 40x40 or 20x20 cells, that are targets in the warm-up stage (default:"
        " %(default)s)",
    )  # fmt: skip
    parser.add_argument("--views", type=int, default=5, help="views of each image (default: %(default)s)")
    parser.add_argument(
        "--min-area", type=float, default=0.25, help="smallest share of an image in a view (default: %(default)s)"
    )
    parser.add_argument(
        "--colour-jitter", type=float, default=0.35,
        help="largest relative change of brightness, contrast and colour in a view (default: %(default)s)",
    )  # fmt: skip
    add_settings(parser, {"student": StudentConfig()})
    parser.add_argument("--run", required=True, type=Path, metavar="DIR", help="folder of the training")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the weights and their model card")
    add_json(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: distil(args))


@dataclass(frozen=True)
class Distillation:
    """What a finished distillation is described by.

    Attributes:
        config: settings of the student.
        num_images: that it was trained on.
        seconds: of both stages.
        scores: of the best epoch.
    """

    config: StudentConfig
    num_images: int
    seconds: int
    scores: dict[str, Any]


def distil(args: argparse.Namespace) -> int:
    """Read the images, compute the teachers' targets, train the student, and write it; no other run may do so too."""
    from vislang.core.files import only_writer, require_writable_folder
    from vislang.training.checkpoints import LOCK

    with only_writer(args.run, require_writable_folder(args.run) / LOCK):
        return _distil(args)


def _distil(args: argparse.Namespace) -> int:
    from datasets import registry
    from datasets.records import of_split
    from vislang.core.config import override, to_json
    from vislang.core.files import check_outputs
    from vislang.images.sources import find_images

    import_backend_quietly()
    from app.bundle.student import train_student

    config = override(StudentConfig(), args.set)
    check_outputs({"--out": args.out})
    records = registry.read(args.dataset, args.data)
    train = of_split(records, "train")
    paths = [Path(str(record.path)) for record in train]
    if args.images:
        more, _ = find_images(args.images, strict=True)
        paths += more
    start_or_continue(args.targets / "targets.json", described(args, len(paths)))
    teacher = prepared_targets(args, paths)
    dev = [read_image(Path(str(record.path))) for record in of_split(records, "dev")]
    dev_targets = teacher.full_image_targets(teacher.prepare(lambda count: None), dev, "dev")
    run = {"config": to_json(config), "targets": described(args, len(paths)), "views": args.views}
    start_or_continue(args.run / "config.json", run)
    directions = directions_of(teacher, [record.captions for record in train], config.caption_directions)
    network, history = train_student(config, teacher, directions, dev, dev_targets, args.run)
    best = max(history, key=lambda row: row["score"])
    scores = {"on": f"{len(dev)} images of dev, not cropped; explained share of the teachers' variance"}
    scores |= {name: round(best[name], 3) for name in ("cells", "pooled", "captions") if name in best}
    if args.out:
        seconds = round(sum(row["seconds"] for row in [*history, *warmup_history(args.run)]))
        write_network(args, network, Distillation(config, len(paths), seconds, scores))
    if args.json:
        print(json.dumps(history[-1]))
    else:
        print(f"{args.run}: {scores}")
    return DONE


def prepared_targets(args: argparse.Namespace, paths: Sequence[Path]) -> Any:
    """Return the `TeacherTargets` of the images, computed and stored."""
    from tqdm import tqdm

    from app.bundle.targets import TeacherTargets

    teachers, widths = load_teachers(args.teachers)
    teacher = TeacherTargets(
        images=list(map(read_image, paths)),
        teachers=teachers,
        widths=widths,
        hints=tuple(layer for layer in args.hints.split(",") if layer),
        views=args.views,
        min_area=args.min_area,
        colour_jitter=args.colour_jitter,
        seed=0,
        folder=args.targets,
    )
    total = args.views * len(paths)
    with tqdm(total=total, desc="computing targets", unit="view", disable=not progress_is_shown()) as bar:
        teacher.prepare(bar.update)
    return teacher


def directions_of(teacher: Any, captions: Sequence[Sequence[str]], count: int) -> Any:
    """Return the caption directions of the targets' means over cells, over all views: float32 [K, count].

    Args:
        teacher: prepared `TeacherTargets`.
        captions: of its first images.
        count: number of directions.
    """
    import numpy as np

    from app.bundle.caption_directions import caption_directions, word_table
    from vislang.text.tokenizer import TOKENIZERS

    words = word_table([list(map(TOKENIZERS["treebank"], of_image)) for of_image in captions])
    means = []
    for view in range(teacher.views):
        cells = np.load(teacher.path(view), mmap_mode="r")[: len(words)]
        means.append(cells.mean(axis=1, dtype=np.float32))
    return caption_directions(np.concatenate(means), np.tile(words, (teacher.views, 1)), count)


def warmup_history(folder: Path) -> list[dict[str, Any]]:
    """Return the history of the warm-up stage; empty without one."""
    from app.bundle.student import WARMUP
    from vislang.core.files import read_json
    from vislang.training.checkpoints import HISTORY

    path = folder / WARMUP / HISTORY
    if not path.is_file():
        return []
    return read_json(path, "history", "train again")


def write_network(args: argparse.Namespace, network: Any, distillation: Distillation) -> None:
    """Write the network with plain convolutions, in half precision, and its model card.

    Args:
        args: of the command.
        network: of `StandardisedConv2D`.
        distillation: for the card.
    """
    import tempfile

    from vislang.backbones.compact import build_compact, fold
    from vislang.core.files import write_json
    from vislang.core.half_precision import halve

    config = distillation.config
    plain = fold(network, build_compact(config.size, config.width, config.channels))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"whole{_SUFFIX}"
        plain.save_weights(whole)
        halve(whole, args.out)
    name = args.out.name.removesuffix(_SUFFIX)
    write_json(args.out.with_name(f"{name}.json"), make_card(args, plain, distillation))
    print_written(args.out)


def make_card(args: argparse.Namespace, plain: Any, distillation: Distillation) -> dict[str, Any]:
    """Return the model card."""
    from vislang.core.bundled_models import sha256_of
    from vislang.core.config import to_json
    from vislang.core.provenance import provenance

    made = provenance()
    card = read_model_card(_CARD)
    config = distillation.config
    side = plain.get_layer("grid").output.shape[1]
    sources = [args.dataset, *(Path(image).name for image in args.images)]
    return {
        "name": args.out.name.removesuffix(_SUFFIX),
        "description": f"{card.description}; {plain.count_params():,} weights; input {config.size}x{config.size} RGB,"
        f" preprocessing squash-{config.size}-tf/v1; feature layers grid {side}x{side}x{config.channels},"
        f" pooled {config.channels}",
        "command": training_command(args),
        "settings": to_json(config),
        "data": f"{distillation.num_images:,} images: split train of {' and '.join(sources)}; none of a dev or test"
        " split; validated on dev",
        "teachers": "MobileNets of keras.applications, trained on ImageNet; only their activations were learned from",
        "commit": made.commit,
        "date": made.date,
        "seconds": distillation.seconds,
        "scores": [distillation.scores],
        "intended_use": card.intended_use,
        "limitations": card.limitations,
        "licence": "Apache-2.0",
        "data_terms": "the images were used for research under their own terms; none is stored",
        "stored_as": "float16",
        "sha256": sha256_of(args.out),
    }


def training_command(args: argparse.Namespace) -> str:
    """Return the command that repeats the training, with the usual folders."""
    words = [f"python -m app.bundle.train --data data/{args.dataset}"]
    if args.images:
        words.append(f"--images {' '.join(Path(image).name for image in args.images)}")
    words += [f"--teachers {args.teachers}", f"--hints {args.hints}", f"--views {args.views}"]
    words += [f"--min-area {args.min_area}", f"--colour-jitter {args.colour_jitter}"]
    words += [f"--run runs/distill/{args.run.name}", f"--out vislang/pretrained/{args.out.name}"]
    words += [f"--set {setting}" for setting in args.set]
    return " ".join(words)


def described(args: argparse.Namespace, count: int) -> dict[str, Any]:
    """Return what targets are of; the number of views may grow later."""
    return {
        "dataset": args.dataset,
        "teachers": args.teachers,
        "hints": args.hints,
        "min_area": args.min_area,
        "colour_jitter": args.colour_jitter,
        "images": [Path(image).name for image in args.images],
        "num_images": count,
    }


def start_or_continue(path: Path, description: dict[str, Any]) -> None:
    """Write the description of a folder's content, or check that the folder has this description.

    Raises:
        CheckpointError: it has another one.
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
        raise CheckpointError(f"{path} is of another run ( {', '.join(changed)} differ); choose another folder")


def load_teachers(words: str) -> tuple[list[Any], tuple[int, ...]]:
    """Load teachers such as "mobilenet_v2:512,mobilenet_0.75:256", and return them with their numbers of directions.

    Raises:
        ConfigError: another form.
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
        teachers.append(load_backbone(name, preprocessing=str(SIDE)))
        widths.append(int(width))
    return teachers, tuple(widths)


def read_image(path: Path) -> Any:
    """Read an image, no larger than teachers and student need: a PIL image."""
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
