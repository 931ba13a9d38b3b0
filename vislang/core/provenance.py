"""Where a result comes from: the commit, the date and the versions of the libraries."""

import datetime
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vislang.core.version import __version__

_HERE = Path(__file__).resolve().parent
_PACKAGES = ("numpy", "keras", "tensorflow", "h5py", "nltk", "pillow")


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from."""

    commit: str | None  # of the checkout; None outside of git
    dirty: bool | None  # whether tracked files had changes; None outside of git
    date: str  # such as "2026-11-21"
    versions: dict[str, str]  # of this project, Python and the libraries


def provenance(folder: str | Path = _HERE) -> Provenance:
    """Return the provenance of a result; `folder` is any folder of the checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    # Results do not count: the first of a run that writes several would make the others dirty.
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)results")
    dirty = None
    if commit is not None and changes is not None:
        dirty = bool(changes)
    return Provenance(
        commit=commit,
        dirty=dirty,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        versions={"vislang": __version__, "python": platform.python_version(), **_versions()},
    )


def _git(folder: str | Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
