"""TensorFlow imported without its notes on stderr: on CPU features, missing GPUs and the state of its logging.

Some are written by C++ while TensorFlow is imported and bypass every log level, so the file descriptor itself is
redirected meanwhile. A user who sets TF_CPP_MIN_LOG_LEVEL sees them. Commands import it faster, too.
"""

import contextlib
import gc
import importlib.machinery
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from vislang.core.errors import ConfigError, brief

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_QUIET = "3"  # fatal errors alone
_BACKEND = ("tensorflow", "keras")


class _QuietFinder:
    """Find Keras and TensorFlow as Python does, with stderr hidden while they are executed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return None for any other module, which the finders after this one look for."""
        if name not in _BACKEND:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_quietly(module: ModuleType) -> None:
            with _stderr_hidden(), _uncollected(), _without_matplotlib():
                execute(module)

        spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


def hide_notes() -> None:
    """Hide the notes of an import of Keras or TensorFlow from now on."""
    if os.environ.setdefault(_LEVEL, _QUIET) == _QUIET:
        sys.meta_path.insert(0, _QuietFinder())


def speed_up_import() -> None:
    """Make a later import of Keras a second faster, for a command.

    Keras is imported without matplotlib, which only keras.visualization needs, and garbage is never looked for among
    the 300,000 objects of the backend.
    """
    global _sped_up
    _sped_up = True


def import_backend_quietly() -> None:
    """Import Keras and let its backend look for devices, which it also notes on stderr.

    Raises:
        ConfigError: as `require_usual_keras`, or a backend that cannot be imported.
    """
    global _started_in
    try:
        import keras
    except Exception as error:  # of damaged settings Keras raises what Python does
        raise ConfigError(unusable_keras(error)) from error
    require_usual_keras()
    with _stderr_hidden():
        keras.ops.zeros(1)
    _started_in = _started_in or os.getpid()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it also warns of functions compiled one after another
    logging.getLogger("absl").setLevel(logging.ERROR)


def is_failed_import(error: Exception) -> bool:
    """Return whether an error was raised while Keras was imported."""
    if "keras" in sys.modules:
        return False
    names = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.partition(".")[0] == "keras" for name in names)


def unusable_keras(error: Exception) -> str:
    """Return the message about a Keras that cannot be imported, most often for the backend that the user chose."""
    name = os.environ.get("KERAS_BACKEND")
    where = f"the backend {name} (KERAS_BACKEND)" if name else "the settings in keras.json"
    return f"Keras cannot be imported with {where}: {brief(error)}; correct them, or install what is missing"


def require_usual_keras() -> None:
    """Refuse settings of Keras under which networks would compute other numbers or none, and a forked process.

    Where Keras was not imported, as with exported networks alone, there is nothing to refuse.

    Raises:
        ConfigError: names the setting, and the call that restores it.
    """
    if "keras" not in sys.modules:
        return
    import keras

    usual = (
        ("floatx", keras.config.floatx(), "float32", "keras.config.set_floatx"),
        ("dtype policy", keras.config.dtype_policy().name, "float32", "keras.config.set_dtype_policy"),
        ("image data format", keras.config.image_data_format(), "channels_last", "keras.config.set_image_data_format"),
    )
    for name, found, expected, setter in usual:
        if found != expected:
            raise ConfigError(
                f"Keras' {name} is {found}, expected {expected}; call {setter}({expected!r}), or correct keras.json"
            )
    if _started_in not in (0, os.getpid()):
        raise ConfigError(
            "this process was forked from one that used Keras, whose threads it lacks, so that it would hang; start"
            " processes with multiprocessing.get_context('spawn')"
        )


_hidden = False
_sped_up = False
_started_in = 0  # the process in which the backend was started


@contextlib.contextmanager
def _stderr_hidden() -> Iterator[None]:
    """Redirect file descriptor 2 to nowhere; the outermost of several at a time restores it."""
    global _hidden
    if _hidden or os.environ.get(_LEVEL) != _QUIET or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    shown = os.dup(2)
    _hidden = True
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        _hidden = False


@contextlib.contextmanager
def _without_matplotlib() -> Iterator[None]:
    """In a command, make an import of matplotlib fail meanwhile, unless it was imported before."""
    if not _sped_up or "matplotlib" in sys.modules:
        yield
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["matplotlib"]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Put off garbage collection; in a command, exclude from it all objects that exist afterwards."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    if _sped_up:
        gc.freeze()
