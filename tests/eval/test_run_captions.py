"""The captions task of eval.run: files of captions, trained captioners, baselines; no Java is started here."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from eval import document_frequencies, run
from eval.metrics.captions.coco_files import read_results
from vislang.training.checkpoints import WEIGHTS

REFERENCES = {
    "1.jpg": ["A dog runs on the grass .", "The dog is running"],
    "2.jpg": ["Two cats sit on a red ball .", "cats on a ball"],
    "3.jpg": ["A man climbs a rock .", "a man on a rock face"],
    "4.jpg": ["A boat sails .", "a boat on the sea"],
}
GOOD = {"1.jpg": "a dog runs on grass", "2.jpg": "two cats on a ball", "3.jpg": "a man climbs", "4.jpg": "a boat"}
POOR = {"1.jpg": "a cat", "2.jpg": "two cats on a ball", "3.jpg": "a boat sails", "4.jpg": "the grass"}


@pytest.fixture(autouse=True)
def no_java(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("eval.metrics.captions.java._bundled_java", lambda: None)


def coco(captions):
    return [{"image_id": name, "caption": caption} for name, caption in captions.items()]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "references.json").write_text(json.dumps(REFERENCES))
    (tmp_path / "good.json").write_text(json.dumps(coco(GOOD)))
    (tmp_path / "poor.json").write_text(json.dumps(coco(POOR)))
    return tmp_path


def score(place, *more, results="good.json"):
    words = ["captions", "--results", str(place / results), "--out", str(place / "out")]
    return run.main([*words, *more])


def against(place):
    return ["--references", str(place / "references.json")]


def test_anyones_captions_are_scored_and_every_image_is_kept(place, capsys):
    assert score(place, *against(place)) == 0
    output = capsys.readouterr()
    assert "good.json: 4 images, tokenizer treebank" in output.out
    assert "captions-good-scores.json" in output.err
    document = json.loads((place / "out" / "captions-good-scores.json").read_text())
    assert document["per_image"]["image_id"] == list(GOOD)
    for name in ("rouge_l", "cider"):
        assert np.mean(document["per_image"][name]) == pytest.approx(document["metrics"][name], abs=1e-5)
    for name, (low, high) in document["intervals"].items():
        assert low <= document["metrics"][name] + 1e-9
        assert high >= document["metrics"][name] - 1e-9 or name.startswith("bleu")  # BLEU is no mean of its images
    assert document["diversity"]["distinct"] == 4
    assert document["provenance"]["versions"]["python"]


def test_without_java_meteor_is_left_out_with_its_reason(place, capsys):
    assert score(place, *against(place), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "meteor" not in document["metrics"]
    assert "no Java was found" in document["skipped"]["meteor"]
    assert {"bleu4", "rouge_l", "cider"} <= set(document["metrics"])
    assert "per_image" not in document


def test_two_files_are_compared(place, capsys):
    assert score(place, *against(place), "--against", str(place / "poor.json"), "--json") == 0
    comparison = json.loads(capsys.readouterr().out)["comparison"]
    assert (comparison["a"], comparison["b"]) == ("poor.json", "good.json")
    one = comparison["differences"]["cider"]
    assert one["difference"] == pytest.approx(one["b"] - one["a"])
    assert one["difference"] > 0
    assert 0 < one["p_value"] <= 1
    assert score(place, *against(place), "--against", str(place / "poor.json")) == 0
    assert "B - A" in capsys.readouterr().out


def test_a_second_file_that_does_not_fit_leaves_the_first_one_scored(place, capsys):
    (place / "fewer.json").write_text(json.dumps(coco({"1.jpg": "a dog"})))
    (place / "strangers.json").write_text(json.dumps(coco({"9.jpg": "a dog"})))
    for name, words in (
        ("fewer.json", "caption 1 and 4 images"),
        ("strangers.json", "1 of 1 images have no reference"),
        ("absent.json", "No such file"),
    ):
        assert score(place, *against(place), "--against", str(place / name), "--name", name) == 2
        output = capsys.readouterr()
        assert words in output.err
        assert "cider" in output.out
        assert (place / "out" / f"captions-{name}-scores.json").is_file()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (coco({**GOOD, "5.jpg": "a"}), "1 of 5 images have no reference (5.jpg)"),
        ([*coco(GOOD), {"image_id": "1.jpg", "caption": "b"}], "1 image(s) have more than one caption (1.jpg)"),
        (GOOD, 'expected [{"image_id": 17, "caption": "a dog runs"}, ...]'),
        ([{"image_id": "1.jpg"}], "entry 0 is {'image_id': '1.jpg'}"),
    ],
)
def test_files_that_cannot_be_scored_end_with_one_line(place, capsys, document, words):
    (place / "bad.json").write_text(json.dumps(document))
    assert score(place, *against(place), results="bad.json") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_options_that_do_not_go_together_end_with_one_line(place, capsys):
    cases = {
        "got no references": ["--results", str(place / "good.json")],
        "--results and --model were both given": ["--results", "x", "--model", "y"],
        "--against and --references need --results": ["--against", "x"],
        "the baselines alone need --dataset, --data and --cache": [],
    }
    for words, options in cases.items():
        assert run.main(["captions", *options]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_one_image_has_scores_and_no_interval(place, capsys):
    (place / "one.json").write_text(json.dumps(coco({"1.jpg": "a dog runs"})))
    assert score(place, *against(place), results="one.json") == 0
    output = capsys.readouterr().out
    assert "not measured, cider: CIDEr of one image is always 0" in output
    assert "note: 3 more images have references" in output


def toy_words(toy_data):
    return ["--dataset", "karpathy", "--data", str(toy_data)]


def test_a_stored_table_of_document_frequencies_scores_single_images(place, toy_data, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_DF", str(place / "df"))
    assert score(place, *against(place), "--df", "karpathy-train") == 2
    error = capsys.readouterr().err
    assert "no document frequencies 'karpathy-train'" in error
    assert "python -m eval.document_frequencies --dataset karpathy --data DIR --split train --out" in error
    assert document_frequencies.main([*toy_words(toy_data), "--tokenizer", "treebank"]) == 0
    assert "of 40 images, tokenizer treebank" in capsys.readouterr().out
    (place / "one.json").write_text(json.dumps(coco({"1.jpg": "a red dog"})))
    (place / "references.json").write_text(json.dumps({"1.jpg": ["a red dog", "the dog"]}))
    assert score(place, *against(place), "--df", "karpathy-train", "--json", results="one.json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"]["cider"] > 0
    assert document["document_frequencies"] == "karpathy-train"


def test_references_can_come_from_a_data_set(place, toy_data, capsys):
    (place / "toy.json").write_text(json.dumps(coco({f"{number}.jpg": "a dog" for number in range(50, 60)})))
    assert score(place, *toy_words(toy_data), "--json", results="toy.json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["num_images"], document["references"]) == (10, "karpathy, test")
    assert document["diversity"]["seen"] == 1.0  # the toy's training captions say "a dog"


# Trained captioners: the checkpoint's name is preset-seed-caption.


class FakeCaptioner:
    def __init__(self, folder):
        preset, seed, words = folder.name.split("-")
        self.words, self.fingerprint = words.replace("_", " "), folder.name
        config = {"epochs": 2, "self_critical_epochs": 1, "beam": 5, "words": words.split("_")[0]}
        backbone = {"name": "toy", "weights": {"pooled": "f" * 64}}
        self.description = {"preset": preset, "seed": int(seed), "config": config, "backbone": backbone, "data": {}}

    def complete(self, options):
        return options.completed({"consensus_weight": 3.0})

    def caption_cached(self, cache, ids, *, options=None):
        assert set(ids) <= set(cache.ids)
        self.options = options
        return [[SimpleNamespace(text=f"{self.words} {name[1]}", log_prob=-1.0)] for name in ids]


@pytest.fixture
def captioners(place, toy_data, monkeypatch):
    monkeypatch.setattr("captioner.api.load_model", FakeCaptioner)
    rows = [{"epoch": epoch, "seconds": 1.5} for epoch in range(3)]
    for name in ("best-0-a_dog", "best-1-a_cat", "karpathy-0-the_red", "best-2-other_words"):
        (place / "runs" / name).mkdir(parents=True)
        (place / "runs" / name / "history.json").write_text(json.dumps(rows))
        (place / "runs" / name / WEIGHTS).write_text(name)
    places = ["--cache", str(toy_data / "features.h5"), "--out", str(place / "out")]

    def measure(*names, more=()):
        words = ["--model", *(str(place / "runs" / name) for name in names)] if names else []
        return run.main(["captions", *words, *toy_words(toy_data), *places, *more])

    return measure


def kept(place, pattern):
    """Return the captions of each image that an evaluation kept."""
    (path,) = (place / "out" / "by-image").glob(pattern)
    return read_results(path)


def test_seeds_share_a_row_beside_the_baselines_and_everything_is_written(captioners, place, toy_data, capsys):
    assert captioners("best-1-a_cat", "best-0-a_dog", "karpathy-0-the_red") == 0
    output = capsys.readouterr()
    for name in ("nearest-toy", "consensus-toy", "captioner-best-toy", "captioner-karpathy-toy"):
        assert f"**{name}**" in output.out
        assert (place / "out" / f"captions-{name}-karpathy-test.json").is_file()
    result = json.loads((place / "out" / "captions-captioner-best-toy-karpathy-test.json").read_text())
    assert [one["seed"] for one in result["per_seed"]] == [0, 1]
    assert [one["training_seconds"] for one in result["per_seed"]] == [4.5, 4.5]
    assert [one["weights_fingerprint"] for one in result["per_seed"]] == ["best-0-a_dog", "best-1-a_cat"]
    assert result["decoding"]["width"] == 5
    assert result["diversity"]["novelty"] == 1.0
    by_seed = [one["metrics"]["cider"] for one in result["per_seed"]]
    assert result["metrics"]["cider"] == pytest.approx(np.mean(by_seed))
    assert result["std"]["cider"] == pytest.approx(np.std(by_seed, ddof=1))
    captions = kept(place, "captions-best-0-a_dog-????????-karpathy-test.json")
    assert captions["50.jpg"] == "a dog 0"
    assert len(captions) == 10
    assert "here, 2 seeds" in output.out
    assert len(kept(place, "captions-nearest-toy-karpathy-test.json")) == 10


def test_the_page_shows_pictures_or_names_and_runs_nothing(captioners, place):
    captioners("best-0-a_dog", more=["--dataset-name", "<script>"])
    page = (place / "out" / "captions-_script_-test.html").read_text()
    assert "<script" not in page
    assert "Picked at random from the rest" in page
    assert "Best by CIDEr" in page
    assert "a dog 3" in page
    assert 'aria-label="no picture at hand: 50.jpg"' in page
    assert "url(" not in page


def test_other_decoding_is_a_row_of_its_own(captioners, place):
    assert captioners("best-0-a_dog", more=["--beam", "2"]) == 0
    result = json.loads((place / "out" / "captions-captioner-best-toy-beam2-karpathy-test.json").read_text())
    assert result["decoding"]["width"] == 2
    assert len(kept(place, "captions-best-0-a_dog-????????-beam2-karpathy-test.json")) == 10
    assert result["decoding"]["consensus_weight"] == 3.0
    assert captioners("best-0-a_dog", more=["--set", "consensus_weight=0"]) == 0
    name = "captions-captioner-best-toy-consensus_weight_0-karpathy-test.json"
    assert "consensus_weight" not in json.loads((place / "out" / name).read_text())["decoding"]


def test_a_later_run_keeps_the_earlier_rows_and_json_is_for_machines(captioners, place, capsys):
    captioners("best-0-a_dog", more=["--name", "mine"])
    capsys.readouterr()
    assert captioners("karpathy-0-the_red", more=["--json"]) == 0
    names = [result["name"] for result in json.loads(capsys.readouterr().out)]
    assert names == ["nearest-toy", "consensus-toy", "captioner-karpathy-toy"]
    assert captioners("karpathy-0-the_red") == 0
    assert "**mine**" in capsys.readouterr().out


def test_baselines_stand_alone_without_a_checkpoint(captioners, capsys):
    assert captioners(more=["--json"]) == 0
    results = {result["name"]: result for result in json.loads(capsys.readouterr().out)}
    assert set(results) == {"nearest-toy", "consensus-toy"}
    assert results["nearest-toy"]["diversity"]["novelty"] == 0.0
    assert "seed" not in results["nearest-toy"]["per_seed"][0]
    assert results["consensus-toy"]["metrics"]["cider"] > 50  # the toy's features hold what its captions say


def test_without_baselines_the_captioners_are_still_measured(captioners, toy_data, place, capsys):
    assert captioners("best-0-a_dog", more=["--split", "train"]) == 0
    output = capsys.readouterr()
    assert "note: no baselines: 40 of 40 images are among the 40 training images" in output.err
    assert "**captioner-best-toy**" in output.out
    assert captioners(more=["--split", "train"]) == 2


def test_users_mistakes_with_checkpoints_end_with_one_line(captioners, place, capsys):
    (place / "runs" / "best-0-a_dog" / "config.json").write_text('{"kind": "vse"}')
    (place / "runs" / "karpathy-0-the_red" / "history.json").write_text('[{"seconds": 1}]')
    cases = {
        "holds a model of kind 'vse', expected 'captioner'": ["best-0-a_dog"],
        "was trained for 1 of 3 epochs": ["karpathy-0-the_red"],
        "two checkpoints hold the same weights": ["best-1-a_cat", "best-1-a_cat"],
    }
    for words, names in cases.items():
        assert captioners(*names) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    (place / "runs" / "best-1-a_cat" / "config.json").write_text('{"kind": "captioner"}')
    assert run.main(["retrieval", "--model", str(place / "runs" / "best-1-a_cat")]) == 2
    assert "evaluate this one with: python -m eval.run captions" in capsys.readouterr().err


COCO_NAMES = {17: "COCO_val2014_000000000017.jpg", 25: "COCO_val2014_000000000025.jpg"}
COCO_CAPTIONS = {17: ["A dog runs .", "The dog is running"], 25: ["Two cats sit .", "cats on a ball"]}


@pytest.fixture
def coco_folder(tmp_path):
    """A COCO folder with two validation images."""
    images = [{"id": number, "file_name": name} for number, name in COCO_NAMES.items()]
    notes = []
    for number, captions in COCO_CAPTIONS.items():
        notes.extend({"id": 100 + len(notes), "image_id": number, "caption": caption} for caption in captions)
    train = {"images": [{"id": 1, "file_name": "COCO_train2014_000000000001.jpg"}]}
    train["annotations"] = [{"id": 1, "image_id": 1, "caption": "a boat"}]
    for part, document in (("train", train), ("val", {"images": images, "annotations": notes})):
        (tmp_path / f"captions_{part}2014.json").write_text(json.dumps(document))
        for image in document["images"]:
            path = tmp_path / f"{part}2014" / image["file_name"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
    return tmp_path


@pytest.mark.parametrize("ids", [{17: 17, 25: 25}, COCO_NAMES, {17: "000000000017.jpg", 25: "25"}])
def test_coco_numbers_and_file_names_are_the_same_images(coco_folder, capsys, ids):
    captions = {ids[17]: "a dog runs", ids[25]: "two cats"}
    (coco_folder / "mine.json").write_text(json.dumps(coco(captions)))
    reader = ["--dataset", "coco", "--data", str(coco_folder), "--split", "dev"]  # whose ids are file names
    annotations = ["--references", str(coco_folder / "captions_val2014.json")]  # whose ids are numbers
    found = []
    for truth in (reader, annotations):
        assert score(coco_folder, *truth, "--json", results="mine.json") == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["num_images"], document.get("unused_references", 0)) == (2, 0)
        found.append(document["metrics"])
    assert found[0] == pytest.approx(found[1])


def test_an_image_under_two_names_is_refused(coco_folder, capsys):
    captions = {17: "a dog", COCO_NAMES[17]: "a cat", 25: "two cats"}
    (coco_folder / "twice.json").write_text(json.dumps(coco(captions)))
    annotations = ["--references", str(coco_folder / "captions_val2014.json")]
    assert score(coco_folder, *annotations, results="twice.json") == 2
    assert "1 image(s) have more than one caption (17)" in capsys.readouterr().err
