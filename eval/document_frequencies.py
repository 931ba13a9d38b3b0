"""Command: count in how many images of a split each n-gram occurs, and store it as the n-gram weights of CIDEr."""

import argparse
import sys
from pathlib import Path

from vislang.core.cli import DONE, command_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.document_frequencies", __doc__)
    parser.add_argument("--dataset", required=True, help="name of the reader, such as flickr8k")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--split", default="train", help="(default: %(default)s)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )
    parser.add_argument("--tokenizer", choices=("ptb", "treebank"), default="ptb", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="file to write (default: runs/df/DATASET-SPLIT.json.gz)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: count(args))


def count(args: argparse.Namespace) -> int:
    """Read, tokenize, count and write."""
    from datasets import registry
    from datasets.records import captions_of
    from eval.metrics.captions.document_frequencies import DocumentFrequencies, table_path
    from eval.metrics.captions.ptb_tokenizer import PTB, ptb_tokenize, treebank_tokenize
    from vislang.core.files import check_outputs

    out = args.out or table_path(f"{args.dataset}-{args.split}")
    check_outputs({"--out": out}, Path(args.data).glob("*"))
    records = registry.read(args.dataset, args.data, split=args.split, options=registry.reader_options(args.option))
    sentences, _ = captions_of(records)
    words = iter((ptb_tokenize if args.tokenizer == PTB else treebank_tokenize)(sentences))
    references = []
    for record in records:
        references.append([next(words) for _ in record.captions])
    table = DocumentFrequencies.fit(references, tokenizer=args.tokenizer)
    table.save(out)
    print(f"{len(table.counts):,} n-grams of {table.num_images:,} images, tokenizer {table.tokenizer}: {out}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
