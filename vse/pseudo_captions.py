"""Command: caption images with other people's sentences that a ranker retrieves for them, as training data.

Of the sentences nearest to an image, those that agree most with the others are kept: where many say "pizza" is one.
The result is a data set in COCO's format, for `--dataset coco`; training needs no image files, only features.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core import cli

HUB_NEIGHBOURS = 10


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("vse.pseudo_captions", __doc__)
    cli.add_model(parser, "ranker")
    parser.add_argument("--cache", required=True, type=Path, metavar="FILE", help="feature cache of the images")
    parser.add_argument("--only", type=Path, metavar="FILE", help="ids of the images, one a line (default: all)")
    parser.add_argument("--sentences", required=True, type=Path, metavar="FILE", help="one sentence a line")
    parser.add_argument(
        "--candidates",
        type=int,
        default=30,
        metavar="C",
        help="sentences retrieved for each (default: %(default)s)",
    )
    parser.add_argument(
        "--num", type=int, default=5, metavar="K", help="sentences kept of these (default: %(default)s)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for captions_train.json")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: write_pseudo_captions(args))


def write_pseudo_captions(args: argparse.Namespace) -> int:
    """Retrieve sentences for all images and write them."""
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs, keyed, write_json
    from vislang.features.cache.reader import open_cache
    from vse.api import load_model

    if not 1 <= args.num <= args.candidates:
        raise ConfigError(f"--num got {args.num}, expected 1 to {args.candidates}, the number of --candidates")
    out = args.out / "captions_train.json"
    check_outputs({"--out": out}, filter(None, (args.sentences, args.cache, args.only)))
    sentences = lines_of(args.sentences, "sentence")
    model = load_model(args.model)
    cache = open_cache(args.cache)
    ids = list(cache.ids)
    if args.only is not None:
        lines = lines_of(args.only, "id of an image")
        ids = list(keyed(((line, None) for line in lines), f"{args.only}, ids", "remove the repetition"))
    vectors = model.encode_sentences(sentences)
    images = model.encode_cached(cache, ids)
    indices = most_agreeing(sentences, retrieve_sentences(images, vectors, args.candidates), args.num)
    cosines = np.einsum("nd,nkd->nk", images, vectors[indices])
    document = coco_document(ids, sentences, indices, cosines)
    write_json(out, document)
    print(
        f"{args.out}: {len(document['annotations'])} sentences for {len(ids)} images, median cosine"
        f" {np.median(cosines):.2f}"
    )
    return cli.DONE


def lines_of(path: Path, what: str) -> list[str]:
    """Read the lines of a text file that are not blank.

    Raises:
        DataError: missing, or without a line.
    """
    from datasets.text_files import read_lines
    from vislang.core.errors import DataError

    lines = [line.strip() for line in read_lines(path, f"write one {what} a line") if line.strip()]
    if not lines:
        raise DataError(f"{path}: has no line, expected one {what} a line")
    return lines


def retrieve_sentences(images: np.ndarray, sentences: np.ndarray, num: int) -> np.ndarray:
    """Find the sentences that fit each image best.

    A sentence that is near many images says little of any: sentences compare by twice the cosine less the mean cosine
    of the sentence with its nearest images (cross-domain similarity local scaling).

    Args:
        images: float32 [N, D], unit length.
        sentences: float32 [M, D], unit length.
        num: sentences for an image; M where there are fewer.

    Returns:
        int64 [N, C] row indices of sentences, the best first.

    References: Conneau et al. 2018, arXiv:1710.04087.
    """
    from vse.nearest import nearest

    hubness = nearest(sentences, images, HUB_NEIGHBOURS)[1].mean(axis=1, keepdims=True)
    queries = np.concatenate([2.0 * images, np.ones((len(images), 1), images.dtype)], axis=1)
    candidates = np.concatenate([sentences, -hubness], axis=1)
    return nearest(queries, candidates, num)[0]


def most_agreeing(sentences: list[str], indices: np.ndarray, num: int) -> np.ndarray:
    """Keep the candidates of each image that have the highest mean CIDEr-D with all of them.

    Args:
        sentences: M sentences.
        indices: int64 [N, C], the candidates of each image.
        num: candidates that are kept; C where there are fewer.

    Returns:
        int64 [N, K], the highest mean first.

    References: Devlin et al. 2015, arXiv:1505.04467 (consensus captions).
    """
    from eval.metrics.captions.cider import PairwiseCider
    from eval.metrics.captions.ngrams import word_rows
    from vislang.text.tokenizer import tokenize

    words = word_rows([" ".join(tokenize(sentence)) for sentence in sentences])
    cider = PairwiseCider(words, np.arange(len(words)))
    kept = []
    for candidates in indices:
        agreement = cider(words[candidates], candidates).mean(axis=1)
        kept.append(candidates[np.argsort(-agreement, kind="stable")[:num]])
    return np.array(kept)


def coco_document(ids: list[str], sentences: list[str], indices: np.ndarray, cosines: np.ndarray) -> dict[str, Any]:
    """Return the retrieved sentences in COCO's caption format; each annotation has its cosine as "score"."""
    images = []
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(ids):
        images.append({"id": number, "file_name": name})
        for index, cosine in zip(indices[number], cosines[number], strict=True):
            note = {"id": len(annotations), "image_id": number, "caption": sentences[index]}
            annotations.append({**note, "score": round(float(cosine), 4)})
    return {"images": images, "annotations": annotations}


if __name__ == "__main__":
    sys.exit(main())
