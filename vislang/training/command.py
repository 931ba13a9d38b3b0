"""What the commands that train share."""

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vislang.core.cli import DEFAULT_BACKBONE, command_parser, run_command
from vislang.core.config_options import add_preset
from vislang.core.quiet_backend import import_backend_quietly


def training_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a training command, with the options that all of them have but `--preset`.

    Args:
        module: the command, such as "vse.train".
        description: what `--help` says first.
    """
    parser = command_parser(module, description)
    parser.add_argument(
        "--seed", type=int, default=0, help="of initial weights, batches and dropout (default: %(default)s)"
    )
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="devices of this machine that share each batch; more than one need JAX (default: %(default)s)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="checkpoint folder")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    return parser


def cached_training_parser(module: str, description: str | None, presets: Mapping[str, Any]) -> argparse.ArgumentParser:
    """Return the parser of a training on captions and cached features.

    Args:
        module: as for `training_parser`.
        description: as for `training_parser`.
        presets: config of each preset; "best" is the default.
    """
    parser = training_parser(module, description)
    parser.add_argument(
        "--dataset", nargs="+", default=["flickr8k"], metavar="NAME", help="reader of each data set (default: flickr8k)"
    )
    parser.add_argument("--data", nargs="+", required=True, type=Path, metavar="DIR", help="folder of each data set")
    parser.add_argument(
        "--cache", nargs="+", required=True, type=Path, metavar="FILE", help="feature cache of each, by vislang extract"
    )
    parser.add_argument(
        "--sampling", nargs="+", type=float, metavar="X", help="times that an epoch reads the captions of each (1)"
    )
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help="whose features (default: %(default)s)")
    add_preset(parser, presets, "best")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the reader, such as restval=train; DATASET:NAME=VALUE of one",
    )
    parser.add_argument(
        "--device-memory",
        type=float,
        default=4.0,
        metavar="GB",
        help="of the compute device, for the training features; what takes more is read from the cache batch by batch"
        " (default: %(default)g)",
    )
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write TensorBoard logs")
    return parser


def train(parser: argparse.ArgumentParser, argv: list[str] | None, module: str, name: str) -> int:
    """Run a training command; see `vislang.core.cli` for exit codes.

    Args:
        argv: the command line; None: that of the process.
        module: holds the subclass of `vislang.training.fit.Training`, imported after the command line is parsed.
        name: of the subclass.
    """
    args = parser.parse_args(argv)

    def body() -> int:
        import_backend_quietly()
        from vislang.training.fit import run_training

        return run_training(getattr(importlib.import_module(module), name)(args))

    return run_command(body)
