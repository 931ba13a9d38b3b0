import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from datasets.captions.coco import read_coco
from datasets.captions.karpathy import read_imgids, read_karpathy, read_vgg_feats
from datasets.captions.precomputed import read_precomputed, read_precomputed_features
from vislang.core.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def karpathy_entry(number, split, **more):
    sentences = [{"tokens": ["a", "dog"], "raw": f"A dog {number} .", "imgid": number, "sentid": number}]
    return {"imgid": number, "filename": f"{number}.jpg", "split": split, "sentids": [number]} | {
        "sentences": sentences,
        **more,
    }


def write_karpathy(folder, entries, name="dataset.json"):
    (folder / name).write_text(json.dumps({"images": entries, "dataset": "toy"}))
    return folder


@pytest.fixture
def karpathy(tmp_path):
    return write_karpathy(
        tmp_path, [karpathy_entry(0, "val"), karpathy_entry(1, "train"), karpathy_entry(2, "test", filepath="val2014")]
    )


def test_karpathy(karpathy):
    records = read_karpathy(karpathy)
    assert [(record.image_id, record.split) for record in records] == [
        ("0.jpg", "dev"),
        ("1.jpg", "train"),
        ("2.jpg", "test"),
    ]
    assert records[0].captions == ("A dog 0 .",)
    assert records[0].path is None
    assert read_imgids(karpathy) == {"0.jpg": 0, "1.jpg": 1, "2.jpg": 2}
    assert read_karpathy(karpathy / "dataset.json") == records


def test_the_documented_example_of_ones_own_data_is_read(tmp_path):
    (example,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "guide" / "your-own-data.md").read_text(), re.DOTALL)
    (tmp_path / "dataset.json").write_text(example)
    (record,) = read_karpathy(tmp_path)
    assert (record.image_id, record.split, record.captions) == ("dog.jpg", "train", ("A dog runs.",))
    assert read_imgids(tmp_path) == {"dog.jpg": 0}


def test_karpathy_finds_photographs(karpathy):
    (karpathy / "imgs" / "val2014").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg", "val2014/2.jpg"):
        (karpathy / "imgs" / name).touch()
    assert [record.path.name for record in read_karpathy(karpathy)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert read_karpathy(karpathy, images=karpathy / "imgs")[2].path.parent.name == "val2014"
    (karpathy / "imgs" / "1.jpg").unlink()
    with pytest.raises(DataError, match="imgs has no image '1.jpg'"):
        read_karpathy(karpathy)
    with pytest.raises(DataError, match="images got .*nowhere', which is no folder"):
        read_karpathy(karpathy, images=karpathy / "nowhere")


def test_karpathy_restval_must_be_chosen(tmp_path):
    write_karpathy(tmp_path, [karpathy_entry(0, "train"), karpathy_entry(1, "restval")], "dataset_coco.json")
    with pytest.raises(DataError, match="'restval' images and got restval=None, expected restval='train'"):
        read_karpathy(tmp_path)
    assert [record.split for record in read_karpathy(tmp_path, restval="train")] == ["train", "train"]
    assert [record.split for record in read_karpathy(tmp_path, restval="drop")] == ["train"]
    with pytest.raises(DataError, match="restval got 'all', expected 'train'"):
        read_karpathy(tmp_path, restval="all")


def test_karpathy_reads_tokens_where_text_is_missing(tmp_path):
    entry = karpathy_entry(0, "train", sentences=[{"tokens": ["a", "cat"]}])
    assert read_karpathy(write_karpathy(tmp_path, [entry]))[0].captions == ("a cat",)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "has no list 'images'"),
        ([karpathy_entry(0, "validation")], "split 'validation', expected one of train, val, test, restval"),
        ([karpathy_entry(0, "train", sentences=[])], "image '0.jpg' has a missing or empty caption"),
        ([karpathy_entry(0, "train", sentences=["text"])], "image '0.jpg' has a missing or empty caption"),
        ([karpathy_entry("0", "train")], "image 0 has imgid '0', expected an int or none"),
        ([karpathy_entry(0, "train"), karpathy_entry(0, "test")], "splits 'train' and 'test' share 1 images"),
    ],
)
def test_karpathy_malformed(tmp_path, entries, message):
    with pytest.raises(DataError, match=message):
        read_karpathy(write_karpathy(tmp_path, entries))


def test_karpathy_imgids_must_differ(tmp_path):
    write_karpathy(tmp_path, [karpathy_entry(0, "train"), karpathy_entry(0, "train", filename="b.jpg")])
    with pytest.raises(DataError, match="imgids are not 0 to"):
        read_imgids(tmp_path)


def test_karpathy_absent_or_broken_json(tmp_path):
    with pytest.raises(DataError, match="has no Karpathy split file, expected dataset.json or"):
        read_karpathy(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset.json: not JSON"):
        read_karpathy(tmp_path)


@pytest.fixture(scope="module")
def feats():
    return np.random.default_rng(0).random((4096, 3)).astype(np.float32)


def test_vgg_feats_of_both_matlab_formats(tmp_path, feats):
    savemat(tmp_path / "v5.mat", {"feats": feats})
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        file["feats"] = feats.T  # MATLAB stores columns first, and HDF5 shows axes in reverse
    for name in ("v5.mat", "v73.mat"):
        rows = read_vgg_feats(tmp_path / name, num_images=3)
        assert rows.dtype == np.float32
        assert rows.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(rows, feats.T)


def test_vgg_feats_errors(tmp_path, feats):
    savemat(tmp_path / "turned.mat", {"feats": feats.T})
    with pytest.raises(DataError, match=r"feats is \[3, 4096\], expected \[4096, N\] .*it is transposed, save feats.T"):
        read_vgg_feats(tmp_path / "turned.mat")
    savemat(tmp_path / "thin.mat", {"feats": feats[:100]})
    with pytest.raises(DataError, match=r"feats is \[100, 3\], expected .*extract fc7 features again"):
        read_vgg_feats(tmp_path / "thin.mat")
    savemat(tmp_path / "good.mat", {"feats": feats})
    with pytest.raises(DataError, match="feats holds 3 images, expected 4"):
        read_vgg_feats(tmp_path / "good.mat", num_images=4)
    savemat(tmp_path / "nan.mat", {"feats": np.where(feats > 2, feats, np.nan)})
    with pytest.raises(DataError, match="feats holds 12288 NaN or inf values"):
        read_vgg_feats(tmp_path / "nan.mat")
    savemat(tmp_path / "other.mat", {"features": feats[:2]})
    with pytest.raises(DataError, match="has no array 'feats', expected 4096 x N"):
        read_vgg_feats(tmp_path / "other.mat")
    (tmp_path / "text.mat").write_text("not MATLAB")
    for name in ("text.mat", "absent.mat"):
        with pytest.raises(DataError, match=f"{name} is no readable MATLAB file"):
            read_vgg_feats(tmp_path / name)


def write_coco(folder, part, numbers, **changes):
    images = [{"id": number, "file_name": f"COCO_{part}_{number}.jpg"} for number in numbers]
    notes = [
        {
            "id": 10 * number + 1 - twice,
            "image_id": number,
            "caption": f"{'second' if not twice else 'first'} {number}\n",
        }
        for number in numbers
        for twice in (0, 1)
    ]
    document = {"images": images, "annotations": notes} | changes
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"captions_{part}.json").write_text(json.dumps(document))


@pytest.fixture
def coco(tmp_path):
    write_coco(tmp_path, "train2014", [1, 2])
    write_coco(tmp_path, "val2014", [3, 4, 5])
    for part, numbers in (("train2014", (1, 2)), ("val2014", (3, 4, 5))):
        (tmp_path / part).mkdir()
        for number in numbers:
            (tmp_path / part / f"COCO_{part}_{number}.jpg").touch()
    return tmp_path


def test_coco_as_published_has_no_test(coco):
    records = read_coco(coco)
    assert [record.split for record in records] == ["train"] * 2 + ["dev"] * 3
    assert records[0].captions == ("first 1", "second 1")
    assert records[4].path == coco / "val2014" / "COCO_val2014_5.jpg"


def test_coco_with_lists(coco):
    lists = coco / "lists"
    lists.mkdir()
    contents = {"train": ["train2014_1", "train2014_2"], "dev": ["val2014_4"], "test": ["val2014_3"]}
    for split, names in contents.items():
        (lists / f"{split}.txt").write_text("".join(f"COCO_{name}.jpg\n" for name in names))
    with pytest.raises(DataError, match="1 images are in no list of .*got restval=None, expected restval='train'"):
        read_coco(coco, split_lists=lists)
    splits = [record.split for record in read_coco(coco, split_lists=lists, restval="train")]
    assert splits == ["train", "train", "test", "dev", "train"]
    assert len(read_coco(coco, split_lists=lists, restval="drop")) == 4
    (lists / "restval.txt").write_text("x.jpg\n")
    with pytest.raises(DataError, match="lists 1 images without captions, first 'x.jpg'"):
        read_coco(coco, split_lists=lists, restval="drop")
    (lists / "test.txt").write_text("COCO_val2014_4.jpg\n")
    with pytest.raises(DataError, match="test.txt lists 'COCO_val2014_4.jpg', which is in dev.txt as well"):
        read_coco(coco, split_lists=lists, restval="drop")


def test_ones_own_data_in_cocos_format(tmp_path):
    (tmp_path / "images").mkdir()
    for split, number in (("train", 1), ("test", 2)):
        write_coco(tmp_path, split, [number])
        (tmp_path / "images" / f"COCO_{split}_{number}.jpg").touch()
    (tmp_path / "annotations" / "captions_test.json").rename(tmp_path / "captions_test.json")
    records = read_coco(tmp_path)
    assert [(record.split, record.captions) for record in records] == [
        ("train", ("first 1", "second 1")),
        ("test", ("first 2", "second 2")),
    ]
    assert records[1].path == tmp_path / "images" / "COCO_test_2.jpg"


def test_coco_missing_photograph(coco):
    (coco / "val2014" / "COCO_val2014_4.jpg").unlink()
    with pytest.raises(DataError, match=r"val2014 has no image 'COCO_val2014_4.jpg'; get val2014.zip"):
        read_coco(coco)
    assert read_coco(coco, require_images=False)[3].path is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": []}, "image 'COCO_val2014_3.jpg' has a missing or empty caption"),
        ({"annotations": [{"id": 1, "image_id": 9, "caption": "x"}]}, "captions of 1 unknown images, first id 9"),
        ({"annotations": [{"id": 1}]}, "is no COCO caption file, KeyError"),
        ({"images": 3}, "is no COCO caption file, TypeError"),
    ],
)
def test_coco_malformed(coco, changes, message):
    write_coco(coco, "val2014", [3], **changes)
    with pytest.raises(DataError, match=message):
        read_coco(coco)


def test_coco_other_errors(coco):
    with pytest.raises(DataError, match="restval got 'maybe', expected 'train'"):
        read_coco(coco, restval="maybe")
    with pytest.raises(DataError, match="has no COCO caption file, expected captions_train2017.json or"):
        read_coco(coco, year=2017)


def write_precomputed(folder, *, repeats, captions=10, images=2):
    random = np.random.default_rng(1)
    folder.mkdir(exist_ok=True)
    rows = {}
    for split in ("train", "dev", "test"):
        lines = [f"{split} caption {number} " for number in range(captions)]
        (folder / f"f8k_{split}_caps.txt").write_text("\n".join(lines) + "\n")
        rows[split] = random.random((images, 6)).astype(np.float32)
        np.save(folder / f"f8k_{split}_ims.npy", rows[split].repeat(repeats, axis=0))
    return rows


@pytest.mark.parametrize("repeats", [1, 5])
def test_precomputed_rows_per_image_or_per_caption(tmp_path, repeats):
    truth = write_precomputed(tmp_path / "f8k", repeats=repeats)
    records = read_precomputed(tmp_path / "f8k")
    ids, rows = read_precomputed_features(tmp_path, "f8k")
    assert [record.image_id for record in records] == ids
    assert ids[2] == "f8k_dev_000000"
    assert records[3].captions[0] == "dev caption 5"
    np.testing.assert_array_equal(rows, np.concatenate(list(truth.values())))
    assert rows.dtype == np.float32


def test_precomputed_counts_must_fit(tmp_path):
    write_precomputed(tmp_path / "f8k", repeats=5, captions=9)
    for read in (read_precomputed, read_precomputed_features):
        with pytest.raises(
            DataError, match="f8k_train_caps.txt has 9 captions and its _ims.npy has 10 rows, expected 5"
        ):
            read(tmp_path / "f8k")


def test_precomputed_rows_of_one_image_must_agree(tmp_path):
    write_precomputed(tmp_path / "f8k", repeats=5)
    rows = np.load(tmp_path / "f8k" / "f8k_dev_ims.npy")
    rows[7] += 1
    np.save(tmp_path / "f8k" / "f8k_dev_ims.npy", rows)
    with pytest.raises(DataError, match=r"f8k_dev_ims.npy: rows 5 to 9 differ, expected one image repeated"):
        read_precomputed_features(tmp_path / "f8k")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(10, np.float32), r"holds float32 \[10\], expected floats \[rows, width\]"),
        (np.zeros((10, 2), int), r"holds int64 \[10, 2\], expected floats"),
        (np.array([{}] * 10, object), "f8k_dev_ims.npy cannot be read as NumPy arrays"),
        (np.full((10, 6), np.nan), "rows 0 to 10 hold NaN or inf"),
        (np.zeros((10, 7)), r"features of widths \[6, 7\], expected one width"),
    ],
)
def test_precomputed_bad_arrays(tmp_path, array, message):
    write_precomputed(tmp_path / "f8k", repeats=5)
    np.save(tmp_path / "f8k" / "f8k_dev_ims.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        read_precomputed_features(tmp_path / "f8k")


def test_precomputed_other_errors(tmp_path):
    write_precomputed(tmp_path / "f8k", repeats=5)
    with pytest.raises(DataError, match="has no captions of 'coco', expected coco_test_caps.txt or"):
        read_precomputed(tmp_path / "f8k", name="coco")
    path = tmp_path / "f8k" / "f8k_dev_caps.txt"
    path.write_text(path.read_text().replace("dev caption 3 ", " "))
    with pytest.raises(DataError, match="f8k_dev_caps.txt:4: an empty line, expected a caption"):
        read_precomputed(tmp_path / "f8k")
    (tmp_path / "f8k" / "f8k_test_ims.npy").unlink()
    with pytest.raises(DataError, match="f8k_test_ims.npy cannot be read as NumPy arrays .No such file"):
        read_precomputed(tmp_path / "f8k", splits=("test",))
