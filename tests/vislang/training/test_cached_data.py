"""Training on several data sets: sampling, validation on each, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_runs import assert_equal_runs

from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
from vislang.features.descriptors import CachedDescriptors
from vislang.training.epoch_batches import sampled_rows
from vse import train

SMALL = ("hidden_dim=8", "embed_dim=8", "word_dim=8", "layers=pooled", "ensemble_size=1", "epochs=2", "min_count=1")


@pytest.fixture(scope="module")
def other_data(toy_data, tmp_path_factory):
    """The toy data set again, in COCO's format, under other names and with a word of its own."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "images").mkdir()
    documents = {"train": {"images": [], "annotations": []}, "dev": {"images": [], "annotations": []}}
    names = {}
    for image in json.loads((toy_data / "dataset.json").read_text())["images"][20:50]:
        document = documents["dev" if image["split"] == "val" else "train"]
        name = f"other_{image['filename']}"
        names[image["filename"]] = name
        (folder / "images" / name).touch()
        document["images"].append({"id": image["imgid"], "file_name": name})
        for number, sentence in enumerate(image["sentences"][:2]):
            text = sentence["raw"].replace("snow", "ice")
            note = {"id": 10 * image["imgid"] + number, "image_id": image["imgid"], "caption": text}
            document["annotations"].append(note)
    for split, document in documents.items():
        (folder / f"captions_{split}.json").write_text(json.dumps(document))
    rows = open_cache(toy_data / "features.h5").read("toy", "pooled", list(names))
    import_rows(folder / "features.h5", list(names.values()), rows, FeatureKey("toy", "pooled", "none", "f" * 64))
    return folder


def words(toy_data, other_data, out, *more):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    caches = [str(toy_data / "features.h5"), str(other_data / "features.h5")]
    data = ["--dataset", "karpathy", "coco", "--data", str(toy_data), str(other_data), "--cache", *caches]
    return [*data, "--backbone", "toy", "--preset", "best", *settings, "--out", str(out), *more]


@pytest.mark.slow
def test_weights_are_chosen_by_the_mean_over_the_dev_splits(toy_data, other_data, tmp_path):
    out = tmp_path / "run"
    assert train.main(words(toy_data, other_data, out, "--sampling", "1", "2.5")) == 0
    description = json.loads((out / "config.json").read_text())
    assert description["data"]["dataset"] == "karpathy"
    assert [other["dataset"] for other in description["data"]["others"]] == ["coco"]
    assert description["sampling"] == [1.0, 2.5]
    vocabulary = json.loads((out / "vocabulary.json").read_text())
    assert {"snow", "ice"} <= set(vocabulary["words"] if isinstance(vocabulary, dict) else vocabulary)
    row = json.loads((out / "history.json").read_text())[-1]
    assert row["rsum"] == pytest.approx((row["karpathy_rsum"] + row["coco_rsum"]) / 2)
    assert row["karpathy_rsum"] != row["coco_rsum"]


@pytest.mark.slow
def test_another_sampling_is_another_run(toy_data, other_data, tmp_path, capsys):
    assert train.main(words(toy_data, other_data, tmp_path / "run")) == 0
    assert train.main(words(toy_data, other_data, tmp_path / "run", "--sampling", "1", "2")) == 2
    assert "holds another run (its sampling differ)" in capsys.readouterr().err


def test_an_epoch_reads_each_data_set_as_often_as_asked(toy_data, other_data, tmp_path):
    from vse.training import RankerTraining

    line = words(toy_data, other_data, tmp_path, "--sampling", "0.5", "3")
    training = RankerTraining(train.build_parser().parse_args(line))
    training.read_data()
    batches = training.batches()
    plans = [np.concatenate(batches.plan(epoch)) for epoch in range(3)]
    first = sum(len(record.captions) for record in training.sources[0].train)
    counts = np.bincount(plans[0], minlength=len(batches.words))
    assert counts[:first].sum() == first // 2
    assert set(counts[:first]) == {0, 1}
    assert set(counts[first:]) == {3}
    assert not np.array_equal(np.sort(plans[0]), np.sort(plans[1]))
    assert np.array_equal(plans[2], np.concatenate(batches.plan(2)))
    images = batches.images(plans[0])
    expected = training.descriptors.rows(np.array([len(training.sources[0].train)]))
    cached = open_cache(other_data / "features.h5").read("toy", "pooled", [training.train[40].image_id])
    np.testing.assert_array_equal(np.asarray(expected)[0], cached.astype(np.float32))
    assert images.max() == len(training.train) - 1


@given(times=st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0]), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_sampled_rows_come_as_often_as_their_rate(times, seed):
    times = np.array(times)
    rows = sampled_rows(times, np.random.default_rng(seed))
    counts = np.bincount(rows, minlength=len(times))
    for value in np.unique(times):
        of_value = counts[times == value]
        assert of_value.sum() == round((value - int(value)) * len(of_value)) + int(value) * len(of_value)
        assert of_value.max() - of_value.min() <= 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sampling", "1"], "--sampling got 1 values for 2 data sets (karpathy, coco), expected one for each"),
        (["--sampling", "1", "0"], "--sampling got 0 for coco, expected more than 0"),
        (["--dataset", "karpathy"], "--data got 2 values for 1 data sets"),
        (["--option", "coco:restvall=drop"], "did you mean restval"),
        (["--option", "karpathy:restvall=drop"], "did you mean restval"),
        (["--set", "layers=grid"], "features.h5: has no toy/grid"),
    ],
)
def test_mistakes_are_one_line(toy_data, other_data, tmp_path, capsys, more, message):
    assert train.main(words(toy_data, other_data, tmp_path / "run", *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_data_set_may_train_on_what_another_is_measured_on(toy_data, other_data, tmp_path, capsys):
    line = words(toy_data, other_data, tmp_path / "run")
    document = json.loads((toy_data / "dataset.json").read_text())
    for image in document["images"]:
        image["split"] = {"train": "val", "val": "train", "test": "test"}[image["split"]]
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    line[line.index("--dataset") + 2] = "karpathy"
    line[line.index("--data") + 2] = str(tmp_path)
    line[line.index("--cache") + 2] = str(toy_data / "features.h5")
    assert train.main(line) == 2
    assert "is in dev of karpathy and in train of karpathy_2, expected no image in both" in capsys.readouterr().err


@pytest.mark.slow
def test_features_read_batch_by_batch_train_as_those_on_the_device(toy_data, other_data, tmp_path, monkeypatch):
    resident = []
    before = CachedDescriptors.__init__

    def watched(self, *arguments, **options):
        before(self, *arguments, **options)
        resident.append(self.is_resident)

    monkeypatch.setattr(CachedDescriptors, "__init__", watched)
    for name, gigabytes in (("device", "4"), ("file", "0")):
        resident.clear()
        more = ["--device-memory", gigabytes, "--set", "validate_updates=0", "--set", "layers=pooled"]
        assert train.main(words(toy_data, other_data, tmp_path / name, *more)) == 0
        assert resident[0] == (name == "device")
    assert_equal_runs(tmp_path / "device", tmp_path / "file")
