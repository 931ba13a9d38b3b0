"""Command: what do units, channels or classes respond to? Search for images that maximise their activations.

Examples:
    python -m preimage.maximize --channels 3 17 200 --out channels.png
    python -m preimage.maximize --model mobilenet_0.75 --classes goldfish pug --out classes.png
    python -m preimage.maximize --channels 5 --channel-mean --images holidays/ --preset ijcv16 --out channel.png
    python -m preimage.maximize --channels 3 17 --noise --out filters.png

--images are photographs whose largest activations set the scale of the objective, instead of those of noise. With
--noise, filters appear from white noise in 20 gradient steps on the channel's mean, without a prior.
"""

import argparse
import sys
from dataclasses import replace
from typing import Any

from preimage import cli
from vislang.core.cli import CommandParser, run_command
from vislang.core.errors import ConfigError, DataError

_COLUMNS = 5
_PRESET = "robust"
_NOISE_STEPS = 20


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = cli.network_parser("preimage.maximize", __doc__)
    units = parser.add_mutually_exclusive_group(required=True)
    units.add_argument("--channels", nargs="+", type=int, metavar="N", help="counted from 0, one image each")
    units.add_argument("--classes", nargs="+", metavar="NAME|N", help="one image each")
    cli.add_layer(parser)
    parser.add_argument("--channel-mean", action="store_true", help="maximise the mean over the map, not its middle")
    parser.add_argument("--match-contrast", action="store_true", help="give the images the contrast of photographs")
    cli.add_labels(parser)
    parser.add_argument("--second-network", metavar="NAME", help="which also ranks the classes in the images")
    parser.add_argument("--noise", action="store_true", help="filters from white noise")
    cli.add_search(parser, (_PRESET, "fourier", "ijcv16", "cvpr15"))
    parser.set_defaults(preset=None)  # so that one that is ignored can be refused
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: maximize(args))


def maximize(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    if args.classes:
        cli.refuse_options(args, ("noise", "layer", "channel_mean"), "is for --channels, got --classes")
    else:
        cli.refuse_options(args, ("labels", "second_network"), "is for --classes, got --channels")
    if args.noise:
        refused = (
            "preset",
            "set",
            "prior_model",
            "prior_weights",
            "images",
            "strict",
            "channel_mean",
            "match_contrast",
        )
        reason = "has no effect on --noise, which maximises the channel's mean without a prior"
        cli.refuse_options(args, refused, reason)
    elif args.preset is None:
        args.preset = _PRESET
    cli.check_outputs(args)
    missing: list[Any] = []
    if args.images:
        network, args.images, missing = cli.network_and_images(args)
    else:
        network = cli.load_network_of(args)
    from preimage.networks.layers import deepest_map
    from preimage.networks.network import SCORES

    layer = SCORES if args.classes else args.layer or deepest_map(network)
    channels = args.channels or class_indices(args, network)
    found = searched(args, network, layer, channels)
    if args.second_network:
        found.measures["second_network_rank"] = second_network_ranks(args, network, found.images, channels)
    found = replace(found, names=args.classes or found.names)
    return cli.report_search(args, network, layer, found, cli.rows_of(found.images, _COLUMNS), missing)


def searched(args: argparse.Namespace, network: Any, layer: str, channels: list[int]) -> Any:
    """Maximise channels, with priors or from white noise."""
    from preimage.api import maximize_units
    from preimage.config import search_config
    from preimage.optimization.white_noise import filters_from_noise

    if args.noise:
        with cli.search_options(args, _NOISE_STEPS, _COLUMNS) as options:
            return filters_from_noise(network, layer, channels, steps=_NOISE_STEPS, options=options)
    config = search_config(args.preset, args.set)
    with cli.search_options(args, config.iterations[0], _COLUMNS) as options:
        return maximize_units(
            network, layer, channels, preset=config, channel_mean=args.channel_mean,
            match_contrast=args.match_contrast, images=args.images or None, prior_model=cli.prior_model_of(args),
            options=options,
        )  # fmt: skip


def second_network_ranks(args: argparse.Namespace, network: Any, images: Any, classes: list[int]) -> Any:
    """Return the rank, from 0, that a second network, which must have the classes, gives each in its image, int [B]."""
    from preimage.networks.class_labels import class_names, class_ranks, class_scores
    from preimage.networks.loading import load_network

    second = load_network(args.second_network)
    names = class_names(network, args.labels)
    second_names = class_names(second)
    if names is None or second_names is None or not {names[index] for index in classes} <= set(second_names):
        raise ConfigError(
            f"--second-network {args.second_network} does not have all of these classes by name; choose another network"
        )
    indices = [second_names.index(names[index]) for index in classes]
    return class_ranks(class_scores(second, images), indices)


def class_indices(args: argparse.Namespace, network: Any) -> list[int]:
    """Return the indices of `--classes`, which are given by index or by name."""
    from preimage.networks.class_labels import class_index, class_names, require_classes

    require_classes(network)
    if all(word.isdecimal() for word in args.classes):
        return [int(word) for word in args.classes]
    names = class_names(network, args.labels)
    if names is None:
        raise DataError(f"network {network.name} has no class names; give --labels FILE or class indices")
    return [int(word) if word.isdecimal() else class_index(names, word) for word in args.classes]


if __name__ == "__main__":
    sys.exit(main())
