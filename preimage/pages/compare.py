"""The page of two networks side by side, and its numbers as JSON."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from preimage.comparison.networks import Comparison
from preimage.comparison.per_layer import Look
from preimage.pages.panels import cell, head, heat_map, panels, picture_page
from vislang.draw.html.elements import Row, origin_section, section, table
from vislang.draw.html.page import Page

_MEASURES = ("feature_error", "distance", "same_class", "same_class_elsewhere", "gradients")
_HEADS = ("depth", "error", "distance", "same class", "same class in the other", "gradients", "CKA", "CKA, biased")
_KINDS = ("inversion", "caricature", "deconvnet", "channel")


def compare_page(comparison: Comparison, origin: Mapping[str, Any]) -> Page:
    """Return the page.

    Args:
        comparison: what `preimage.compare_networks` gave.
        origin: settings and provenance, shown folded away.
    """
    one, other = _short_names(comparison)
    depths = zip(comparison.a.looks, comparison.b.looks, strict=True)
    sections = [
        _numbers(comparison),
        _alignments(comparison),
        *([_classes(comparison)] if comparison.class_names else []),
        *(_depth(comparison, number, *pair) for number, pair in enumerate(depths)),
        origin_section(origin),
    ]
    tags = [
        f"A: {comparison.a.name}", f"B: {comparison.b.name}", f"{len(comparison.images)} pictures searched from",
        f"{comparison.aligned} pictures aligned", f"{len(comparison.skipped)} left out" if comparison.skipped else "",
    ]  # fmt: skip
    return picture_page(f"{one} beside {other}", tags, sections, "preimage.compare")


def numbers_of(comparison: Comparison) -> dict[str, Any]:
    """Give all numbers, ready for JSON: those of each picture, their mean and their deviation; NaN becomes None."""
    sides = {}
    for letter, side in (("a", comparison.a), ("b", comparison.b)):
        depths = [
            {"layer": look.tap, "shape": list(look.shape), "channels": look.channels.tolist(),
             **{name: _summary(getattr(look, name)) for name in _MEASURES}}
            for look in side.looks
        ]  # fmt: skip
        sides[letter] = {"network": side.name, "depths": depths, "mapped": list(side.mapped)}
    return {
        **sides,
        "images": list(comparison.images),
        "classes": list(comparison.class_names),
        "cka": {
            "pictures": comparison.aligned,
            "features": "mean over places" if comparison.pooled else "all places",
            "debiased": _plain(comparison.cka),
            "biased": _plain(comparison.cka_biased),
            "matched_debiased": _plain(comparison.matched),
            "matched_biased": _plain(comparison.matched_biased),
        },
        "skipped": [{"name": name, "reason": reason} for name, reason in comparison.skipped],
    }


def _short_names(comparison: Comparison) -> tuple[str, str]:
    """Give what both networks are called in titles: of folders and files the last part, where that tells them apart."""
    one, other = (PurePath(side.name).name for side in (comparison.a, comparison.b))
    return (one, other) if one != other else (comparison.a.name, comparison.b.name)


def _plain(values: np.ndarray) -> Any:
    return np.where(np.isfinite(values), np.round(values, 6), None).tolist()


def _summary(values: np.ndarray | None) -> dict[str, Any] | None:
    if values is None:
        return None
    numbers = values.astype(np.float64)
    return {"mean": float(numbers.mean()), "deviation": float(numbers.std()), "each": _plain(numbers)}


def _numbers(comparison: Comparison) -> str:
    rows = []
    for number, pair in enumerate(zip(comparison.a.looks, comparison.b.looks, strict=True)):
        alike = [f"{values[number]:.3f}" for values in (comparison.matched, comparison.matched_biased)]
        for letter, look in zip("AB", pair, strict=True):
            side = " x ".join(map(str, look.shape))
            cells = [
                f"{number + 1}",
                *(_spread(look, name) for name in _MEASURES),
                *(alike if letter == "A" else ["", ""]),
            ]
            rows.append(Row(f"{letter}  {look.tap}  ({side})", cells))
    text = (
        "Error: squared distance of the inversion's features to the picture's, over the squared norm of these."
        " Distance: the distance over the mean distance between two pictures. Same class: share of inversions that"
        " keep the class that the picture had, in this network and in the other. Gradients: how much of the histogram"
        " of gradient orientations (18 bins, weighted by magnitude) inversion and picture share, 0 to 1."
        " Mean ± deviation over pictures. CKA: linear alignment of both networks' features, debiased and plain."
    )
    return section("By depth", table("Numbers by depth", _HEADS, rows, first="Layer"), text=text)


def _spread(look: Look, name: str) -> str:
    values = getattr(look, name)
    if values is None:
        return "-"
    if values.dtype == bool:
        return f"{100 * values.mean():.0f} %"
    return f"{values.mean():.3f} ± {values.std():.3f}"


def _alignments(comparison: Comparison) -> str:
    matched = [(a.tap, b.tap) for a, b in zip(comparison.a.looks, comparison.b.looks, strict=True)]
    over = "means over places" if comparison.pooled else "all places, flattened"
    text = (
        f"Linear CKA, debiased, of {comparison.aligned} pictures; features are {over}. 1: alike up to a turn and a"
        " scale; 0: nothing in common. Rows are depths of A, columns of B; the matched depths have a line around them."
    )
    heat = heat_map(
        comparison.cka, comparison.a.mapped, comparison.b.mapped,
        corner="A {} down, B {} across".format(*_short_names(comparison)), matched=matched,
    )  # fmt: skip
    return section("How similar the depths are", heat, text=text)


def _classes(comparison: Comparison) -> str:
    rows = [
        [cell(picture, f"{name}, as {letter} {side.name} sees it", f"{letter}: {name}")
         for name, picture in zip(comparison.class_names, side.classes, strict=True)]
        for letter, side in (("A", comparison.a), ("B", comparison.b))
    ]  # fmt: skip
    text = "What both networks look for in classes of the same name. A above, B below."
    return section("Classes", panels([], rows), text=text)


def _depth(comparison: Comparison, number: int, a: Look, b: Look) -> str:
    heads = [head("picture")]
    for kind in _KINDS:
        heads += [head(f"{kind}, A", start=True), head("B")]
    rows = []
    for row, name in enumerate(comparison.images):
        short = name.rsplit("/", 1)[-1]
        cells = [cell(comparison.a.pictures[row], name, short)]
        for kind in range(len(_KINDS)):
            cells += [_made(a, row, kind, f"A, {short}", start=True), _made(b, row, kind, f"B, {short}")]
        rows.append(cells)
    asked = []
    for letter, look in (("A", a), ("B", b)):
        if len(look.asked):
            asked.append([cell(one, f"{letter}, channel asked for", letter) for one in look.asked])
    shapes = [" x ".join(map(str, look.shape)) for look in (a, b)]
    text = (
        f"A: {a.tap}, {shapes[0]}. B: {b.tap}, {shapes[1]}. Inversion: a picture that the depth cannot tell from the"
        " first. Caricature: what it sees, exaggerated. Deconvnet: the pixels behind the strongest answer of the"
        " channel that stands out most. Channel: what that channel looks for."
    )
    more = f"<p>Channels asked for, in order.</p>{panels([], asked)}" if asked else ""
    return section(f"Depth {number + 1} of {len(comparison.a.looks)}", panels(heads, rows), more, text=text)


def _made(look: Look, row: int, kind: int, name: str, *, start: bool = False) -> str:
    channel = f"channel {look.channels[row]}"
    picture, words = (
        (look.inversions[row], f"error {look.feature_error[row]:.2f}"),
        (look.caricatures[row], ""),
        (None if look.projections is None else look.projections[row], channel),
        (look.maxima[row], channel),
    )[kind]
    return cell(picture, f"{_KINDS[kind]}, {name}", words, start=start)
