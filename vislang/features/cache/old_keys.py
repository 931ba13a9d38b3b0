"""Program: print the keys in a feature cache on standard input that stores them as texts of variable length.

The HDF5 library may never return from reading such a text in a damaged file: the reader runs this file with a limit.
It imports nothing of ours.
"""

import json
import sys

import h5py


def print_keys() -> None:
    """Print {"group/layer": text of its key} as JSON."""
    keys = {}
    with open(0, "rb", buffering=0, closefd=False) as stream, h5py.File(stream, "r") as file:
        for group in file.values():
            if isinstance(group, h5py.Group):
                keys.update({rows.name.lstrip("/"): rows.attrs["key"] for rows in group.values()})
    json.dump(keys, sys.stdout)


if __name__ == "__main__":
    print_keys()
