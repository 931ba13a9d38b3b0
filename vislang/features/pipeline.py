"""Features of many images: decoded in threads while the network runs, in order, unreadable ones listed."""

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from vislang.backbones.base import LoadedBackbone
from vislang.core.errors import DataError
from vislang.core.threads import thread_count
from vislang.images.decode import ImageSource, decode_image, source_name
from vislang.images.preprocess import Preprocessing, prepare
from vislang.images.sources import Skipped

DECODED_SIDE = 512  # of images that are kept for proposals, none of which reads more
BATCHES_AHEAD = 2  # decoded while the network works on one; more only costs memory


@dataclass(frozen=True)
class FeatureBatch:
    """Features of the usable images of one batch or request."""

    features: dict[str, np.ndarray]  # {layer: float32 [K, ...]}; empty where K is 0
    kept: list[int]  # for each of the K rows, the index of its image among the sources
    skipped: list[Skipped]  # the other images


def encode_images(
    backbone: LoadedBackbone,
    sources: Sequence[ImageSource],
    layers: Sequence[str],
    *,
    batch_size: int = 32,
    strict: bool = False,
) -> FeatureBatch:
    """Compute features of images.

    Args:
        backbone: from `load_backbone`.
        sources: paths, bytes, PIL images or uint8 arrays.
        layers: names of the backbone's feature layers or of its network's layers.
        batch_size: images in one forward pass.
        strict: raise for the first unreadable image instead of listing it.

    Raises:
        DataError: an unreadable image and `strict`, or no image is usable.
    """
    batches = list(encode_batches(backbone, sources, layers, batch_size=batch_size, strict=strict))
    skipped = [one for batch in batches for one in batch.skipped]
    batches = [batch for batch in batches if batch.kept]
    if not batches:
        first = "the list is empty"
        if skipped:
            first = f"the first: {skipped[0].reason}"
        raise DataError(f"none of {len(sources)} images could be encoded; {first}")
    features = {layer: np.concatenate([batch.features[layer] for batch in batches]) for layer in layers}
    return FeatureBatch(features, [row for batch in batches for row in batch.kept], skipped)


def encode_batches(
    backbone: LoadedBackbone,
    sources: Iterable[ImageSource],
    layers: Sequence[str],
    *,
    batch_size: int = 32,
    strict: bool = False,
) -> Iterator[FeatureBatch]:
    """Yield the features of every `batch_size` sources, in order; at most a few batches are in memory.

    Args and errors are those of `encode_images`.
    """
    if batch_size < 1:
        raise DataError(f"batch size is {batch_size}, expected at least 1")
    start = 0
    for inputs, results in _prepared_batches(sources, backbone.preprocessing, batch_size, backbone.needs_decoded):
        rows = [row for row, result in enumerate(results) if not isinstance(result, Skipped)]
        skipped = [result for result in results if isinstance(result, Skipped)]
        if skipped:
            if strict:
                raise DataError(f"{skipped[0].reason} (strict: the first bad image ends the run)")
            inputs = inputs[rows]
        features = {}
        if rows and backbone.needs_decoded:
            features = backbone.encode_decoded([results[row] for row in rows], inputs, layers)
        elif rows:
            features = backbone.encode(inputs, layers)
        yield FeatureBatch(features, [start + row for row in rows], skipped)
        start += len(results)


def _prepared_batches(
    sources: Iterable[ImageSource], preprocessing: Preprocessing, batch_size: int, keep_decoded: bool
) -> Iterator[tuple[np.ndarray, list[Any]]]:
    """Yield network inputs float32 [B, S, S, 3], and for each a `Skipped`, the decoded image if it is kept, or None.

    Images are decoded in threads: Pillow releases the interpreter's lock.
    """
    remaining = iter(sources)
    pending: collections.deque[tuple[np.ndarray, list[Future]]] = collections.deque()
    pool = ThreadPoolExecutor(max_workers=thread_count(), thread_name_prefix="decode")
    try:
        while True:
            while len(pending) <= BATCHES_AHEAD and (chunk := list(itertools.islice(remaining, batch_size))):
                inputs = np.empty((len(chunk), preprocessing.size, preprocessing.size, 3), np.float32)
                futures = [
                    pool.submit(_prepare_into, out, source, preprocessing, keep_decoded)
                    for out, source in zip(inputs, chunk, strict=True)
                ]
                pending.append((inputs, futures))
            if not pending:
                return
            inputs, futures = pending.popleft()
            yield inputs, [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_into(out: np.ndarray, source: ImageSource, preprocessing: Preprocessing, keep_decoded: bool) -> Any:
    """Fill one row of a batch; stacking finished images afterwards would copy every one again."""
    try:
        if not keep_decoded:
            prepare(source, preprocessing, out=out)
            return None
        image = decode_image(source, shorter_side=max(2 * preprocessing.shorter_side, DECODED_SIDE))
        prepare(image, preprocessing, out=out)
        return image
    except DataError as error:
        return Skipped(source_name(source), str(error))
    except MemoryError:
        reason = "does not fit into the memory that is left; shrink it, or close other programs"
        return Skipped(source_name(source), f"{source_name(source)}: {reason}")
