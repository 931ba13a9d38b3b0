"""What every system is built on: images, text, backbones, features, training, drawing."""

from typing import TYPE_CHECKING, Any

from vislang.core.quiet_backend import hide_notes
from vislang.core.version import __version__

if TYPE_CHECKING:
    from vislang.features.extraction import ExtractedFeatures, extract_features
    from vislang.features.reading_options import ReadingOptions

hide_notes()  # so that they do not bury what a command prints

__all__ = ["ExtractedFeatures", "ReadingOptions", "__version__", "extract_features"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: every module of the package imports this one first."""
    if name in __all__:
        from vislang.features import extraction

        return getattr(extraction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
