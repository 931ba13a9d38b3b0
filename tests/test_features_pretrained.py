"""Weights in the tree are the ones of their cards, or they are refused with both hashes."""

import json
import shutil

import pytest

from common.errors import DataError
from features.backbones import load_backbone
from features.pretrained import PRETRAINED, cards, verify

NAME = "compact-scenes.weights.h5"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    folder = tmp_path / "pretrained"
    shutil.copytree(PRETRAINED, folder)
    monkeypatch.setattr("features.pretrained.PRETRAINED", folder)
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    return folder


def test_every_weights_file_in_the_tree_is_that_of_its_card():
    assert cards().keys() == {path.name for path in PRETRAINED.glob("*.weights.h5")}
    for name in cards():
        verify(PRETRAINED / name)


def test_a_changed_file_is_refused_with_its_name_and_both_hashes(copy):
    content = bytearray((copy / NAME).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / NAME).write_bytes(content)
    with pytest.raises(DataError) as refused:
        load_backbone("compact_scenes")
    said = json.loads((copy / "compact-scenes.json").read_text())["sha256"]
    assert all(words in str(refused.value) for words in (NAME, said, "damaged or was swapped: sha256", "git checkout"))


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
