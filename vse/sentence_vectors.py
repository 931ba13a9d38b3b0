"""Command: embed sentences with a larger sentence encoder, whose vectors `vislang train ranker --teacher` learns.

The encoder is all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019, arXiv:1908.10084), run by
sentence-transformers: pip install "vislang-toolkit[teacher]". Of data sets only the training captions are read.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from vislang.core import cli
from vse.taught_sentences import SENTENCES, VECTORS


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("vse.sentence_vectors", __doc__)
    parser.add_argument(
        "--dataset", nargs="+", default=[], metavar="NAME", help="readers whose training captions are embedded"
    )
    parser.add_argument("--data", nargs="+", default=[], type=Path, metavar="DIR", help="folder of each")
    parser.add_argument("--sentences", nargs="+", default=[], type=Path, metavar="FILE", help="more, one a line")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help=f"for {SENTENCES} and {VECTORS}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: write_sentence_vectors(args))


def write_sentence_vectors(args: argparse.Namespace) -> int:
    """Embed the sentences and write them."""
    from vislang.core.errors import ConfigError
    from vislang.core.files import require_writable_folder, write_array, write_text

    if len(args.dataset) != len(args.data):
        raise ConfigError(
            f"--data got {len(args.data)} folders for {len(args.dataset)} data sets, expected one for each"
        )
    require_writable_folder(args.out)
    sentences = training_sentences(args)
    if not sentences:
        raise ConfigError("got no sentences, expected --dataset NAME --data DIR or --sentences FILE")
    vectors = embed(sentences)
    write_array(args.out / VECTORS, vectors)
    write_text(args.out / SENTENCES, "\n".join(sentences) + "\n")
    print(f"{args.out}: {len(sentences)} sentences, vectors of {vectors.shape[1]} numbers")
    return cli.DONE


def training_sentences(args: argparse.Namespace) -> list[str]:
    """Return the distinct sentences, in the order that they are read."""
    from datasets import registry
    from datasets.records import of_split
    from datasets.text_files import clean_caption, read_lines

    sentences: list[str] = []
    for dataset, folder in zip(args.dataset, args.data, strict=True):
        records = of_split(registry.read(dataset, folder, require_images=False), "train")
        sentences.extend(caption for record in records for caption in record.captions)
    for path in args.sentences:
        sentences.extend(read_lines(path, "write one sentence a line"))
    cleaned = dict.fromkeys(map(clean_caption, sentences))
    return [sentence for sentence in cleaned if sentence]


def embed(sentences: list[str]) -> np.ndarray:
    """Embed M sentences with MiniLM, float16 [M, 384] of length 1.

    Raises:
        ConfigError: sentence-transformers or the weights are not installed.
    """
    import tempfile
    import zipfile

    from vislang.core.errors import ConfigError

    try:
        from all_minilm_l6_v2 import get_model_zip_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; pip install 'vislang-toolkit[teacher]'") from error

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(get_model_zip_path()) as archive:
            archive.extractall(folder)
        encoder = SentenceTransformer(folder, device="cpu")
        vectors = encoder.encode(
            sentences, batch_size=256, normalize_embeddings=True, show_progress_bar=cli.progress_is_shown()
        )
    return vectors.astype(np.float16)


if __name__ == "__main__":
    sys.exit(main())
