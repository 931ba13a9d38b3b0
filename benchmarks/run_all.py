"""Run every benchmark one after the other and keep what each printed in results/benchmarks.json.

Run on a machine that does nothing else; the scripts take some five minutes on two cores.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

from vislang.core.files import write_json

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "benchmarks.json")
    args = parser.parse_args()
    printed: dict[str, list[str]] = {}
    failed = 0
    for script in sorted(HERE.glob("*.py")):
        if script.name in (Path(__file__).name, "timing.py"):
            continue
        print(f"== {script.name}", flush=True)
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="", flush=True)
        failed += done.returncode != 0
        printed[f"benchmarks/{script.name}"] = done.stdout.splitlines()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(args.out, {"command": "make bench", "date": today, "machine": machine, "printed": printed})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
