"""From an aligner to described regions: snippets, their captioner, the command and its drawing, and grounding."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import captioner
from app.bundle import pack
from captioner import make_snippets as snippets
from captioner import regions, train
from captioner.alignment import train as train_alignment
from captioner.region_captions import Region, least_doubtful
from datasets import registry
from datasets.scenes import __main__ as scenes
from datasets.scenes.dataset import read_scene_entities
from eval import run
from eval.tasks.region_captions import named_boxes
from eval.tasks.split import open_split
from vislang.core.bundled_models import cards, verify
from vislang.core.errors import ConfigError
from vislang.draw.boxes import draw_regions
from vislang.features.cache.reader import open_cache
from vislang.features.extract import main as extract
from vislang.text.tokenizer import tokenize


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Sixty scenes, their regions, an aligner and a captioner of regions, all but untrained."""
    folder = tmp_path_factory.mktemp("drawn")
    counts = ["--train", "40", "--dev", "10", "--test", "10"]
    assert scenes.main(["--out", str(folder / "scenes"), *counts]) == 0
    layers = [
        "--backbone",
        "compact_scenes",
        "--layers",
        "grid,regions-grid,boxes-grid",
        "--cache",
        str(folder / "cache.h5"),
    ]
    assert extract(["--images", str(folder / "scenes" / "images"), *layers]) == 0
    place = ["--data", str(folder / "scenes"), "--cache", str(folder / "cache.h5")]
    small = [word for one in ("epochs=2", "word_dim=16", "hidden_dim=16") for word in ("--set", one)]
    words = ["--dataset", "scenes", *place, "--backbone", "compact_scenes", "--out", str(folder / "aligner"), *small]
    assert train_alignment.main([*words, "--set", "layers=regions-grid,boxes-grid", "--set", "best_checkpoints=2"]) == 0
    words = ["--model", str(folder / "aligner"), "--dataset", "scenes", *place, "--out", str(folder / "pairs")]
    assert snippets.main([*words, "--ranker", "none"]) == 0
    words = ["--dataset", "karpathy", "--data", str(folder / "pairs"), "--cache", str(folder / "pairs" / "features.h5")]
    words += ["--backbone", "compact_scenes", "--preset", "regions", "--out", str(folder / "writer"), *small]
    more = ["layers=described-grid", "min_count=1", "epochs=10", "learning_rate=0.02", "batch_size=32"]
    assert train.main([*words, *[word for one in more for word in ("--set", one)]]) == 0
    return folder


@pytest.mark.slow
def test_snippets_are_words_of_captions_beside_what_their_regions_look_like(drawn):
    records = registry.read("karpathy", drawn / "pairs")
    captions = {one.image_id: " | ".join(one.captions) for one in registry.read("scenes", drawn / "scenes")}
    assert {one.split for one in records} == {"train", "dev"}
    for one in records:
        picture, region = one.image_id.split("#")
        assert 0 <= int(region) < 20
        assert all(snippet in captions[picture] for snippet in one.captions)
    with open_cache(drawn / "cache.h5") as cache, open_cache(drawn / "pairs" / "features.h5") as pairs:
        picture, region = records[7].image_id.split("#")
        vector = cache.read("compact_scenes", "regions-grid", [picture])[0]
        box = cache.read("compact_scenes", "boxes-grid", [picture])[0, int(region), :4]
        expected = np.concatenate([vector[int(region)], box, vector[0]])
        found = pairs.read("compact_scenes", "described-grid", [records[7].image_id])[0]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_regions_are_described_and_drawn(drawn, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = drawn / "photo.png"
    shutil.copy(drawn / "scenes" / "images" / "test_000000.png", photo)
    assert regions.main(["--images", str(photo), "--model", str(drawn / "writer"), "--max-regions", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(photo)
    assert 1 <= len(lines) - 1 <= 3
    with Image.open(tmp_path / "drawings" / "photo_regions.png") as drawing:
        assert max(drawing.size) == 900
    assert not (drawn / "photo_regions.png").exists(), "nothing is drawn beside the photograph"
    out = ["--out", str(tmp_path / "out.jpg")]
    assert regions.main(["--images", str(photo), "--model", str(drawn / "writer"), *out]) == 0
    with Image.open(tmp_path / "out.jpg") as drawing:
        assert drawing.format == "JPEG"
    capsys.readouterr()
    assert regions.main(["--images", str(photo), "--model", str(drawn / "writer"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = captioner.describe_regions(captioner.load_model(drawn / "writer"), photo)
    assert document["images"][0]["regions"] == [one.to_json() for one in found]
    assert len({one.text for one in found}) == len(found)


@pytest.mark.slow
def test_the_command_describes_a_photograph_as_training_saw_it(drawn):
    model = captioner.load_model(drawn / "writer")
    records = [one for one in registry.read("karpathy", drawn / "pairs") if not one.image_id.endswith("#0")]
    compared = 0
    for record in records[:6]:
        picture, region = record.image_id.split("#")
        with open_cache(drawn / "pairs" / "features.h5") as cache:
            cached = model.caption_cached(cache, [record.image_id])[0][0].text
        found = captioner.describe_regions(model, drawn / "scenes" / "images" / picture, max_regions=20, ranker=None)
        with open_cache(drawn / "cache.h5") as cache:
            box = cache.read("compact_scenes", "boxes-grid", [picture])[0, int(region), :4].astype(float)
        same = [one.text for one in found if np.allclose(one.box, box, atol=1e-3)]
        assert same in ([], [cached])  # none where another region has the same words or place
        compared += len(same)
    assert compared


@pytest.mark.slow
def test_a_sentence_is_tied_to_regions(drawn, capsys):
    photo = drawn / "scenes" / "images" / "test_000001.png"
    words = ["--images", str(photo), "--model", str(drawn / "aligner"), "--json"]
    words += ["--sentence", "a red heart , on the beach"]
    assert regions.main(words) == 0
    found = json.loads(capsys.readouterr().out)["images"][0]["regions"]
    assert " ".join(one["text"] for one in found) == "a red heart , on the beach"
    assert regions.main([*words, "--beta", "1000", "--out", str(drawn / "one.png")]) == 0
    assert len(json.loads(capsys.readouterr().out)["images"][0]["regions"]) == 1
    assert (drawn / "one.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--images", "nowhere.png"], "nowhere.png"),
        (["--max-regions", "3", "--sentence", "a dog"], "--max-regions is for descriptions, got --sentence"),
        (["--max-regions", "0"], "max_regions got 0, expected 1 or more"),
        (["--model", "regon-captioner"], "bundled model; did you mean region-captioner"),
        (["--proposals", "detector:x.pb"], "name layers such as regions-grid alike"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(drawn, capsys, change, message):
    photo = str(drawn / "scenes" / "images" / "test_000001.png")
    usual = [] if "--images" in change else ["--images", photo]
    checkpoint = [] if "--model" in change else ["--model", str(drawn / "writer")]
    assert regions.main([*usual, *checkpoint, *change]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.slow
def test_what_the_box_does_not_hold_is_said(drawn, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("vislang.core.bundled_models.PRETRAINED", tmp_path)
    photo = str(drawn / "scenes" / "images" / "test_000001.png")
    for words, name in (([], "region-captioner"), (["--sentence", "a dog"], "aligner")):
        assert regions.main(["--images", photo, *words]) == 2
        assert f"no bundled {name} found; train one" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bad_photograph_among_good_ones_is_skipped(drawn, tmp_path, capsys):
    (tmp_path / "letter.png").write_text("Dear Sir")
    photo = drawn / "scenes" / "images" / "test_000002.png"
    words = ["--model", str(drawn / "writer"), "--json", "--images", str(tmp_path / "letter.png"), str(photo)]
    assert regions.main(words) == 3
    document = json.loads(capsys.readouterr().out)
    assert (len(document["images"]), len(document["skipped"])) == (1, 1)


@pytest.mark.slow
def test_a_captioner_of_whole_pictures_and_an_empty_sentence_are_refused(drawn, tiny_captioner):
    photo = drawn / "scenes" / "images" / "test_000001.png"
    with pytest.raises(ConfigError, match="expected one trained on regions"):
        captioner.describe_regions(captioner.load_model(tiny_captioner), photo)
    with pytest.raises(ConfigError, match="expected words of which the aligner knows one"):
        captioner.ground_phrases(captioner.load_aligner(drawn / "aligner"), photo, " . ")


@pytest.mark.slow
def test_captions_of_annotated_boxes_are_chosen_by_a_ranker_where_one_is_named(drawn, tmp_path, capsys):
    words = ["regions", "--model", str(drawn / "writer"), "--dataset", "scenes", "--data", str(drawn / "scenes")]
    words += ["--cache", str(drawn / "cache.h5"), "--split", "test", "--out", str(tmp_path), "--json"]
    documents = []
    for more in ([], ["--ranker", "ranker"]):
        assert run.main([*words, *more]) == 0
        documents += json.loads(capsys.readouterr().out)
    alone, chosen = documents
    assert chosen["name"] == f"{alone['name']}-maps"
    assert chosen["ranker"]["checkpoint"] == "ranker"
    assert "ranker" not in alone
    assert chosen["num_boxes"] == alone["num_boxes"]
    assert chosen["metrics"]["cider"] != alone["metrics"]["cider"]


def test_regions_that_are_kept_differ_in_place_and_words():
    box, near, far = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 0.48), (0.6, 0.6, 0.9, 0.9)
    found = [Region(box, "a dog", -0.5), Region(near, "a cat", -0.2), Region(far, "a cat", -0.9)]
    assert least_doubtful(found, [0.5, 0.2, 0.9], 5) == [found[1]]
    assert least_doubtful(found, [0.1, 0.2, 0.9], 5) == [found[0], found[2]]
    assert least_doubtful(found, [0.5, 0.2, 0.9], 0) == []


def test_a_thing_inside_a_thing_of_its_name_is_described_once():
    outer = Region((0.1, 0.1, 0.6, 0.9), "a dog", -0.5)
    inner = Region((0.2, 0.2, 0.4, 0.4), "a brown dog", -0.6)
    collar = Region((0.2, 0.2, 0.4, 0.4), "a red collar", -0.7)
    other = Region((0.5, 0.1, 1.0, 0.9), "a white dog", -0.8)
    assert least_doubtful([outer, inner, collar, other], [0.1, 0.2, 0.3, 0.4], 5) == [outer, collar, other]


def test_labels_lie_inside_and_do_not_cover_each_other():
    picture = Image.new("RGB", (300, 200), "white")
    boxes = np.array([[0.1, 0.1, 0.6, 0.8], [0.1, 0.1, 0.6, 0.8], [0.9, 0.95, 1.0, 1.0]])
    drawing = np.asarray(draw_regions(picture, boxes, ["a brown dog", "a very red ball of wool", "snow"])).astype(int)
    first, second, third = ((0, 114, 178), (213, 94, 0), (0, 158, 115))
    counts = [(np.abs(drawing - colour).sum(axis=-1) == 0).sum() for colour in (first, second, third)]
    assert min(counts) > 800  # a label's ground is thousands of pixels, where it is not covered
    assert drawing.shape == (600, 900, 3)


@pytest.mark.slow
def test_alignment_is_ranked_and_grounded_on_scenes(drawn, tmp_path, capsys):
    words = ["alignment", "--model", str(drawn / "aligner"), "--split", "test", "--out", str(tmp_path)]
    assert run.main([*words, "--json"]) == 0
    ranking, grounding = json.loads(capsys.readouterr().out)
    assert (ranking["kind"], ranking["checkpoints_per_seed"], ranking["num_images"]) == ("retrieval", 2, 10)
    assert ranking["setting"] == "10"
    assert set(ranking["parts"]) == {"words and regions", "global embeddings", "bags of words"}
    assert all(0 <= part["i2t_r10"] <= 100 for part in ranking["parts"].values())
    for protocol, setting in (("first-fold", "2"), ("five-folds", "5x2")):
        assert run.main([*words, "--json", "--protocol", protocol]) == 0
        folded = json.loads(capsys.readouterr().out)[0]
        assert (folded["setting"], folded["checkpoints_per_seed"]) == (setting, 2)
        assert folded["metrics"]["i2t_r10"] == 100, "a fold has two images with ten captions"
    assert grounding["kind"] == "grounding"
    assert set(grounding["baselines"]) >= {"centre", "random region", "whole image", "largest region"}
    metrics = grounding["methods"]["model"]["all"]
    assert grounding["metrics"]["pointing"] == metrics["pointing"]
    assert metrics["r1"] <= metrics["r5"] <= metrics["r10"] <= metrics["bound"]
    notes = read_scene_entities(drawn / "scenes", [f"test_{number:06d}.png" for number in range(10)])
    assert metrics["count"] == sum(len(one.phrases) for one in notes.values())
    assert run.main(words) == 0
    table = capsys.readouterr().out
    assert "| **aligner best, CNN of scenes** |" in table
    assert "| centre |" in table
    page = next(tmp_path.glob("grounding-*.html")).read_text()
    assert page.count("data:image/jpeg;base64") == 10
    assert all(
        words in page for words in ("alignment-best-compact_scenes", "random region", "Sentences and their regions")
    )


@pytest.mark.slow
def test_phrases_are_grounded_with_the_maps_of_a_ranker_too(drawn, tmp_path, capsys):
    words = ["alignment", "--model", str(drawn / "aligner"), "--split", "test", "--out", str(tmp_path)]
    assert run.main([*words, "--ranker", "ranker", "--json"]) == 0
    _, grounding = json.loads(capsys.readouterr().out)
    alone, with_maps = grounding["methods"].values()
    assert list(grounding["methods"]) == ["model", "with the maps of a ranker"]
    assert grounding["metrics"]["pointing"] == alone["all"]["pointing"]
    assert with_maps["all"]["bound"] == alone["all"]["bound"]
    assert with_maps["all"]["r1"] != alone["all"]["r1"]
    assert grounding["ranker"]["checkpoint"] == "ranker"
    assert len(grounding["ranker"]["weights_fingerprint"]) == 64
    assert run.main([*words, "--ranker", "ranker"]) == 0
    assert "aligner best, CNN of scenes: with the maps of a ranker**" in capsys.readouterr().out


@pytest.mark.slow
def test_the_maps_of_a_ranker_give_the_same_phrases_other_regions(drawn, tmp_path):
    words = ["--model", str(drawn / "aligner"), "--dataset", "scenes", "--data", str(drawn / "scenes")]
    assert snippets.main([*words, "--cache", str(drawn / "cache.h5"), "--out", str(tmp_path / "maps")]) == 0
    found = [
        json.loads((folder / "dataset.json").read_text())["images"] for folder in (drawn / "pairs", tmp_path / "maps")
    ]
    texts = [sorted(sentence["raw"] for one in images for sentence in one["sentences"]) for images in found]
    assert texts[0] == texts[1]
    assert [one["filename"] for one in found[0]] != [one["filename"] for one in found[1]]


@pytest.mark.slow
def test_segments_are_runs_of_words_as_published(drawn, tmp_path, capsys):
    words = ["--model", str(drawn / "aligner"), "--dataset", "scenes", "--data", str(drawn / "scenes")]
    words += ["--cache", str(drawn / "cache.h5"), "--out", str(tmp_path / "segments")]
    assert snippets.main([*words, "--cut", "segments", "--min-score", "-100", "--beta", "0"]) == 0
    captions = {one.image_id: one.captions for one in registry.read("scenes", drawn / "scenes")}
    cut: dict[str, int] = {}
    for one in registry.read("karpathy", tmp_path / "segments"):
        image, _ = one.image_id.split("#")
        cut[image] = cut.get(image, 0) + sum(len(text.split()) for text in one.captions)
        assert all(any(text in whole for whole in captions[image]) for text in one.captions)
    for image, count in cut.items():
        assert count == sum(len(tokenize(caption)) for caption in captions[image]), "segments cover each caption"
    assert snippets.main([*words, "--cut", "segments", "--ranker", "ranker"]) == 2
    assert "--ranker got ranker with --cut segments, which does not use it" in capsys.readouterr().err
    assert snippets.main([*words, "--min-score", "1"]) == 2


@pytest.mark.slow
def test_the_command_grounds_with_the_bundled_ranker_unless_told_not_to(drawn, capsys):
    photo = str(drawn / "scenes" / "images" / "test_000001.png")
    words = ["--images", photo, "--model", str(drawn / "aligner"), "--sentence", "a red heart", "--json"]
    aligner = captioner.load_aligner(drawn / "aligner")
    for more, ranker in ((), "bundled"), (("--ranker", "none"), None):
        assert regions.main([*words, *more]) == 0
        found = captioner.ground_phrases(aligner, photo, "a red heart", ranker=ranker)
        assert json.loads(capsys.readouterr().out)["images"][0]["regions"] == [one.to_json() for one in found]


@pytest.mark.slow
def test_an_aligner_is_packed_with_what_it_scores(drawn, tmp_path, capsys):
    words = ["--data", str(drawn / "scenes"), "--cache", str(drawn / "cache.h5"), "--step", "0.125"]
    words += ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "box")]
    assert pack.main([*words, "--model", str(drawn / "aligner"), "--name", "aligner"]) == 0
    verify(tmp_path / "box" / "aligner")
    card = cards(tmp_path / "box")["aligner"]
    (result,) = (tmp_path / "results").glob("retrieval-alignment-*.json")
    (scores,) = card["scores"]
    assert scores["rsum"] == round(json.loads(result.read_text())["metrics"]["rsum"], 1)
    assert card["command"].startswith("python -m captioner.alignment.train --preset best")
    photo = drawn / "scenes" / "images" / "test_000001.png"
    parts = [
        captioner.ground_phrases(captioner.load_aligner(one / "aligner"), photo, "a red heart")
        for one in (drawn, tmp_path / "box")
    ]
    assert [part.text for part in parts[0]] == [part.text for part in parts[1]]
    assert pack.main([*words, "--model", str(drawn / "writer"), "--name", "region-captioner"]) == 2
    assert "expected --entities DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_boxes_are_captioned_by_models_of_regions_and_of_whole_pictures(drawn, tiny_captioner, tmp_path, capsys):
    words = ["regions", "--dataset", "scenes", "--data", str(drawn / "scenes"), "--split", "test"]
    words += ["--cache", str(drawn / "cache.h5"), "--out", str(tmp_path), "--tokenizer", "treebank", "--json"]
    assert run.main([*words, "--model", str(drawn / "writer"), str(tiny_captioner)]) == 0
    results = {one["reads"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(results) == {"regions", "whole images"}
    notes = read_scene_entities(drawn / "scenes", [f"test_{number:06d}.png" for number in range(10)])
    things = {(name, phrase.entity) for name, one in notes.items() for phrase in one.phrases}
    for result in results.values():
        assert result["num_boxes"] == len(things)
        assert set(result["metrics"]) >= {"bleu1", "bleu4", "rouge_l", "cider"}
    args = argparse.Namespace(split="test", dataset_name=None, out=tmp_path)
    data = open_split(args, "scenes", drawn / "scenes", drawn / "cache.h5", [])
    boxes = named_boxes(data, notes)
    assert len({box.key for box in boxes}) == len(boxes) == len(things)
    for box in boxes:
        image, _, entity = box.key.partition("#")
        assert image == data.image_ids[box.row]
        assert box.phrases == [notes[image].words(one) for one in notes[image].phrases if one.entity == entity]
    assert run.main([*words[:-1], "--model", str(drawn / "writer")]) == 0
    assert "| **region captioner regions, CNN of scenes** | **regions** |" in capsys.readouterr().out
    assert run.main([words[0], "--model", str(drawn / "writer")]) == 2
    assert "needs --data and --cache" in capsys.readouterr().err
