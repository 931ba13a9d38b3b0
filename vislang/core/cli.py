"""Options and exit codes of every command: 0 done, 1 an internal error, 2 a mistake of the user, 3 inputs skipped."""

import argparse
import contextlib
import difflib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from vislang.core.errors import ToolkitError
from vislang.core.quiet_backend import is_failed_import, speed_up_import, unusable_keras

DONE = 0
USER_ERROR = 2
SKIPPED_SOME = 3
DEFAULT_BACKBONE = "efficientnet_lite0"  # its weights are installed with the toolkit

_INSTALLED = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("datasets", "vse", "captioner", "saliency", "naturalness", "preimage", "eval", "app")
Options = argparse._ActionsContainer  # a parser or a group of options
_OUT_OF_MEMORY = "out of memory; give smaller or fewer images at once, a smaller --batch-size, or close other programs"
_program: ContextVar[str | None] = ContextVar("program", default=None)


def run_command(body: Callable[[], int]) -> int:
    """Run a command's body, which returns an exit code; print errors as one line on stderr."""
    speed_up_import()
    prepare_streams()
    try:
        code = body()
        sys.stdout.flush()
        return code
    except ToolkitError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        _discard_output()
        return DONE
    except OSError as error:
        return _failed(_system_message(error))
    except MemoryError:
        return _failed(_OUT_OF_MEMORY)
    except Exception as error:
        message = _cause(error)
        if not message:
            raise
        return _failed(message)


def _cause(error: Exception) -> str:
    """Return the message about a fault of the user's environment; "" for a fault of ours."""
    if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
        return _OUT_OF_MEMORY
    if is_failed_import(error):
        return unusable_keras(error)
    if isinstance(error, ImportError | AttributeError):
        return _foreign_package(error)
    return ""


def _failed(message: str) -> int:
    print(f"error: {printable(message)}", file=sys.stderr)
    return USER_ERROR


def _system_message(error: OSError) -> str:
    """Return what the system refused to do; without a file it is most often the output, which cannot be tried again."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}; check that it exists, may be used, and that the disk has space"
    _discard_output()
    return f"cannot read the input or write the output ({reason}); check the disk or the pipe"


def _discard_output() -> None:
    """Send what is still to be printed nowhere, since Python tries it again at its end."""
    with contextlib.suppress(OSError):  # a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_streams() -> None:
    """Make it safe to print: streams that the caller closed lead nowhere, and letters that they lack are escaped."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:  # else files that are opened later would take its number, and what is printed
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _foreign_package(error: ImportError | AttributeError) -> str:
    """Return the message about a user's package that has the name of one of ours, such as datasets; "" if none has."""
    name = error.name if isinstance(error, ImportError) else getattr(error.obj, "__name__", "")
    name = str(name).partition(".")[0]
    module = sys.modules.get(name)
    if name not in _PACKAGES or module is None:
        return ""
    found = Path(module.__file__ or next(iter(module.__path__)))
    own = _INSTALLED / name / "__init__.py"
    if found == own:
        return ""
    return (
        f"package {name} got {found}, expected {own}: a file or package of yours has the same name; run the command in"
        f" another folder, or rename {found}"
    )


def progress_is_shown() -> bool:
    """Return whether progress bars are drawn: only when stderr is a terminal."""
    return sys.stderr.isatty()


def shown_name(name: str) -> str:
    """Return a file name as text that can be stored in JSON and pages, whatever bytes it is made of."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def printable(text: str) -> str:
    """Return a file name, or text with one, safe to print: line breaks and control characters are escaped.

    A terminal would obey those in the name of a file from elsewhere.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in shown_name(text))


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line on stderr, with the nearest option for one that is unknown."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the command, also where its help cannot be printed."""
        try:
            sys.stdout.flush()
        except OSError as error:
            status, message = USER_ERROR, f"error: {_system_message(error)}\n"
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(USER_ERROR, f"error: {printable(message)}; see {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the command line, by default that of the process."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            parser: argparse.ArgumentParser = self
            for action in self._actions:
                if isinstance(action, argparse._SubParsersAction):
                    parser = action.choices[getattr(parsed, action.dest)]
            known = [option for action in parser._actions for option in action.option_strings]
            near = difflib.get_close_matches(rest[0].partition("=")[0], known, n=1)
            hint = ""
            if near:
                hint = f" (did you mean {near[0]}?)"
            parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return parsed


def command_parser(module: str, description: str | None) -> CommandParser:
    """Return the parser of a command; `add_images`, `add_model` and so on add the options that many commands have.

    Args:
        module: what `python -m` runs, such as "captioner.generate".
        description: the start of `--help`, usually the module's docstring, without its "Command: "; its line breaks are
            kept, and `python -m MODULE` becomes the name under which the command was called.
    """
    prepare_streams()
    called = f"python -m {module}"
    prog = _program.get() or called
    if description is not None:
        description = description.removeprefix("Command: ").replace(called, prog)
        description = description[:1].upper() + description[1:]
    return CommandParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


@contextlib.contextmanager
def program_name(name: str) -> Iterator[None]:
    """Name the program in the usage line of commands that are run meanwhile, such as "vislang caption"."""
    token = _program.set(name)
    try:
        yield
    finally:
        _program.reset(token)


def add_images(parser: Options, help: str = "image files, folders or patterns") -> None:  # noqa: A002
    """Add `--images`, also accepted as `--image` and without a name: `args.images`, a list of str, empty by default.

    `vislang.images.sources.find_images` lists the files.
    """
    parser.add_argument("images", nargs="*", action="extend", metavar="IMAGE", help=help)
    parser.add_argument(
        "--images", "--image", dest="images", nargs="+", action="extend", metavar="IMAGE", help="the same, by name"
    )


def add_model(parser: Options, kind: str) -> None:
    """Add `--model`, a checkpoint folder or the name of a bundled model: `args.model`, a Path or None."""
    note = f"checkpoint folder of a trained {kind} (default: the bundled one)"
    parser.add_argument("--model", type=Path, metavar="NAME|DIR", help=note)


def add_models(parser: Options, help: str) -> None:  # noqa: A002
    """Add `--model` for commands that take several: `args.models`, a list of Path, empty by default.

    Both `--model A B` and `--model A --model B` work.
    """
    parser.add_argument(
        "--model", dest="models", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help=help
    )  # fmt: skip


def add_weights(parser: Options) -> None:
    """Add `--weights`, the file with the backbone's weights: `args.weights`, a str or None."""
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="weights of the backbone (default: VISLANG_WEIGHTS, then a"
        " download); of a model on a SavedModel or hub:HANDLE, its name again, which permits to run it",
    )


def add_preprocessing(parser: Options) -> None:
    """Add `--preprocessing`, that of the backbone's input: `args.preprocessing`, a str or None."""
    parser.add_argument(
        "--preprocessing", metavar="NAME", help="other than the backbone's own: its name, or a size such as 320"
    )


def add_batch_size(parser: Options, default: int = 8) -> None:
    """Add `--batch-size`: `args.batch_size`, an int."""
    parser.add_argument(
        "--batch-size", type=int, default=default, metavar="N", help="images in one forward pass (default: %(default)s)"
    )


def add_strict(parser: Options) -> None:
    """Add `--strict`: `args.strict`, whether the first unreadable image ends the run with an error."""
    parser.add_argument("--strict", action="store_true", help="stop at the first unreadable image")


def add_json(parser: Options) -> None:
    """Add `--json`: `args.json`, whether one JSON document is printed instead of text."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def print_written(path: Path) -> None:
    """Print on stderr that a file was written."""
    print(f"wrote {printable(str(path))}", file=sys.stderr)


def print_skipped(reason: str) -> None:
    """Print on stderr, in one line, why an input was skipped."""
    print(f"skipped {printable(' '.join(reason.split()))}", file=sys.stderr)


def print_some_skipped(reasons: Sequence[str]) -> None:
    """Print why the first ten inputs were skipped, as `print_skipped` does, and how many more there are."""
    for reason in reasons[:10]:
        print_skipped(reason)
    if len(reasons) > 10:
        print_skipped(f"{len(reasons) - 10} more; --json lists all")


def skipped_rows(skipped: Iterable[Any]) -> list[dict[str, str]]:
    """Return the entries of JSON documents for `vislang.images.sources.Skipped`."""
    return [{"image": shown_name(one.source), "reason": shown_name(one.reason)} for one in skipped]


def json_line(document: Any) -> str:
    """Return a JSON document as one line that is safe to print: the characters that `printable` escapes are escaped."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if encoding.lower() not in ("utf-8", "utf8"):
        return json.dumps(document, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def print_json(document: Any) -> None:
    """Print a JSON document on one line."""
    print(json_line(document))
