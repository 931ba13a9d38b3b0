"""ONNX Runtime against TensorFlow on photographs: the same words and ranks, the largest difference of scores, speed.

Run: python benchmarks/onnx.py --photos FOLDER [--count 500] [--starts 3]
Every bundled model answers for each photograph, run by both in turns in one process, 20 photographs at a time; the
seconds are those after a first batch. Starts are whole commands, from the shell to the caption of a photograph.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # from its own folder this file would be the package `onnx`

import numpy as np  # noqa: E402

from vislang.core.onnx_graphs import RUNTIME  # noqa: E402

RUNTIMES = {"auto": "ONNX Runtime", "keras": "TensorFlow"}
SENTENCES = ["two dogs play in the snow", "a man rides a bike", "a red car on a street", "a plate of food", "children"]
TURN = 20


@dataclass
class Answers:
    """What a model says of photographs.

    Attributes:
        same: of each, what must be equal.
        scores: all that may differ by rounding.
        ranked: float [N, Q], scores of each photograph by which the photographs are ranked, once for each of Q.
        seconds: that it took.
    """

    same: list[Any] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ranked: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, more: "Answers") -> None:
        """Add the answers about more photographs."""
        self.same += more.same
        self.scores += more.scores
        self.ranked += more.ranked
        self.seconds += more.seconds


def main() -> None:
    args = parse()
    photographs = sorted(args.photos.rglob("*.jpg"))[: args.count]
    # Before models are loaded: the peak memory of a process counts that of the one which started it.
    starts = {runtime: start(runtime, photographs[0], args.starts) for runtime in RUNTIMES}
    print(f"{len(photographs)} photographs, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'model':18}{'equal':>16}{'difference':>12}{'ONNX ms':>10}{'TensorFlow ms':>15}")
    for name, answer in MODELS.items():
        report(name, *in_turns(answer, photographs), len(photographs))
    for runtime, (seconds, megabytes) in starts.items():
        print(f"first caption, {RUNTIMES[runtime]}: {seconds:.2f} s, {megabytes:.0f} MB")
    print(f"ratio: {starts['keras'][0] / starts['auto'][0]:.1f} times sooner")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with JPEG files")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--starts", type=int, default=3, help="starts of a command; the fastest counts")
    return parser.parse_args()


def captions(name: str) -> Callable[[list[Path]], Answers]:
    """Return the function that captions photographs by a bundled model."""

    def answer(paths: list[Path]) -> Answers:
        import captioner

        found = Answers()
        for one in captioner.caption_images(loaded(captioner.load_model, name), paths).captions:
            found.same.append(one[0].text)
            found.scores += [one[0].log_prob, one[0].cosine, *one[0].probabilities]
        return found

    return answer


def embeddings(paths: list[Path]) -> Answers:
    """Embed photographs and sentences; the photographs are ranked for each sentence."""
    import vse

    model = loaded(vse.load_model, "ranker")
    scores = np.asarray(vse.encode_images(model, paths)) @ vse.encode_sentences(model, SENTENCES).T
    return Answers(scores=scores.ravel().tolist(), ranked=scores.tolist())


def described_regions(paths: list[Path]) -> Answers:
    """Describe regions."""
    import captioner

    model = loaded(captioner.load_model, "region-captioner")
    found = Answers()
    for path in paths:
        regions = captioner.describe_regions(model, path)
        found.same.append([(one.text, one.box) for one in regions])
        found.scores += [one.score for one in regions]
    return found


def grounded_phrases(paths: list[Path]) -> Answers:
    """Ground a sentence by the aligner and the ranker's maps."""
    import captioner
    import vse

    model = loaded(captioner.load_aligner, "aligner")
    ranker = loaded(vse.load_model, "ranker")
    found = Answers()
    for path in paths:
        phrases = captioner.ground_phrases(model, path, "a man and two dogs on the grass", ranker=ranker)
        found.same.append([(one.text, one.box) for one in phrases])
        found.scores += [one.score for one in phrases]
    return found


def unnaturalness(paths: list[Path]) -> Answers:
    """Rate photographs, by which they are ranked, and map both kinds of unnaturalness."""
    import naturalness

    model = loaded(naturalness.load_model, "naturalness")
    found = Answers()
    for path in paths:
        found.ranked.append([naturalness.naturalness_score(model, path)])
        found.scores += found.ranked[-1]
        for kind in ("fixation", "anomaly"):
            found.scores += naturalness.unnaturalness_map(model, path, kind=kind)[::16, ::16].ravel().tolist()
    return found


MODELS: dict[str, Callable[[list[Path]], Answers]] = {
    "captioner": captions("captioner"),
    "explainer": captions("explainer"),
    "ranker": embeddings,
    "region-captioner": described_regions,
    "aligner": grounded_phrases,
    "naturalness": unnaturalness,
}
_MODELS: dict[tuple[str, str], Any] = {}


def loaded(load: Callable[[str], Any], name: str) -> Any:
    """Return a bundled model for the runtime in use, loaded once."""
    key = (os.environ[RUNTIME], name)
    if key not in _MODELS:
        _MODELS[key] = load(name)
    return _MODELS[key]


def in_turns(answer: Callable[[list[Path]], Answers], paths: list[Path]) -> tuple[Answers, Answers]:
    """Ask a model by both runtimes in turns, so that other work on the machine slows both; compiling is not timed."""
    found = {runtime: Answers() for runtime in RUNTIMES}
    for first in (None, *range(0, len(paths), TURN)):
        for runtime in RUNTIMES:
            os.environ[RUNTIME] = runtime
            some = paths[first or 0 : (first or 0) + TURN]
            started = time.perf_counter()
            answers = answer(some)
            answers.seconds = time.perf_counter() - started
            if first is not None:
                found[runtime].add(answers)
    return found["auto"], found["keras"]


def report(name: str, onnx: Answers, keras: Answers, count: int) -> None:
    """Print a line of the table."""
    for answers in (onnx, keras):
        if answers.ranked:
            answers.same = np.argsort(-np.array(answers.ranked), axis=0, kind="stable").T.tolist()
    equal = sum(one == other for one, other in zip(onnx.same, keras.same, strict=True))
    difference = float("nan")
    if len(onnx.scores) == len(keras.scores):
        difference = float(np.abs(np.subtract(onnx.scores, keras.scores)).max())
    milliseconds = [f"{1000 * one.seconds / count:.1f}" for one in (onnx, keras)]
    print(
        f"{name:18}{f'{equal} of {len(onnx.same)}':>16}{difference:12.1e}{milliseconds[0]:>10}{milliseconds[1]:>15}",
        flush=True,
    )


def start(runtime: str, path: Path, rounds: int) -> tuple[float, float]:
    """Return the seconds of the fastest of several starts to the first caption, and the peak memory in MB."""
    seconds = []
    memory = 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "captioner.generate", "--image", str(path)],
            cwd=sys.path[0], env={**os.environ, RUNTIME: runtime}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - begun)
        if status:
            raise SystemExit(f"captioner.generate ended with status {status}")
        memory = max(memory, usage.ru_maxrss / 1024)
    return min(seconds), memory


if __name__ == "__main__":
    main()
