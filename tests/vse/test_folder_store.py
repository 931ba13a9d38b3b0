"""The store in a folder: bounded memory, damage that is told, holes that are closed while others read."""

import shutil
import sqlite3
import tracemalloc

import numpy as np
import pytest
from store_writer import COLLECTION, vector_of

from vislang.core.errors import ConfigError, DataError
from vse.index import open_store as opening
from vse.index import postgres
from vse.index.folder import DATABASE, FolderStore
from vse.index.store import DamagedStoreError, Filter, Record, without_password
from vse.nearest import CHOSEN, QUERIES, nearest

RECORDS = [Record(f"/{number}", caption="odd" if number % 2 else "even") for number in range(40)]
VECTORS = np.stack([vector_of(number) for number in range(40)])


@pytest.fixture
def store(tmp_path):
    with FolderStore(tmp_path / "store", COLLECTION) as opened:
        opened.add(RECORDS, VECTORS)
        yield opened


@pytest.mark.parametrize("left_out", [0, 3, 5000])
def test_chosen_rows_are_ranked_as_if_the_others_were_not_there(left_out):
    random = np.random.default_rng(0)
    candidates = random.integers(-2, 3, (CHOSEN + 4101, 4)).astype(np.float32)
    queries = random.integers(-2, 3, (QUERIES + 3, 4)).astype(np.float32)
    rows = np.sort(random.choice(len(candidates), len(candidates) - left_out, replace=False))
    indices, scores = nearest(queries, candidates, 7, rows=rows)
    whole = queries @ candidates[rows].T
    order = np.argsort(-whole, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(indices, rows[order])
    np.testing.assert_array_equal(scores, np.take_along_axis(whole, order, axis=1))
    assert nearest(queries, candidates, 7, rows=rows[:0])[0].shape == (len(queries), 0)


def test_many_queries_among_many_candidates_take_little_memory():
    candidates = np.random.default_rng(0).standard_normal((30_000, 16)).astype(np.float32)
    tracemalloc.start()
    nearest(candidates[:5000], candidates, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6, "a block of all scores would be 600 MB"


def test_holes_are_closed_while_another_process_reads(store, tmp_path):
    reader = FolderStore(tmp_path / "store", COLLECTION)
    query = VECTORS[35:36]
    before = reader.search(query, 3, where=Filter(words="odd"))
    store.delete([record.id for record in RECORDS[:6]])
    store.compact()
    assert (tmp_path / "store" / "vectors-1.f32").exists(), "few holes stay"
    store.delete([record.id for record in RECORDS[6:15]])
    store.compact()
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [DATABASE, "vectors-2.f32"]
    assert (tmp_path / "store" / "vectors-2.f32").stat().st_size == 25 * 16 * 4
    assert reader.search(query, 1, where=Filter(words="odd"))[0][0] == before[0][0]
    np.testing.assert_array_equal(reader.vectors(["/20"]), VECTORS[20:21])
    store.add(RECORDS[:1], VECTORS[:1])
    assert reader.search(VECTORS[:1], 1)[0][0].record.id == "/0"


def test_a_search_that_compact_overtakes_starts_again(store, monkeypatch):
    expected = store.search(VECTORS[35:36], 3)
    calls = []

    def overtaken(*args, **options):
        if not calls:
            calls.append(1)
            other = FolderStore(store.url, COLLECTION)
            other.delete([record.id for record in RECORDS[:15]])
            other.compact()
        return nearest(*args, **options)

    monkeypatch.setattr("vse.index.folder.nearest", overtaken)
    (found,) = store.search(VECTORS[35:36], 1)
    assert found[0].record == expected[0][0].record


def test_the_tail_of_a_killed_writer_is_written_over(store, tmp_path):
    with (tmp_path / "store" / "vectors-1.f32").open("ab") as stream:
        stream.write(bytes(100))
    store.add([Record("/new")], vector_of(99)[None])
    with FolderStore(tmp_path / "store", COLLECTION) as reopened:
        np.testing.assert_array_equal(reopened.vectors(["/new"]), vector_of(99)[None])
        assert reopened.count() == 41


def damaged(folder, name, change):
    content = bytearray((folder / name).read_bytes())
    change(content)
    (folder / name).write_bytes(content)


def test_a_damaged_vector_is_told_by_the_name_of_its_image(store, tmp_path):
    damaged(tmp_path / "store", "vectors-1.f32", lambda content: content.__setitem__(7 * 64 + 3, 1))
    with FolderStore(tmp_path / "store", COLLECTION) as reopened:
        for read in (lambda: reopened.search(VECTORS[:1], 1), lambda: reopened.vectors(["/7"])):
            with pytest.raises(
                DamagedStoreError, match="the vector of '/7' is damaged; delete .* and index the images"
            ):
                read()


def test_two_vectors_that_swapped_their_places_are_damaged(store, tmp_path):
    def swap(content):
        content[:64], content[64:128] = content[64:128], content[:64]

    damaged(tmp_path / "store", "vectors-1.f32", swap)
    with FolderStore(tmp_path / "store", COLLECTION) as reopened, pytest.raises(DamagedStoreError, match="'/0'"):
        reopened.search(VECTORS[:1], 1)


@pytest.mark.parametrize("name", ["vectors-1.f32", DATABASE])
def test_cut_files_are_damaged(store, tmp_path, name):
    damaged(tmp_path / "store", name, lambda content: content.__delitem__(slice(len(content) // 2, None)))
    with pytest.raises(DamagedStoreError, match="index the images again"):
        FolderStore(tmp_path / "store", COLLECTION).search(VECTORS[:1], 1)


def test_a_database_of_something_else_is_refused(store, tmp_path):
    with sqlite3.connect(tmp_path / "store" / DATABASE) as database:
        database.execute("CREATE TRIGGER harm AFTER INSERT ON images BEGIN DELETE FROM images; END")
    database.close()
    with pytest.raises(DamagedStoreError, match="has other tables than an index"):
        FolderStore(tmp_path / "store", COLLECTION)


def test_a_newer_format_is_told(store, tmp_path):
    with sqlite3.connect(tmp_path / "store" / DATABASE) as database:
        database.execute("UPDATE collection SET format = 2")
    database.close()
    with pytest.raises(DataError, match="an index of format 2, expected 1; update vislang-toolkit"):
        FolderStore(tmp_path / "store", COLLECTION)


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(DataError, match=r"holds letter.txt, expected an index or an empty folder"):
        FolderStore(tmp_path, COLLECTION)
    with pytest.raises(DataError, match="cannot write"):
        FolderStore(tmp_path / "letter.txt" / "below", COLLECTION)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_writer_that_does_not_end_is_told(store, monkeypatch):
    monkeypatch.setattr("vse.index.folder.WAIT", 0.1)
    with store._transaction(writing=True), pytest.raises(DataError, match="another process has been writing it"):
        FolderStore(store.url, COLLECTION).delete(["/1"])


def test_a_full_disk_leaves_the_store_as_it_was(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("vse.index.folder.os.pwrite", full)
        with pytest.raises(DataError, match="No space left on device; free space"):
            store.add([Record("/new")], vector_of(99)[None])
    assert store.count() == 40
    shutil.rmtree(store.url)
    with pytest.raises(DataError, match="cannot read .*; check the folder"):
        store.count()


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("lance:/x", "lancedb", "lance"),
        ("s3://x/y", "lancedb", "lance"),
        ("postgresql://localhost/x", "psycopg", "postgres"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, url, package, extra):
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    message = rf"needs the package {package}, which is not installed; run: pip install \"vislang-toolkit\[{extra}\]\""
    with pytest.raises(ConfigError, match=message):
        opening.open_store(url, COLLECTION)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://me:secret@localhost/db", "postgres://me@localhost/db"),
        ("postgresql://me:sec@r/et?@localhost:5432/db", "postgresql://me@localhost:5432/db"),
        ("postgresql:///db?password=secret", "postgresql:///db"),
        ("postgresql:///db?host=a&password=secret&port=1", "postgresql:///db?host=a&port=1"),
        ("postgresql://localhost:5432/db", "postgresql://localhost:5432/db"),
        ("postgresql://me@localhost/db", "postgresql://me@localhost/db"),
        ("lance:me:x@y", "lance:me:x@y"),
    ],
)
def test_no_message_shows_a_password(monkeypatch, url, shown):
    assert without_password(url) == shown
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as told:
        opening.open_store(url, COLLECTION)
    assert shown in str(told.value)
    assert "sec" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:sec ret@localhost/db", "postgresql://me:secr/et@localhost/db", "postgresql:///?password=s%zz"],
)
def test_no_refusal_of_a_server_shows_a_password(monkeypatch, url):
    for package in ("psycopg", "pgvector"):
        pytest.importorskip(package, reason="needs the extra postgres")
    monkeypatch.setattr(postgres, "_CONNECTING", 0)
    with pytest.raises(DataError, match="PostgreSQL failed") as told:
        opening.open_store(url, COLLECTION)
    for part in ("sec", "s%zz"):
        assert part not in str(told.value)


def test_a_filter_takes_days():
    with pytest.raises(ConfigError, match="a filter got '2024-06-01', expected a day such as"):
        Filter(taken_from="2024-06-01")


@pytest.mark.parametrize(
    ("message", "is_final"),
    [
        ('FATAL:  password authentication failed for user "me"', True),
        ("fe_sendauth: no password supplied", True),
        ('FATAL:  database "db" does not exist', True),
        ("FATAL:  the database system is starting up", False),
        ("Connection refused", False),
    ],
)
def test_only_a_server_that_starts_is_asked_again(message, is_final):
    assert postgres._is_final(message) is is_final


def test_an_unknown_kind_of_store_is_refused():
    for url in ("ftp://x/y", ""):
        with pytest.raises(ConfigError, match="expected a folder, lance:PATH, s3://BUCKET/PATH or postgresql://"):
            opening.open_store(url, COLLECTION)


def test_a_process_killed_while_it_made_the_index_leaves_no_harm(tmp_path):
    (tmp_path / DATABASE).touch()
    with pytest.raises(DataError, match="holds no index"):
        FolderStore(tmp_path, COLLECTION, create=False)
    with FolderStore(tmp_path, COLLECTION) as store:
        store.add(RECORDS, VECTORS)
        assert store.count() == 40
