"""Command: which pixels made a unit answer? Bring its activation back to the picture, by one of three rules.

Examples:
    python -m preimage.deconv --image cat.jpg --out deconv.png
    python -m preimage.deconv --image photos/*.jpg --channel 17 --top 9 --layer stage2_end --out channel17.png

Without --channel, of the strongest unit of each photograph. With --top, of the patches that a channel answers to most,
each cut out to what the unit sees.
"""

import argparse
import sys
from typing import Any

from preimage.cli import add_images, check_paths, default_layer, describe_command, opened_network, write_sheet
from vislang.core.cli import DONE, SKIPPED_SOME, run_command, shown_name
from vislang.core.errors import ConfigError

_RULES = ("deconvnet", "guided", "gradient")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.deconv", __doc__)
    add_images(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    parser.add_argument("--channel", type=int, metavar="N", help="counted from 0")
    parser.add_argument("--rule", choices=(*_RULES, "all"), default="all", help="(default: one row for each)")
    parser.add_argument("--top", type=int, metavar="K", help="show the K photographs that the channel answers to most")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: deconv(args))


def deconv(args: argparse.Namespace) -> int:
    """Project, draw and print."""
    import json

    check_paths(args, *args.image)
    if args.top is not None and (args.channel is None or args.top < 1):
        raise ConfigError(f"--top got {args.top} and --channel {args.channel}, expected 1 or more of one channel")
    network = opened_network(args)
    from preimage.backprop.top_patches import close_ups

    layer = network.unclipped(args.layer or default_layer(network))
    sources, pictures, directions, skipped = units(args, network, layer)
    rules = _RULES if args.rule == "all" else (args.rule,)
    rows, answers = projected(network, pictures, layer, directions, rules)
    rows = [pictures, *rows]
    write_sheet(args.out, rows if args.top is None else [close_ups(network, layer, row, directions) for row in rows])
    found = [
        {"name": shown_name(str(source)), "activation": round(float(answer), 6)}
        for source, answer in zip(sources, answers, strict=True)
    ]
    if args.json:
        facts = {"network": network.name, "layer": layer, "channel": args.channel, "rules": list(rules)}
        print(json.dumps({**facts, "pictures": found}, ensure_ascii=False, allow_nan=False))
    else:
        for row in found:
            print(f"{row['name']}: activation {row['activation']:.4g}")
    for source, reason in skipped:
        print(f"skipped {shown_name(str(source))}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if skipped else DONE


def units(args: argparse.Namespace, network: Any, layer: str) -> tuple[Any, Any, Any, Any]:
    """Choose the units: sources, pictures, directions, and what was skipped."""
    import numpy as np

    from preimage.backprop.deconvnet import strongest_unit
    from preimage.backprop.top_patches import top_patches

    sources, skipped = args.image, []
    if args.top is not None:
        patches, skipped = top_patches(network, layer, args.channel, args.image, count=args.top)
        sources = [patch.source for patch in patches]
        pictures = np.stack([patch.picture for patch in patches])
    else:
        pictures = network.pictures(sources)
    features = network.encode(pictures, [layer])[layer]
    if args.channel is not None and not 0 <= args.channel < features.shape[-1]:
        raise ConfigError(f"--channel got {args.channel}, expected 0 to {features.shape[-1] - 1} of layer {layer}")
    return sources, pictures, strongest_unit(features, args.channel), skipped


def projected(network: Any, pictures: Any, layer: str, directions: Any, rules: tuple[str, ...]) -> tuple[Any, Any]:
    """Give a row of pictures for each rule, and the activations."""
    from preimage.backprop.deconvnet import project, shown

    rows = [shown(project(network, pictures, layer, directions, rule=rule)) for rule in rules]
    return rows, directions.reshape(len(directions), -1).sum(axis=1)


if __name__ == "__main__":
    sys.exit(main())
