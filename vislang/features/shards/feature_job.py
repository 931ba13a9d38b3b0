"""FeatureJob: the features of a shard, in a cache file of its own."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vislang.backbones.base import LoadedBackbone
from vislang.features.cache.manifest import FEATURES
from vislang.features.cache.reader import CacheWriter, FeatureKey, feature_key, open_cache
from vislang.features.cache.sharded_cache import CACHE
from vislang.features.cache.writer import NoUsableImageError
from vislang.features.cached_extraction import add_to_cache, append_all, joined
from vislang.features.pipeline import encode_batches
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import load_for_layers
from vislang.features.shards.images import DamagedShardError, ListedImages, ShardImages
from vislang.features.shards.job import Report, ShardJob
from vislang.images.sources import Skipped


@dataclass(frozen=True)
class FeatureJob(ShardJob):
    """Compute layers of a backbone.

    Attributes:
        backbone: its name.
        layers: names of layers.
        preprocessing: its name, or a size; None: the backbone's own.
        options: how images are read.
    """

    backbone: str
    layers: tuple[str, ...]
    preprocessing: str | None
    options: ReadingOptions

    kind: ClassVar[str] = FEATURES
    suffix: ClassVar[str] = CACHE

    def parts(self) -> list[str]:
        """Return the layers, each with the backbone and its preprocessing and weights as the user named them."""
        how = [self.backbone, self.preprocessing or "", str(self.options.weights or ""), self.options.proposals or ""]
        return [" ".join([*how, layer]).strip() for layer in self.layers]

    def process(self, images: ShardImages, result: Path, known: Report | None) -> tuple[int, list[Skipped]]:
        """Write the cache of a shard, or add layers to it; see `ShardJob.process`."""
        backbone = _loaded(self.backbone, self.layers, self.preprocessing, self.options)
        keys = [feature_key(backbone, layer) for layer in self.layers]
        skipped: list[Skipped] = []
        if known is not None:
            skipped, is_repaired = self._try_again(backbone, images, result)
            if is_repaired:
                result.unlink()
            else:
                images = images.only(open_cache(result).ids)
        try:
            if isinstance(images, ListedImages):
                skipped += add_to_cache(result, backbone, keys, images.files, self.options).skipped
            else:
                skipped += _add_stream(result, backbone, keys, images, self.options)
        except NoUsableImageError as error:
            raise DamagedShardError(str(error)) from error
        return len(open_cache(result).ids), skipped

    def _try_again(self, backbone: LoadedBackbone, images: ShardImages, result: Path) -> tuple[list[Skipped], bool]:
        """Return the images that the cache lacks and why, and whether one of them can be used by now."""
        held = set(open_cache(result).ids)
        lacking = images.only([name for name in images.names if name not in held])
        skipped: list[Skipped] = []
        for batch in encode_batches(backbone, lacking, [self.layers[0]], batch_size=self.options.batch_size):
            if batch.kept:
                return [], True
            skipped += batch.skipped
        return skipped, False


@functools.lru_cache(maxsize=2)
def _loaded(name: str, layers: tuple[str, ...], preprocessing: str | None, options: ReadingOptions) -> LoadedBackbone:
    """Load a backbone once in a process, whatever the number of shards."""
    return load_for_layers(name, layers, preprocessing, options)


def _add_stream(
    path: Path, backbone: LoadedBackbone, keys: Sequence[FeatureKey], images: ShardImages, options: ReadingOptions
) -> list[Skipped]:
    """Compute the layers that a cache lacks of images that are no files; return those that could not be used."""
    exists = path.exists()
    lacking = [key for key in dict.fromkeys(keys) if not (exists and open_cache(path).holds(key))]
    if not lacking:
        return []
    names = images.names
    job = {"batch": options.batch_size, "content": images.content(), "names": names}
    with CacheWriter(path, lacking, job) as writer:
        rest = images.only(names[writer.done :])
        layers = [key.layer for key in lacking]
        batches = encode_batches(backbone, rest, layers, batch_size=options.batch_size, strict=options.strict)
        append_all(writer, names, joined([batches], [lacking], unit="image", needed=exists), lambda rows: None)
        writer.finish()
    return [Skipped(source, reason) for source, reason in writer.skipped]
