"""Text files of data sets as lines and captions, whatever characters they hold."""

import re
import unicodedata
from pathlib import Path

from vislang.core.errors import DataError

# str.splitlines would also cut at these, and a cut caption shifts every caption after it by one image.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def read_lines(path: Path, next_step: str) -> list[str]:
    """Read a UTF-8 text file and cut it at newlines only; empty lines at the end are dropped.

    Raises:
        DataError: the file is missing, unreadable or no UTF-8 text; `next_step` says what to do.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; {next_step}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8 text; {next_step}") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def clean_caption(text: str) -> str:
    """Return a caption as one printable line: composed Unicode, control characters and line separators as spaces."""
    return _BREAKS.sub(" ", unicodedata.normalize("NFC", text)).strip()


def first_existing(folder: Path, names: tuple[str, ...], what: str, next_step: str) -> Path:
    """Return the first of `names` that exists in `folder`.

    Raises:
        DataError: none does; the message lists the names.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder, so it has no {what}, expected {' or '.join(names)}; {next_step}")
    raise DataError(f"{folder} has no {what}, expected {' or '.join(names)}; {next_step}")
