"""Write the parts of the documentation that come from the code: model cards, presets and the picture of imports."""

import ast
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "_generated"
# Command: module and dictionary of its presets, and the settings that are shown.
PRESETS = {
    "vislang train ranker": ("vse.config", "CONFIGS", ("encoder", "layers", "loss", "epochs")),
    "vislang train captioner": ("captioner.config", "CONFIGS", ("model", "layers", "epochs", "beam")),
    "vislang train aligner": ("captioner.alignment.config", "ALIGNMENTS", ("recurrent", "layers", "loss", "epochs")),
    "vislang train naturalness": ("naturalness.config", "CONFIGS", ("layers", "information_layer")),
    "vislang train classifier": ("preimage.classifier.config", "CLASSIFIERS", ("backbone", "updates", "learning_rate")),
    "vislang invert and other searches": ("preimage.config", "CONFIGS", ("parameters", "update_rule", "iterations")),
}
_PROPOSALS = re.compile(r"-(?:detector|grid|selective|edges)(?:@320)?\b")


def write_pages(root: Path) -> None:
    """Write every generated page into docs/_generated.

    Args:
        root: the checkout.
    """
    folder = root / "docs" / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "model_cards.md").write_text(model_cards(root / "vislang" / "pretrained"), encoding="utf-8")
    (folder / "presets.md").write_text(presets(), encoding="utf-8")
    draw_imports(root, folder / "imports.svg")


def model_cards(folder: Path) -> str:
    """Turn the JSON model cards into one Markdown page.

    Args:
        folder: holds one JSON file per bundled model.
    """
    parts = []
    for path in sorted(folder.glob("*.json")):
        parts.append(_card(json.loads(path.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def _card(card: Mapping[str, Any]) -> str:
    lines = [f"## {card['name']}", "", f"{card['description']}.", ""]
    rows = {
        "Intended use": card.get("intended_use"),
        "Limitations": card.get("limitations"),
        "Data": card.get("data"),
        "Scores": _scores(card["scores"]),
        "Trained by": f"`{card['command']}`",
        "Date and commit": f"{card.get('date')}, {str(card.get('commit'))[:8]}",
        "Stored as": card.get("stored_as"),
        "Licence": card.get("licence"),
        "Terms of the data": card.get("data_terms"),
    }
    for name, value in rows.items():
        if value:
            lines.append(f"{name}\n: {value}\n")
    return "\n".join(lines)


def _scores(scores: list[dict[str, Any]]) -> str:
    """Write the scores on each data set, without their intervals."""
    parts = []
    for row in scores:
        numbers = [f"{name} {value}" for name, value in row.items() if isinstance(value, int | float)]
        parts.append(f"{row['on']}: {', '.join(numbers)}")
    return ". ".join(parts)


def presets() -> str:
    """Write a Markdown table of the presets of each command: name, comment in the code, some settings."""
    parts = []
    for command, (name, table, fields) in PRESETS.items():
        module = importlib.import_module(name)
        comments = _comments(Path(str(module.__file__)), table)
        parts += [f"## {command}", "", f"| preset | what | {' | '.join(fields)} |", "|---" * (len(fields) + 2) + "|"]
        lines: dict[str, str] = {}
        for preset, config in getattr(module, table).items():
            cells = [_setting(getattr(config, field)) for field in fields]
            title = preset
            if preset not in comments:  # made in a loop, one for each kind of proposals
                title = _PROPOSALS.sub("-*", preset)
                cells = [_PROPOSALS.sub(r"-\\*", cell) for cell in cells]
            lines.setdefault(title, f"| `{title}` | {comments.get(preset, '')} | {' | '.join(cells)} |")
        parts += [*lines.values(), ""]
    return "\n".join(parts)


def _setting(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value) or "–"


def _comments(path: Path, table: str) -> dict[str, str]:
    """Return the first sentence above each entry of a dictionary in a source file, or above the variable it names."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    variables = {}
    entries: dict[str, ast.expr] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            variables[node.targets[0].id] = node.lineno
            if node.targets[0].id == table and isinstance(node.value, ast.Dict):
                for key, value in zip(node.value.keys, node.value.values, strict=True):
                    if isinstance(key, ast.Constant):
                        entries[str(key.value)] = value
                        variables[str(key.value)] = key.lineno
    found = {}
    for preset, value in entries.items():
        found[preset] = _comment_above(lines, variables[preset])
        if not found[preset] and isinstance(value, ast.Name):
            found[preset] = _comment_above(lines, variables[value.id])
    return found


def _comment_above(lines: list[str], number: int) -> str:
    words: list[str] = []
    while lines[number - 2].strip().startswith("#"):
        words.insert(0, lines[number - 2].strip(" #"))
        number -= 1
    return re.split(r"(?<!al)\. (?=[A-Z])", " ".join(words))[0].rstrip(".")


def import_graph(root: Path) -> tuple[list[list[str]], set[tuple[str, str]]]:
    """Read the layers from the layering test and the imports between rooms from the code.

    Args:
        root: the checkout.

    Returns:
        The rooms of each layer, lowest first, and pairs (importing room, imported room).
    """
    tree = ast.parse((root / "tests" / "test_layering.py").read_text(encoding="utf-8"))
    layers: list[list[str]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "LAYERS":
            layers = [list(rooms) for rooms in ast.literal_eval(node.value)]
    rooms = {room for layer in layers for room in layer}
    edges = set()
    for package in sorted({room.split(".")[0] for room in rooms}):
        for path in sorted((root / package).glob("**/*.py")):
            room = _room(".".join(path.relative_to(root).with_suffix("").parts), rooms)
            for module in _imports(path):
                other = _room(module, rooms)
                if other and room and other != room:
                    edges.add((room, other))
    return layers, edges


def _room(module: str, rooms: set[str]) -> str | None:
    parts = module.split(".")
    for length in (2, 1):
        name = ".".join(parts[:length])
        if name in rooms:
            return name
    return None


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def draw_imports(root: Path, path: Path) -> None:
    """Draw the imports as a matrix: a dot in row A and column B says that A imports B.

    Rows and columns are ordered from the highest layer to the lowest, so that every dot lies right of the diagonal.

    Args:
        root: the checkout.
        path: the SVG file to write.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "imports"
    layers, edges = import_graph(root)
    rooms = [room for layer in reversed(layers) for room in layer]
    figure, axes = plt.subplots(figsize=(7.5, 7.5))
    for index in range(len(rooms)):
        shade = "#f4f6fa" if index % 2 else "#ffffff"
        axes.axhspan(index - 0.5, index + 0.5, color=shade, zorder=0)
        axes.plot(index, index, marker="s", markersize=9, color="#c9d3e3", zorder=2)
    for room, other in edges:
        axes.plot(rooms.index(other), rooms.index(room), marker="o", markersize=8, color="#35507a", zorder=3)
    axes.set_xticks(range(len(rooms)), rooms, rotation=90)
    axes.set_yticks(range(len(rooms)), rooms)
    axes.xaxis.tick_top()
    axes.set_xlim(-0.5, len(rooms) - 0.5)
    axes.set_ylim(len(rooms) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    axes.grid(axis="x", color="#e3e8f0", zorder=1)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
