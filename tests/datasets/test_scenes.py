import json
from collections import Counter

import numpy as np
import pytest

from datasets import registry
from datasets.scenes.__main__ import main
from datasets.scenes.backgrounds import BACKGROUNDS
from datasets.scenes.captions import NAMES, PLACES, SIZES, VERBS
from datasets.scenes.cell_labels import augmented_batch, draw_labelled_scenes
from datasets.scenes.dataset import read_scene_entities, read_scene_notes, read_scenes, write_scenes
from datasets.scenes.draw import SCENE_SPLITS, SIDE, draw_scene, pairs_of_split
from datasets.scenes.shapes import COLOURS, SHAPES
from vislang.core.errors import DataError
from vislang.text.tokenizer import tokenize

COLOURS_IN_PLACES = set(COLOURS) & {word for texts in PLACES.values() for text in texts for word in text.split()}


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(3, index, split) for split in SCENE_SPLITS for index in range(20)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes")
    write_scenes(path, train=6, dev=2, test=3, seed=5)
    return path


def test_pairs_of_splits_never_meet_and_miss_no_colour_or_shape():
    pairs = {split: set(pairs_of_split(split)) for split in SCENE_SPLITS}
    assert sum(map(len, pairs.values())) == len(set().union(*pairs.values())) == len(COLOURS) * len(SHAPES)
    for split, per_shape in (("train", 5), ("dev", 1), ("test", 2)):
        assert {colour for colour, _ in pairs[split]} == set(COLOURS)
        assert Counter(shape for _, shape in pairs[split]) == dict.fromkeys(SHAPES, per_shape)


def test_scenes_show_only_pairs_of_their_split():
    for split in SCENE_SPLITS:
        allowed = set(pairs_of_split(split))
        for index in range(12):
            shown = {(thing.colour, thing.name) for thing in draw_scene(11, index, split).objects}
            assert shown <= allowed


def test_a_split_of_another_name_is_refused():
    with pytest.raises(DataError, match="scenes have no split 'val', expected one of train, dev, test"):
        draw_scene(0, 0, "val")


def test_equal_arguments_draw_equal_scenes():
    one, same, other = draw_scene(1, 4, "dev"), draw_scene(1, 4, "dev"), draw_scene(2, 4, "dev")
    np.testing.assert_array_equal(one.image, same.image)
    assert one.captions == same.captions
    assert one.phrases == same.phrases
    assert (one.image != other.image).any()


def test_pictures(scenes):
    for scene in scenes:
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.image.dtype == np.uint8
        assert 1 <= len(scene.objects) <= 3
    assert {scene.background for scene in scenes} == set(BACKGROUNDS)


def test_boxes_are_tight_and_things_do_not_overlap(scenes):
    for scene in scenes:
        covered = np.zeros((SIDE, SIDE), int)
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            inside = thing.mask[y0:y1, x0:x1]
            assert inside.sum() == thing.mask.sum() > 60
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            covered += thing.mask
        assert covered.max() == 1


def test_masks_lie_on_the_colour_they_name(scenes):
    right = [
        min(COLOURS, key=lambda name: np.abs(np.median(scene.image[thing.mask], axis=0) - COLOURS[name]).sum())
        == thing.colour
        for scene in scenes
        for thing in scene.objects
    ]
    assert np.mean(right) > 0.8  # shading and inner details move a median now and then


def test_every_scene_has_five_different_captions(scenes):
    for scene in scenes:
        assert len(scene.captions) == 5
    assert np.mean([len(set(scene.captions)) for scene in scenes]) > 4.8


def test_captions_are_cut_alike_by_every_tokenizer(scenes):
    for scene in scenes:
        for caption in scene.captions:
            assert tokenize(caption) == caption.split()


def test_phrases_name_their_things(scenes):
    for scene in scenes:
        for phrase in scene.phrases:
            words = scene.captions[phrase.caption].split()[slice(*phrase.words)]
            things = [scene.objects[number] for number in phrase.objects]
            assert words[0] in ("a", "an")
            assert set(words) & set(NAMES[things[0].name])
            assert set(words) & set(COLOURS) <= {things[0].colour}
            assert phrase.boxes == tuple(thing.box for thing in things)


def test_every_noun_is_in_a_phrase(scenes):
    nouns = {noun for names in NAMES.values() for noun in names}
    for scene in scenes:
        for number, caption in enumerate(scene.captions):
            named = {word for p in scene.phrases if p.caption == number for word in range(*p.words)}
            assert all(place in named for place, word in enumerate(caption.split()) if word in nouns)


def test_relations_are_true(scenes):
    """Check "left of", "above" and so on between neighbouring phrases against the boxes."""
    checked = Counter()
    for scene in scenes:
        for one, other in zip(scene.phrases, scene.phrases[1:], strict=False):
            between = scene.captions[one.caption].split()[one.words[1] : other.words[0]]
            if one.caption != other.caption:
                continue
            (x0, y0), (x1, y1) = (scene.objects[phrase.objects[0]].centre for phrase in (one, other))
            truth = {"left": x0 < x1, "right": x0 > x1, "above": y0 < y1, "below": y0 > y1}
            truth |= {"over": y0 < y1, "under": y0 > y1}
            for word in set(truth) & set(between):
                assert truth[word], scene.captions[one.caption]
                checked[word] += 1
    assert len(checked) == 6


def test_most_captions_tell_all_colours(scenes):
    told = [
        {thing.colour for thing in scene.objects} <= set(caption.split())
        for scene in scenes
        for caption in scene.captions
    ]
    assert np.mean(told) > 0.8


def test_the_grammar_has_words_for_everything():
    assert set(NAMES) == set(VERBS) == set(SHAPES)
    assert set(PLACES) == set(BACKGROUNDS)
    assert set(SIZES) == {"small", "medium", "big"}
    assert not COLOURS_IN_PLACES  # "a green meadow" would name a colour that no thing has


def test_written_scenes_are_read_back(folder):
    records = registry.read("scenes", folder)
    assert Counter(record.split for record in records) == {"train": 6, "dev": 2, "test": 3}
    notes = read_scene_notes(folder)
    scene = draw_scene(5, 2, "test")
    read = notes["test_000002.png"]
    assert records[-1].captions == read.captions == scene.captions
    assert read.phrases == scene.phrases
    assert read.background == scene.background
    for one, other in zip(read.objects, scene.objects, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.name, one.colour, one.size, one.centre, one.box) == (
            other.name,
            other.colour,
            other.size,
            other.centre,
            other.box,
        )


def test_writing_again_gives_equal_bytes_and_a_larger_set_begins_with_the_smaller(folder, tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--train", "6", "--dev", "2", "--test", "3", "--seed", "5"]) == 0
    assert "11 scenes with 55 captions" in capsys.readouterr().out
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()
    assert write_scenes(tmp_path, train=7, dev=0, test=0, seed=5)[:6] == tuple(
        type(record)(record.image_id, tmp_path / "images" / record.image_id, record.split, record.captions)
        for record in read_scenes(folder)[:6]
    )


def test_impossible_counts(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--train", "-1"]) == 2
    assert "scenes to draw got {'train': -1" in capsys.readouterr().err
    with pytest.raises(DataError, match="expected none below 0 and one above"):
        write_scenes(tmp_path, train=0, dev=0, test=0)


def test_unwritable_pictures(tmp_path):
    (tmp_path / "images" / "train_000000.png").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot write .*train_000000.png: Is a directory"):
        write_scenes(tmp_path, train=1, dev=0, test=0)


def test_half_drawn_folder(tmp_path):
    with pytest.raises(DataError, match="drawn scenes .*annotations.json: No such file.*python -m datasets.scenes"):
        read_scenes(tmp_path)


def damaged(folder, target, change):
    document = json.loads((folder / "annotations.json").read_text())
    change(document)
    (target / "images").mkdir()
    for path in (folder / "images").iterdir():
        (target / "images" / path.name).touch()
    (target / "annotations.json").write_text(json.dumps(document))
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.update(format="v0"), "has format 'v0', expected 'drawn-scenes/v1'"),
        (lambda document: document.update(images={}), "'images' is no list of file_name, split and captions"),
        (lambda document: document["images"][0].pop("captions"), "'images' is no list of file_name"),
        (lambda document: document["images"][0].update(split="val"), "'images' is no list of file_name"),
        (lambda document: document["images"][0].update(file_name="x.png"), "1 of 11 scenes are missing, first 'x.png'"),
        (lambda document: document["images"].append(document["images"][0]), "listed more than once"),
    ],
)
def test_damaged_annotations(folder, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read_scenes(damaged(folder, tmp_path, change))


def test_annotations_that_are_no_object(folder, tmp_path):
    (tmp_path / "annotations.json").write_text("[]")
    with pytest.raises(DataError, match="has format .list., expected"):
        read_scenes(tmp_path)


@pytest.mark.parametrize("runs", ["3 4", "x", "-1 16385"])
def test_damaged_masks(folder, tmp_path, runs):
    target = damaged(folder, tmp_path, lambda document: document["images"][0]["objects"][0].update(mask_runs=runs))
    with pytest.raises(DataError, match="annotations.json is damaged"):
        read_scene_notes(target)


def test_a_phrase_of_an_object_that_is_not_there(folder, tmp_path):
    target = damaged(folder, tmp_path, lambda document: document["images"][0]["phrases"][0].update(objects=[9]))
    with pytest.raises(DataError, match="annotations.json is damaged"):
        read_scene_notes(target)


def test_a_scene_that_was_not_drawn_is_named(folder):
    with pytest.raises(DataError, match="holds no scene 'absent.png', expected one such as 'train_000000.png'"):
        read_scene_entities(folder, ["absent.png"])


@pytest.fixture(scope="module")
def lessons():
    return draw_labelled_scenes("dev", 5, seed=4, workers=1)


def test_lessons_tell_what_is_in_each_cell(lessons):
    assert lessons.images.shape == (5, 64, 64, 3)
    for number in range(5):
        scene = draw_scene(4, number, "dev")
        assert set(np.unique(lessons.cell_shape[number])) <= {0} | {
            1 + list(SHAPES).index(t.name) for t in scene.objects
        }
        for thing in scene.objects:
            column, row = (int(value) * 8 // SIDE for value in thing.centre)
            assert lessons.colour_of[number, list(SHAPES).index(thing.name)] == list(COLOURS).index(thing.colour)
            if thing.mask[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16].mean() >= 0.3:
                assert lessons.cell_colour[number, row, column] == 1 + list(COLOURS).index(thing.colour)


def test_lessons_do_not_depend_on_the_number_of_processes(lessons, monkeypatch):
    monkeypatch.setattr("datasets.scenes.cell_labels._PART", 3)
    parallel = draw_labelled_scenes("dev", 5, seed=4, workers=2)
    np.testing.assert_array_equal(parallel.images, lessons.images)
    np.testing.assert_array_equal(parallel.background, lessons.background)


def test_recoloured_lessons_keep_shapes_and_forget_colours(lessons):
    images, answers = augmented_batch(lessons, np.arange(5).repeat(8), np.random.default_rng(0))
    assert images.dtype == np.float32
    assert images.min() >= -1
    assert images.max() <= 1
    unknown = (answers["cell_shape"][..., 1] == -1).all(axis=(1, 2))
    assert 5 < unknown.sum() < 35
    assert (answers["colour_of"][unknown] == -1).all()
    present = answers["present"]
    np.testing.assert_array_equal((present[:, : len(SHAPES)] == -1).all(axis=1), ~unknown)
    np.testing.assert_array_equal((present[:, len(SHAPES) :] == -1).all(axis=1), unknown)
    shapes = np.sort(answers["cell_shape"][..., 0].reshape(40, -1))  # mirroring moves cells, and changes none
    np.testing.assert_array_equal(shapes, np.sort(lessons.cell_shape.reshape(5, -1)).repeat(8, axis=0))
