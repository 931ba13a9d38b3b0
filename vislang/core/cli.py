"""How every command ends: 0 done, 1 our fault, 2 the user's to mend, 3 done but some inputs were skipped."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from vislang.core.errors import ToolkitError

DONE, SKIPPED_SOME = 0, 3


def run_command(body: Callable[[], int]) -> int:
    """Run a command's body and turn its errors into one line on stderr and an exit code.

    Args:
        body: does the work and returns an exit code.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes bury our one line
    try:
        return body()
    except ToolkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def import_backend_quietly() -> None:
    """Import Keras and let its backend look for devices, without the notes that TensorFlow writes while it starts.

    They come from C++ and bypass every log level, and would bury the one line that a command has to say.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import keras

        keras.ops.zeros(1)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it also warns of functions compiled one after another
    finally:
        os.dup2(shown, 2)
        os.close(shown)


def progress_is_shown() -> bool:
    """Say whether progress bars should be drawn: only when a person looks at stderr."""
    return sys.stderr.isatty()


def shown_name(name: str) -> str:
    """Give a file's name as text that can be printed and stored, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "replace")


def training_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Describe the command line that every training over cached features has.

    Args:
        module: the command, such as "vse.train".
        description: what `--help` says first.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--dataset", default="flickr8k", help="name of the reader (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--cache", required=True, type=Path, help="feature cache made by vislang.features.extract")
    parser.add_argument("--backbone", default="mobilenet_v2", help="whose features (default: %(default)s)")
    parser.add_argument("--config", default="best", help="preset (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one setting")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, type=Path, help="checkpoint folder")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write TensorBoard logs")
    parser.add_argument("--json", action="store_true", help="print the last history row as JSON")
    return parser
