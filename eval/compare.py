"""Command: compare two rankers on the same images, with intervals and p-values for the differences."""

import argparse
import json
import sys
from pathlib import Path

from eval.tasks.arguments import add_protocol
from vislang.core.cli import DONE, add_json, command_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.compare", __doc__)
    for letter in "ab":
        parser.add_argument(letter, type=Path, help="checkpoint ranked by eval.run retrieval, or its ranks-....npz")
    parser.add_argument(
        "--results", default=Path("results"), type=Path, metavar="DIR", help="--out of eval.run (default: %(default)s)"
    )
    parser.add_argument("--dataset", help="its name in the tables (default: the only one that A was ranked on)")
    parser.add_argument("--split", default="test", help="as in eval.run (default: %(default)s)")
    add_protocol(parser)
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    add_json(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: compare(args))


def compare(args: argparse.Namespace) -> int:
    """Compare and print one line per metric."""
    from dataclasses import asdict

    from eval.metrics.bootstrap import difference_lines, paired_comparison
    from eval.results.ranks import load_ranks, only_dataset, ranks_path, require_same_queries
    from vislang.core.bundled_models import find_checkpoint

    where = {"split": args.split, "protocol": args.protocol}
    runs = [find_checkpoint("vse", given) for given in (args.a, args.b)]
    dataset = args.dataset or only_dataset(args.results, runs[0], **where)
    a, b = (load_ranks(ranks_path(args.results, run, dataset=dataset, **where)) for run in runs)
    require_same_queries(a, b)
    differences = paired_comparison(a.folds, b.folds, resamples=args.resamples, seed=args.seed)
    if args.json:
        print(json.dumps({name: asdict(one) for name, one in differences.items()}, indent=1))
        return DONE
    print("\n".join(difference_lines(str(args.a), str(args.b), differences)))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
