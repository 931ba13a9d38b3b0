"""Tables of the results of other commands: noticed changes, inversions, maximised classes, two networks, benchmarks."""

from collections.abc import Sequence

from eval.published.inversions import PUBLISHED, SOURCE
from eval.results.experiments import (
    BenchmarkResult,
    ChangeResult,
    ComparisonResult,
    InversionResult,
    MaximisationResult,
)
from eval.tables.markdown import (
    FROM_MEMORY,
    NOTHING,
    cell,
    count,
    named,
    note,
    number,
    section,
    table_lines,
    table_title,
)

_INVERSION_COLUMNS = {  # heading: metric and digits
    "feature error": ("feature_error", 3),
    "distance": ("distance", 3),
    "gradients": ("gradients", 3),
    "same class, %": ("same_class", 0),
    "second network, top-1 %": ("second_network_top1", 0),
    "top-5 %": ("second_network_top5", 0),
}


def change_section(results: Sequence[ChangeResult], folder: str | None = None) -> str:
    """Return the Markdown section of noticed changes."""
    last = results[-1]
    rows = []
    for one in results:
        rows.append([named(one, folder), *(number(one.metrics.get(name)) for name in last.metrics)])
    return section(
        table_title("Noticed changes", last),
        f"Per cent of {count(last.num_images, 'image')} whose change a model of natural images notices; chance is 50."
        " Made by `vislang changes`.",
        table_lines(["model", *last.metrics], rows),
        list(map(note, results)),
    )


def inversion_section(results: Sequence[InversionResult], folder: str | None = None) -> str:
    """Return the Markdown section of feature inversions, published ones first."""
    rows = []
    for layer, published in PUBLISHED.items():
        cells = [published.marked_method, layer, "cvpr15"]
        for name, digits in _INVERSION_COLUMNS.values():
            cells.append(number(published.scores.get(name), digits=digits))
        rows.append(cells)
    for result in results:
        for row in result.rows:
            cells = [named(result, folder), cell(row.layer), row.search]
            for name, digits in _INVERSION_COLUMNS.values():
                cells.append(number(row.metrics.get(name), row.std.get(name), digits))
            rows.append(cells)
    return section(
        "Feature inversions",
        "Mean ± standard deviation over images. Feature error: squared distance of the features over their squared"
        " norm. Distance: over the mean distance between two images. Gradients: intersection of the histograms of"
        " gradient orientations. Same class: the network predicts the image's class for the inversion; second"
        " network: another network does. Made by `vislang inversion-errors`.",
        table_lines(["network", "layer", "search", *_INVERSION_COLUMNS], rows),
        f"{FROM_MEMORY} {SOURCE}.",
        [note(result, count(len(result.images), "image"), *result.settings) for result in results],
    )


def maximisation_section(results: Sequence[MaximisationResult], folder: str | None = None) -> str:
    """Return the Markdown section of maximised classes."""
    rows = []
    for result in results:
        for one in result.classes:
            second = NOTHING
            if one.second_network_rank is not None:
                second = str(one.second_network_rank + 1)
            rows.append([named(result, folder), cell(one.name), f"{one.activation:.1f}", str(one.rank + 1), second])
    return section(
        "Maximised classes",
        "The rank of the class among the network's predictions for the image, and among those of a second"
        " network. Made by `vislang maximize`.",
        table_lines(["network", "class", "activation", "rank", "rank by a second network"], rows),
        [note(result, f"`{result.command}`") for result in results],
    )


def comparison_section(results: Sequence[ComparisonResult], folder: str | None = None) -> str:
    """Return the Markdown section of networks side by side."""
    rows = []
    for result in results:
        for index, similarity in enumerate(result.cka["matched_debiased"]):
            layers = []
            errors = []
            for side in (result.a, result.b):
                layer = side["layers"][index]
                layers.append(layer["layer"])
                errors.append(f"{layer['feature_error']['mean']:.3f}")
            shown = " / ".join(dict.fromkeys(layers))
            rows.append([named(result, folder), cell(shown), " / ".join(errors), number(similarity, digits=3)])
    return section(
        "Two networks side by side",
        "Feature error of inversions of A and of B, and debiased linear CKA between their features. Made by"
        " `vislang compare`.",
        table_lines(["networks", "layer", "feature error, A / B", "CKA"], rows),
        [note(result, f"A {result.networks[0]}", f"B {result.networks[1]}") for result in results],
    )


def benchmark_section(results: Sequence[BenchmarkResult], folder: str | None = None) -> str:
    """Return the Markdown section of benchmarks."""
    result = results[-1]
    link = ""
    if folder is not None:
        link = f" All lines: [{result.file_name()}]({folder}{result.file_name()})."
    rows = []
    for script, lines in result.printed.items():
        if lines:
            rows.append([f"`{script}`", cell(lines[-1])])
    cores = count(result.machine["cores"], "core")
    return section(
        "Speed and memory",
        f"The last line of each benchmark, on {cores} ({result.machine['processor']}), {result.provenance.date}. Made"
        f" by `make bench`.{link}",
        table_lines(["script", "claim"], rows),
    )
