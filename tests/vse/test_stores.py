"""What every store promises: the same answers on all engines, and nothing lost that it has acknowledged."""

import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import store_writer
from store_servers import ENGINES
from store_writer import COLLECTION, vector_of

from vislang.core.errors import ConfigError, DataError
from vse.index.open_store import open_store
from vse.index.postgres import PostgresStore
from vse.index.store import Collection, Filter, Record, stored_text

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module", params=ENGINES)
def new_url(request, tmp_path_factory):
    with ENGINES[request.param](tmp_path_factory.mktemp("stores")) as factory:
        yield factory


@pytest.fixture
def url(new_url):
    return new_url()


@pytest.fixture
def store(url):
    with open_store(url, COLLECTION) as opened:
        yield opened


CAPTIONS = ("A dog, on the snow.", "two dogs", "", "a cat and a dog", "Schnee über Köln")
RECORDS = [
    Record(
        f"/photos/{number % 3}/{number}.jpg",
        size=number,
        mtime_ns=2**62 + number,
        ctime_ns=number,
        sha256=f"{number:064x}",
        taken=f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T12:30:00" if number % 5 else "",
        caption=CAPTIONS[number % len(CAPTIONS)],
    )
    for number in range(60)
]
VECTORS = np.stack([vector_of(number) for number in range(len(RECORDS))])
QUERIES = np.stack([vector_of(number) for number in range(1000, 1003)])
FILTERS = {
    "everything": Filter(),
    "folder": Filter(folder="/photos/1"),
    "folder of a similar name": Filter(folder="/photos/1/1"),
    "from": Filter(taken_from=date(2024, 6, 1)),
    "to": Filter(taken_to=date(2024, 4, 16)),
    "one day": Filter(taken_from=date(2024, 2, 2), taken_to=date(2024, 2, 2)),
    "word": Filter(words="DOG"),
    "words": Filter(words="dog a!"),
    "letters": Filter(words="köln"),
    "part of a word": Filter(words="do"),
    "all": Filter(folder="/photos", taken_from=date(2024, 1, 1), taken_to=date(2024, 9, 1), words="dog"),
}


def passes(record, where):
    """Say slowly and in other words what a filter means."""
    words = "".join(letter if letter.isalnum() else " " for letter in record.caption.lower()).split()
    wanted = "".join(letter if letter.isalnum() else " " for letter in where.words.lower()).split()
    day = record.taken[:10]
    in_folder = where.folder is None or Path(where.folder) in Path(record.id).parents
    is_late = where.taken_from is None or (day and date.fromisoformat(day) >= where.taken_from)
    is_early = where.taken_to is None or (day and date.fromisoformat(day) <= where.taken_to)
    return bool(in_folder and is_late and is_early and set(wanted) <= set(words))


def expected_hits(records, vectors, query, top, where=FILTERS["everything"], offset=0):
    order = np.argsort(-(vectors @ query), kind="stable")
    found = [(records[row], float(vectors[row] @ query)) for row in order if passes(records[row], where)]
    return found[offset : offset + top]


def assert_hits(found, expected):
    assert [hit.record for hit in found] == [record for record, _ in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], atol=1e-5)


@pytest.fixture(scope="module")
def filled(new_url):
    with open_store(new_url(), COLLECTION) as opened:
        opened.add(RECORDS, VECTORS)
        opened.compact()
        yield opened


@pytest.mark.parametrize("name", FILTERS)
def test_search_count_and_ids_agree_with_the_slow_definition(filled, name):
    where = FILTERS[name]
    for query, found in zip(QUERIES, filled.search(QUERIES, 7, where=where), strict=True):
        assert_hits(found, expected_hits(RECORDS, VECTORS, query, 7, where))
    passing = [record.id for record in RECORDS if passes(record, where)]
    assert filled.count(where) == len(passing)
    assert sorted(filled.ids(where)) == sorted(passing)
    if name not in ("folder of a similar name", "part of a word"):
        assert passing, "the filter tests nothing"


def test_pages_follow_one_another(filled):
    (whole,) = filled.search(QUERIES[:1], 60)
    assert len(whole) == len(RECORDS)
    pages = [filled.search(QUERIES[:1], 25, offset=offset)[0] for offset in (0, 25, 50, 75)]
    assert list(map(len, pages)) == [25, 25, 10, 0]
    assert [hit.record.id for page in pages for hit in page] == [hit.record.id for hit in whole]


def test_records_and_vectors_come_back_as_they_were(filled):
    ids = [RECORDS[9].id, RECORDS[3].id]
    assert filled.records([*ids, "/nothing"]) == {record.id: record for record in (RECORDS[9], RECORDS[3])}
    np.testing.assert_array_equal(filled.vectors(ids), VECTORS[[9, 3]])
    assert filled.vectors([]).shape == (0, COLLECTION.width)
    with pytest.raises(DataError, match="holds no image '/nothing'; index it first"):
        filled.vectors(["/nothing"])


def test_images_are_replaced_deleted_and_found_after_reopening(store, url):
    store.add(RECORDS[:20], VECTORS[:20])
    changed = [Record(record.id, caption="changed") for record in RECORDS[5:8]]
    store.add([*changed, RECORDS[30]], VECTORS[[40, 41, 42, 30]])
    store.delete([RECORDS[0].id, RECORDS[1].id, "/nothing"])
    store.delete([])
    records = [*RECORDS[2:5], *changed, *RECORDS[8:20], RECORDS[30]]
    vectors = VECTORS[[2, 3, 4, 40, 41, 42, *range(8, 20), 30]]
    for again in (False, True):
        with open_store(url, COLLECTION, create=False) as reopened:
            assert reopened.count() == len(records)
            for query, found in zip(QUERIES, reopened.search(QUERIES, 9), strict=True):
                assert_hits(found, expected_hits(records, vectors, query, 9))
        if not again:
            store.compact()
    for query, found in zip(QUERIES, store.search(QUERIES, 9), strict=True):
        assert_hits(found, expected_hits(records, vectors, query, 9))


def test_a_large_collection_is_indexed_and_stays_right(store):
    store.exact_below = 256
    number = 600
    vectors = np.stack([vector_of(one) for one in range(number)])
    records = [Record(f"/{one}", caption="even" if one % 2 == 0 else "odd") for one in range(number)]
    store.add(records[:500], vectors[:500])
    store.compact()
    store.add(records[500:], vectors[500:])
    for where in (Filter(), Filter(words="odd")):
        shares = []
        for query, found in zip(QUERIES, store.search(QUERIES, 10, where=where), strict=True):
            expected = {record.id for record, _ in expected_hits(records, vectors, query, 10, where)}
            shares.append(len(expected & {hit.record.id for hit in found}) / 10)
            scores = [float(vectors[int(hit.record.id[1:])] @ query) for hit in found]
            np.testing.assert_allclose([hit.score for hit in found], scores, atol=1e-5)
        assert np.mean(shares) >= 0.9


def test_a_filter_that_few_pass_finds_them_behind_an_index(store):
    store.exact_below = 256
    number = 600
    vectors = np.stack([vector_of(one) for one in range(number)])
    query = vectors[:1]
    far = np.argsort(vectors @ query[0])[:5]
    store.add([Record(f"/{one}", caption="far" if one in far else "near") for one in range(number)], vectors)
    store.compact()
    if isinstance(store, PostgresStore):
        store._database.execute("SET hnsw.max_scan_tuples = 1")
        store._database.execute("SET enable_seqscan = off")  # as the server decides among many images
    (found,) = store.search(query, 5, where=Filter(words="far"))
    assert sorted(hit.record.id for hit in found) == sorted(f"/{one}" for one in far)


def test_strange_names_stay_what_they_are(store):
    names = ["/it's.jpg", '/"; DROP TABLE images; --', "/100%_\\'.jpg", "/a\nb", "/Ünï\U0001f600", "/ %s {} $1"]
    records = [Record(stored_text(name), caption="it's 100% \\ {} %s") for name in [*names, "/\udcff.jpg"]]
    store.add(records, VECTORS[: len(records)])
    assert sorted(store.ids()) == sorted(record.id for record in records)
    assert store.records([record.id for record in records]) == {record.id: record for record in records}
    for name in names:
        assert not store.count(Filter(folder=name))
    assert store.count(Filter(words="it's")) == len(records)
    store.delete([record.id for record in records[:-1]])
    assert list(store.ids()) == [records[-1].id]


def test_an_empty_store_finds_nothing(store):
    store.compact()
    assert store.search(QUERIES, 3) == [[], [], []]
    assert (store.count(), list(store.ids()), store.records(["/a"])) == (0, [], {})


def test_the_store_of_another_ranker_is_refused(store, url):
    store.add(RECORDS[:2], VECTORS[:2])
    for other in (Collection("b" * 64, 16), Collection("a" * 64, 8)):
        with pytest.raises(DataError, match=r"holds vectors of ranker aaaaaaaaaaaa \(16 wide\), got ranker"):
            open_store(url, other)
    assert store.count() == 2


def test_an_absent_store_is_not_made_by_a_search(new_url):
    url = new_url()
    for _ in range(2):
        with pytest.raises(DataError, match="holds no index; make it by: vislang index FOLDER --store"):
            open_store(url, COLLECTION, create=False)


@pytest.mark.parametrize(
    ("records", "vectors", "message"),
    [
        (RECORDS[:2], VECTORS[:1], r"got vectors \[1, 16\], expected \[2, 16\]"),
        (RECORDS[:1], VECTORS[:1, :8], r"got vectors \[1, 8\], expected \[1, 16\]"),
        (RECORDS[:1], np.full((1, 16), np.nan), "NaN or infinity"),
        (RECORDS[:1], VECTORS[:1] * 2, "got vectors of lengths 2 to 2, expected 1"),
        ([RECORDS[0], RECORDS[0]], VECTORS[:2], "an id comes twice"),
        ([Record("/a\0")], VECTORS[:1], "cannot store"),
        ([Record("/\udcff")], VECTORS[:1], "cannot store"),
        ([Record("/a", caption="a" * 5000)], VECTORS[:1], "cannot store"),
    ],
)
def test_what_cannot_be_stored_is_refused_whole(filled, records, vectors, message):
    with pytest.raises(DataError, match=message):
        filled.add(records, vectors)
    assert filled.count() == len(RECORDS)


def test_searches_that_make_no_sense_are_refused(filled):
    with pytest.raises(DataError, match=r"got queries \[1, 8\], expected \[Q, 16\]"):
        filled.search(QUERIES[:1, :8], 3)
    for top, offset in ((0, 0), (1, -1)):
        with pytest.raises(ConfigError, match=f"got top {top} and offset {offset}"):
            filled.search(QUERIES, top, offset=offset)


def start_writer(url, first, *count):
    command = [sys.executable, "-W", "ignore", store_writer.__file__, url, str(first), *map(str, count)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(url, rounds):
    random = np.random.default_rng(rounds)
    last = 0
    for _ in range(rounds):
        with start_writer(url, last) as writer:
            for _ in range(random.integers(1, 12)):
                last = int(writer.stdout.readline())
            time.sleep(random.uniform(0, 0.05))
            writer.kill()
            last = max([last, *map(int, writer.stdout.read().split())])
        with open_store(url, COLLECTION) as store:
            ids = [f"/{number}" for number in range(last)]
            np.testing.assert_array_equal(store.vectors(ids), np.stack([vector_of(one) for one in range(last)]))
            more = set(store.ids()).difference(ids)
            assert len(more) in (0, store_writer.TOGETHER), "a transaction is whole or absent"
            assert store.count() == last + len(more)


@pytest.mark.parametrize("count", [70, pytest.param(700, marks=pytest.mark.slow)])
def test_two_writers_at_once_lose_nothing(url, count):
    """Their ids overlap by half; on object storage, which has no locks, they differ."""
    second = count if url.startswith("s3:") else count // 2
    with start_writer(url, 0, count) as one, start_writer(url, second, count) as other:
        assert one.wait(300) == 0
        assert other.wait(300) == 0
    numbers = range(second + count)
    with open_store(url, COLLECTION) as store:
        assert sorted(store.ids()) == sorted(f"/{number}" for number in numbers)
        vectors = np.stack([vector_of(number) for number in numbers])
        np.testing.assert_array_equal(store.vectors([f"/{number}" for number in numbers]), vectors)
