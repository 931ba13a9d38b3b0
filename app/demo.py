"""Command: show every ability of the bundled models on one page, without training or download.

Examples:
    python -m app.demo
    python -m app.demo --images dog.jpg beach.jpg
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vislang.core.cli import DONE, SKIPPED_SOME, add_images, command_parser, run_command

# Photographs of packages that may be installed: all that are there are shown, in this order. The first is explained in
# detail by its sentence.
PACKAGED = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "a woman in a black hat smiles in front of a flag"),
    ("skimage", "data/astronaut.png", "a woman in an orange suit smiles in front of a flag"),
    ("skimage", "data/camera.png", "a man in a black coat looks through a camera"),
    ("skimage", "data/chelsea.png", "the face of a cat"),
    ("skimage", "data/coffee.png", "a cup of coffee on a wooden table"),
    ("skimage", "data/rocket.jpg", "a rocket on its launch pad in the evening"),
    ("skimage", "data/motorcycle_left.png", "a motorcycle in a garage"),
    ("skimage", "data/hubble_deep_field.jpg", "galaxies in the night sky"),
    ("sklearn", "datasets/images/china.jpg", "a temple behind trees"),
    ("sklearn", "datasets/images/flower.jpg", "a red flower in front of green leaves"),
)
FEWEST = 6  # images: where packages have fewer photographs, more than one scene is drawn
QUERIES = ("a woman wearing a hat", "a cup on a table", "night sky", "a smiling person")
# Of the CNN. Deeper layers take more iterations than the demo has time for.
LAYERS = ("blocks_2_add", "blocks_4_add", "blocks_10_add")
_MAPPED = 4  # images whose unusual places are mapped
_SIDE = 800  # pixels of the longer side of images on the page
_ABOUT = (
    "All bundled models together have 18 MB. They know what 10,000 images of Flickr8K and COCO show: people,"
    " sport, streets, rooms, food, vehicles, common animals. Nothing here was chosen by its result: the"
    " photographs are those of installed packages, and the scenes are the first that the generator draws. A drawn"
    " scene or a rocket is outside of what the models know, and they describe it as what they know; the"
    " probabilities of words and the maps show how sure they are."
)
_STYLE = """
.about { margin: 26px 0 0; padding: 16px 20px; max-width: none; }
.pair { display: grid; gap: 18px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.pair .figures { grid-template-columns: repeat(3, 1fr); }
.pair .figure-card { margin: 0; }
.panels { grid-template-columns: repeat(var(--columns), minmax(84px, 1fr)); }
code.command { margin-top: 14px; }
"""


@dataclass(frozen=True)
class Subject:
    """The images of the demo."""

    paths: Sequence[Path]
    sentence: str | None  # about the first of them, which is explained in detail; None: the captioner's
    origin: str  # where the images are from


@dataclass(frozen=True)
class Models:
    """The bundled models."""

    captioner: Any
    ranker: Any
    aligner: Any
    region_captioner: Any
    naturalness: Any
    network: Any


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.demo", __doc__)
    add_images(parser, "your own images (default: photographs of installed packages, and drawn scenes)")
    parser.add_argument("--out", type=Path, default=Path("runs/demo/index.html"), help="page (default: %(default)s)")
    parser.add_argument(
        "--iterations", type=int, default=60, metavar="N", help="of each inversion (default: %(default)s)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: demo(args))


def demo(args: argparse.Namespace) -> int:
    """Load the models, run every step, write the page, and print a line for each."""
    from app.album import caption_and_encode
    from preimage.pages.panels import check_page
    from vislang.core.errors import DataError
    from vislang.core.files import check_outputs
    from vislang.images.sources import find_images

    check_page(args.out)
    if args.images:
        paths, _ = find_images(args.images, strict=True)
        check_outputs({"--out": args.out}, paths)
        subject = Subject(paths, None, "your images")
    else:
        subject = packaged_images(args.out.parent / "scenes")
    started = time.monotonic()
    models = timed("load TensorFlow and the bundled models", load_models)
    encoded = timed(
        f"caption {len(subject.paths)} images",
        lambda: caption_and_encode(models.captioner, models.ranker, subject.paths),
    )
    if not encoded.images:
        raise DataError(f"none of {len(subject.paths)} images could be used; the first: {encoded.skipped[0].reason}")
    first = encoded.images[0]
    sentence = subject.sentence or first.captions[0].text
    sections = [
        timed("search them by text", lambda: captions_and_search(models.ranker, encoded)),
        timed("place words, describe regions", lambda: words_and_regions(models, first.path, sentence)),
        timed("map unusual places", lambda: unusual_places(models.naturalness, encoded.images[:_MAPPED])),
        timed(f"invert {len(LAYERS)} layers", lambda: inversions(models.network, first.path, args.iterations)),
    ]
    seconds = time.monotonic() - started
    demo_page(subject, sections, seconds).write(args.out)
    print(f"\n{args.out.resolve()}\nOpen in a browser: {args.out.resolve().as_uri()}")
    return SKIPPED_SOME if encoded.skipped else DONE


def timed(title: str, step: Callable[[], Any]) -> Any:
    """Run a step, and print what it does and how long it takes."""
    started = time.monotonic()
    print(f"{title + ' ':.<45} ", end="", flush=True)
    result = step()
    print(f"{time.monotonic() - started:5.1f} s", flush=True)
    return result


def packaged_images(folder: Path) -> Subject:
    """Return the photographs of installed packages, and scenes that are drawn into a folder."""
    from PIL import Image

    from datasets.scenes.draw import draw_scene

    found = {}
    packages = []
    for package, name, sentence in PACKAGED:
        spec = importlib.util.find_spec(package)  # imports nothing
        if spec is None or spec.origin is None:
            continue
        path = Path(spec.origin).parent / name
        if path.is_file():
            found[path] = sentence
            packages.append(package)
    paths = list(found)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(max(1, FEWEST - len(found))):
        paths.append(folder / f"scene_{index}.png")
        Image.fromarray(draw_scene(0, index, "train").image).save(paths[-1])
    names = ", ".join(dict.fromkeys(packages))
    return Subject(paths, found.get(paths[0]), f"photographs of {names}; drawn scenes")


def load_models() -> Models:
    """Load each bundled model once."""
    from captioner import api as captioner
    from naturalness import api as naturalness
    from preimage.networks.loading import load_network
    from vse import api as vse

    return Models(
        captioner=captioner.load_model(),
        ranker=vse.load_model(),
        aligner=captioner.load_aligner(),
        region_captioner=captioner.load_model("region-captioner"),
        naturalness=naturalness.load_model(),
        network=load_network(),
    )


def captions_and_search(ranker: Any, encoded: Any) -> str:
    """Return the captions with word probabilities and a search field, and what some queries find."""
    from app.album import word_scores
    from captioner.page import searchable_captions
    from vislang.draw.html.elements import section
    from vse.api import EncodedImages, retrieve_images
    from vse.page import found_images

    captions = searchable_captions(encoded.images, side=_SIDE, scores=word_scores(ranker, encoded.vectors))
    index = EncodedImages(encoded.vectors, [str(image.path) for image in encoded.images])
    found = ""
    for query, matches in zip(QUERIES, retrieve_images(ranker, index, QUERIES, top=5), strict=True):
        images = found_images([(Path(match.name), match.score) for match in matches])
        found += f'<article class="card query-card"><blockquote>{query}</blockquote>{images}</article>'
    return section(
        "Captions",
        *captions,
        text="Three captions of each image, best first. The field searches by meaning, here in your browser.",
        command="vislang caption dog.jpg --num 3 --explain",
    ) + section(
        "Search",
        found,
        text="The five images nearest to each query in the joint space of images and sentences, with their cosine.",
        command=f'vislang search --images photos/ --text "{QUERIES[0]}"',
    )


def words_and_regions(models: Models, path: Path, sentence: str) -> str:
    """Return an image with the words and phrases of a sentence, and with the model's caption and described regions."""
    from captioner.api import describe_regions, ground_phrases
    from saliency.api import explain_image
    from saliency.page import NOTE, explained_image
    from vislang.draw.html.elements import section
    from vislang.images.decode import decode_image

    image = decode_image(path)
    cards = ""
    for name, given, regions in (
        (
            "given sentence",
            sentence,
            {"Phrases": ground_phrases(models.aligner, image, sentence, ranker=models.ranker)},
        ),
        (
            "the model's own caption",
            None,
            {"Regions": describe_regions(models.region_captioner, image, max_regions=5, ranker=models.ranker)},
        ),
    ):
        explanation = explain_image(models.captioner, image, given)
        cards += explained_image(image, f"{path.name}, {name}", explanation, regions=regions)
    return section(
        "Words and regions",
        cards,
        text=NOTE,
        command=f'vislang explain dog.jpg --sentence "{sentence}" --html dog.html --regions',
    )


def unusual_places(model: Any, images: Sequence[Any]) -> str:
    """Return images beside the maps of what attracts fixations and of anomalies."""
    import numpy as np

    from naturalness.api import unnaturalness_map
    from naturalness.map import drawn
    from vislang.draw.html.elements import figure_card, section
    from vislang.draw.html.thumbnails import data_uri
    from vislang.images.decode import decode_image

    rows = ""
    for image in images:
        shown = decode_image(image.path)
        figures = [("image", data_uri(shown, side=_SIDE))]
        for words, kind in (("attracts fixations", "fixation"), ("anomalous", "anomaly")):
            scores = unnaturalness_map(model, shown, kind=kind)
            figures.append((words, data_uri(drawn(np.asarray(shown), scores, overlaid=True), side=_SIDE)))
        rows += figure_card(image.path.name, figures)
    return section(
        "Unusual places",
        f'<div class="pair">{rows}</div>',
        text="Cells that a model of natural images predicts poorly, which tend to attract fixations or are anomalous.",
        command="vislang unusual dog.jpg --overlay",
    )


def inversions(network: Any, path: Path, iterations: int) -> str:
    """Return an image beside images that have the same features at layers of the CNN."""
    from preimage.api import invert_images
    from preimage.config import CONFIGS, with_iterations
    from preimage.pages.panels import cell, head, panels
    from vislang.draw.html.elements import section

    config = with_iterations(CONFIGS["ijcv16"], iterations)
    row = [cell(network.resized(path), path.name, path.name)]
    for layer in LAYERS:
        found = invert_images(network, path, layer, preset=config)
        error = float(found.measures["feature_error"][0])
        row.append(cell(found.images[0], f"inversion of {layer}", f"error {error:.2f}"))
    return section(
        "Inversions",
        panels([head("image"), *map(head, LAYERS)], [row]),
        text="What a layer of the CNN keeps: an image whose features at that layer are those of the first image, as far"
        f" as {sum(config.iterations)} iterations go. Error: squared distance of the features over their squared norm.",
        command=f"vislang invert --images dog.jpg --layer {LAYERS[-1]} --out inverted.png",
    )


def demo_page(subject: Subject, sections: Sequence[str], seconds: float) -> Any:
    """Return the page."""
    from captioner import page as captions
    from preimage.pages import panels
    from saliency import page as word_maps_of
    from vislang.draw.html.page import Page
    from vse import page as search

    style = captions.STYLE + search.STYLE + word_maps_of.STYLE + panels.PANELS_STYLE + _STYLE
    script = captions.SCRIPT + word_maps_of.SCRIPT
    tags = [f"{len(subject.paths)} images", subject.origin, "nothing trained", f"{seconds:.0f} s on this machine"]
    about = f'<p class="card about">{_ABOUT}</p>'
    return Page("What the bundled models can do", tags, [about, *sections], style, script, "app.demo")


if __name__ == "__main__":
    sys.exit(main())
