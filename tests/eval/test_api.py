"""The metrics that `import eval` offers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import eval as evaluation
from datasets.fixations.records import FixationRecord


@pytest.mark.slow
def test_metrics_of_scores_captions_and_maps():
    found = evaluation.retrieval_metrics(evaluation.ranks_from_scores(np.eye(3), np.arange(3)))
    assert (found.i2t_r1, found.t2i_medr) == (100.0, 1.0)
    scores = evaluation.score_captions({1: "a dog", 2: "a cat"}, {1: ["a dog"], 2: ["a cat"]}, tokenizer="treebank")
    assert scores.corpus["bleu1"] == pytest.approx(1.0)
    points = [np.array([[4.0, 4.0]]), np.array([[20.0, 20.0]])]
    records = [FixationRecord(f"{row}.jpg", Path("x"), (32, 32), (one,)) for row, one in enumerate(points)]
    maps = {"right": lambda record: np.exp(-np.abs(np.arange(32) - record.subjects[0][0, 0]))[None].repeat(32, 0)}
    found = evaluation.evaluate_maps(records, maps, evaluation.FixationProtocol())
    assert found["right"].summary()["sauc_exact"].mean == 1.0


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, eval; print([m for m in ('numpy', 'tensorflow', 'h5py') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
