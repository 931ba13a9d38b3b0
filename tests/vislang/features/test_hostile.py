"""Feature caches made to harm, or damaged: refused with one line before any large allocation."""

import h5py
import numpy as np
import pytest

from vislang.core.errors import DataError
from vislang.features.cache.reader import FeatureKey, import_rows, open_cache

KEY = FeatureKey("mobilenet_v2", "pooled", "squash-224-tf/v1", "ab" * 32)


@pytest.fixture
def path(tmp_path):
    import_rows(tmp_path / "c.h5", ["a", "b", "c"], np.ones((3, 4)), KEY)
    return tmp_path / "c.h5"


def refused(path, message):
    with pytest.raises(DataError, match=message) as raised:
        open_cache(path).read("mobilenet_v2", "evil")
    assert "\n" not in str(raised.value)


def add(path, make):
    with h5py.File(path, "a") as file:
        make(file)


@pytest.mark.parametrize("where", ["/", "/mobilenet_v2"])
def test_links_are_refused(path, where):
    add(path, lambda file: file[where].__setitem__("evil", h5py.ExternalLink("/etc/passwd", "/x")))
    refused(path, "evil is a link elsewhere; a cache must hold its features itself")
    add(path, lambda file: file[where].__delitem__("evil"))
    add(path, lambda file: file[where].__setitem__("evil", h5py.SoftLink("/ids")))
    refused(path, "evil is a link elsewhere")


def test_linked_ids_are_refused(path):
    add(
        path,
        lambda file: (file.move("ids", "mobilenet_v2/x"), file.__setitem__("ids", h5py.SoftLink("/mobilenet_v2/x"))),
    )
    refused(path, "has no /ids of its own")


def test_virtual_data_are_refused(path):
    def make(file):
        layout = h5py.VirtualLayout((3, 4), "<f2")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 4))
        file["mobilenet_v2"].create_virtual_dataset("evil", layout)

    add(path, make)
    refused(path, "takes its numbers from other files")


def test_external_storage_is_refused(path):
    add(
        path, lambda file: file["mobilenet_v2"].create_dataset("evil", (3, 4), "<f2", external=[("/etc/passwd", 0, 24)])
    )
    refused(path, "takes its numbers from other files")


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 2**20), "compression": "gzip"}])
def test_shape_bombs_are_refused(path, options):
    add(path, lambda file: file["mobilenet_v2"].create_dataset("evil", (3, 2**40), "<f2", **options))
    refused(path, r"declares \d+ bytes, but the file has \d+")


def test_a_bomb_of_ids_is_refused(tmp_path):
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("ids", (10**12,), "S10", chunks=(1000,))
    refused(tmp_path / "c.h5", "declares 1000000000000 ids of 10 bytes; too large")


@pytest.mark.parametrize("options", [{"chunks": True}, {"compression": "gzip"}])
def test_chunked_rows_are_refused(path, options):
    add(path, lambda file: file["mobilenet_v2"].create_dataset("evil", data=np.ones((3, 4), "<f2"), **options))
    refused(path, "is chunked, compressed or empty, expected one contiguous block; rewrite it with .*import_rows")


@pytest.mark.parametrize("dtype", ["<f4", ">f2", "<i2"])
def test_other_numbers_are_refused(path, dtype):
    add(path, lambda file: file["mobilenet_v2"].create_dataset("evil", data=np.ones((3, 4), dtype)))
    refused(path, "expected float16")


@pytest.mark.parametrize("shape", [(2, 4), (3,), ()])
def test_rows_that_do_not_match_the_ids_are_refused(path, shape):
    add(path, lambda file: file["mobilenet_v2"].create_dataset("evil", data=np.ones(shape, "<f2")))
    refused(path, "expected a row for each of 3 ids")


def test_rows_without_origin_are_refused(path):
    add(path, lambda file: file["mobilenet_v2"].create_dataset("evil", data=np.ones((3, 4), "<f2")))
    refused(path, "evil does not say where it comes from; make it again")


def test_a_false_origin_is_refused(path):
    def make(file):
        file["mobilenet_v2"].create_dataset("evil", data=np.ones((3, 4), "<f2")).attrs["key"] = np.bytes_("{")

    add(path, make)
    refused(path, "evil: not a feature key: JSONDecodeError.*; make it again")


def test_strange_members_are_refused(path):
    add(path, lambda file: file["mobilenet_v2"].create_group("evil"))
    refused(path, "evil is a group, expected the rows of a layer")
    add(path, lambda file: (file["mobilenet_v2"].__delitem__("evil"), file.create_dataset("evil", data=1.0)))
    refused(path, "holds 'evil', which belongs to no feature cache")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.arange(3), "/ids is no list of fixed-length strings"),
        (np.array([[b"a"]]), "/ids is no list of fixed-length strings"),
        (np.array([b"a", b"a", b"b"]), "/ids names an image twice"),
        (np.array([b"\xff", b"a", b"b"]), "/ids is not UTF-8"),
    ],
)
def test_strange_ids_are_refused(path, ids, message):
    """Of a cache from before checksums; the others refuse any change."""
    add(path, lambda file: (file.__delitem__("records"), file.__delitem__("ids"), file.__setitem__("ids", ids)))
    refused(path, message)


def test_a_file_without_ids_is_no_cache(tmp_path):
    h5py.File(tmp_path / "c.h5", "w").close()
    refused(tmp_path / "c.h5", "has no /ids of its own, so it is no feature cache")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "c.h5").write_bytes(b"hello")
    refused(tmp_path / "c.h5", "not an HDF5 file, so no feature cache; name another file")


def test_a_cut_file_is_refused(path, tmp_path):
    content = path.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) - 100])
    refused(tmp_path / "cut.h5", "damaged")


def test_a_group_that_holds_itself_ends(path):
    add(path, lambda file: file["mobilenet_v2"].__setitem__("evil", file["/"]))
    refused(path, "is a group, expected the rows of a layer")


def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / ".c.h5.lock").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(DataError, match=r"c.h5: its lock .*\.c\.h5\.lock cannot be opened .*; remove that file"):
        import_rows(tmp_path / "c.h5", ["a"], np.ones((1, 4)), KEY)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "c.h5").exists()
