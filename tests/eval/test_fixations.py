"""The evaluator of fixations, its results and table, and the command, on drawn pictures that drawn people look at."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.fixations.records import FixationRecord
from eval.metrics.bootstrap import mean_interval
from eval.metrics.fixations.auc import auc_judd_exact, auc_shuffled_exact, pixels_inside
from eval.metrics.fixations.evaluate import (
    METRICS,
    FixationProtocol,
    FixationScores,
    GroundTruth,
    MetricSummary,
    evaluate_maps,
    evaluate_observers,
    score_map,
)
from eval.metrics.fixations.maps import fixation_map
from eval.metrics.fixations.nss_cc_sim_kl import nss
from eval.metrics.pointing_game import centre_map
from eval.results.kinds import FixationResult
from eval.results.result import Row, read_table, write_result
from eval.run import main
from eval.tables.fixations import OBSERVERS, ScoredImages, fixation_result, fixation_section
from eval.tasks.fixations import fixations_page, join_methods
from eval.tasks.saliency_maps import MapMethod, find_methods, read_map, unnaturalness_maps
from vislang.core.errors import ConfigError, DataError, EvalError
from vislang.draw.html.elements import figure_card

SIZE = (64, 48)
PROTOCOL = FixationProtocol(splits=10)
ROOT = Path(__file__).resolve().parents[2]


def spot(number):
    """Where the only thing of a picture is: somewhere on a circle around the middle."""
    turn = 2.4 * number
    return np.array([SIZE[0] / 2 + 18 * np.cos(turn), SIZE[1] / 2 + 13 * np.sin(turn)])


def seen(count=12, people=4, path=Path("none.jpg")):
    random = np.random.default_rng(0)
    subjects = [[random.normal(spot(number), 2.0, (6, 2)) for _ in range(people)] for number in range(count)]
    return [FixationRecord(f"{number:02d}.jpg", path, SIZE, tuple(subjects[number])) for number in range(count)]


def right_map(record):
    places, _ = pixels_inside(np.array([spot(int(record.image_id[:2]))]), SIZE)
    return fixation_map(places, SIZE[::-1], 4.0)


def centre(record):
    return centre_map(*SIZE[::-1])


METHODS = {"right": right_map, "centre": centre, "flat": lambda record: np.zeros((2, 3))}


def test_a_map_of_the_thing_beats_the_centre_and_people_are_the_ceiling():
    scores = evaluate_maps(seen(), METHODS, PROTOCOL)
    means = {name: {metric: one.mean for metric, one in scores[name].summary().items()} for name in scores}
    assert means["right"]["sauc_exact"] > 0.9 > 0.65 > means["centre"]["sauc_exact"]
    assert means["right"]["nss"] > 2 > means["centre"]["nss"]
    assert means["right"]["kl"] < means["centre"]["kl"]
    assert means["centre"]["ig"] == pytest.approx(0, abs=0.01)
    assert means["flat"]["sauc_exact"] == means["flat"]["auc_judd"] == 0.5
    assert means["flat"]["nss"] == means["flat"]["cc"] == 0
    people = evaluate_observers(seen(), PROTOCOL).summary()
    assert people["sauc_exact"].mean > 0.9
    assert people["cc"] is people["sim"] is people["kl"] is None


def test_values_are_those_of_the_metrics_on_smoothed_maps():
    records = seen(3)
    found = evaluate_maps(records, {"right": right_map}, FixationProtocol(blur=0.0, others=1))["right"].values
    own = [pixels_inside(np.concatenate(record.subjects), SIZE)[0] for record in records]
    for number, record in enumerate(records):
        others = np.concatenate([places for row, places in enumerate(own) if row != number])
        scores = right_map(record)
        assert found["sauc_exact"][number] == auc_shuffled_exact(scores, own[number], others)
        assert found["auc_judd_exact"][number] == auc_judd_exact(scores, own[number])
        assert found["nss"][number] == nss(scores, own[number])
        one_other = [auc_shuffled_exact(scores, own[number], own[row]) for row in range(3) if row != number]
        assert found["sauc_ten_exact"][number] in one_other


def test_negatives_of_pictures_of_other_sizes_are_stretched():
    random = np.random.default_rng(1)
    shares = [random.random((200, 2)) for _ in range(2)]
    records = [
        FixationRecord(f"{size[0]}", Path("x"), size, (one * size,))
        for size, one in zip([(40, 40), (400, 100)], shares, strict=True)
    ]
    maps = {"right half": lambda record: np.array([[0.0] * 10 + [1.0] * 10])}
    found = evaluate_maps(records, maps, FixationProtocol(blur=0))["right half"].values["sauc_exact"]
    right = [(one[:, 0] >= 0.5).mean() for one in shares]
    np.testing.assert_allclose(found, [0.5 + (right[0] - right[1]) / 2, 0.5 + (right[1] - right[0]) / 2], atol=0.02)


def test_people_are_predicted_by_the_others_alone():
    records = seen(4, people=3)
    found = evaluate_observers(records, PROTOCOL).values
    deviation = PROTOCOL.fixation_blur * SIZE[0]
    for number, record in enumerate(records):
        places = [pixels_inside(points, SIZE)[0] for points in record.subjects]
        each, areas = [], []
        for person, own in enumerate(places):
            rest = np.concatenate([one for row, one in enumerate(places) if row != person])
            each.append(nss(fixation_map(rest, SIZE[::-1], deviation), own))
            areas.append(auc_judd_exact(fixation_map(rest, SIZE[::-1], deviation), own))
        assert found["nss"][number] == pytest.approx(np.mean(each), abs=1e-9)
        assert found["auc_judd_exact"][number] == pytest.approx(np.mean(areas), abs=1e-9)


def test_equal_seeds_give_equal_numbers_and_methods_share_their_negatives():
    twice = {"one": right_map, "two": right_map}
    first, second = (evaluate_maps(seen(), twice, FixationProtocol(splits=3, seed=5)) for _ in range(2))
    for metric in METRICS:
        np.testing.assert_array_equal(first["one"].values[metric], second["one"].values[metric])
        np.testing.assert_array_equal(first["one"].values[metric], first["two"].values[metric])
    other = evaluate_maps(seen(), twice, FixationProtocol(splits=3, seed=6))["one"].values
    assert (other["sauc"] != first["one"].values["sauc"]).any()
    assert (other["sauc_exact"] == first["one"].values["sauc_exact"]).all()


def test_a_centre_prior_and_smoothing_change_the_map_as_the_protocol_says():
    records = seen()
    priors = [FixationProtocol(centre_prior=prior, splits=3) for prior in ("none", "multiply", "log-add")]
    flat = [evaluate_maps(records, METHODS, one)["flat"].values["auc_judd_exact"] for one in priors]
    assert (flat[0] == 0.5).all()
    assert not flat[1].any() or (flat[1] == 0.5).all()  # 0 times the centre is still flat
    assert (flat[2] != 0.5).any()
    dots = {"dots": lambda record: (right_map(record) > 0.99).astype(float)}
    sharp, smooth = (evaluate_maps(records, dots, FixationProtocol(blur=blur, splits=3))["dots"] for blur in (0, 0.05))
    assert smooth.gain_over(sharp)["auc_judd_exact"].low > 0


def test_a_map_that_cannot_be_had_is_listed_and_left_out_of_the_means():
    def broken(record):
        if record.image_id == "03.jpg":
            return np.full((3, 3), np.nan)
        return right_map(record)

    scores = evaluate_maps(seen(), {"broken": broken, "right": right_map}, PROTOCOL)
    assert [name for name, _ in scores["broken"].skipped] == ["03.jpg"]
    assert "NaN or infinite" in scores["broken"].skipped[0][1]
    assert scores["broken"].summary()["nss"].images == 11
    assert scores["broken"].gain_over(scores["right"])["nss"] == MetricSummary(0, 0, 0, 11)


def test_pictures_that_nobody_looked_at_have_no_numbers():
    nobody = FixationRecord("nobody.jpg", Path("x"), SIZE, (np.zeros((0, 2)), np.array([[900.0, 1.0]])))
    scores = evaluate_maps([*seen(4), nobody], {"centre": centre}, PROTOCOL)["centre"]
    assert all(np.isnan(values[-1]) for values in scores.values.values())
    assert scores.summary()["sauc_exact"].images == 4
    assert np.isnan(evaluate_observers([*seen(4), nobody], PROTOCOL).values["nss"][-1])


def test_one_fixation_is_enough_for_the_exact_metrics():
    one = FixationRecord("00.jpg", Path("x"), SIZE, (spot(0)[None],))
    scores = evaluate_maps([*seen(3)[1:], one], {"right": right_map}, PROTOCOL)["right"].values
    assert scores["nss"][-1] > 2
    assert np.isfinite(scores["sauc_exact"][-1])
    assert np.isnan(scores["sauc"][-1])


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(EvalError, match="expected at least 2"):
        evaluate_maps(seen(1), METHODS, PROTOCOL)
    with pytest.raises(ConfigError, match="unknown centre prior 'add'"):
        FixationProtocol(centre_prior="add")
    with pytest.raises(ConfigError, match="shares of the width"):
        FixationProtocol(blur=3)
    few = evaluate_maps(seen(4), {"centre": centre}, PROTOCOL)["centre"]
    with pytest.raises(EvalError, match="other images"):
        few.gain_over(evaluate_maps(seen(5), {"centre": centre}, PROTOCOL)["centre"])


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = sum(
        low <= 0 <= high for low, high in (mean_interval(random.normal(size=60), resamples=300) for _ in range(200))
    )
    assert 0.88 <= hits / 200 <= 0.99
    assert mean_interval(np.array([2.0, np.nan, 2.0])) == (2.0, 2.0)
    assert mean_interval(np.array([np.nan])) is None


def made_result(name, scores, folder=None, **changes):
    row = Row(name=name, system="naturalness", dataset="toy", data_fingerprint="f")
    baselines = {"centre": scores["centre"], OBSERVERS: evaluate_observers(seen(), PROTOCOL)}
    protocol = FixationProtocol(splits=10, **changes)
    images = ScoredImages(12, 288, 0, {})
    result = fixation_result(row, protocol, {name: scores["right"]}, baselines, images)
    if folder is not None:
        write_result(folder, result)
    return result


def test_the_table_holds_baselines_models_and_people(tmp_path):
    scores = evaluate_maps(seen(), METHODS, PROTOCOL)
    result = made_result("right", scores, tmp_path)
    unsmoothed = made_result("unsmoothed", scores, tmp_path, blur=0.0)
    centred = made_result("centred", scores, tmp_path, centre_prior="multiply")
    assert [one.name for one in read_table(tmp_path, result)] == ["centred", "right"]
    assert read_table(tmp_path, centred)[1] == result
    table = fixation_section([result])
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| centre", "| **right**", f"| {OBSERVERS}"]
    assert len({line.count("|") for line in lines}) == 1
    assert "against centre, 95 % interval" in table
    assert result.gain_over == "centre"
    assert result.gains["right"]["sauc_exact"].low > 0
    assert result.metrics["nss"] == result.methods["right"]["nss"].mean
    assert unsmoothed.file_name() == "fixations-unsmoothed-toy-blur0.json"
    assert isinstance(result, FixationResult)


def test_the_page_needs_nothing_else_and_escapes_names():
    rows = [figure_card("<i>.jpg", [("a & b", "data:image/jpeg;base64,AA==")])]
    page = fixations_page("<b>", rows, tags=["<t>"]).html()
    assert "&lt;b&gt;" in page
    assert "&lt;i&gt;.jpg" in page
    assert "a &amp; b" in page
    assert "http" not in page.replace("http-equiv", "")


def test_without_a_fixation_map_the_metrics_that_compare_with_it_are_left_out():
    record = seen()[0]
    places, _ = pixels_inside(np.concatenate(record.subjects), SIZE)
    truth = GroundTruth(places, None, places, places, centre(record))
    assert set(METRICS) - set(score_map(centre(record), truth, PROTOCOL, "x")) == {"cc", "sim", "kl"}
    assert isinstance(FixationScores({}).summary(), dict)


@pytest.fixture(scope="module")
def osie_like(tmp_path_factory):
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("osie")
    (folder / "stimuli").mkdir()
    (folder / "maps").mkdir()
    entries = np.empty((6, 1), object)
    for number, record in enumerate(seen(6)):
        pixels = np.random.default_rng(number).integers(100, 120, (*SIZE[::-1], 3)).astype(np.uint8)
        column, row = spot(number).astype(int)
        pixels[row - 3 : row + 3, column - 3 : column + 3] = [250, 30, 30]
        Image.fromarray(pixels).save(folder / "stimuli" / record.image_id)
        people = np.empty((len(record.subjects), 1), object)
        people[:, 0] = [
            {"fix_x": points[:, 0], "fix_y": points[:, 1], "fix_duration": np.ones(len(points))}
            for points in record.subjects
        ]
        entries[number, 0] = {"img": record.image_id, "subjects": people}
        scores = right_map(record)
        if number % 2:
            np.save(folder / "maps" / f"{number:02d}.npy", scores.astype(np.float32))
        else:
            Image.fromarray((255 * scores).astype(np.uint8)).save(folder / "maps" / f"{number:02d}.jpg.png")
    savemat(folder / "fixations.mat", {"fixations": entries})
    return folder


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "eval.run", "fixations", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_the_command_judges_stored_maps_and_writes_everything(osie_like, tmp_path):
    pytest.importorskip("cv2.saliency")
    done = run(
        "--data", osie_like, "--maps", f"mine={osie_like / 'maps'}", "--out", tmp_path, "--centre-prior", "multiply"
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"fixations-mine-osie.json", "fixations-osie.html"}
    result = json.loads((tmp_path / "fixations-mine-osie.json").read_text())
    assert list(result["methods"]) == ["mine", "mine + centre (multiply)"]
    assert set(result["baselines"]) >= {"uniform", "centre", "spectral residual", "fine-grained", OBSERVERS}
    assert result["methods"]["mine"]["sauc_exact"]["mean"] > 0.9
    assert "| **mine** |" in done.stdout
    page = (tmp_path / "fixations-osie.html").read_text()
    assert page.count("<article") == 6
    assert "fine-grained" in page


def test_a_missing_map_is_told_and_the_rest_is_judged(osie_like, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for number in range(1, 5):
        np.save(maps / f"{number:02d}.npy", np.eye(5))
    (maps / "05.npy").write_bytes(b"broken")
    done = run("--data", osie_like, "--maps", maps, "--out", tmp_path, "--blur", "0", "--json")
    assert done.returncode == 3, done.stderr
    assert "00.npy" in done.stderr
    assert "05.npy is no map" in done.stderr
    (result,) = json.loads(done.stdout)
    assert result["methods"]["maps"]["nss"]["images"] == 4
    assert (tmp_path / "fixations-osie-blur0.html").is_file()


def test_your_own_fixations_are_judged_with_images_of_one_name_in_two_folders(tmp_path, capsys):
    lines = ["image,subject,x,y"]
    for number, record in enumerate(seen(4)):
        image = tmp_path / "mine" / f"folder{number % 2}" / f"{number // 2}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", record.size).save(image)
        name = image.relative_to(tmp_path / "mine")
        for person, points in enumerate(record.subjects):
            lines += [f"{name},{person},{x},{y}" for x, y in points]
        scores = tmp_path / "maps" / name.with_suffix(".npy")
        scores.parent.mkdir(parents=True, exist_ok=True)
        np.save(scores, right_map(record).astype(np.float32))
    (tmp_path / "mine" / "looks.csv").write_text("\n".join(lines))
    words = ["--dataset", "csv", "--data", tmp_path / "mine", "--dataset-name", "lab", "--maps", tmp_path / "maps"]
    assert main(["fixations", *map(str, words), "--out", str(tmp_path / "out"), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["dataset"] == "lab"
    assert result["methods"]["maps"]["sauc_exact"]["mean"] > 0.9


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--maps", "absent"], "expected a folder"),
        (["--option", "drop_first=maybe"], "expected drop_first=yes"),
        (["--dataset", "osi"], "did you mean osie"),
        (["--blur", "3"], "shares of the width"),
    ],
)
def test_mistakes_are_told_in_one_line(osie_like, tmp_path, words, told, capsys):
    assert main(["fixations", "--data", str(osie_like), "--out", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_data_must_be_named(capsys):
    with pytest.raises(SystemExit):
        main(["fixations"])
    assert "the following arguments are required: --data" in capsys.readouterr().err


def test_the_model_in_the_box_is_judged(tmp_path):
    from vislang.core.bundled_models import PRETRAINED

    pixels = np.random.default_rng(0).integers(0, 255, (100, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    name, method = unnaturalness_maps(PRETRAINED / "naturalness")
    assert name == "bundled-efficientnet_lite0"
    assert (method.model.checkpoint, method.model.seed, len(method.model.weights_fingerprint)) == ("naturalness", 0, 64)
    assert method.map_of(argparse.Namespace(path=tmp_path / "a.png")).shape == (100, 120)


def test_names_of_maps_must_differ(osie_like):
    args = argparse.Namespace(maps=[f"a={osie_like}", f"a={osie_like}"], name=None, models=[])
    with pytest.raises(ConfigError, match="twice"):
        find_methods(args, [])
    with pytest.raises(ConfigError, match="of a baseline"):
        join_methods({"centre": MapMethod(centre)}, {"centre": MapMethod(centre)})
    with pytest.raises(DataError, match="no map"):
        read_map(osie_like / "fixations.mat")
