"""Command: caption a folder of photographs, and make one page of it that can be searched by meaning, offline."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from vislang.core.cli import DONE, SKIPPED_SOME, import_backend_quietly, progress_is_shown, run_command, shown_name

_LARGE, _SMALL, _MANY = 1200, 640, 150  # pixels of the pictures on the page: fewer where there are many pictures


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.album", description=__doc__)
    parser.add_argument("--photos", required=True, metavar="DIR", help="a folder, a pattern, or a text file of paths")
    parser.add_argument("--out", type=Path, default=Path("runs/tour.html"), help="(default: %(default)s)")
    parser.add_argument("--captioner", type=Path, metavar="NAME|DIR", help="trained captioner (default: in the box)")
    parser.add_argument("--ranker", type=Path, metavar="NAME|DIR", help="trained ranker (default: in the box)")
    parser.add_argument("--title", help="of the page (default: the folder's name)")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad photograph")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: tour(args))


def tour(args: argparse.Namespace) -> int:
    """Read, caption, rank every word, write."""
    from captioner.api import load_model as load_captioner
    from captioner.page import generate_page
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.files import require_writable_folder, whole_file
    from vislang.features.pipeline import list_images
    from vse.api import load_model as load_ranker

    paths = list_images(args.photos)
    require_writable_folder(args.out.parent)
    started = time.monotonic()
    import_backend_quietly()
    captioner, ranker = load_captioner(args.captioner), load_ranker(args.ranker)
    if captioner.description["backbone"]["name"] != ranker.backbone:
        raise ConfigError(
            f"the captioner sees through {captioner.description['backbone']['name']}, the ranker through"
            f" {ranker.backbone}; give two models of one backbone"
        )
    shown, vectors, skipped = look(captioner, ranker, paths, args.strict)
    if not shown:
        raise DataError(f"none of {len(paths)} photographs could be used; the first: {skipped[0].reason}")
    seconds = time.monotonic() - started
    title = args.title or f"{len(shown):,} photographs in {shown_name(Path(args.photos).name)}"
    tags = [f"backbone {ranker.backbone}", f"{seconds:.0f} s on this machine", "captions and search without a network"]
    side = _LARGE if len(shown) <= _MANY else _SMALL
    reasons = [shown_name(one.reason) for one in skipped]
    parts = generate_page(
        title, tags, shown, reasons, side=side, scores=word_scores(ranker, vectors), written_by="python -m app.album"
    )
    with whole_file(args.out) as part, part.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)
    print(f"{len(shown)} photographs, {len(skipped)} left out; open in a browser:\n  {args.out.resolve()}")
    return SKIPPED_SOME if skipped else DONE


def look(captioner: Any, ranker: Any, paths: list[Path], strict: bool) -> tuple[list[Any], Any, list[Any]]:
    """Show every photograph to the CNN once, and what it sees to both models.

    Returns:
        a `ShownPicture` of each usable photograph, their vectors float32 [K, D], and what was left out.
    """
    import numpy as np
    from tqdm import tqdm

    from captioner.page import ShownPicture, shown_caption
    from vislang.features.descriptors import join_taps
    from vislang.features.model_inputs import encode_taps

    taps = list(dict.fromkeys([*captioner.config.taps, *ranker.config.taps]))
    weights = {**captioner.description["backbone"]["weights"], **ranker.description["backbone"]["weights"]}
    trained_on = {"name": ranker.backbone, "weights": weights}
    shown, vectors, skipped = [], [], []
    with tqdm(total=len(paths), desc="looking", unit="image", disable=not progress_is_shown()) as bar:
        for batch in encode_taps(paths, taps, trained_on, strict=strict, progress=bar.update):
            for one in batch.skipped:
                print(f"skipped {shown_name(one.reason)}", file=sys.stderr)
            skipped += batch.skipped
            if not batch.kept:
                continue
            descriptors = join_taps([batch.features[tap] for tap in captioner.config.taps])
            captions = captioner.caption_descriptors(descriptors, options=captioner.options(num=3))
            vectors.append(ranker.encode_features(batch.features))
            for number, of_image in zip(batch.kept, captions, strict=True):
                path = paths[number]
                shown.append(ShownPicture(path, shown_name(path.name), [shown_caption(one) for one in of_image]))
    return shown, np.concatenate(vectors) if vectors else None, skipped


def word_scores(ranker: Any, vectors: Any) -> Any:
    """Give the cosine of every word of the ranker's vocabulary with every photograph."""
    from vislang.draw.html.search_box import WordScores
    from vislang.text.vocabulary import SPECIAL

    words = [word for word in ranker.vocabulary.words if word not in SPECIAL and word.isalnum()]
    return WordScores(words, ranker.encode_sentences(words) @ vectors.T)


if __name__ == "__main__":
    sys.exit(main())
