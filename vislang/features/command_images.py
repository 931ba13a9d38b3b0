"""The images of a command: listed, used one by one, and reported where they cannot be used."""

import argparse
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from vislang.core.cli import DONE, SKIPPED_SOME, print_skipped
from vislang.core.errors import DataError
from vislang.images.decode import SUFFIXES
from vislang.images.sources import Skipped, find_images

Found = TypeVar("Found")


class CommandImages:
    """The images that a command line names with `add_images` and `add_strict`.

    Args:
        args: the command line.
        suffixes: of the files that a folder or a pattern stands for.

    Attributes:
        paths: the image files.
        skipped: what could not be used so far; each was reported on stderr.

    Raises:
        DataError: as `find_images`.
    """

    def __init__(self, args: argparse.Namespace, suffixes: Collection[str] = SUFFIXES):
        self.strict = args.strict
        self.skipped: list[Skipped] = []
        self.paths, missing = find_images(args.images, strict=args.strict, suffixes=suffixes)
        self.skip(missing)

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Report images that cannot be used."""
        for one in skipped:
            self.skipped.append(one)
            print_skipped(one.reason)

    def each(self, use: Callable[[Path], Found]) -> Iterator[tuple[Path, Found]]:
        """Yield each image file with what `use` returns for it; skip those for which it raises a DataError.

        Raises:
            DataError: no image could be used; or the first that could not, with `--strict`.
        """
        num_used = 0
        for path in self.paths:
            try:
                found = use(path)
            except (DataError, MemoryError) as error:
                if self.strict:
                    raise
                reason = str(error) or f"{path}: does not fit into the memory that is left"
                self.skip([Skipped(str(path), reason)])
                continue
            num_used += 1
            yield path, found
        if not num_used:
            raise DataError(f"none of {len(self.paths)} images could be used; the first: {self.skipped[0].reason}")

    @property
    def exit_code(self) -> int:
        """That of the command, when it has done its work."""
        if self.skipped:
            return SKIPPED_SOME
        return DONE
