"""Weights in the tree are the ones of their cards, or they are refused with both hashes."""

import json
import shutil

import pytest

from vislang.backbones.registry import load_backbone
from vislang.core.bundled_models import (
    BUNDLED,
    PRETRAINED,
    RESTORE,
    bundled_checkpoints,
    cards,
    find_checkpoint,
    say_which,
    sha256_of,
    verify,
)
from vislang.core.errors import DataError

NAME = "compact-scenes.weights.h5"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    folder = tmp_path / "pretrained"
    shutil.copytree(PRETRAINED, folder)
    shutil.rmtree(folder / BUNDLED["vse"], ignore_errors=True)
    made = folder / BUNDLED["vse"]
    made.mkdir()
    for name in ("config.json", "model.weights.h5"):
        (made / name).write_text(f"the {name}")
    card = {"description": "a toy", "sha256": {path.name: sha256_of(path) for path in made.iterdir()}}
    made.with_suffix(".json").write_text(json.dumps(card))
    monkeypatch.setattr("vislang.core.bundled_models.PRETRAINED", folder)
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    return folder


def test_every_weights_file_in_the_tree_is_that_of_its_card():
    folders = {path.name for path in PRETRAINED.iterdir() if path.is_dir()}
    assert cards().keys() == {path.name for path in PRETRAINED.glob("*.weights.h5")} | folders
    assert set(BUNDLED.values()) <= folders
    for name in cards():
        verify(PRETRAINED / name)


def test_a_changed_file_is_refused_with_its_name_and_both_hashes(copy):
    content = bytearray((copy / NAME).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / NAME).write_bytes(content)
    with pytest.raises(DataError) as refused:
        load_backbone("compact_scenes")
    said = json.loads((copy / "compact-scenes.json").read_text())["sha256"]
    assert all(words in str(refused.value) for words in (NAME, said, "has sha256", RESTORE))


def test_a_card_that_is_missing_or_says_nothing_is_refused(copy):
    (copy / "compact-scenes.json").write_text("{}")
    with pytest.raises(DataError, match="no sha256"):
        load_backbone("compact_scenes")
    (copy / "compact-scenes.json").unlink()
    with pytest.raises(DataError, match="has no card"):
        load_backbone("compact_scenes")


def test_a_file_that_is_gone_is_named(copy):
    (copy / NAME).unlink()
    with pytest.raises(DataError, match=f"{NAME} is missing"):
        verify(copy / NAME)


def test_a_folder_is_verified_file_by_file(copy):
    folder = copy / BUNDLED["vse"]
    assert find_checkpoint("vse") == folder
    (folder / "config.json").write_text("another")
    with pytest.raises(DataError) as refused:
        find_checkpoint("vse")
    said = cards(copy)[BUNDLED["vse"]]["sha256"]["config.json"]
    assert all(words in str(refused.value) for words in ("config.json", said, sha256_of(folder / "config.json")))
    (folder / "config.json").unlink()
    with pytest.raises(DataError, match=r"config.json is missing"):
        find_checkpoint("vse")


def test_a_file_that_no_card_speaks_of_is_refused(copy):
    (copy / BUNDLED["vse"] / "consensus.npz").write_text("more")
    with pytest.raises(DataError, match=r"also holds consensus.npz"):
        find_checkpoint("vse", BUNDLED["vse"])


def test_ones_own_checkpoint_goes_before_a_bundled_name(copy, tmp_path, monkeypatch):
    assert find_checkpoint("vse", BUNDLED["vse"]) == copy / BUNDLED["vse"]
    monkeypatch.chdir(tmp_path)
    own = tmp_path / BUNDLED["vse"]
    own.mkdir()
    assert find_checkpoint("vse", BUNDLED["vse"]) == copy / BUNDLED["vse"]  # a package's folder, not a checkpoint
    (own / "config.json").write_text("{}")
    assert find_checkpoint("vse", BUNDLED["vse"]).resolve() == own
    assert find_checkpoint("vse", "runs/mine").name == "mine"  # that it is not there, the loader says


@pytest.mark.parametrize("name", bundled_checkpoints())
def test_names_are_those_of_bundled_models_inside_a_checkout_too(name, monkeypatch):
    """Packages lie there under the names "captioner" and "naturalness"."""
    monkeypatch.chdir(PRETRAINED.parent.parent)
    kind = json.loads((PRETRAINED / name / "config.json").read_text())["kind"]
    assert find_checkpoint(kind, name) == PRETRAINED / name


def test_commands_say_in_one_line_that_they_take_the_box(copy, capsys):
    say_which("vse", None)
    said = capsys.readouterr().err
    assert said == f"using the bundled {BUNDLED['vse']}: a toy; another: --model DIR\n"
    say_which("vse", copy)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "bars"), [("ranker", {"i2t_r10": 54.4, "t2i_r10": 48.6}), ("captioner", {"cider": 42.6, "meteor": 16.0})]
)
def test_the_cards_tell_what_was_measured_with_intervals(name, bars):
    """The bars are 80 % of what the presets "best" reach on MobileNetV2."""
    card = cards()[name]
    scores = card["scores"][0]
    assert scores["on"].startswith("flickr8k, test")
    for metric, bar in bars.items():
        low, high = scores["intervals"][metric]
        assert bar <= scores[metric]
        assert low <= scores[metric] <= high
    assert card["data"].startswith("split train of flickr8k")
    assert card["licence"] == "Apache-2.0"


def test_the_box_is_small():
    assert sum(path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file()) <= 32_000_000
