"""Command: write all results of a folder as one Markdown page of tables, whose rows link their JSON files."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vislang.core.cli import DONE, command_parser, print_written, run_command

if TYPE_CHECKING:
    from eval.results.result import Result

_INTRODUCTION = """# Results

`python -m eval.results_page` makes every table from the JSON files in `results/`, which hold the settings,
fingerprints, seeds and commit of each row.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.results_page", __doc__)
    parser.add_argument("--results", default=Path("results"), type=Path, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument(
        "--out", default=Path("docs") / "results.md", type=Path, metavar="FILE", help="page (default: %(default)s)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: write_results_page(args))


def write_results_page(args: argparse.Namespace) -> int:
    """Write the page and print its path; errors as for `results_page`."""
    from vislang.core.files import check_outputs, write_text

    check_outputs({"--out": args.out}, args.results.glob("*"))
    folder = Path(os.path.relpath(args.results, args.out.parent)).as_posix()
    write_text(args.out, results_page(args.results, f"{folder}/"))
    print_written(args.out)
    return DONE


def results_page(folder: Path, link: str) -> str:
    """Return the page; `link` is the path of the results' folder from the page, ending in "/".

    Raises:
        DataError: a file is no JSON, or the folder holds no results.
        EvalError: a result that lacks a field.
    """
    from eval.results.result import read_results
    from eval.tables.sections import SECTIONS, table_section
    from vislang.core.errors import DataError

    sections: list[str] = []
    for kind in SECTIONS:
        tables: dict[tuple, list[Result]] = {}
        for result in read_results(folder, kind):
            tables.setdefault(result.table_key(), []).append(result)
        sections.extend(table_section(results, link) for results in tables.values())
    if not sections:
        raise DataError(f"{folder} holds no results; write some with: python -m eval.run")
    return "\n".join([_INTRODUCTION, *sections])


if __name__ == "__main__":
    sys.exit(main())
