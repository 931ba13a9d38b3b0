"""The doctor tells what is wrong and how to mend it, and never breaks itself."""

import json
import shutil
from importlib import metadata

import pytest

from app import doctor
from app.doctor import BROKEN, GOOD, OPTIONAL


def test_this_machine_can_work_and_is_told_so_in_json(tmp_path, capsys):
    assert doctor.main(["--data", str(tmp_path), "--json"]) == 0
    found = {one["part"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["packages"]["state"] == found["weights in the tree"]["state"] == GOOD
    assert "tensorflow" in found["packages"]["found"]
    assert found["Flickr8K"]["state"] == OPTIONAL
    assert "make data-f8k" in found["Flickr8K"]["mend"]
    assert all(one["mend"] or one["state"] == GOOD for one in found.values())


def test_a_package_that_is_missing_or_too_old_stops_everything(monkeypatch, capsys):
    asked = ["numpy>=999", "no-such-package", "h5py>=1", 'gone; extra == "gpu"']
    monkeypatch.setattr(metadata, "requires", lambda name: asked)
    assert doctor.main([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "numpy is" in lines[0]
    assert "expected >=999; no-such-package is not installed" in lines[0]
    assert lines[1].split() == ["to", "mend:", "make", "install"]


def test_a_java_that_is_missing_or_does_not_start_is_told_apart(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "does not start" in doctor.java().found
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023' >&2\n")
    assert doctor.java().state == GOOD
    assert doctor.java().found.startswith("21.0.1, ")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("eval.metrics.captions.java._bundled_java", lambda: None)
    assert doctor.java().state == OPTIONAL
    assert "METEOR" in doctor.java().found


def test_swapped_weights_in_the_tree_are_broken(tmp_path, monkeypatch):
    shutil.copytree(doctor.Path(doctor.__file__).parents[1] / "vislang" / "pretrained", tmp_path / "pretrained")
    monkeypatch.setattr("vislang.core.bundled_models.PRETRAINED", tmp_path / "pretrained")
    (tmp_path / "pretrained" / "compact-scenes.weights.h5").write_bytes(b"something else")
    finding = doctor.boxed_weights()
    assert (finding.state, finding.mend) == (BROKEN, "git checkout -- vislang/pretrained")
    assert "of its model card" in finding.found


@pytest.mark.parametrize("there", [True, False])
def test_weights_of_the_backbone_are_found_or_named(tmp_path, monkeypatch, there):
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    if there:
        (tmp_path / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5").touch()
    finding = doctor.backbone_weights()
    assert finding.state == (GOOD if there else OPTIONAL)
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path / "nowhere"))
    assert "expected a folder" in doctor.backbone_weights().found
