"""What the commands of this package share: their options, their pictures, and the files that they write."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from preimage.config import CONFIGS
from vislang.core.cli import DONE, add_preset, chosen_config, command_parser, progress_is_shown, shown_name
from vislang.core.errors import ConfigError, DataError
from vislang.core.files import require_writable_folder, whole_file

_FRAMES_PER_SECOND = 12


def describe_command(
    module: str,
    description: str | None,
    presets: Sequence[str] = (),
    *,
    draws: bool = True,
    network: str = "compact",
) -> argparse.ArgumentParser:
    """Describe the options that all commands have.

    Args:
        module: such as "preimage.invert".
        description: what `--help` says first.
        presets: the first is the default; none: the command does not search.
        draws: whether the command draws a picture, `--out`.
        network: the default.
    """
    parser = command_parser(module, description)
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network", default=network, metavar="NAME|FILE|DIR",
        help="such as mobilenet_0.75, vgg19_block3, squeezenet_v1.1, a folder that preimage.train wrote, a .keras file,"
        f" caffe:VGG_CNN_S or a .prototxt file (default: %(default)s{', the one in the box' * (network == 'compact')})",
    )  # fmt: skip
    group.add_argument("--weights", metavar="FILE", help="instead of VISLANG_WEIGHTS, the box and Keras' download")
    group.add_argument("--recipe", metavar="NAME", help="of preprocessing; needed for .keras files")
    group.add_argument("--size", type=int, metavar="PIXELS", help="side of the pictures (default: the network's own)")
    output = parser.add_argument_group("output")
    if draws:
        output.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to draw, such as out.png")
    output.add_argument("--json", action="store_true", help="print one JSON document")
    if presets:
        search = parser.add_argument_group("search")
        add_preset(search, {name: CONFIGS[name] for name in presets}, presets[0])
        search.add_argument("--seed", type=int, default=0, help="of noise and jitter (default: 0)")
        search.add_argument("--natural", type=Path, metavar="DIR", help="a visual language model, as a prior")
        output.add_argument("--frames", type=Path, metavar="FILE", help="also show the search, as a .gif or an .mp4")
    return parser


def add_images(parser: argparse.ArgumentParser, name: str = "--image") -> None:
    """Describe the option that takes photographs."""
    parser.add_argument(name, nargs="+", required=True, type=Path, metavar="FILE", help="photographs")


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Describe the option that names classes."""
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="class names, one a line (default: the network's own, or ImageNet's in VISLANG_WEIGHTS or of Keras)",
    )  # fmt: skip


def require_files(*sources: Path) -> None:
    """Refuse files that are not there."""
    for source in sources:
        if not source.is_file():
            raise DataError(f"{shown_name(str(source))}: no such file, expected a photograph")


def check_paths(args: argparse.Namespace, *sources: Path) -> None:
    """Refuse, before any work is done, files that are not there and places that cannot be written."""
    from vislang.draw.image_files import check_image_path

    require_files(*sources)
    frames = getattr(args, "frames", None)
    if frames is not None and frames.suffix.lower() not in (".gif", ".mp4"):
        raise ConfigError(f"--frames got {frames.name}, expected a name such as search.gif or search.mp4")
    check_image_path(args.out)
    if frames is not None:
        require_writable_folder(frames.parent)


def opened_network(args: argparse.Namespace) -> Any:
    """Load the network that was asked for."""
    from vislang.core.cli import import_backend_quietly

    import_backend_quietly()
    from preimage.api import load_network

    return load_network(args.network, weights=args.weights, size=args.size, recipe=args.recipe)


def natural_prior(args: argparse.Namespace) -> Callable[[Any], Any] | None:
    """Load the model of pictures that was asked for as a prior."""
    if args.natural is None:
        return None
    from naturalness.api import load_model

    return load_model(args.natural).loss


def default_layer(network: Any) -> str:
    """Choose the deepest map: the tap "grid", or the last layer with places."""
    if "grid" in network.taps:
        return "grid"
    return [layer.name for layer in network.model.layers if len(getattr(layer.output, "shape", ())) == 4][-1]


@contextlib.contextmanager
def followed_search(args: argparse.Namespace, iterations: int, columns: int) -> Iterator[dict[str, Any]]:
    """Give the arguments of a search that draw its progress and keep its frames; write the frames at the end.

    Args:
        args: of the command.
        iterations: how many the search takes.
        columns: pictures in a row of a frame.
    """
    from tqdm import tqdm

    from vislang.draw.image_grid import image_grid

    frames: list[Any] = []

    def keep(_: int, pictures: Any) -> None:
        frames.append(image_grid([pictures[first : first + columns] for first in range(0, len(pictures), columns)]))

    with tqdm(total=iterations, desc="searching", unit="step", disable=not progress_is_shown()) as bar:
        every = max(1, iterations // 60)
        watching = {"watch": keep, "watch_every": every} if args.frames else {}
        yield {"progress": bar.update, **watching}
    if args.frames:
        write_frames(args.frames, frames)


def search_from_photographs(args: argparse.Namespace, search: Callable[..., Any], *, stages: int | None = None) -> int:
    """Search from photographs for what a layer makes of them, then draw and print; gives the exit code.

    Args:
        args: of the command.
        search: one of `preimage.optimization.searches`, called as search(network, pictures, layer, config, ...).
        stages: how many of the preset's it runs; None: all.
    """
    check_paths(args, *args.image)
    network = opened_network(args)
    config = chosen_config(args, CONFIGS)
    layer = args.layer or default_layer(network)
    pictures, natural = network.pictures(args.image), natural_prior(args)
    seeds = [args.seed + number for number in range(len(pictures))]
    with followed_search(args, sum(config.iterations[:stages]), len(pictures)) as running:
        found = search(network, pictures, layer, config, natural=natural, seeds=seeds, **running)
    write_sheet(args.out, [pictures, found.pictures])
    print_measures(args, search_facts(args, network, layer), [shown_name(str(path)) for path in args.image], found)
    return DONE


def write_frames(path: Path, frames: Sequence[Any]) -> None:
    """Write pictures as a GIF or an MP4; the last one stays for a second."""
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
    print(f"wrote {shown_name(str(path))}", file=sys.stderr)


def write_sheet(path: Path, rows: Sequence[Any]) -> None:
    """Draw rows of pictures, float [B, S, S, 3] RGB 0..255 each, and write them."""
    from vislang.draw.image_files import save_image
    from vislang.draw.image_grid import image_grid

    save_image(path, image_grid(rows))
    print(f"wrote {shown_name(str(path))}", file=sys.stderr)


def print_measures(args: argparse.Namespace, facts: dict[str, Any], names: Sequence[str], found: Any) -> None:
    """Print what the pictures reach, a line for each or one JSON document."""
    import json

    values = {name: [float(value) for value in measure] for name, measure in found.measures.items()}
    if args.json:
        rows = [
            {"name": name, **{measure: round(row[number], 6) for measure, row in values.items()}}
            for number, name in enumerate(names)
        ]
        print(json.dumps({**facts, "pictures": rows}, ensure_ascii=False, allow_nan=False))
        return
    for number, name in enumerate(names):
        print(f"{name}: " + ", ".join(f"{measure} {row[number]:.4g}" for measure, row in values.items()))


def search_facts(args: argparse.Namespace, network: Any, layer: str) -> dict[str, Any]:
    """Give what made the pictures, for the JSON document."""
    return {
        "network": network.name,
        "size": network.size,
        "layer": layer,
        "preset": args.preset,
        "settings": args.set,
        "seed": args.seed,
        "out": shown_name(str(args.out)),
    }
