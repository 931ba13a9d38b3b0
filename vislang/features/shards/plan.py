"""Which shards there are: every tar file is one, and other images are cut into parts of a list."""

from collections.abc import Sequence
from pathlib import Path

from vislang.core.errors import DataError
from vislang.core.files import write_json
from vislang.features.cache.manifest import shard_name
from vislang.features.extraction import name_files
from vislang.features.shards.images import TAR
from vislang.features.shards.job import Input, Shard, is_tar, list_path, read_list
from vislang.images.decode import SUFFIXES
from vislang.images.sources import Skipped, list_images


def plan_shards(folder: Path, given: Input, known: Sequence[Shard]) -> tuple[list[Shard], list[Skipped]]:
    """Return all shards, those of earlier runs first, and the images whose names cannot be stored.

    Images and tar files that are in no shard become new ones, whose lists are written into `folder`.

    Raises:
        DataError: no image, a name that occurs twice, or none of the images of earlier runs.
    """
    if given.shard_size < 1:
        raise DataError(f"--shard-size got {given.shard_size}, expected 1 or more")
    paths = list_images(given.where, root=given.root, suffixes=SUFFIXES | {TAR})
    base = given.base
    tars, skipped = name_files(list(filter(is_tar, paths)), base, given.where, by_file_name=False)
    pictures = [path for path in paths if not is_tar(path)]
    files, unnamed = name_files(pictures, base, given.where, by_file_name=given.ids == "name")
    held_tars = {shard.source for shard in known}
    held = {name for shard in known if not shard.source for name in read_list(folder, shard)}
    if known and held_tars.isdisjoint(tars) and held.isdisjoint(files):
        raise DataError(f"{folder}: holds shards of other images than {given.where}; name another folder for these")
    number = 1 + max((int(shard.name) for shard in known), default=-1)
    shards = list(known)
    for name in tars:
        if name not in held_tars:
            shards.append(Shard(shard_name(number), name))
            number += 1
    new = [name for name in files if name not in held]
    for start in range(0, len(new), given.shard_size):
        shard = Shard(shard_name(number), "")
        part = new[start : start + given.shard_size]
        write_json(list_path(folder, shard), {name: _relative(files[name], base) for name in part})
        shards.append(shard)
        number += 1
    return shards, skipped + unnamed


def _relative(path: Path, base: Path) -> str:
    """Return the path relative to the folder of the images, so that both may move; a path elsewhere stays whole."""
    if path.is_relative_to(base):
        return path.relative_to(base).as_posix()
    return str(path)
