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
from saliency.word_maps import Explanation, explain_frames
from vislang.core.errors import ConfigError
from vislang.features.reading_options import ReadingOptions
from vislang.images.video import sampled_frames, spread_frames

_BATCH = 16  # frames encoded at once


def explain_clip(
    model: Any, path: str | Path, sentence: str | None, *, fps: float, method: str, ranker: Any, options: ReadingOptions
) -> Explanation:
    """Explain a video; the arguments and errors are those of `saliency.explain_video`."""
    if not fps > 0:
        raise ConfigError(f"fps got {fps}, expected frames per second, more than 0")
    images = spread_frames(path)
    reading = replace(options, progress=False)  # one bar for all frames
    whole = model.clip_descriptors(images, reading)
    seconds: list[float] = []
    seen = seen_of(model, model.config.layers[0], images[0].size)
    if method == "activation":
        seen = seen_of(ranker, ranker.cell_layer, images[0].size)

    def encoded(images: list[Any]) -> Iterator[np.ndarray]:
        if method == "activation":
            return ranker.encode_cells(images, reading)
        return encoded_cells(model, images, reading)

    def each_cells() -> Iterator[np.ndarray]:
        for frames in _in_batches(sampled_frames(path, fps)):
            seconds.extend(frame.seconds for frame in frames)
            yield from encoded([frame.image for frame in frames])

    def batches(bar: tqdm) -> Iterator[np.ndarray]:
        cells = each_cells()
        if method == "ramanishka":
            cells = smoothed_in_time(cells)
        for some in _in_batches(cells):
            yield np.stack(some)
            bar.update(len(some))

    with tqdm(desc="explaining", unit="frame", disable=not options.progress) as bar:
        return explain_frames(
            model,
            batches(bar),
            whole,
            sentence,
            method=method,
            ranker=ranker,
            seen=seen,
            seconds=seconds,
            dtype=np.float16,
        )


def _in_batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(itertools.islice(items, _BATCH)):
        yield some
