"""The page of two compared networks."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from preimage.comparison.inversion_errors import MEASURES
from preimage.comparison.layer_analysis import LayerAnalysis
from preimage.comparison.network_comparison import Comparison
from preimage.pages.panels import cell, head, heat_map, panels, picture_page
from vislang.draw.html.elements import Row, origin_section, section, table
from vislang.draw.html.page import Page

_HEADS = ("error", "distance", "same class", "same class in the other", "gradients", "CKA", "CKA, biased")
_KINDS = ("inversion", "caricature", "deconvnet", "channel")


def compare_page(comparison: Comparison, origin: Mapping[str, Any]) -> Page:
    """Return the page; `origin`, settings and provenance, is shown folded away."""
    sections = [_numbers(comparison), _cka(comparison)]
    if comparison.class_names:
        sections.append(_classes(comparison))
    for index, (a, b) in enumerate(comparison.pairs, start=1):
        sections.append(_layer(comparison, index, a, b))
    sections.append(origin_section(origin))
    tags = [
        f"A: {comparison.a.name}",
        f"B: {comparison.b.name}",
        f"{len(comparison.names)} images searched from",
        f"CKA over {comparison.cka_images} images",
    ]
    if comparison.skipped:
        tags.append(f"{len(comparison.skipped)} skipped")
    name_a, name_b = _short_names(comparison)
    return picture_page(f"{name_a} and {name_b}", tags, sections, "preimage.compare")


def _short_names(comparison: Comparison) -> tuple[str, str]:
    """Return both networks' names in titles: of folders and files the last part, where it distinguishes them."""
    name_a = PurePath(comparison.a.name).name
    name_b = PurePath(comparison.b.name).name
    if name_a == name_b:
        return comparison.a.name, comparison.b.name
    return name_a, name_b


def _layer_words(analysis: LayerAnalysis) -> str:
    """Return a layer's name and shape."""
    return f"{analysis.inversions.layer}, {' x '.join(map(str, analysis.shape))}"


def _numbers(comparison: Comparison) -> str:
    rows = []
    ckas = comparison.matched(comparison.cka)
    biased = comparison.matched(comparison.cka_biased)
    for index, pair in enumerate(comparison.pairs):
        similarities = [f"{ckas[index]:.3f}", f"{biased[index]:.3f}"]
        for letter, analysis in zip("AB", pair, strict=True):
            cells = [_mean_and_std(getattr(analysis.inversions, name)) for name in MEASURES]
            rows.append(Row(f"{index + 1} {letter}  {_layer_words(analysis)}", [*cells, *similarities]))
            similarities = ["", ""]
    text = (
        "Error: squared distance of the inversion's features to the image's, over the squared norm of these."
        " Distance: the distance over the mean distance between two images. Same class: share of inversions that"
        " keep the image's predicted class, in this network and in the other. Gradients: intersection of the histograms"
        " of gradient orientations (18 bins, weighted by magnitude) of inversion and image, 0 to 1."
        " Mean ± standard deviation over images. CKA: linear alignment of both networks' features, debiased and biased."
    )
    return section("By layer", table("Measures by layer", _HEADS, rows, first="Layer"), text=text)


def _mean_and_std(values: np.ndarray | None) -> str:
    if values is None:
        return "-"
    if values.dtype == bool:
        return f"{100 * values.mean():.0f} %"
    return f"{values.mean():.3f} ± {values.std():.3f}"


def _cka(comparison: Comparison) -> str:
    matched = [(a.inversions.layer, b.inversions.layer) for a, b in comparison.pairs]
    features = "averaged over positions" if comparison.pooled else "of all positions"
    text = (
        f"Linear CKA, debiased, of {comparison.cka_images} images, features {features}. 1: equal up to rotation and"
        " scale; 0: unrelated. Rows are layers of A, columns of B; corresponding layers are outlined."
    )
    name_a, name_b = _short_names(comparison)
    matrix = heat_map(
        comparison.cka, comparison.a.cka_layers, comparison.b.cka_layers,
        corner=f"A {name_a} down, B {name_b} across", matched=matched,
    )  # fmt: skip
    return section("Similarity of layers", matrix, text=text)


def _classes(comparison: Comparison) -> str:
    rows = []
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        cells = []
        for name, image in zip(comparison.class_names, side.class_images, strict=True):
            cells.append(cell(image, f"{name}, maximised in {letter} {side.name}", f"{letter}: {name}"))
        rows.append(cells)
    text = "Images that maximise the scores of classes of the same name. A above, B below."
    return section("Classes", panels([], rows), text=text)


def _layer(comparison: Comparison, index: int, a: LayerAnalysis, b: LayerAnalysis) -> str:
    heads = [head("image")]
    for kind in _KINDS:
        heads += [head(f"{kind}, A", kind="head start"), head("B")]
    rows = []
    for row, name in enumerate(comparison.names):
        short = name.rsplit("/", 1)[-1]
        cells = [cell(comparison.a.inputs[row], name, short)]
        for kind in _KINDS:
            cells.append(_made(a, row, kind, f"A, {short}", "cell start"))
            cells.append(_made(b, row, kind, f"B, {short}", "cell"))
        rows.append(cells)
    text = (
        f"A: {_layer_words(a)}. B: {_layer_words(b)}. Inversion: an image with the same features."
        " Caricature: the features, exaggerated. Deconvnet: the pixels that cause the largest activation of the most"
        " distinctive channel. Channel: an image that maximises this channel."
    )
    parts = [panels(heads, rows)]
    requested = []
    for letter, analysis in (("A", a), ("B", b)):
        if len(analysis.requested):
            requested.append([cell(image, f"{letter}, requested channel", letter) for image in analysis.requested])
    if requested:
        parts += ["<p>Requested channels, in order.</p>", panels([], requested)]
    return section(f"Layer {index} of {len(comparison.pairs)}", *parts, text=text)


def _made(analysis: LayerAnalysis, row: int, kind: str, name: str, cell_kind: str) -> str:
    """Return the cell of one kind of image."""
    words = f"channel {analysis.channels[row]}"
    if kind == "inversion":
        image = analysis.inversions.images[row]
        words = f"error {analysis.inversions.feature_error[row]:.2f}"
    elif kind == "caricature":
        image = analysis.caricatures[row]
        words = ""
    elif kind == "deconvnet":
        image = analysis.projections[row] if analysis.projections is not None else None
    else:
        image = analysis.channel_images[row]
    return cell(image, f"{kind}, {name}", words, kind=cell_kind)
