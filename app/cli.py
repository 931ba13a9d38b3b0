"""Command: `vislang`, which runs every command of the toolkit by a short name."""

import importlib
import sys
from dataclasses import dataclass

from vislang.core.cli import DONE, USER_ERROR, program_name, run_command
from vislang.core.errors import unknown_name
from vislang.core.version import __version__


@dataclass(frozen=True)
class Command:
    """One line of the table."""

    module: str  # the same as `python -m MODULE`
    help: str


GROUPS: dict[str, dict[str, Command]] = {
    "Use the bundled models, or your own": {
        "caption": Command("captioner.generate", "write captions of images and videos"),
        "search": Command("vse.search", "find images by a sentence or a similar image, or sentences by images"),
        "index": Command(
            "vse.build_index", "index images, so that `search` finds them in a folder, LanceDB or PostgreSQL"
        ),
        "regions": Command("captioner.regions", "describe regions of an image, or ground a sentence in them"),
        "explain": Command("saliency.explain", "show which part of an image or video each word comes from"),
        "unusual": Command("naturalness.map", "map how unnatural each cell of an image is, and rank images"),
        "album": Command("app.album", "write an offline page of your images with captions and search"),
    },
    "Look inside networks": {
        "classify": Command("preimage.classify", "name what is in images, with any network that has classes"),
        "tags": Command("preimage.tags", "tag drawings with the networks of illustration2vec"),
        "invert": Command("preimage.invert", "reconstruct images from the features of a layer"),
        "maximize": Command("preimage.maximize", "synthesise the input that maximises a channel or a class"),
        "caricature": Command("preimage.caricature", "amplify the features of a layer in an image"),
        "deconv": Command("preimage.deconv", "project the activation of a unit back to pixels"),
        "style": Command("preimage.style", "transfer the style of one image to another"),
        "compare": Command("preimage.compare", "compare the layers of two networks on a page"),
        "gallery": Command("preimage.gallery", "write a page of inversions, maximisations and more of a network"),
    },
    "Prepare data": {
        "fetch": Command("datasets.fetch", "download and check a data set"),
        "scenes": Command("datasets.scenes.__main__", "draw a data set of simple scenes with captions"),
        "extract": Command("vislang.features.extract", "compute features of images into a feature cache"),
        "extract-videos": Command("vislang.features.extract_videos", "compute features of video frames into a cache"),
        "convert": Command("vislang.features.convert", "put published features into a feature cache"),
        "pseudo-captions": Command("vse.pseudo_captions", "caption images with sentences that a ranker retrieves"),
        "sentence-vectors": Command("vse.sentence_vectors", "embed sentences with MiniLM, to teach a ranker"),
        "snippets": Command("captioner.make_snippets", "make a data set of captioned regions with an aligner"),
    },
    "Train": {
        "train ranker": Command("vse.train", "train an image-sentence embedding"),
        "train captioner": Command("captioner.train", "train a caption generator"),
        "train aligner": Command("captioner.alignment.train", "train an aligner of words and regions"),
        "train naturalness": Command("naturalness.train", "train a visual language model"),
        "train classifier": Command("preimage.train", "train an image classifier"),
    },
    "Evaluate": {
        "eval": Command("eval.run", "evaluate trained models on a split, beside published numbers"),
        "changes": Command("naturalness.changes", "measure which changes of images the naturalness model notices"),
        "inversion-errors": Command("preimage.measure", "measure the errors of inversions by layer"),
    },
    "This toolkit": {
        "demo": Command("app.demo", "show every ability of the bundled models on one page, in a minute"),
        "demo-train": Command("app.demo_train", "train and evaluate every system on drawn scenes, in minutes"),
        "export": Command("app.export.command", "write a trained model as ONNX graphs or as a SavedModel"),
        "doctor": Command("app.doctor", "check the installation and print what fixes each problem"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        return run_command(lambda: show(help_text(GROUPS)))
    if words[0] == "--version":
        return run_command(lambda: show(f"vislang {__version__}"))
    family = members(words[0])
    count = 2 if family else 1  # words of the command's name
    name = " ".join(words[:count])
    if name in COMMANDS:
        module = importlib.import_module(COMMANDS[name].module)
        with program_name(f"vislang {name}"):
            return module.main(words[count:])
    if family and words[1:] in ([], ["-h"], ["--help"]):
        return run_command(lambda: show(help_text({f"vislang {words[0]}": family})))
    print(f"error: {unknown_name('command', name, family or COMMANDS, 'see vislang --help')}", file=sys.stderr)
    return USER_ERROR


def show(text: str) -> int:
    """Print a text and return the exit code."""
    print(text)
    return DONE


def members(word: str) -> dict[str, Command]:
    """Return the commands whose names are `word` and a second word."""
    return {name: command for name, command in COMMANDS.items() if name.startswith(f"{word} ")}


def help_text(groups: dict[str, dict[str, Command]]) -> str:
    """Return the overview of commands, a line each."""
    lines = ["usage: vislang COMMAND ...      (vislang COMMAND --help describes its options)"]
    for title, commands in groups.items():
        lines += ["", f"{title}:"]
        for name, command in commands.items():
            lines.append(f"  {name:<18}{command.help}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
