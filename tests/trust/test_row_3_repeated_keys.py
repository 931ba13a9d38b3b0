"""Row 3 of docs/trust.md: a key that a file repeats is one clear error, and nothing is lost without a word."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from datasets.captions.coco import read_coco
from datasets.captions.flickr import FLICKR8K, read_token_file
from datasets.captions.flickr30k_entities import read_entities
from datasets.captions.karpathy import read_imgids, read_karpathy
from datasets.captions.msrvtt import read_msrvtt
from datasets.download.zip_files import unpack
from datasets.fixations.csv_file import read_fixations_csv
from datasets.fixations.mit1003 import read_mit1003
from datasets.fixations.osie import read_osie
from datasets.registry import reader_options
from datasets.scenes.dataset import read_scene_notes, write_scenes
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from naturalness.config import CONFIGS
from vislang.core.config import override
from vislang.core.errors import ConfigError, DataError, EvalError
from vislang.core.files import keyed, read_json
from vislang.features.cache.keys import FeatureKey
from vislang.features.extract_videos import videos_by_name
from vislang.text.vocabulary import Vocabulary
from vislang.text.word_vectors import embedding_table


def test_row_3_the_error_says_what_got_and_expected():
    assert keyed([("a", 1), ("b", 2)], "ids", "mend it") == {"a": 1, "b": 2}
    with pytest.raises(DataError, match="^ids: got 'a' 2 times, expected each once; mend it$"):
        keyed([("b", 0), ("a", 1), ("a", 2)], "ids", "mend it")


def test_row_3_json_objects(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"outer": [{"a": 1, "b": 2, "a": 3}]}')
    with pytest.raises(DataError, match="got 'a' 2 times, expected each once"):
        read_json(path, "settings", "mend it")
    path.write_text('{"format": "1", "counts": {"a dog": 1, "a dog": 2}}')
    with pytest.raises(EvalError, match="got 'a dog' 2 times"):
        DocumentFrequencies.load(path)
    with pytest.raises(DataError, match="got 'layer' 2 times"):
        FeatureKey.from_json('{"layer": "pooled", "layer": "grid"}')


def test_row_3_settings_and_options():
    with pytest.raises(ConfigError, match="setting experts got .*: got 'layer' 2 times, expected each once"):
        override(CONFIGS["best"], ['experts=[{"layer": "pooled", "layer": "grid"}]'])
    with pytest.raises(DataError, match="--option: got 'restval' 2 times, expected each once"):
        reader_options(["restval=train", "restval=drop"])


def coco(folder, images):
    notes = [{"id": number, "image_id": image["id"], "caption": f"a {number}"} for number, image in enumerate(images)]
    document = {"images": images, "annotations": notes}
    (folder / "captions_train.json").write_text(json.dumps(document))


def test_row_3_coco(tmp_path):
    coco(tmp_path, [{"id": 1, "file_name": "cat.jpg"}, {"id": 2, "file_name": "dog.jpg"}])
    found = {record.image_id: record.captions for record in read_coco(tmp_path, require_images=False)}
    assert found == {"cat.jpg": ("a 0",), "dog.jpg": ("a 1",)}
    coco(tmp_path, [{"id": 1, "file_name": "cat.jpg"}, {"id": 1, "file_name": "dog.jpg"}])
    with pytest.raises(DataError, match="ids of images: got 1 2 times, expected each once"):
        read_coco(tmp_path, require_images=False)
    coco(tmp_path, [{"id": 1, "file_name": "cat.jpg"}, {"id": 2, "file_name": "cat.jpg"}])
    with pytest.raises(DataError, match="file names of images: got 'cat.jpg' 2 times, expected each once"):
        read_coco(tmp_path, require_images=False)


def test_row_3_karpathy(tmp_path):
    entry = {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "a dog"}]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [{**entry, "imgid": 9}, {**entry, "imgid": 0}]}))
    with pytest.raises(DataError, match="got 'a.jpg' 2 times, expected each once"):
        read_imgids(tmp_path)
    with pytest.raises(DataError, match="1 images are listed more than once, first 'a.jpg'"):
        read_karpathy(tmp_path)


def test_row_3_flickr(tmp_path):
    lines = [f"a.jpg#{number}\ta dog {number}" for number in (0, 1, 2, 3, 3)]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match="caption 3 of 'a.jpg' comes twice, expected once"):
        read_token_file(tmp_path, FLICKR8K)


def test_row_3_msrvtt_and_clips(tmp_path):
    video = {"video_id": "video1", "split": "train"}
    document = {"videos": [video, video], "sentences": [{"video_id": "video1", "caption": "a dog"}]}
    (tmp_path / "videodatainfo.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="1 images are listed more than once, first 'video1'"):
        read_msrvtt(tmp_path)
    with pytest.raises(DataError, match="have the same name, expected one video of each name"):
        videos_by_name([tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4"])


def test_row_3_entities(tmp_path):
    box = "<annotation><size><width>10</width><height>10</height></size></annotation>"
    with zipfile.ZipFile(tmp_path / "annotations.zip", "w") as archive:
        archive.writestr("Annotations/1.xml", box)
        archive.writestr("Sentences/1.txt", "a dog .")
    assert read_entities(tmp_path, ["1_a.jpg"])["1_a.jpg"].sentences == (("a", "dog", "."),)
    with pytest.raises(DataError, match="numbers of photographs: got '1' 2 times, expected each once"):
        read_entities(tmp_path, ["1_a.jpg", "1_b.jpg"])
    with zipfile.ZipFile(tmp_path / "annotations.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("Sentences/1.txt", "a cat .")
    with pytest.raises(DataError, match=r"got 'Sentences/1.txt' 2 times, expected each once"):
        read_entities(tmp_path, ["1_a.jpg"])


def test_row_3_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/b.txt", "one")
        archive.writestr("a\\b.txt", "two")
    with pytest.raises(DataError, match="2 times, expected each once; delete the archive"):
        unpack(tmp_path / "x.zip", tmp_path / "out", max_bytes=100)
    assert not (tmp_path / "out").exists()


def test_row_3_scenes(tmp_path):
    write_scenes(tmp_path, train=2, dev=0, test=0)
    (path,) = tmp_path.glob("*.json")
    document = json.loads(path.read_text())
    document["images"][1]["file_name"] = document["images"][0]["file_name"]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="file names of images: got 'train_000000.png' 2 times"):
        read_scene_notes(tmp_path)


def test_row_3_fixations(tmp_path):
    from scipy.io import savemat

    for name in ("ALLSTIMULI/a.jpg", "ALLSTIMULI/a.jpeg", "stimuli/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "DATA" / "anna").mkdir(parents=True)
    with pytest.raises(DataError, match="names without suffix: got 'a' 2 times, expected each once"):
        read_mit1003(tmp_path)
    people = np.empty((1, 1), object)
    people[0, 0] = {"fix_x": [1.0], "fix_y": [1.0], "fix_duration": [1.0]}
    entries = np.empty((2, 1), object)
    entries[:, 0] = [{"img": "a.jpg", "subjects": people}] * 2
    savemat(tmp_path / "fixations.mat", {"fixations": entries})
    with pytest.raises(DataError, match="images: got 'a.jpg' 2 times, expected each once"):
        read_osie(tmp_path)


def test_row_3_columns_of_csv(tmp_path):
    (tmp_path / "looks.csv").write_text("image,subject,x,y,x\na.jpg,anna,1,2,3\n")
    with pytest.raises(DataError, match="header got 'image,subject,x,y,x', expected image,subject,x,y"):
        read_fixations_csv(tmp_path)


def test_row_3_word_vectors(tmp_path):
    (tmp_path / "v.txt").write_text("dog 1 2\ncat 3 4\nother 5 6\nother 7 8\n")
    words = Vocabulary(["dog", "cat"])
    assert embedding_table(tmp_path / "v.txt", words, 2)[-2:].tolist() == [[1, 2], [3, 4]]
    (tmp_path / "v.txt").write_text("dog 1 2\ndog 3 4\n")
    with pytest.raises(DataError, match="words: got 'dog' 2 times, expected each once"):
        embedding_table(tmp_path / "v.txt", words, 2)
