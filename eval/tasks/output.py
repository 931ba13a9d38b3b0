"""What every task of eval.run writes and prints."""

import argparse
import json
from collections.abc import Sequence

from eval.results.result import Result, read_table, write_result
from eval.tables.sections import table_section
from vislang.core.cli import print_written
from vislang.core.files import file_name
from vislang.draw.html.page import Page


def report(args: argparse.Namespace, results: Sequence[Result]) -> None:
    """Write new results, and print them as JSON with --json, else the tables that hold them."""
    for result in results:
        print_written(write_result(args.out, result))
    if args.json:
        print(json.dumps([result.to_json() for result in results], indent=1))
        return
    tables = {}
    for result in results:
        tables[result.kind, result.table_key()] = result
    print("\n".join(table_section(read_table(args.out, result)) for result in tables.values()), end="")


def write_page(args: argparse.Namespace, stem: str, page: Page) -> None:
    """Write an HTML page into the results' folder and print its path."""
    path = args.out / f"{file_name(stem)}.html"
    page.write(path)
    print_written(path)
