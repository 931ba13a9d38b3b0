"""Readers of data sets, one per format on disk. They return records and never touch models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.registry import read, read_fixations

__all__ = ["read", "read_fixations"]


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used: a reader of one format needs none of the others."""
    if name in __all__:
        from datasets import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
