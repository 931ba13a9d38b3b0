"""Result files: written, read, refused; the page of all tables; and the JSON files in the tree."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval import results_page
from eval.results.kinds import CaptionResult, RetrievalResult
from eval.results.result import SeedRun, read_results, read_table, summarize_seeds, write_result
from eval.tables.sections import SECTIONS
from vislang.core.errors import DataError, EvalError
from vislang.core.files import write_json
from vislang.core.provenance import provenance

ROOT = Path(__file__).resolve().parents[2]
RESULT = RetrievalResult(
    name="vse-best",
    system="vse",
    dataset="flickr8k",
    split="test",
    metrics={"rsum": 200.0},
    intervals={"rsum": (190.0, 210.0)},
    per_seed=(SeedRun(0, "best-0", "ab" * 32, 12.5, {"rsum": 200.0}),),
    config={"margin": 0.2, "layers": ["grid"]},
    setting="1k",
    num_images=1000,
    num_captions=5000,
)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    path = write_result(tmp_path, RESULT)
    assert path.name == "retrieval-vse-best-flickr8k-test.json"
    assert read_results(tmp_path, RetrievalResult) == [RESULT]
    document = json.loads(path.read_text())
    assert document["kind"] == "retrieval"
    assert "std" not in document, "empty fields are left out"
    assert {"commit", "dirty", "date", "versions"} == set(document["provenance"])


def test_results_of_one_kind_are_read_the_best_last(tmp_path):
    better = replace(RESULT, name="better", metrics={"rsum": 300.0})
    elsewhere = replace(RESULT, name="elsewhere", split="dev")
    for result in (better, RESULT, elsewhere):
        write_result(tmp_path, result)
    write_json(tmp_path / "other.json", {"kind": "captions"})
    write_json(tmp_path / "list.json", [1])
    assert [result.name for result in read_results(tmp_path, RetrievalResult)][-1] == "better"
    assert [result.name for result in read_table(tmp_path, better)] == ["vse-best", "better"]


def test_files_that_are_no_such_results_are_refused(tmp_path):
    document = RESULT.to_json()
    del document["setting"], document["provenance"]
    write_json(tmp_path / "a.json", document)
    with pytest.raises(EvalError, match=r"a\.json lacks provenance, setting; delete it or run eval\.run again"):
        read_results(tmp_path, RetrievalResult)
    write_json(tmp_path / "a.json", RESULT.to_json() | {"deviation": {}})
    with pytest.raises(EvalError, match=r"a\.json has a field 'deviation' that RetrievalResult does not have"):
        read_results(tmp_path, RetrievalResult)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read_results(tmp_path, CaptionResult)


def test_means_and_deviations_are_over_seeds():
    means, stds = summarize_seeds([{"a": 1.0, "b": 2.0, "c": 0.0}, {"a": 3.0, "b": 2.0}])
    assert means == {"a": 2.0, "b": 2.0}
    assert stds == {"a": pytest.approx(np.sqrt(2)), "b": 0.0}
    assert summarize_seeds([{"a": 1.0}]) == ({"a": 1.0}, {})


def test_origin_outside_git_is_none(tmp_path):
    origin = provenance(tmp_path)
    assert (origin.commit, origin.dirty) == (None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", origin.date)
    assert origin.versions["numpy"] == np.__version__


def test_origin_inside_git_names_the_commit_and_changes(tmp_path):
    import subprocess

    def git(*words):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "results").mkdir()
    for name in ("a", "results/b"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    (tmp_path / "results" / "b").write_text("2")  # what a run has just written
    assert provenance(tmp_path).dirty is False
    assert re.fullmatch(r"[0-9a-f]{40}", provenance(tmp_path).commit)
    (tmp_path / "a").write_text("2")
    assert provenance(tmp_path).dirty is True


def test_every_file_in_the_tree_is_read_and_keeps_its_name():
    found = {}
    for kind in SECTIONS:
        for result in read_results(ROOT / "results", kind):
            found[result.file_name()] = result
    files = sorted((ROOT / "results").glob("*.json"))
    assert sorted(found) == [path.name for path in files]
    for path in files:
        assert found[path.name].to_json() == json.loads(path.read_text()), path.name
        assert path.stat().st_size < 32_000


def test_the_page_in_docs_is_what_the_command_writes(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").symlink_to(ROOT / "results")
    page = tmp_path / "docs" / "results.md"
    assert results_page.main(["--results", str(tmp_path / "results"), "--out", str(page)]) == 0
    text = page.read_text()
    assert text == (ROOT / "docs" / "results.md").read_text(), "first: python -m eval.results_page"
    links = re.findall(r"\]\(\.\./results/([^)]+)\)", text)
    assert set(links) == {path.name for path in (ROOT / "results").glob("*.json")}


def test_a_folder_without_results_ends_with_one_line(tmp_path, capsys):
    assert results_page.main(["--results", str(tmp_path), "--out", str(tmp_path / "results.md")]) == 2
    assert "holds no results; write some with: python -m eval.run" in capsys.readouterr().err
