"""The options of each task of eval.run. Nothing heavy is imported here, so that `--help` is fast."""

import argparse
from pathlib import Path

from vislang.core.cli import add_json, add_models
from vislang.core.config_options import add_settings

_ONE_ROW = "those that differ in their seed alone become one row: mean and std"


def retrieval(parser: argparse.ArgumentParser) -> None:
    """Rank the sentences of a split for each image and the images for each sentence, with trained rankers."""
    _add_required_models(parser, "rankers")
    _add_data(parser)
    add_protocol(parser)
    _add_output(parser)


def captions(parser: argparse.ArgumentParser) -> None:
    """Score captions: of trained captioners on a split, with two baselines, or of a file in COCO's format.

    Without --model and --results the baselines alone are scored.
    """
    from captioner.decoding.options import DecodeOptions

    add_models(parser, f"trained captioners; {_ONE_ROW}")
    _add_data(parser)
    parser.add_argument("--df", metavar="NAME", help="n-gram weights of CIDEr: flickr8k-train or a file (make df)")
    _add_tokenizer(parser)
    models = parser.add_argument_group("with --model")
    models.add_argument("--decode", default="beam", help="as in captioner.generate (default: %(default)s)")
    models.add_argument("--beam", type=int, metavar="N", help="beam width (default: the preset's)")
    note = "another decoding option, such as consensus_weight=0; becomes part of the row's name"
    add_settings(models, {"decoding": DecodeOptions()}, note)
    files = parser.add_argument_group("captions of any origin")
    files.add_argument("--results", type=Path, metavar="FILE", help="score these captions, in COCO's results format")
    files.add_argument(
        "--references", type=Path, metavar="FILE", help="COCO annotations or {id: [captions]} (default: the data set)"
    )
    files.add_argument("--against", type=Path, metavar="FILE", help="captions of the same images to compare with")
    _add_output(parser)


def calibration(parser: argparse.ArgumentParser) -> None:
    """Measure how well trained captioners are calibrated: their words, and the confidence of their captions."""
    _add_required_models(parser, "captioners")
    note = "first calibrate on dev of all data sets of training, as a training does at its end"
    parser.add_argument("--fit", action="store_true", help=note)
    _add_data(parser)
    _add_output(parser)


def alignment(parser: argparse.ArgumentParser) -> None:
    """Rank a split by words and regions with trained aligners, and ground phrases in their annotated boxes.

    Every checkpoint that a training kept is ranked; the best one grounds the phrases.
    """
    _add_required_models(parser, "aligners")
    parser.add_argument(
        "--ranker", type=Path, metavar="NAME|DIR", help="a ranker whose maps of the phrases choose regions too"
    )
    _add_data(parser)
    add_protocol(parser)
    _add_entities(parser)
    _add_output(parser)


def regions(parser: argparse.ArgumentParser) -> None:
    """Caption annotated boxes with trained captioners, and score the captions against the phrases that name the boxes.

    A captioner of regions reads the feature map of the whole image, other captioners the crop of the box.
    """
    _add_required_models(parser, "captioners")
    parser.add_argument(
        "--ranker", type=Path, metavar="NAME|DIR", help="a ranker whose maps choose among the captions of a box"
    )
    _add_data(parser, "flickr8k")
    _add_entities(parser)
    _add_tokenizer(parser)
    _add_output(parser)


def pointing(parser: argparse.ArgumentParser) -> None:
    """Play the pointing game with the maps of phrases of given captions, against annotated boxes.

    The ranker maps each phrase as a whole. The captioners explain the words of each sentence; the map of a phrase joins
    those of its words.
    """
    _add_required_models(parser, "captioners")
    parser.add_argument(
        "--ranker", type=Path, metavar="NAME|DIR", help="checkpoint folder of a ranker (default: the bundled one)"
    )
    _add_data(parser)
    _add_entities(parser)
    _add_output(parser)


def fixations(parser: argparse.ArgumentParser) -> None:
    """Score saliency maps against eye fixations: maps of any origin, and unnaturalness maps of trained models.

    Bottom-up saliency, the centre and the observers are scored too; without --maps and --model these alone.
    """
    add_models(parser, "trained models of natural images")
    parser.add_argument(
        "--maps", action="append", default=[], metavar="[NAME=]DIR",
        help="score these maps: one .npy or grey .png for each image, named as it; repeatable",
    )  # fmt: skip
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--dataset", default="osie", help="name of its reader (default: %(default)s)")
    parser.add_argument("--dataset-name", metavar="NAME", help="name in the tables (default: --dataset)")
    _add_reader_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    parser.add_argument(
        "--blur", type=float, default=0.03, metavar="SHARE",
        help="smooth every map by a Gaussian of this share of the width (default: %(default)s; 0: not)",
    )  # fmt: skip
    parser.add_argument(
        "--centre-prior", choices=("none", "multiply", "log-add"), default="none",
        help="also score every map with a centre prior (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of random negatives (default: %(default)s)")
    _add_output(parser)


def classification(parser: argparse.ArgumentParser) -> None:
    """Measure the accuracy of classifiers of preimage.train in each domain of a folder such as PACS.

    Networks with equal settings and training domains share a row; rows are compared image by image.
    """
    _add_required_models(parser, "classifiers")
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds DOMAIN/CLASS/*.jpg (default: that of training)")
    parser.add_argument("--dataset-name", default="pacs", metavar="NAME", help="in the tables (default: %(default)s)")
    parser.add_argument("--split", default="test", help="or all: every image (default: %(default)s)")
    _add_output(parser)


def add_protocol(parser: argparse.ArgumentParser) -> None:
    """Add `--protocol`, a name in `eval.metrics.retrieval.PROTOCOLS`."""
    parser.add_argument(
        "--protocol", choices=("full", "first-fold", "five-folds"), default="full",
        help="all images at once, the first of five folds, or the mean over five: COCO's 5K, 1K and 5 x 1K"
        " (default: %(default)s)",
    )  # fmt: skip


def _add_required_models(parser: argparse.ArgumentParser, kind: str) -> None:
    add_models(parser, f"trained {kind}; {_ONE_ROW}")
    action = next(action for action in parser._actions if action.dest == "models")
    action.required = True


def _add_data(parser: argparse.ArgumentParser, dataset: str = "the one of training") -> None:
    """Add the options that name a split and its features; `dataset` describes the default in the help."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set (default: that of training)")
    parser.add_argument("--dataset", help=f"name of its reader (default: {dataset})")
    parser.add_argument("--dataset-name", metavar="NAME", help="name in the tables, such as coco (default: --dataset)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    _add_reader_options(parser)
    parser.add_argument("--cache", type=Path, metavar="FILE", help="feature cache (default: that of training)")


def _add_reader_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )


def _add_entities(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entities", type=Path, metavar="DIR", help="Flickr30k Entities: annotated boxes of phrases")


def _add_tokenizer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", choices=("ptb", "treebank"), help="(default: ptb where there is Java)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default=Path("results"), type=Path, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--name", help="name of the row (default: preset and backbone)")
    add_json(parser)
