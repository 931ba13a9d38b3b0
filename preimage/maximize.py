"""Command: what does a unit, a channel or a class look for? Find the pictures that it answers to most.

Examples:
    python -m preimage.maximize --channel 3 17 200 --out channels.png
    python -m preimage.maximize --network mobilenet_0.75 --class goldfish pug --out classes.png
    python -m preimage.maximize --channel 5 --whole --photos holidays/*.jpg --preset ijcv16 --out channel.png

With --noise, filters are seen from white noise instead, in 20 steps without a prior.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from preimage.cli import (
    add_labels,
    check_paths,
    default_layer,
    describe_command,
    followed_search,
    natural_prior,
    opened_network,
    print_measures,
    search_facts,
    write_sheet,
)
from vislang.core.cli import DONE, run_command
from vislang.core.errors import ConfigError, DataError, unknown_name

_COLUMNS = 5


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.maximize", __doc__, ("robust", "fourier", "ijcv16", "cvpr15"))
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--channel", nargs="+", type=int, metavar="N", help="counted from 0, one picture each")
    what.add_argument("--class", dest="classes", nargs="+", metavar="NAME|N", help="one picture each")
    parser.add_argument("--layer", metavar="NAME", help="of --channel (default: the deepest map)")
    parser.add_argument("--contrast", action="store_true", help="show what is found with the contrast of photographs")
    parser.add_argument("--whole", action="store_true", help="the channel's mean, instead of the unit in its middle")
    add_labels(parser)
    parser.add_argument(
        "--photos", nargs="+", type=Path, default=[], metavar="FILE", help="whose largest responses set the scale"
    )
    parser.add_argument("--judge", metavar="NAME", help="an independent network: where it ranks the classes")
    parser.add_argument("--noise", action="store_true", help="filters from white noise, the report's recipe")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: maximize(args))


def maximize(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    check_paths(args, *args.photos)
    if args.noise and args.classes:
        raise ConfigError("--noise sees filters, got --class; choose --channel")
    if args.judge and not args.classes:
        raise ConfigError("--judge ranks classes, got --channel; choose --class")
    network = opened_network(args)
    from preimage.networks.network import SCORES

    layer = SCORES if args.classes else args.layer or default_layer(network)
    channels = args.channel or class_numbers(args, network)
    found = from_noise(args, network, layer, channels) if args.noise else searched(args, network, layer, channels)
    if args.judge:
        found.measures["judge_rank"] = judge_ranks(args, network, found.pictures, channels)
    rows = [found.pictures[first : first + _COLUMNS] for first in range(0, len(channels), _COLUMNS)]
    write_sheet(args.out, rows)
    names = args.classes or [f"{layer} {channel}" for channel in channels]
    print_measures(args, search_facts(args, network, layer), names, found)
    return DONE


def searched(args: argparse.Namespace, network: Any, layer: str, channels: list[int]) -> Any:
    """Search with priors."""
    from preimage.config import CONFIGS
    from preimage.optimization import searches
    from vislang.core.cli import chosen_config

    config = chosen_config(args, CONFIGS)
    seeds = [args.seed + number for number in range(len(channels))]
    largest = None
    if args.photos:
        largest = searches.largest_responses(network, layer, channels, network.pictures(args.photos))
    with followed_search(args, config.iterations[0], _COLUMNS) as running:
        return searches.maximize(
            network, layer, channels, config,
            whole=args.whole,
            contrast=args.contrast, largest=largest, natural=natural_prior(args), seeds=seeds, **running,
        )  # fmt: skip


def from_noise(args: argparse.Namespace, network: Any, layer: str, channels: list[int]) -> Any:
    """See filters from white noise; networks that expect values around 0 and 1 are fed by their recipe."""
    import numpy as np

    from preimage.optimization.optimizer import Preimages
    from preimage.optimization.white_noise import filters_from_noise, takes_raw

    pictures = filters_from_noise(network, layer, channels, raw=takes_raw(network), seed=args.seed)
    features = network.encode(pictures, [layer])[layer].reshape(len(pictures), -1, network.shape(layer)[-1])
    means = features.mean(axis=1)[np.arange(len(channels)), channels]
    return Preimages(pictures, np.zeros((0, len(channels)), np.float32), {"mean_activation": means})


def judge_ranks(args: argparse.Namespace, network: Any, pictures: Any, channels: list[int]) -> Any:
    """Give the place, from 0, at which the judge sees each class in its picture, int [B].

    Raises:
        ConfigError: the judge has other classes.
    """
    from preimage.api import load_network
    from preimage.comparison.per_layer import resized
    from preimage.networks.class_labels import class_names
    from preimage.networks.network import SCORES

    judge = load_network(args.judge)
    known, own = class_names(judge), class_names(network, args.labels)
    if known is None or own is None or not {own[number] for number in channels} <= set(known):
        raise ConfigError(f"--judge {args.judge} does not know all of these classes by name; choose another network")
    scores = judge.encode(resized(pictures, judge.size), [SCORES])[SCORES]
    places = [known.index(own[number]) for number in channels]
    return (scores > scores[range(len(places)), places][:, None]).sum(axis=1)


def class_numbers(args: argparse.Namespace, network: Any) -> list[int]:
    """Give the numbers of classes that were asked for by number or by name.

    Raises:
        ConfigError: an unknown name.
        DataError: names where nobody named the classes.
    """
    from preimage.networks.class_labels import class_names, require_classes

    require_classes(network)
    if all(word.isdecimal() for word in args.classes):
        return [int(word) for word in args.classes]
    names = class_names(network, args.labels)
    if names is None:
        raise DataError(f"nobody named the classes of network {network.name}; give --labels FILE or numbers")
    synonyms = {part.strip(): number for number, line in reversed(list(enumerate(names))) for part in line.split(",")}
    for word in args.classes:
        if not word.isdecimal() and word not in synonyms:
            raise unknown_name("class", word, synonyms, "see python -m preimage.classify --json")
    return [int(word) if word.isdecimal() else synonyms[word] for word in args.classes]


if __name__ == "__main__":
    sys.exit(main())
