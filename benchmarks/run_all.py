"""Run every benchmark one after the other and store what each prints in results/benchmarks.json.

Run it on an idle machine; the scripts take some five minutes on two cores.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from eval.results.experiments import BenchmarkResult
from eval.results.result import write_result

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "results", help="folder of results")
    args = parser.parse_args()
    printed: dict[str, list[str]] = {}
    failed = 0
    for script in sorted(HERE.glob("*.py")):
        # The last two need trained models, or photographs and ONNX Runtime.
        if script.name in (Path(__file__).name, "timing.py", "scene_masks.py", "onnx.py"):
            continue
        print(f"== {script.name}", flush=True)
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="", flush=True)
        failed += done.returncode != 0
        printed[f"benchmarks/{script.name}"] = done.stdout.splitlines()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    write_result(args.out, BenchmarkResult(machine=machine, printed=printed))
    if failed:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
