"""Explaining a video frame by frame: two passes over the file, and no more than a few frames in memory."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from saliency.grid_features import encoded_cells, seen_of
from saliency.methods.ramanishka import smoothed_in_time
from saliency.word_maps import (
    CLIP_FRAMES,
    Explanation,
    cell_losses,
    evidence,
    read_sentence,
    unknown,
    write_sentence,
)
from vislang.core.errors import ConfigError
from vislang.features.reading_options import ReadingOptions
from vislang.images.video import Frame, sampled_frames, spread_frames

_FRAMES = 16  # encoded at once


def explain_clip(
    model: Any,
    path: str | Path,
    sentence: str | None,
    *,
    fps: float,
    method: str,
    options: ReadingOptions = ReadingOptions(),
) -> Explanation:
    """Explain a video; the arguments and errors are those of `saliency.explain_video`."""
    if not fps > 0:
        raise ConfigError(f"fps got {fps}, expected frames per second, more than 0")
    pictures = spread_frames(path, CLIP_FRAMES)
    reading = replace(options, progress=False)  # one bar for all frames
    whole = np.stack([cells.mean(axis=(0, 1)) for cells in encoded_cells(model, pictures, reading)])
    written = sentence is None
    words, numbers = write_sentence(model, whole) if sentence is None else read_sentence(model, sentence)
    losses: list[np.ndarray] = []
    of_frames: list[np.ndarray] = []
    times: list[float] = []
    cells_of_frames = _cells(model, sampled_frames(path, fps), times, reading)
    if method == "ramanishka":
        cells_of_frames = smoothed_in_time(cells_of_frames)
    with tqdm(desc="explaining", unit="frame", disable=not options.progress) as bar:
        for cells in _batches(cells_of_frames):
            found = cell_losses(model, cells, numbers, method=method, whole=whole if written else None)
            losses.append(found[0].astype(np.float16))  # of a long clip they are all that stays
            of_frames.append(found[1])
            bar.update(len(cells))
    return Explanation(
        words=tuple(words),
        unknown=unknown(numbers),
        written=written,
        method=method,
        losses=np.concatenate(losses),
        whole=np.concatenate(of_frames),
        evidence=evidence(model, whole, numbers),
        seen=seen_of(model, pictures[0].size),
        seconds=np.array(times),
    )


def _cells(model: Any, frames: Iterator[Frame], times: list[float], options: ReadingOptions) -> Iterator[np.ndarray]:
    """Give the cells of frames, [R, C, D] each, and note when they are shown."""
    for some in _listed(frames):
        for frame in some:
            times.append(frame.seconds)
        yield from encoded_cells(model, [frame.image for frame in some], options)


def _batches(cells: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    return map(np.stack, _listed(cells))


def _listed(items: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(itertools.islice(items, _FRAMES)):
        yield some
