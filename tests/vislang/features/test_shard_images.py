"""Tar files as shards: only whole ones, and only images in them that are distinct files."""

import io
import tarfile

import pytest

from vislang.features.shards.images import DamagedShardError, TarImages


def header(name: str = "a.png", size: int = 3) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\x1f\x8b" + bytes(600), "no tar file without compression"),
        (header() + b"abc" + bytes(509), "ends without an end mark"),
        (header(size=3000) + bytes(600), "unexpected end of data"),
        (header() + b"abc" + bytes(509) + b"x" * 512 + bytes(1024), "ends without an end mark"),
    ],
)
def test_a_tar_file_that_cannot_be_read_to_its_end_is_damaged(tmp_path, content, message):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DamagedShardError, match=message):
        TarImages(tmp_path / "a.tar", "")


def test_a_tar_file_whose_sizes_lead_back_ends(tmp_path):
    whole = bytearray(header("a.png", 512) + bytes(512) + bytes(1024))
    whole[124:136] = b"\xff" + (-1024).to_bytes(11, "big", signed=True)  # a size in base 256
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole[:512])
    (tmp_path / "a.tar").write_bytes(bytes(whole))
    with pytest.raises(DamagedShardError, match="a member of impossible size|cut or damaged"):
        TarImages(tmp_path / "a.tar", "")


def test_only_real_and_distinct_images_of_a_tar_file_are_used(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("./a.png", "b/a.PNG", "a.txt", "a.png", "bad\udcff.png"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    images = TarImages(tmp_path / "a.tar", "t/")
    assert images.names == ["t/a.png", "t/b/a.PNG"]
    assert [one.reason for one in images.skipped] == [
        "t/a.png: comes twice in the shard; only the first is used",
        "t/bad\\udcff.png: its name is not UTF-8; rename it",
    ]
    assert list(images) == [b"abc", b"abc"]
    assert TarImages(tmp_path / "a.tar", None).names == ["a.png", "a.PNG"]
    assert images.only(["t/b/a.PNG"]).names == ["t/b/a.PNG"]
