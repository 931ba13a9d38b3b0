"""Command: evaluate trained models on a split, or score captions or saliency maps of any origin.

Writes one JSON file for each row of a table, prints the table with published numbers, and writes an HTML page.
"""

import argparse
import importlib
import sys

from vislang.core.cli import command_parser, run_command

TASKS = {  # modules with add_arguments(parser) and run(args), which load nothing heavy when imported
    "retrieval": "eval.tasks.retrieval",
    "captions": "eval.tasks.captions",
    "alignment": "eval.tasks.alignment",
    "regions": "eval.tasks.region_captions",
    "pointing": "eval.tasks.pointing",
    "fixations": "eval.tasks.fixations",
    "classification": "eval.tasks.classification",
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.run", __doc__)
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, module in TASKS.items():
        task = importlib.import_module(module)
        description = task.__doc__ or ""
        task_parser = tasks.add_parser(
            name,
            help=description.partition("\n")[0],
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        task.add_arguments(task_parser)
        task_parser.set_defaults(run=task.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
