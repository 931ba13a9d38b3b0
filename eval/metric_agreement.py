"""Command: correlate the caption metrics with human judgements of Flickr8K captions, with published values."""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vislang.core.cli import DONE, command_parser, print_written, run_command

if TYPE_CHECKING:
    from datasets.captions.human_judgements import Judged
    from eval.metrics.captions.score import CaptionScores

METRICS = ("bleu", "meteor", "rouge", "cider")
METEOR_TIMEOUT = 3600.0  # seconds for one answer: the crowd's 47,830 pairs are sent at once


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.metric_agreement", __doc__)
    parser.add_argument("--data", required=True, type=Path, help="Flickr8K's folder, with both Annotations.txt")
    parser.add_argument("--out", default=Path("results"), type=Path, help="folder to write (default: %(default)s)")
    parser.add_argument("--tokenizer", choices=("ptb", "treebank"), help="(default: ptb where there is Java)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: measure(args))


def measure(args: argparse.Namespace) -> int:
    """Score every judged caption, correlate, write and print."""
    from eval.results.experiments import AgreementResult
    from eval.results.result import write_result
    from eval.tables.metric_agreement import CROWD, EXPERT, VARIANTS, agreement, agreement_section
    from vislang.core.files import require_writable_folder

    judged = read_judgements(args.data)
    require_writable_folder(args.out)
    scores = score_judged(judged, METRICS, args.tokenizer)
    parts = {}
    for name, pairs in judged.items():
        each = pairs.ratings.shape[1]
        of_pairs = {metric: values[::each] for metric, values in scores[name].per_image.items()}
        parts[name] = agreement(pairs, of_pairs, VARIANTS[name])
    result = AgreementResult(
        dataset="flickr8k",
        expert=parts[EXPERT],
        crowd=parts[CROWD],
        tokenizer=scores[EXPERT].tokenizer,
        skipped=scores[EXPERT].skipped,
    )
    print_written(write_result(args.out, result))
    if args.json:
        print(json.dumps(result.to_json(), indent=1))
    else:
        print(agreement_section([result]), end="")
    return DONE


def read_judgements(folder: Path) -> "dict[str, Judged]":
    """Read both files of judgements with the captions that they judge."""
    from datasets.captions.flickr import FLICKR8K, read_token_file
    from datasets.captions.human_judgements import CROWD_FILE, EXPERT_FILE, read_crowd, read_expert
    from eval.tables.metric_agreement import CROWD, EXPERT

    tokens, captions = read_token_file(folder, FLICKR8K)
    return {
        EXPERT: read_expert(tokens.parent / EXPERT_FILE, captions),
        CROWD: read_crowd(tokens.parent / CROWD_FILE, captions),
    }


def score_judged(
    judged: "dict[str, Judged]", metrics: tuple[str, ...], tokenizer: str | None
) -> "dict[str, CaptionScores]":
    """Score each rating's candidate as an image of its own, so a pair of three ratings counts three times.

    Returns:
        for each name scores of P x R images, the R of a pair one after another.
    """
    from eval.metrics.captions.meteor import Meteor
    from eval.metrics.captions.score import score_systems
    from vislang.core.errors import EvalError

    systems: dict[str, dict[int | str, str]] = {}
    references: dict[int | str, tuple[str, ...]] = {}
    for name, pairs in judged.items():
        systems[name] = {}
        for row, candidate in enumerate(pairs.candidates):
            for time in range(pairs.ratings.shape[1]):
                image = f"{name} {row} {time}"
                systems[name][image] = candidate
                references[image] = pairs.references[row]
    with contextlib.ExitStack() as stack:
        meteor = None
        if "meteor" in metrics:
            with contextlib.suppress(EvalError):  # score_systems raises it again and notes the reason
                meteor = stack.enter_context(Meteor(timeout=METEOR_TIMEOUT))
        return score_systems(systems, references, metrics=metrics, tokenizer=tokenizer, meteor=meteor)


if __name__ == "__main__":
    sys.exit(main())
