"""`vislang index` and `vislang search` in a store: incremental, filtered, by pages, watched."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vse
from vislang.features.cache import records
from vse import build_index, search
from vse.index.image_files import ImageFiles, compare_files, image_ids
from vse.index.images import collection_of, update_store
from vse.index.open_store import open_store


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two folders of photographs, some with dates, one file that is none; the index of the test is its own."""
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    random = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / "photos" / ("a" if number < 4 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if number != 5:
            exif.get_ifd(0x8769)[0x9003] = f"2024:0{number + 1}:15 12:00:00"
        noise = random.integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg", exif=exif)
    (tmp_path / "photos" / "a" / "letter.jpg").write_text("Dear Sir")
    return tmp_path / "photos"


@pytest.fixture
def run(tiny_ranker, capsys):
    def command(main, *words):
        code = main(["--model", str(tiny_ranker), "--json", *map(str, words)])
        captured = capsys.readouterr()
        if code == 2:
            return captured.err.splitlines()[-1]
        return json.loads(captured.out)

    return command


def numbers(done):
    return tuple(done[name] for name in ("encoded", "unchanged", "removed", "indexed"))


def found(answer):
    return [Path(row["image"]).name for row in answer["results"]]


@pytest.mark.parametrize("store", [(), ("--store", "folder"), ("--store", "lance:folder")])
def test_an_index_follows_its_folders(photos, run, tmp_path, monkeypatch, store):
    if "lance:folder" in store:
        pytest.importorskip("lancedb", reason="needs the extra lance")
    monkeypatch.chdir(tmp_path)
    done = run(build_index.main, photos, *store)
    assert numbers(done) == (6, 0, 0, 6)
    assert [Path(one["image"]).name for one in done["skipped"]] == ["letter.jpg"]
    shutil.copyfile(photos / "a" / "1.jpg", photos / "a" / "7.jpg")
    shutil.copyfile(photos / "a" / "1.jpg", photos / "a" / "2.jpg")
    (photos / "a" / "0.jpg").unlink()
    (photos / "a" / "letter.jpg").unlink()
    (photos / "b" / "4.jpg").touch()
    assert numbers(run(build_index.main, photos, *store)) == (2, 4, 1, 6)
    assert numbers(run(build_index.main, photos, *store)) == (0, 6, 0, 6)
    (photos / "a" / "3.jpg").write_text("Dear Sir")
    done = run(build_index.main, photos, *store)
    assert numbers(done) == (0, 5, 0, 5), "an image that became unreadable is found no more"
    answer = run(search.main, "--like", photos / "a" / "1.jpg", "--top", 3, *store)
    assert sorted(found(answer)) == ["1.jpg", "2.jpg", "7.jpg"]
    assert [row["score"] for row in answer["results"]] == pytest.approx([1, 1, 1], abs=1e-3)
    assert answer["indexed"] == 5


@pytest.mark.parametrize("what", ["emptied", "removed"])
def test_a_folder_that_is_empty_or_gone_leaves_the_index(photos, run, what):
    run(build_index.main, photos)
    if what == "emptied":
        for path in (photos / "a").iterdir():
            path.unlink()
    else:
        shutil.rmtree(photos / "a")
    done = run(build_index.main, photos / "a")
    assert numbers(done) == (0, 0, 4, 2)
    assert done["skipped"] == []
    assert sorted(found(run(search.main, "a dog"))) == ["4.jpg", "5.jpg"]
    assert str(photos / "a") in run(build_index.main, photos / "a"), "nothing is stored under the name"


def test_a_file_that_is_gone_leaves_the_index(photos, run, tmp_path):
    run(build_index.main, photos)
    files = [photos / "a" / f"{number}.jpg" for number in range(3)]
    (tmp_path / "list.txt").write_text(f"{files[0]}\n{files[1]}")
    files[0].unlink()
    assert numbers(run(build_index.main, tmp_path / "list.txt")) == (0, 1, 1, 5)
    files[1].unlink()
    done = run(build_index.main, files[1], files[2])
    assert (numbers(done), done["skipped"]) == ((0, 1, 1, 4), [])
    (one,) = run(build_index.main, files[1], files[2])["skipped"]
    assert "no such file" in one["reason"]


def test_a_file_that_changes_during_a_look_at_it_is_encoded_next_time(photos, run, monkeypatch):
    run(build_index.main, photos)
    one = photos / "a" / "1.jpg"
    one.touch()
    digest = records._digest

    def changed_after(path):
        content = digest(path)
        if path == one:
            shutil.copyfile(photos / "a" / "2.jpg", one)
        return content

    with monkeypatch.context() as patched:
        patched.setattr(records, "_digest", changed_after)
        assert numbers(run(build_index.main, photos)) == (0, 6, 0, 6)
    assert numbers(run(build_index.main, photos)) == (1, 5, 0, 6)


def test_a_file_that_is_away_for_a_moment_keeps_its_record(photos, tmp_path, tiny_ranker):
    model = vse.load_model(tiny_ranker)
    with open_store(tmp_path / "store", collection_of(model)) as store:
        update_store(store, model, photos / "b")
        paths = [photos / "b" / "4.jpg"]
        files = ImageFiles(paths, image_ids(paths), {})
        before = store.records(files.ids)
        paths[0].unlink()
        compared = compare_files(store, files)
        assert compared.outdated == []
        assert before[files.ids[0]].mtime_ns > 0


def test_an_image_that_is_named_twice_is_stored_once(photos, run, tmp_path, tiny_ranker):
    (photos / "link").symlink_to(photos / "b")
    assert numbers(run(build_index.main, photos, photos / "link", photos / "b" / "4.jpg")) == (6, 0, 0, 6)
    model = vse.load_model(tiny_ranker)
    with open_store(tmp_path / "store", collection_of(model)) as store:
        assert update_store(store, model, str(photos / "b")).encoded == 2, "one folder is no list of letters"


def test_the_answers_are_those_of_a_search_in_the_files(photos, run, tiny_ranker):
    run(build_index.main, photos)
    expected = run(search.main, "--images", photos, "--text", "a red dog", "--top", 6)
    for words in (["a red dog"], ["a", "red", "dog"], ["--text", "a red dog"]):
        answer = run(search.main, *words, "--top", 6)
        assert found(answer) == found(expected)
        assert answer["text"] == "a red dog"
    pages = [found(run(search.main, "a red dog", "--top", 4, "--offset", offset)) for offset in (0, 4)]
    assert pages[0] + pages[1] == found(expected)
    model = vse.load_model(tiny_ranker)
    image = vse.encode_images(model, photos / "a" / "1.jpg").vectors[0]
    query = image + vse.encode_sentences(model, "a red dog")[0]
    encoded = vse.encode_images(model, [photos / "a", photos / "b"])
    order = np.argsort(-(encoded.vectors @ query), kind="stable")
    both = run(search.main, "--text", "a red dog", "--like", photos / "a" / "1.jpg", "--top", 6)
    assert found(both) == [Path(encoded.names[index]).name for index in order]


def test_filters_by_folder_date_and_caption(photos, run, tmp_path):
    lines = [f"{photos}/a/1.jpg\tTwo dogs on snow", f"{photos}/b/5.jpg\tA cat"]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    run(build_index.main, photos)
    done = run(build_index.main, photos, "--captions", tmp_path / "captions.txt")
    assert numbers(done) == (0, 6, 0, 6)
    run(build_index.main, photos)
    query = ["a dog", "--top", 9]
    assert sorted(found(run(search.main, *query, "--folder", photos / "b"))) == ["4.jpg", "5.jpg"]
    dates = ["--taken-from", "2024-02-15", "--taken-to", "2024-04-15"]
    assert sorted(found(run(search.main, *query, *dates))) == ["1.jpg", "2.jpg", "3.jpg"]
    assert len(found(run(search.main, *query, "--taken-to", "9999-12-31"))) == 5, "all of a known date"
    (row,) = run(search.main, *query, "--caption-words", "snow dogs")["results"]
    assert (row["caption"], row["taken"]) == ("Two dogs on snow", "2024-02-15T12:00:00")
    assert found(run(search.main, *query, "--caption-words", "dog")) == []


def test_captions_of_no_image_are_told(photos, run, tmp_path, tiny_ranker, capsys):
    text = tmp_path / "captions.txt"
    text.write_text(f"{photos}/a/1.jpg\tTwo dogs\nnone.jpg\tA cat\n")
    build_index.main(["--model", str(tiny_ranker), str(photos), "--captions", str(text)])
    assert "captions that name none of the images: 1, such as none.jpg" in capsys.readouterr().err
    text.write_text(f"{photos}/a/1.jpg\tTwo dogs\n{photos}/b/../a/1.jpg\tA cat\n")
    assert "2 times, expected each once; give" in run(build_index.main, photos, "--captions", text)
    text.write_text(f"{photos}/a/1.jpg\t{'a' * 4097}\n")
    told = run(build_index.main, photos, "--captions", text)  # long names of files are shortened
    assert f"the caption of '{photos}"[:40] in told
    assert "has 4097 characters, expected up to 4096" in told


def test_a_watched_store_is_compacted_only_after_a_change(photos, tmp_path, tiny_ranker, monkeypatch):
    model = vse.load_model(tiny_ranker)
    compacted = []
    with open_store(tmp_path / "store", collection_of(model)) as store:
        monkeypatch.setattr(type(store), "compact", lambda self: compacted.append(self))
        for _ in range(2):
            update_store(store, model, photos, watching=True)
            assert len(compacted) == 1
        (photos / "b" / "4.jpg").unlink()
        update_store(store, model, photos, watching=True)
        assert len(compacted) == 2


def test_arithmetic_and_pages_work_in_a_store(photos, run, tmp_path):
    run(build_index.main, photos)
    page = tmp_path / "page.html"
    words = ["--like", photos / "a" / "1.jpg", "--minus", "red", "--plus", "blue", "--rerank", "--html", page]
    expected = run(search.main, "--images", photos, *words)
    assert found(run(search.main, *words)) == found(expected)
    assert "data:image/jpeg;base64" in page.read_text()


def test_a_watched_folder_is_looked_at_again(photos, run, tmp_path, tiny_ranker, capsys, monkeypatch):
    rounds = []

    def between(seconds):
        rounds.append(seconds)
        if len(rounds) == 1:
            shutil.copyfile(photos / "a" / "1.jpg", photos / "a" / "new.jpg")
        elif len(rounds) == 2:
            photos.rename(tmp_path / "away")
        elif len(rounds) == 3:
            (tmp_path / "away").rename(photos)
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", between)
    code = build_index.main(["--model", str(tiny_ranker), str(photos), "--watch", "3"])
    out, err = capsys.readouterr()
    assert code == 130
    assert rounds == [3, 3, 3, 3]
    assert [line.split(" in ")[0] for line in out.splitlines()] == [
        "6 encoded, 0 unchanged, 0 removed, 6 indexed",
        "1 encoded, 6 unchanged, 0 removed, 7 indexed",
    ], "a round without a change says nothing"
    assert err.count("skipped") == 2
    assert "no such file or folder; trying again" in err


def test_what_was_encoded_before_a_kill_is_not_encoded_again(photos, run, tmp_path, tiny_ranker, monkeypatch):
    model = vse.load_model(tiny_ranker)
    monkeypatch.setattr("vse.index.images.ADDED_TOGETHER", 2)
    original = type(model).encode_images

    def killed(self, sources, options):
        for count, batch in enumerate(original(self, sources, options)):
            if count == 2:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(type(model), "encode_images", killed)
        assert build_index.main(["--model", str(tiny_ranker), "--batch-size", "2", str(photos)]) == 130
    with open_store(next((tmp_path / "index").iterdir()), collection_of(model)) as store:
        assert store.count() == 4
    assert numbers(run(build_index.main, photos)) == (2, 4, 0, 6)


def test_the_store_of_another_ranker_is_refused(photos, run, tmp_path, tiny_ranker):
    other = shutil.copytree(tiny_ranker, tmp_path / "other")
    words = json.loads((other / "vocabulary.json").read_text())
    words["words"][-1] = "green"
    (other / "vocabulary.json").write_text(json.dumps(words))
    run(build_index.main, photos, "--store", tmp_path / "store")
    for main, more in ((build_index.main, [photos]), (search.main, ["a dog"])):
        message = run(main, *more, "--model", other, "--store", tmp_path / "store")
        assert "holds vectors of ranker" in message
    assert numbers(run(build_index.main, photos, "--model", other)) == (6, 0, 0, 6), "each has an index of its own"


def test_indexes_of_the_first_version_are_made_anew(photos, run, tmp_path, caplog):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "0123.npz").write_bytes(b"old")
    assert numbers(run(build_index.main, photos)) == (6, 0, 0, 6)
    assert "1 indexes of vislang 0.1 (*.npz) are not read, images are encoded once more" in caplog.text
    caplog.clear()
    run(build_index.main, photos)
    assert not caplog.records


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([""], "no image was given"),
        (["--watch", "0"], "--watch got 0.0, expected more than 0 seconds"),
        (["--captions", "none.txt"], "none.txt cannot be read"),
        (["--captions", "bad.txt"], "holds 'a dog', expected image<TAB>caption"),
        (["--captions", "twice.txt"], "twice.txt, captions: got 'a.jpg' 2 times"),
        (["--store", "foo://x"], "expected a folder, lance:PATH"),
    ],
)
def test_mistakes_are_told(photos, run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.txt").write_text("a dog\n")
    Path("twice.txt").write_text("a.jpg\tx\na.jpg\ty\n")
    assert message in run(build_index.main, photos, *words)


def test_a_date_that_is_none_is_told(capsys):
    with pytest.raises(SystemExit):
        search.main(["a dog", "--taken-from", "May"])
    assert "got 'May', expected a day such as 2024-06-01" in capsys.readouterr().err
