"""Readers of fixations on small files in the layouts of OSIE and MIT1003, and OSIE itself."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from datasets.fixations.gaze_samples import find_fixations, speed_changes
from datasets.fixations.mit1003 import read_mit1003
from datasets.fixations.osie import read_osie
from datasets.fixations.records import fixations_fingerprint
from datasets.registry import read_fixations
from vislang.core.errors import ConfigError, DataError

SIZE = (80, 60)
SEEN = {  # picture: for each person x, y and milliseconds
    "b.jpg": [([10.5, 20.0, 90.0], [5.0, 6.0, 7.0], [100, 200, 300]), ([79.9], [59.9], [50])],
    "a.jpg": [([1.0, 2.0], [3.0, 4.0], [11, 12]), ([], [], [])],
    "absent.jpg": [([1.0], [1.0], [1]), ([2.0], [2.0], [2])],
}


def cells(values):
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


def write_osie(folder, seen=SEEN):
    (folder / "stimuli").mkdir()
    entries = []
    for name, people in seen.items():
        subjects = [{"fix_x": x, "fix_y": y, "fix_duration": np.array(times, np.uint16)} for x, y, times in people]
        entries.append({"img": name, "subjects": cells(subjects)})
        if name != "absent.jpg":
            Image.new("RGB", SIZE).save(folder / "stimuli" / name)
    savemat(folder / "fixations.mat", {"fixations": cells(entries)})
    return folder


def gaze(*stops):
    """Samples of an eye that rests at each (x, y, how many samples) and flies between them in 6 samples."""
    samples = [np.tile(stops[0][:2], (stops[0][2], 1))]
    for x, y, count in stops[1:]:
        start = samples[-1][-1]
        shares = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, 7) / 7)
        samples += [start + shares[:, None] * (np.array([x, y]) - start), np.tile((x, y), (count, 1))]
    return np.concatenate(samples).astype(float)


def write_mit1003(folder, stems=("i1", "i2")):
    (folder / "ALLSTIMULI").mkdir()
    for stem in stems:
        Image.new("RGB", SIZE).save(folder / "ALLSTIMULI" / f"{stem}.jpeg")
        for number, person in enumerate(("ajs", "hp")):
            (folder / "DATA" / person).mkdir(parents=True, exist_ok=True)
            samples = gaze((40, 30, 60), (5 + number, 55, 80), (500, 30, 50), (70, 10, 60))
            savemat(folder / "DATA" / person / f"{stem}.mat", {stem[:63]: {"DATA": {"eyeData": samples}}})
    return folder


def test_osie_keeps_the_pictures_that_are_there_and_the_fixations_inside(tmp_path):
    data = read_osie(write_osie(tmp_path))
    assert [record.image_id for record in data.records] == ["a.jpg", "b.jpg"]
    assert data.skipped == ()
    first, second = data.records
    assert second.size == SIZE
    assert [points.tolist() for points in second.subjects] == [[[10.5, 5.0], [20.0, 6.0]], [[79.9, 59.9]]]
    assert [times.tolist() for times in second.durations] == [[100.0, 200.0], [50.0]]
    assert (first.outside, second.outside) == (0, 1)
    assert [points.shape for points in first.subjects] == [(2, 2), (0, 2)]


def test_the_first_fixation_is_dropped_before_those_outside(tmp_path):
    records = read_fixations("osie", write_osie(tmp_path), options={"drop_first": True}).records
    assert [points.tolist() for points in records[1].subjects] == [[[20.0, 6.0]], []]


def test_broken_pictures_are_skipped_and_listed(tmp_path):
    (write_osie(tmp_path) / "stimuli" / "a.jpg").write_bytes(b"no picture")
    data = read_osie(tmp_path)
    assert [record.image_id for record in data.records] == ["b.jpg"]
    assert data.skipped[0][0] == "a.jpg"
    assert "not an image" in data.skipped[0][1]


def test_entries_that_are_not_as_osies_are_listed(tmp_path):
    seen = {"a.jpg": [([1.0, 2.0], [3.0, 4.0], [11])], "b.jpg": SEEN["b.jpg"]}
    data = read_osie(write_osie(tmp_path, seen))
    assert [record.image_id for record in data.records] == ["b.jpg"]
    assert data.skipped == (("a.jpg", "not in OSIE's format (1 durations of 2 fixations)"),)


def test_what_is_no_osie_is_refused(tmp_path):
    with pytest.raises(DataError, match="no folder stimuli"):
        read_osie(tmp_path)
    (tmp_path / "stimuli").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        read_osie(tmp_path)
    (tmp_path / "fixations.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="no MATLAB file that can be read"):
        read_osie(tmp_path)
    savemat(tmp_path / "fixations.mat", {"other": 1})
    with pytest.raises(DataError, match="no variable 'fixations'"):
        read_osie(tmp_path)


def test_none_of_the_named_pictures(tmp_path):
    write_osie(tmp_path, {"absent.jpg": SEEN["absent.jpg"]})
    with pytest.raises(DataError, match="none of the images"):
        read_osie(tmp_path)


def test_an_unknown_data_set_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="mit1003"):
        read_fixations("mit103", tmp_path)


def test_a_data_set_without_any_fixation_is_refused(tmp_path):
    write_osie(tmp_path, {"a.jpg": [([-1.0], [1.0], [5])]})
    with pytest.raises(DataError, match="no fixation on 1 images"):
        read_fixations("osie", tmp_path)


def test_mit1003_drops_the_first_fixation_and_those_outside(tmp_path):
    data = read_fixations("mit1003", write_mit1003(tmp_path))
    assert [record.image_id for record in data.records] == ["i1.jpeg", "i2.jpeg"]
    record = data.records[0]
    assert [points.tolist() for points in record.subjects] == [[[5, 55], [70, 10]], [[6, 55], [70, 10]]]
    assert record.outside == 2
    assert record.durations[0][0] == pytest.approx(1000 * 80 / 240, abs=50)
    kept = read_mit1003(tmp_path, drop_first=False).records[0]
    assert kept.subjects[0].tolist() == [[40, 30], [5, 55], [70, 10]]


def test_mit1003_names_are_cut_as_matlab_cuts_them(tmp_path):
    stem = "i" * 70
    data = read_mit1003(write_mit1003(tmp_path, (stem,)))
    assert [len(points) for points in data.records[0].subjects] == [2, 2]


def test_a_persons_missing_or_broken_file_is_listed_and_the_picture_kept(tmp_path):
    write_mit1003(tmp_path)
    (tmp_path / "DATA" / "ajs" / "i1.mat").unlink()
    savemat(tmp_path / "DATA" / "hp" / "i2.mat", {"i2": {"other": 1}})
    data = read_mit1003(tmp_path)
    assert [[len(points) for points in record.subjects] for record in data.records] == [[0, 2], [2, 0]]
    assert [name for name, _ in data.skipped] == ["ajs/i1.mat", "hp/i2.mat"]
    with pytest.raises(DataError, match="expected some of both"):
        read_mit1003(tmp_path / "DATA")


def test_fixations_lie_between_saccades():
    points, times = find_fixations(gaze((40, 30, 60), (200, 100, 80), (500, 30, 50)))
    assert points.tolist() == [[40, 30], [200, 100], [500, 30]]
    assert times.sum() < 1000 * (60 + 80 + 50 + 12) / 240
    np.testing.assert_allclose(times, 1000 * np.array([60, 80, 50]) / 240, atol=50)


def test_an_eye_that_rests_is_one_fixation_and_lost_samples_do_not_count():
    samples = gaze((40, 30, 60))
    samples[10:20] = np.nan
    points, times = find_fixations(samples)
    assert points.tolist() == [[40, 30]]
    assert times.tolist() == [250.0]
    assert find_fixations(samples[:3])[0].tolist() == [[40, 30]]
    assert np.isnan(find_fixations(np.full((30, 2), np.nan))[0]).all()


def test_saccades_with_a_short_stop_between_are_one():
    points, _ = find_fixations(gaze((40, 30, 60), (200, 100, 8), (500, 30, 80)))
    assert points.tolist() == [[40, 30], [500, 30]]


def test_speed_changes_are_those_of_the_windows():
    samples = np.cumsum(np.random.default_rng(0).normal(size=(40, 2)), axis=0)
    steps = np.concatenate([[0], np.hypot(*np.diff(samples, axis=0).T)])
    smooth = [sum(steps[k - j] for j in range(4) if k >= j) / 4 for k in range(40)]
    expected = np.zeros(40)
    for k in range(1, 35):
        expected[k] = (sum(smooth[k + 1 : k + 6]) - sum(smooth[k : k + 5])) / (4 / 240)
    np.testing.assert_allclose(speed_changes(samples), expected, atol=1e-9)


def test_the_fingerprint_is_of_what_was_seen_not_of_where_it_lies(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (read_osie(write_osie(tmp_path / name)).records for name in ("one", "two"))
    assert fixations_fingerprint(one) == fixations_fingerprint(two)
    assert fixations_fingerprint(one) != fixations_fingerprint(one[:1])


@pytest.mark.realdata
def test_the_published_osie(real_data):
    data = read_fixations("osie", real_data / "osie")
    assert data.skipped == ()
    assert len(data.records) == 200
    assert {record.size for record in data.records} == {(800, 600)}
    assert {len(record.subjects) for record in data.records} == {15}
    assert sum(len(points) for record in data.records for points in record.subjects) == 27824
    assert sum(record.outside for record in data.records) == 0
    first = data.records[0]
    assert (first.image_id, first.subjects[0][0].tolist(), first.durations[0][0]) == ("1001.jpg", [395.5, 265.7], 246)
