"""The reader of a folder of images and one CSV file of fixations."""

import numpy as np
import pytest
from PIL import Image

from datasets.fixations.csv_file import read_fixations_csv
from datasets.registry import read_fixations
from vislang.core.errors import DataError

SIZE = (80, 60)
HEADER = "image,subject,x,y,duration"
LINES = (
    "street/b.png,anna,10.5,5,100",
    "a.jpg,ben,1,3,11",
    "street/b.png,ben,79.9,59.9,50",
    "street/b.png,anna,20,6,200.5",
    "street/b.png,anna,90,7,300",  # outside
    "a.jpg,anna,-1,3,5",  # outside, and her only one
)


def write(folder, lines=LINES, header=HEADER, name="fixations.csv"):
    (folder / "street").mkdir(exist_ok=True)
    Image.new("RGB", SIZE).save(folder / "a.jpg")
    Image.new("RGB", SIZE).save(folder / "street" / "b.png")
    (folder / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_fixations_are_grouped_by_image_and_person_in_the_order_of_the_file(tmp_path):
    data = read_fixations("csv", write(tmp_path))
    assert data.skipped == ()
    first, second = data.records
    assert (first.image_id, second.image_id) == ("a.jpg", "street/b.png")
    assert second.path == tmp_path / "street" / "b.png"
    assert second.size == SIZE
    assert [points.tolist() for points in second.subjects] == [[[10.5, 5], [20, 6]], [[79.9, 59.9]]]
    assert [times.tolist() for times in second.durations] == [[100, 200.5], [50]]
    assert [points.tolist() for points in first.subjects] == [[[1, 3]], []]
    assert (first.outside, second.outside) == (1, 1)


def test_durations_may_be_absent_and_columns_in_any_order(tmp_path):
    lines = ['5,1,"Mustermann, Eva",a.jpg,left', "6,2,ben,a.jpg,right", "", "7,3,ben,a.jpg,right"]
    (record,) = read_fixations_csv(write(tmp_path, lines, header="Y, x,Subject,image,eye")).records
    assert record.durations is None
    assert [points.tolist() for points in record.subjects] == [[[1, 5]], [[2, 6], [3, 7]]]


def test_the_first_fixation_of_each_person_is_dropped_if_asked_for(tmp_path):
    records = read_fixations("csv", write(tmp_path), options={"drop_first": True}).records
    assert [points.tolist() for points in records[1].subjects] == [[[20, 6]], []]
    assert [times.tolist() for times in records[1].durations] == [[200.5], []]


def test_a_byte_order_mark_and_windows_line_ends_and_slashes_do_not_matter(tmp_path):
    write(tmp_path)
    text = "\r\n".join([HEADER, "street\\b.png,anna,10,5,100"])
    (tmp_path / "fixations.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (record,) = read_fixations_csv(tmp_path).records
    assert record.image_id == "street/b.png"
    np.testing.assert_array_equal(record.subjects[0], [[10, 5]])


def test_missing_and_damaged_images_are_skipped_and_listed(tmp_path):
    write(tmp_path, [*LINES, "absent.jpg,anna,1,1,1"])
    (tmp_path / "a.jpg").write_bytes(b"no image")
    data = read_fixations_csv(tmp_path)
    assert [record.image_id for record in data.records] == ["street/b.png"]
    assert [name for name, _ in data.skipped] == ["a.jpg", "absent.jpg"]


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        (HEADER, "a.jpg,ben,1", "fixations.csv:2: got 3 cells, expected 5"),
        (HEADER, "a.jpg,ben,one,3,11", "fixations.csv:2: x got 'one', expected a number such as 312.5"),
        (HEADER, "a.jpg,ben,1,nan,11", "fixations.csv:2: y got 'nan', expected a number"),
        (HEADER, "a.jpg,ben,1,,11", "fixations.csv:2: y got '', expected a number"),
        (HEADER, "a.jpg,ben,1,2,-3", "fixations.csv:2: duration got '-3', expected a number"),
        (HEADER, "../a.jpg,ben,1,2,3", "image got '../a.jpg', expected a path inside the folder"),
        (HEADER, "/etc/a.jpg,ben,1,2,3", "expected a path inside the folder"),
        (HEADER, ",ben,1,2,3", "image got '', expected a path inside the folder"),
        ("image;subject;x;y", "a.jpg;ben;1;2", "header got 'image;subject;x;y', expected image,subject,x,y"),
        ("image,subject,x", "a.jpg,ben,1", "header got 'image,subject,x', expected image,subject,x,y"),
        ("image,subject,x,y,x", "a.jpg,ben,1,2,3", "header got 'image,subject,x,y,x'"),
        ("image,subject,x,y", "a.jpg,ben,1,2\0", "fixations.csv:2: "),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(tmp_path, header, line, message):
    with pytest.raises(DataError) as raised:
        read_fixations_csv(write(tmp_path, [line], header))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "write a header image,subject,x,y" in str(raised.value)


def test_the_folder_must_hold_one_csv_file_with_fixations(tmp_path):
    with pytest.raises(DataError, match="no such folder, expected one with images and a CSV file"):
        read_fixations_csv(tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds 0 CSV files \(none\), expected one"):
        read_fixations_csv(tmp_path)
    with pytest.raises(DataError, match="holds no fixation"):
        read_fixations_csv(write(tmp_path, []))
    with pytest.raises(DataError, match=r"holds 2 CSV files \(fixations.csv, more.CSV\), expected one"):
        read_fixations_csv(write(tmp_path, name="more.CSV"))
    (tmp_path / "more.CSV").unlink()
    (tmp_path / "fixations.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_fixations_csv(tmp_path)
