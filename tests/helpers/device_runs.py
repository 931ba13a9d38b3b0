"""Run a training command on one device and on two, in one process: python device_runs.py MODULE OUT WORDS...

The environment chooses JAX and gives it two devices. OUT/1 and OUT/2 are the checkpoints.
"""

import importlib
import sys


def main() -> int:
    """Run both; return the exit code of the first that fails."""
    module, out, *words = sys.argv[1:]
    for devices in ("1", "2"):
        code = importlib.import_module(module).main([*words, "--devices", devices, "--out", f"{out}/{devices}"])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
