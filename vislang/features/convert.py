"""Command: put features that others published beside their captions into a feature cache."""

import argparse
import sys
from pathlib import Path

from vislang.core.cli import DONE, command_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("vislang.features.convert", __doc__)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--karpathy", type=Path, metavar="DIR", help="folder with dataset.json and vgg_feats.mat")
    kind.add_argument("--precomputed", type=Path, metavar="DIR", help="folder with NAME_{train,dev,test}_ims.npy")
    parser.add_argument("--name", help="NAME of the precomputed files (default: the folder's name)")
    parser.add_argument("--backbone", default="published-vgg", help="what to call their CNN (default: %(default)s)")
    parser.add_argument("--layer", default="fc7", help="which of its outputs (default: %(default)s)")
    parser.add_argument("--cache", required=True, type=Path, metavar="FILE", help="the cache to make or to add to")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: convert(args))


def convert(args: argparse.Namespace) -> int:
    """Read the features, add them to the cache, and print what was added."""
    from datasets.captions.karpathy import read_imgids, read_vgg_feats
    from datasets.captions.precomputed import read_precomputed_features
    from vislang.backbones.weights import fingerprint
    from vislang.features.cache.keys import PUBLISHED
    from vislang.features.cache.reader import FeatureKey, import_rows

    if args.karpathy:
        columns = read_imgids(args.karpathy)
        ids = list(columns)
        rows = read_vgg_feats(args.karpathy / "vgg_feats.mat", num_images=len(ids))[list(columns.values())]
    else:
        ids, rows = read_precomputed_features(args.precomputed, args.name)
    # The weights are not at hand: the rows themselves tell these features from others.
    import_rows(args.cache, ids, rows, FeatureKey(args.backbone, args.layer, PUBLISHED, fingerprint([rows])))
    print(f"{args.cache}: {args.layer} of {args.backbone} for {len(ids)} images")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
