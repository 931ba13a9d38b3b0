"""What the commands of this package share: options, inputs, and the files that they write."""

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preimage.config import CONFIGS, search_config
from preimage.options import SearchOptions
from vislang.core.cli import (
    DEFAULT_BACKBONE,
    DONE,
    SKIPPED_SOME,
    CommandParser,
    add_images,
    add_json,
    add_strict,
    command_parser,
    print_json,
    print_skipped,
    print_written,
    printable,
    progress_is_shown,
    shown_name,
    skipped_rows,
)
from vislang.core.config_options import add_preset
from vislang.core.errors import ConfigError
from vislang.core.files import check_outputs as check_files
from vislang.core.files import whole_file

_FRAMES_PER_SECOND = 12
_FRAMES = 60  # of a video of a search, at least


def network_parser(
    module: str,
    description: str | None,
    *,
    output: str = "image to write, such as out.png",
) -> CommandParser:
    """Make a parser with the options of a command on one network and on images.

    Args:
        output: help of `--out`; "": the command writes no file.
    """
    parser = command_parser(module, description)
    group = parser.add_argument_group("network")
    group.add_argument(
        "--model", default=DEFAULT_BACKBONE, metavar="NAME|FILE|DIR",
        help="such as mobilenet_0.75, vgg19_block3, squeezenet_v1.1, a folder that preimage.train wrote, a .keras file,"
        " caffe:VGG_CNN_S or a .prototxt file (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--weights", metavar="FILE", help="instead of VISLANG_WEIGHTS, bundled weights and a download")
    group.add_argument("--preprocessing", metavar="NAME", help="needed for .keras files")
    group.add_argument("--size", type=int, metavar="PIXELS", help="side of the images (default: the network's own)")
    add_images(parser)
    add_strict(parser)
    if output:
        parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=output)
    add_json(parser)
    return parser


def add_layer(parser: CommandParser, default: str = "the deepest map") -> None:
    """Add `--layer`, which is None by default; `default` says what that stands for."""
    parser.add_argument("--layer", metavar="NAME", help=f"(default: {default})")


def add_search(parser: CommandParser, presets: Sequence[str]) -> None:
    """Add the options of a search; the first preset is the default."""
    group = parser.add_argument_group("search")
    add_preset(group, {name: CONFIGS[name] for name in presets}, presets[0])
    add_seed(group)
    add_prior_model(group)
    group.add_argument("--frames", type=Path, metavar="FILE", help="also write the search as a .gif or an .mp4")


def add_seed(parser: Any) -> None:
    """Add `--seed`."""
    parser.add_argument("--seed", type=int, default=0, help="of noise and jitter (default: %(default)s)")


def add_prior_model(parser: Any) -> None:
    """Add `--prior-model`, which `prior_model_of` loads."""
    parser.add_argument(
        "--prior-model", type=Path, metavar="NAME|DIR", help="checkpoint of a visual language model, as a further prior"
    )
    parser.add_argument("--prior-weights", metavar="FILE", help="weights of its CNN (default: as for --weights)")


def add_labels(parser: Any, option: str = "--labels") -> None:
    """Add the option that names classes."""
    parser.add_argument(
        option, type=Path, metavar="FILE",
        help="class names, one a line (default: the network's own, or ImageNet's in VISLANG_WEIGHTS or of Keras)",
    )  # fmt: skip


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse, before any work is done, files that cannot be written: `--out` and `--frames`."""
    from vislang.draw.image_files import check_image_path

    check_image_path(args.out)
    frames = getattr(args, "frames", None)
    if frames is None:
        return
    if frames.suffix.lower() not in (".gif", ".mp4"):
        raise ConfigError(f"--frames got {frames.name}, expected a name such as search.gif or search.mp4")
    check_files({"--out": args.out, "--frames": frames})


def refuse_options(args: argparse.Namespace, names: Sequence[str], reason: str) -> None:
    """Refuse options that would be ignored; the reason follows them, such as "is for channels, got --classes"."""
    for name in names:
        if getattr(args, name) not in (None, False, []):
            raise ConfigError(f"--{name.replace('_', '-')} {reason}; leave it out")


def load_network_of(args: argparse.Namespace) -> Any:
    """Load the network that `--model`, `--weights`, `--preprocessing` and `--size` name."""
    from preimage.networks.loading import load_network

    return load_network(args.model, weights=args.weights, size=args.size, preprocessing=args.preprocessing)


def prior_model_of(args: argparse.Namespace) -> Callable[[Any], Any] | None:
    """Load the model of natural images that `--prior-model` names."""
    if args.prior_model is None:
        refuse_options(args, ("prior_weights",), "is for --prior-model")
        return None
    from naturalness.api import load_model

    return load_model(args.prior_model, weights=args.prior_weights).loss


def network_and_images(
    args: argparse.Namespace, outputs: Sequence[str] = ("out", "frames")
) -> tuple[Any, list[Path], list[Any]]:
    """Load the network and list the images of a command: network, paths, and arguments that stand for no image.

    Of the options `outputs` those that the command has must not name one of the images.
    """
    from vislang.images.sources import find_images

    paths, missing = find_images(args.images, strict=args.strict)
    inputs = list(paths)
    style = vars(args).get("style")  # of the commands that have it
    if style is not None:
        inputs += find_images([str(style)])[0]
    check_files({f"--{name}": vars(args).get(name) for name in outputs}, inputs)
    return load_network_of(args), paths, missing


@contextlib.contextmanager
def progress_bar(description: str, total: int | None = None, unit: str = "step") -> Iterator[Any]:
    """Yield a `tqdm` bar, drawn only where stderr is a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, desc=description, unit=unit, disable=not progress_is_shown()) as bar:
        yield bar


@contextlib.contextmanager
def search_options(args: argparse.Namespace, iterations: int, columns: int | None = None) -> Iterator[SearchOptions]:
    """Yield the options of a search that show its progress and keep its frames; write the frames at the end.

    A frame has rows of so many columns, or one row.
    """
    from vislang.draw.image_grid import image_grid

    frames: list[Any] = []

    def keep(_: int, images: Any) -> None:
        frames.append(image_grid(rows_of(images, columns or len(images))))

    with progress_bar("searching", iterations) as bar:
        options = SearchOptions(seed=args.seed, progress=bar.update, strict=args.strict)
        if args.frames is not None:
            options = replace(options, watch=keep, watch_every=max(1, iterations // _FRAMES))
        yield options
    if args.frames is not None:
        write_frames(args.frames, frames)


def rows_of(images: Any, columns: int) -> list[Any]:
    """Split images [B, S, S, 3] into rows of so many."""
    return [images[first : first + columns] for first in range(0, len(images), columns)]


def write_frames(path: Path, frames: Sequence[Any]) -> None:
    """Write PIL images as a GIF or an MP4; the last one stays for a second."""
    from vislang.images.own_drawings import SOFTWARE

    frames = [*frames, *[frames[-1]] * (_FRAMES_PER_SECOND - 1)]
    if path.suffix.lower() == ".mp4":
        from vislang.draw.video import written_video

        width, height = (side + side % 2 for side in frames[0].size)
        with written_video(path, (width, height), _FRAMES_PER_SECOND) as add:
            for frame in frames:
                add(frame.crop((0, 0, width, height)))
    else:
        duration = round(1000 / _FRAMES_PER_SECOND)
        with whole_file(path) as part:
            frames[0].save(
                part, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, comment=SOFTWARE
            )
    print_written(path)


def write_sheet(path: Path, rows: Sequence[Any]) -> None:
    """Draw rows of images, float [B, S, S, 3] RGB 0..255 each, and write them."""
    from vislang.draw.image_files import save_image
    from vislang.draw.image_grid import image_grid

    save_image(path, image_grid(rows))
    print_written(path)


def run_search(args: argparse.Namespace, search: Callable[..., Any], *, stages: int | None = None) -> int:
    """Search from each image at a layer, draw the images above what was found, and print measures.

    Args:
        search: `preimage.invert_images` or a function with the same first arguments.
        stages: of the preset that are run; None: all.
    """
    check_outputs(args)
    config = search_config(args.preset, args.set)
    network, paths, missing = network_and_images(args)
    from preimage.networks.layers import middle_map

    layer = args.layer or middle_map(network)
    prior_model = prior_model_of(args)
    with search_options(args, sum(config.iterations[:stages])) as options:
        found = search(network, paths, layer, preset=config, prior_model=prior_model, options=options)
    return report_search(args, network, layer, found, [found.inputs, found.images], missing)


def report_search(
    args: argparse.Namespace, network: Any, layer: str, found: Any, rows: Sequence[Any], missing: Sequence[Any]
) -> int:
    """Draw rows of images and print what a search reached, as `report_measures` does."""
    write_sheet(args.out, rows)
    facts = {"network": network.name, "size": network.size, "layer": layer, "preset": args.preset}
    facts |= {"settings": args.set, "seed": args.seed, "out": shown_name(str(args.out))}
    return report_measures(args, facts, found.names, found.measures, [*missing, *found.skipped])


def report_measures(
    args: argparse.Namespace, facts: dict[str, Any], names: Sequence[str], measures: dict[str, Any], skipped: Any
) -> int:
    """Print measures {name: float [B]} of B images, a line for each or one JSON document; return the exit code.

    The document holds the facts, too.
    """
    rows = []
    for index, name in enumerate(names):
        values = {measure: float(column[index]) for measure, column in measures.items()}
        if args.json:
            rounded = {measure: round(value, 6) for measure, value in values.items()}
            rows.append({"name": shown_name(name), **rounded})
        else:
            shown = [f"{measure} {value:.4g}" for measure, value in values.items()]
            print(f"{printable(name)}: {', '.join(shown)}")
    if args.json:
        print_json({**facts, "images": rows, "skipped": skipped_rows(skipped)})
    return report_skipped(skipped)


def report_skipped(skipped: Sequence[Any]) -> int:
    """Print on stderr which images could not be read, and return the exit code."""
    for image in skipped:
        print_skipped(f"{image.source}: {image.reason}")
    return SKIPPED_SOME if skipped else DONE
