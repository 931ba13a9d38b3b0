"""Command: evaluate trained models on a split, or score captions or saliency maps of any origin.

Writes one JSON file for each row of a table, prints the table with published numbers, and writes an HTML page.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

from eval.tasks import arguments
from vislang.core.cli import command_parser, run_command


@dataclass(frozen=True)
class Task:
    """A task: the module whose `run(args)` measures, and the function that adds its options, described by its doc."""

    module: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


TASKS = {
    "retrieval": Task("eval.tasks.retrieval", arguments.retrieval),
    "captions": Task("eval.tasks.captions", arguments.captions),
    "calibration": Task("eval.tasks.calibration", arguments.calibration),
    "alignment": Task("eval.tasks.alignment", arguments.alignment),
    "regions": Task("eval.tasks.region_captions", arguments.regions),
    "pointing": Task("eval.tasks.pointing", arguments.pointing),
    "fixations": Task("eval.tasks.fixations", arguments.fixations),
    "classification": Task("eval.tasks.classification", arguments.classification),
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.run", __doc__)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        description = task.add_arguments.__doc__ or ""
        task_parser = tasks.add_parser(
            name, help=description.partition("\n")[0], description=description, allow_abbrev=False
        )
        task.add_arguments(task_parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: importlib.import_module(TASKS[args.task].module).run(args))


if __name__ == "__main__":
    sys.exit(main())
