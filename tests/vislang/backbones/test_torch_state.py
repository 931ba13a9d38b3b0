"""Reading PyTorch state dicts: both formats, their strides, and files that want more than tensors."""

import contextlib
import io
import pickle
import resource
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from vislang.backbones.torch_state import LEGACY_MAGIC, LEGACY_PROTOCOL, LONGEST_PICKLE, read_state_dict
from vislang.core.errors import DataError


class Named:
    """Stands for a class of PyTorch in a pickle."""

    def __init__(self, module, name):
        self.module = module
        self.name = name


class Tensor:
    """What `torch.save` writes of a tensor."""

    def __init__(self, key, shape, strides, offset=0, length=None, kind="FloatStorage"):
        self.storage = ("storage", Named("torch", kind), key, "cpu", int(np.prod(shape)) if length is None else length)
        self.shape = shape
        self.strides = strides
        self.offset = offset


class Pickler(pickle._Pickler):
    """Writes classes by the names that PyTorch would write."""

    def persistent_id(self, value):
        if isinstance(value, tuple) and value and isinstance(value[0], str) and value[0] == "storage":
            return (*value, None)
        return None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Named):
            self.write(b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n")
        elif isinstance(value, Tensor):
            self.save(Named("torch._utils", "_rebuild_tensor_v2"))
            self.write(b"(")
            for part in (value.storage, value.offset, value.shape, value.strides, False, OrderedDict()):
                self.save(part)
            self.write(b"tR")
        else:
            super().save(value, save_persistent_id)


def pickled(value):
    out = io.BytesIO()
    Pickler(out, 2).dump(value)
    return out.getvalue()


def legacy(state, storages, magic=LEGACY_MAGIC):
    parts = [pickled(magic), pickled(LEGACY_PROTOCOL), pickled({"little_endian": True}), pickled(state)]
    parts.append(pickled(list(storages)))
    for numbers in storages.values():
        parts.append(np.int64(len(numbers)).tobytes() + numbers.tobytes())
    return b"".join(parts)


def zipped(state, storages):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("net/data.pkl", state if isinstance(state, bytes) else pickled(state))
        for key, numbers in storages.items():
            archive.writestr(f"net/data/{key}", numbers.tobytes())
    return out.getvalue()


FORMATS = {"legacy": legacy, "zip": zipped}


def written(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_come_back_with_their_shapes_types_and_strides(tmp_path, form):
    numbers = np.arange(24, dtype=np.float32)
    state = OrderedDict(
        rows=Tensor("0", (2, 3, 4), (12, 4, 1)),
        permuted=Tensor("0", (4, 2, 1, 3), (1, 12, 7, 4)),
        part=Tensor("0", (2, 2), (2, 1), offset=6, length=24),
        count=Tensor("1", (), (), kind="LongStorage"),
    )
    path = written(tmp_path, FORMATS[form](state, {"0": numbers, "1": np.array([7], np.int64)}))
    arrays = read_state_dict(path)
    assert list(arrays) == ["rows", "permuted", "part", "count"]
    assert np.array_equal(arrays["rows"], numbers.reshape(2, 3, 4))
    assert np.array_equal(arrays["permuted"], numbers.reshape(2, 3, 1, 4).transpose(3, 0, 2, 1))
    assert np.array_equal(arrays["part"], [[6, 7], [8, 9]])
    assert arrays["count"] == 7
    assert arrays["count"].dtype == np.int64


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("0", (2, 3), (3, 1), length=5), "6 numbers at 0 of a storage of 5"),
        (Tensor("0", (2, 3), (3, 1), offset=-1, length=6), "numbers at -1"),
        (Tensor("0", (2, 3), (0, 0), length=6), "expected dense ones"),
        (Tensor("0", (2**40, 2), (2, 1), length=6), "a storage of 6"),
        (Tensor("0", (-2, 3), (3, 1), length=6), "shape"),
        (Tensor("0", (2, 3), (3,), length=6), "net.pth"),
        (Tensor("0", (2, 3), (3, 1), length=2**50), "expected"),
        (Tensor("missing", (2, 3), (3, 1)), "net.pth"),
        (3, "is a int, expected a tensor"),
        ([], "is a list, expected a tensor"),
    ],
)
def test_tensors_that_do_not_fit_their_storage_are_refused(tmp_path, form, tensor, message):
    path = written(tmp_path, FORMATS[form]({"weight": tensor}, {"0": np.zeros(6, np.float32)}))
    with pytest.raises(DataError, match=message) as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("torch.storage", "_load_from_bytes")],
)
@pytest.mark.parametrize("form", FORMATS)
def test_files_that_name_anything_else_are_refused(tmp_path, form, module, name):
    path = written(tmp_path, FORMATS[form]({"weight": Named(module, name)}, {}))
    with pytest.raises(DataError, match=f"names {module}.{name}, which is no plain data"):
        read_state_dict(path)


def test_a_call_is_refused_before_it_is_made(tmp_path):
    target = tmp_path / "made"
    attack = f"cos\nsystem\n(S'touch {target}'\ntR.".encode()
    with pytest.raises(DataError, match=r"names os\.system"):
        read_state_dict(written(tmp_path, zipped(attack, {})))
    assert not target.exists()


MEMO_BOMB = b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b"."
LONG_STRING = b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"x."
BYTE_ARRAY = b"\x80\x05\x96" + (2**33).to_bytes(8, "little") + b"x."
LONG_INTEGER = b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b"1."


@pytest.mark.parametrize(
    "bomb", [MEMO_BOMB, LONG_STRING, BYTE_ARRAY, LONG_INTEGER, b"\x80\x02" + b"]" * 200_000 + b"."]
)
@pytest.mark.parametrize("form", ["bare", "zip"])
def test_small_files_cannot_ask_for_much_memory(tmp_path, form, bomb):
    path = written(tmp_path, bomb if form == "bare" else zipped(bomb, {}))
    code = (
        "import sys, resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from vislang.backbones.torch_state import read_state_dict\n"
        "from vislang.core.errors import DataError\n"
        "try: read_state_dict(sys.argv[1])\n"
        "except DataError as error: print(len(str(error).splitlines()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr[-500:]


def test_a_compressed_archive_is_measured_before_it_is_read(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(LONGEST_PICKLE + 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="too large"):
        read_state_dict(written(tmp_path, out.getvalue()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000


@pytest.mark.parametrize("form", FORMATS)
def test_every_truncation_and_many_changes_are_read_or_refused_in_one_line(tmp_path, form):
    numbers = np.arange(6, dtype=np.float32)
    whole = FORMATS[form](OrderedDict(weight=Tensor("0", (2, 3), (3, 1))), {"0": numbers})
    for length in range(0, len(whole), 7):
        with pytest.raises(DataError, match=r"net\.pth: not a PyTorch state dict"):
            read_state_dict(written(tmp_path, whole[:length]))
    random = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        with contextlib.suppress(DataError):
            arrays = read_state_dict(written(tmp_path, bytes(changed)))
            assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(DataError, match="not those of torch.save"):
        read_state_dict(written(tmp_path, legacy({}, {}, magic=1)))
    with pytest.raises(DataError, match="expected named tensors"):
        read_state_dict(written(tmp_path, legacy({}, {})))
