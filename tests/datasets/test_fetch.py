import hashlib
import http.server
import io
import json
import socket
import stat
import threading
import zipfile
from dataclasses import replace

import pytest

from datasets.download.http import Archive, download
from datasets.download.zip_files import unpack
from datasets.fetch import SOURCES, Source, check_copy, fetch, link_copy, main
from vislang.core.errors import DataError

NAMES = ("a.jpg", "b.jpg", "c.jpg")
TOKENS = "".join(f"{name}#{number}\tcaption {number} .\n" for name in NAMES for number in range(5))


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


TEXT = zipped(
    {
        "Flickr8k.token.txt": TOKENS,
        "Flickr_8k.trainImages.txt": "a.jpg\n",
        "Flickr_8k.devImages.txt": "b.jpg\n",
        "Flickr_8k.testImages.txt": "c.jpg\n",
        "__MACOSX/._Flickr8k.token.txt": "x",
    }
)
PHOTOS = zipped({f"Flicker8k_Dataset/{name}": bytes(1000) for name in NAMES})


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `files`; continues where asked to; cuts the first answers of the names in `cuts`."""

    files: dict[str, bytes] = {}
    cuts: dict[str, int] = {}
    asked: list[tuple[str, str | None]] = []
    continues = True

    def do_GET(self):  # noqa: N802
        name, span = self.path.strip("/"), self.headers.get("Range")
        self.asked.append((name, span))
        if name not in self.files:
            self.send_error(404)
            return
        content = self.files[name]
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.continues else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + self.cuts.pop(name, len(content))])

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(Mirror, "files", {"Flickr8k_text.zip": TEXT, "Flickr8k_Dataset.zip": PHOTOS})
    monkeypatch.setattr(Mirror, "cuts", {})
    monkeypatch.setattr(Mirror, "asked", [])
    monkeypatch.setattr(Mirror, "continues", True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def dead_url():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{port.getsockname()[1]}/x.zip"


def tiny_source(url, **digests):
    archives = tuple(
        Archive(name, (f"{url}/{name}",), digests.get(name[:-4]), 100_000)
        for name in ("Flickr8k_text.zip", "Flickr8k_Dataset.zip")
    )
    return Source(archives, {"train": 1, "dev": 1, "test": 1}, 3, "made by the test")


def archive_of(url, content=TEXT, sha256=None):
    return Archive("x.zip", (url,), sha256, 100_000)


def test_fetch_unpacks_checks_and_remembers(mirror, tmp_path):
    records = fetch(tiny_source(mirror), tmp_path)
    assert [record.path.name for record in records] == list(NAMES)
    done = json.loads((tmp_path / "fetched.json").read_text())
    assert done["Flickr8k_text.zip"] == hashlib.sha256(TEXT).hexdigest()
    assert not list(tmp_path.glob("*.zip*"))
    assert not (tmp_path / "__MACOSX").exists()
    Mirror.asked.clear()
    assert fetch(tiny_source(mirror), tmp_path) == records
    assert Mirror.asked == []


def test_a_cut_download_is_continued(mirror, tmp_path):
    Mirror.cuts["Flickr8k_Dataset.zip"] = 700
    assert len(fetch(tiny_source(mirror), tmp_path)) == 3
    assert ("Flickr8k_Dataset.zip", "bytes=700-") in Mirror.asked


def test_a_part_of_an_earlier_run_is_continued(mirror, tmp_path):
    (tmp_path / "x.zip.part").write_bytes(TEXT[:50])
    path, digest = download(archive_of(f"{mirror}/Flickr8k_text.zip"), tmp_path, timeout=5)
    assert path.read_bytes() == TEXT
    assert digest == hashlib.sha256(TEXT).hexdigest()
    assert Mirror.asked == [("Flickr8k_text.zip", "bytes=50-")]


def test_a_whole_part_needs_nothing_more(mirror, tmp_path):
    (tmp_path / "x.zip.part").write_bytes(TEXT)
    path, _ = download(archive_of(f"{mirror}/Flickr8k_text.zip"), tmp_path, timeout=5)
    assert path.read_bytes() == TEXT


def test_a_mirror_that_cannot_continue_starts_again(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(Mirror, "continues", False)
    (tmp_path / "x.zip.part").write_bytes(b"rubbish")
    path, _ = download(archive_of(f"{mirror}/Flickr8k_text.zip"), tmp_path, timeout=5)
    assert path.read_bytes() == TEXT


def test_the_next_mirror_is_tried(mirror, tmp_path):
    archive = Archive("x.zip", (dead_url(), f"{mirror}/absent.zip", f"{mirror}/Flickr8k_text.zip"), None, 100_000)
    assert download(archive, tmp_path, timeout=5)[0].read_bytes() == TEXT


def test_no_mirror_gives_one_message_that_says_what_to_do(mirror, tmp_path):
    archive = Archive("x.zip", (dead_url(), f"{mirror}/absent.zip"), None, 100_000)
    with pytest.raises(DataError) as caught:
        download(archive, tmp_path, timeout=5)
    for words in ("no mirror gave x.zip", "refused", "absent.zip: Not Found", "by hand", "F8K=DIR"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_silent_mirror_is_left_after_the_timeout(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        archive = archive_of(f"http://127.0.0.1:{silent.getsockname()[1]}/x.zip")
        with pytest.raises(DataError, match="timed out"):
            download(archive, tmp_path, timeout=0.2)


def test_a_file_put_there_by_hand_is_used(tmp_path):
    (tmp_path / "x.zip").write_bytes(TEXT)
    assert download(archive_of(dead_url()), tmp_path, timeout=1)[0] == tmp_path / "x.zip"


def test_a_wrong_checksum(mirror, tmp_path):
    archive = archive_of(f"{mirror}/Flickr8k_text.zip", sha256="0" * 64)
    with pytest.raises(DataError, match=r"x.zip has sha256 [0-9a-f]{64}, expected 0{64}; it was deleted, run again"):
        download(archive, tmp_path, timeout=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data.replace(b"caption 3", b"caption 9", 1)])
def test_a_damaged_zip(mirror, tmp_path, damage):
    Mirror.files["Flickr8k_text.zip"] = damage(TEXT)
    with pytest.raises(DataError, match="x.zip is damaged .*it was deleted, run the command again"):
        download(archive_of(f"{mirror}/Flickr8k_text.zip"), tmp_path, timeout=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "..\\x", "C:/x", "C:\\x"])
def test_members_that_lead_out(tmp_path, name):
    (tmp_path / "bad.zip").write_bytes(zipped({"good.txt": "x", name: "x"}))
    with pytest.raises(DataError, match="bad.zip holds .*, which leads out of the folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "out", max_bytes=100)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO])
def test_members_that_are_no_files(tmp_path, kind):
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "/etc")
    with pytest.raises(DataError, match="holds 'link', which is a link or device"):
        unpack(tmp_path / "bad.zip", tmp_path / "out", max_bytes=100)


def test_bombs(tmp_path, monkeypatch):
    (tmp_path / "bomb.zip").write_bytes(zipped({"a": bytes(60), "b": bytes(60)}))
    with pytest.raises(DataError, match="unpacks to 120 bytes in 2 files, expected at most 100 bytes"):
        unpack(tmp_path / "bomb.zip", tmp_path / "out", max_bytes=100)
    monkeypatch.setattr("datasets.download.zip_files._MAX_MEMBERS", 1)
    with pytest.raises(DataError, match="in 2 files"):
        unpack(tmp_path / "bomb.zip", tmp_path / "out", max_bytes=1000)


def test_a_link_in_the_folder_is_not_followed(tmp_path):
    (tmp_path / "good.zip").write_bytes(zipped({"sub/x.txt": "x"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leads out of .* through a link"):
        unpack(tmp_path / "good.zip", tmp_path / "out", max_bytes=100)


def test_unpacking_again_leaves_whole_files(tmp_path):
    (tmp_path / "good.zip").write_bytes(zipped({"sub/x.txt": "x", "sub/": ""}))
    for _ in range(2):
        assert unpack(tmp_path / "good.zip", tmp_path / "out", max_bytes=100) == 1
    assert (tmp_path / "out" / "sub" / "x.txt").read_text() == "x"


@pytest.fixture
def copy(mirror, tmp_path):
    fetch(tiny_source(mirror), tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_is_checked_and_linked(copy, tmp_path):
    source, out = tiny_source("http://x"), tmp_path / "data" / "flickr8k"
    assert len(link_copy(source, copy, out)) == 3
    assert out.resolve() == copy.resolve()
    assert len(link_copy(source, copy, out)) == 3
    assert len(link_copy(source, copy, copy)) == 3
    (tmp_path / "empty").mkdir()
    link_copy(source, copy, tmp_path / "empty")
    assert (tmp_path / "empty").is_symlink()


def test_other_files_are_not_replaced(copy, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DataError, match="mine, which holds other files"):
        link_copy(tiny_source("http://x"), copy, tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot link .*data to .*copy: "):
        link_copy(tiny_source("http://x"), copy, tmp_path / "file" / "data")


def test_a_copy_with_wrong_counts(copy):
    source = replace(tiny_source("http://x"), captioned_images=4)
    with pytest.raises(DataError, match="captions of 3 images, expected 4; delete the folder and run: make data-f8k"):
        check_copy(source, copy)


def test_the_command(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SOURCES, "flickr8k", tiny_source(dead_url()))
    assert main(["flickr8k", "--out", str(tmp_path / "a"), "--mirror", mirror]) == 0
    assert "3 images with 15 captions" in capsys.readouterr().out
    assert main(["flickr8k", "--out", str(tmp_path / "b"), "--from", str(tmp_path / "a")]) == 0
    assert main(["flickr8k", "--out", str(tmp_path / "c"), "--timeout", "1"]) == 2
    assert "no mirror gave Flickr8k_text.zip" in capsys.readouterr().err
    for name, told in (("flickr30k", "flickr30k-images.tar.gz"), ("msrvtt", "TrainValVideo")):
        assert main([name, "--out", str(tmp_path / "d")]) == 2
        told_by = capsys.readouterr().err
        assert "cannot be downloaded: " in told_by
        assert told in told_by
        assert not (tmp_path / "d").exists()
    assert main(["flickr9k", "--out", str(tmp_path / "c")]) == 2
    assert "unknown data set to fetch 'flickr9k'; did you mean flickr8k or flickr30k?" in capsys.readouterr().err


@pytest.mark.realdata
def test_the_published_flickr8k_is_whole(real_data, tmp_path):
    records = link_copy(SOURCES["flickr8k"], real_data / "flickr8k", tmp_path / "flickr8k")
    assert len(records) == 8091
