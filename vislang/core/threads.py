"""How many threads a process uses: one for each core, or its share where several processes work side by side."""

import os

_SHARE = "VISLANG_THREADS"
_LIBRARIES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_count() -> int:
    """Return the number of threads that decode images, by VISLANG_THREADS or the cores of the machine."""
    given = os.environ.get(_SHARE, "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return os.cpu_count() or 1


def share_of_threads(processes: int) -> dict[str, str]:
    """Return the environment of one of several processes that share the machine's cores; what a user set stays."""
    share = str(max(1, thread_count() // processes))
    return {_SHARE: share, **{name: share for name in _LIBRARIES if name not in os.environ}}
