"""Features of 40 tar files of JPEGs with damaged files: one process, two, and Apache Beam.

Run: python benchmarks/shards.py [--images 64] [--backbone efficientnet_lite0] [--beam-python ENV/bin/python]
Aim: `--jobs 2` takes at most 1/1.4 of the time of one process on two idle cores; only an idle machine can show it.
Every engine runs the command in a process of its own, --rounds times in turns; the shortest time counts, as a whole
and without its start, which is the time of one shard with one image. The seconds of processors depend less on other
work on the machine. Rows must be equal in all of them; files are, too, where the engines have the same versions of the
libraries that a key names.
The last line is the ratio of one process to two.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vislang.features.cache.reader import open_cache

ROOT = Path(__file__).resolve().parent.parent
BEAM = ["--apache-beam", "--runner", "DirectRunner"]
TWO = {"VISLANG_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@dataclass(frozen=True)
class Engine:
    """Options of the command, and what is set in its environment."""

    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


ENGINES = {
    "one process": Engine(),
    "--jobs 2": Engine(("--jobs", "2")),
    "--jobs 2, TF on 2": Engine(("--jobs", "2"), {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2"}),
    "--jobs 2, decode 2": Engine(("--jobs", "2"), {**TWO, "VISLANG_THREADS": "4"}),
    "Beam": Engine((*BEAM, "--direct_running_mode", "in_memory")),
    "Beam, 2 processes": Engine((*BEAM, "--direct_running_mode", "multi_processing", "--direct_num_workers", "2"), TWO),
}


def main() -> None:
    args = parse()
    engines = {name: ENGINES[name] for name in args.only if args.beam_python or "Beam" not in name}
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        folder = Path(place)
        draw_shards(folder / "tars", args.shards, args.images, tuple(args.size))
        draw_shards(folder / "start", 1, 1, (64, 64))
        print(f"{args.shards} tar files of {args.images} JPEGs of {args.size[0]}x{args.size[1]}; {args.backbone}")
        print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        starts: dict[str, Times] = {}
        wholes: dict[str, Times] = {}
        for number in range(args.rounds):
            for name, engine in engines.items():
                python = args.beam_python if "Beam" in name else sys.executable
                took = run(python, folder / "start", folder / f"start-{name}-{number}", args.backbone, engine)
                starts[name] = min(took, starts.get(name, took))
                took = run(python, folder / "tars", folder / f"{name}-{number}", args.backbone, engine)
                wholes[name] = min(took, wholes.get(name, took))
                print(f"  round {number + 1}, {name}: {took.wall:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
        count = args.shards * args.images
        one = wholes["one process"]
        print("engine             | seconds: all, start, processors | images/s | to one process: all, no start | equal")
        for name in engines:
            whole, start = wholes[name], starts[name]
            without = (one.wall - starts["one process"].wall) / max(whole.wall - start.wall, 1e-9)
            print(
                f"{name:18} | {whole.wall:9.1f} {start.wall:9.1f} {whole.processors:10.1f} |"
                f" {count / whole.wall:8.1f} | {one.wall / whole.wall:14.2f} {without:14.2f} |"
                f" {equality(folder / 'one process-0', folder / f'{name}-0')}"
            )
        two = wholes.get("--jobs 2", one)
        print(f"one process to two: {one.wall / two.wall:.2f} (aim: at least 1.4 on two idle cores)")


@dataclass(frozen=True, order=True)
class Times:
    """Seconds of a command: on the clock, and of all processors."""

    wall: float
    processors: float


def run(python: str, tars: Path, shards: Path, backbone: str, engine: Engine) -> Times:
    """Return the seconds of the command and of the processes that it starts."""
    command = [python, "-m", "vislang.features.extract", "--images", str(tars), "--shards", str(shards), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **engine.environment}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--backbone", backbone, *engine.options], env=environment, capture_output=True, text=True
    )
    took = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode in (0, 3), done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["images"] > 0
    return Times(took, used)


def equality(first: Path, second: Path) -> str:
    """Return what of two folders of shards is equal."""
    files = sorted(path.name for path in first.iterdir())
    if files == sorted(path.name for path in second.iterdir()):
        differing = [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()]
        if not differing:
            return "files"
    one, other = open_cache(first), open_cache(second)
    assert one.ids == other.ids
    assert one.layers() == other.layers()
    for key in one.layers():
        assert one.mapped(key).tobytes() == other.mapped(key).tobytes(), f"{key.layer} differs"
    return "ids, keys and rows"


def draw_shards(folder: Path, shards: int, images: int, size: tuple[int, int]) -> None:
    """Write tar files of JPEGs as large as photographs; in every fourth an image is cut, and one tar file is."""
    folder.mkdir()
    random = np.random.default_rng(0)
    photos = [photo(random, size) for _ in range(32)]
    for number in range(shards):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for index in range(images):
                content = photos[int(random.integers(len(photos)))]
                if number % 4 == 1 and index == 3:
                    content = content[: len(content) // 3]
                info = tarfile.TarInfo(f"{number:05d}{index:04d}.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    if shards > 8:
        cut = folder / "00007.tar"
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])


def photo(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    """Return a JPEG with gradients, shapes and grain."""
    light = Image.fromarray(random.integers(0, 255, (9, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(light)
    for _ in range(20):
        left, top, radius = (int(each) for each in random.integers(5, 200, 3))
        draw.ellipse([left, top, left + radius, top + radius], fill=tuple(map(int, random.integers(0, 255, 3))))
    grain = random.normal(0, 8, (size[1], size[0], 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(light) + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--images", type=int, default=64, help="in a shard")
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], metavar=("W", "H"))
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=list(ENGINES), choices=ENGINES, help="'one process' among them")
    parser.add_argument("--beam-python", metavar="FILE", help="Python of an environment with the extra beam")
    parser.add_argument("--place", type=Path, help="folder of everything (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
