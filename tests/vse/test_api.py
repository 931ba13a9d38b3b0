"""The public calls: what they take, what they give, and what they say when they cannot."""

import json
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from released_files import released_model

import vse
from vislang.core.errors import CheckpointError, ConfigError, DataError
from vislang.features.reading_options import ReadingOptions
from vse import search
from vse.api import EncodedImages
from vse.nearest import nearest


@pytest.fixture(scope="module")
def checkpoint(tiny_ranker):
    return tiny_ranker


@pytest.fixture(scope="module")
def model(checkpoint):
    return vse.load_model(checkpoint)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of every kind of file that people keep among their photographs."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    rgb = Image.fromarray(random.integers(0, 255, (40, 60, 3), dtype=np.uint8))
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(random.integers(0, 65535, (30, 30), dtype=np.uint16)).save(folder / "deep.png")
    rgb.quantize(16).save(folder / "palette.png")
    rgb.convert("RGBA").save(folder / "alpha.png")
    rgb.save(folder / "moving.gif", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "modern.webp")
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "rotated.jpg", exif=exif)
    whole = (folder / "cmyk.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "letter.jpg").write_text("Dear Sir")
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    return folder


GOOD = ["alpha.png", "cmyk.jpg", "deep.png", "modern.webp", "moving.gif", "palette.png", "rotated.jpg"]
BAD = ["bomb.png", "empty.jpg", "letter.jpg", "truncated.jpg"]


def test_a_mixed_folder_gives_vectors_and_reasons(model, photos):
    encoded = vse.encode_images(model, photos)
    assert [name.rsplit("/", 1)[1] for name in encoded.names] == GOOD
    assert sorted(one.source.rsplit("/", 1)[1] for one in encoded.skipped) == BAD
    assert all(one.reason and "\n" not in one.reason for one in encoded.skipped)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.asarray(encoded), axis=1), 1, rtol=1e-5)
    with pytest.raises(DataError, match="strict"):
        vse.encode_images(model, photos, options=ReadingOptions(strict=True))


def test_the_same_picture_in_every_guise_gives_the_same_vector(model, photos):
    path = photos / "alpha.png"
    picture = Image.open(path)
    array = np.asarray(picture.convert("RGB"))
    guises = [path, str(path), picture, array, array[None], [array], [path], [str(path)]]
    vectors = [np.asarray(vse.encode_images(model, guise)) for guise in guises]
    for vector in vectors:
        np.testing.assert_allclose(vector, vectors[0], atol=1e-5)


def test_features_are_taken_as_they_are(model, photos):
    from vislang.backbones.registry import load_backbone
    from vislang.features.pipeline import encode_images

    features = encode_images(load_backbone("compact_scenes"), [photos / "alpha.png"], ["pooled"]).features
    expected = vse.encode_images(model, photos / "alpha.png").vectors
    np.testing.assert_allclose(vse.encode_images(model, features["pooled"]).vectors, expected, atol=1e-5)
    np.testing.assert_allclose(vse.encode_images(model, features).vectors, expected, atol=1e-5)
    with pytest.raises(DataError, match="features are 3 wide, expected"):
        vse.encode_images(model, np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="layer 'pooled' are missing, got grid"):
        vse.encode_images(model, {"grid": features["pooled"]})


def test_bad_requests_are_refused(model, photos, tmp_path):
    for images, message in [(tmp_path, "holds no image"), ([], "no image was given"), (photos / "none.jpg", "no such")]:
        with pytest.raises(DataError, match=message):
            vse.encode_images(model, images)
    with pytest.raises(DataError, match="none of 1 images could be encoded"):
        vse.encode_images(model, photos / "letter.jpg")
    with pytest.raises(ConfigError, match="top got 0"):
        vse.retrieve_images(model, photos / "alpha.png", "a dog", top=0)
    with pytest.raises(DataError, match="1 vectors were given for 2 candidates"):
        vse.retrieve_captions(model, photos / "alpha.png", ["a", "b"], vectors=np.zeros((1, 24), np.float32))
    two = [photos / "alpha.png", photos / "cmyk.jpg"]
    with pytest.raises(ConfigError, match="got 2 images, expected one"):
        vse.regularities(model, two, two, "red", "blue")


def test_sentences_do_not_depend_on_their_batch(model):
    sentences = ["a dog", "", "A red cat, a blue dog and a zebra!", "unknown", "a dog"]
    together = vse.encode_sentences(model, sentences)
    alone = np.concatenate([vse.encode_sentences(model, sentence) for sentence in sentences])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together[0], together[4], atol=1e-6)
    assert together.shape == (5, 24)


def test_retrieval_ranks_by_cosine(model, photos):
    encoded = vse.encode_images(model, [photos / name for name in GOOD])
    captions = ["a dog", "a red cat", "blue"]
    vectors = vse.encode_sentences(model, captions)
    found = vse.retrieve_captions(model, encoded, captions, top=2)
    for row, matches in enumerate(found):
        scores = encoded.vectors[row] @ vectors.T
        assert [match.index for match in matches] == np.argsort(-scores)[:2].tolist()
        assert matches[0].score == pytest.approx(scores.max(), abs=1e-6)
        assert matches[0].name == captions[matches[0].index]
    (matches,) = vse.retrieve_images(model, encoded, "a dog", top=99)
    assert len(matches) == len(GOOD)
    assert matches[0].score >= matches[-1].score


def test_regularities_follow_the_arithmetic(model, photos):
    encoded = vse.encode_images(model, [photos / name for name in GOOD])
    query = encoded.vectors[0] - vse.encode_sentences(model, "red")[0] + vse.encode_sentences(model, "blue")[0]
    expected = np.argsort(-(encoded.vectors @ query))[:4].tolist()
    found = vse.regularities(model, encoded, photos / GOOD[0], "red", "blue", top=4)
    assert [match.index for match in found] == expected
    again = vse.regularities(model, encoded, photos / GOOD[0], "red", "blue", top=4, rerank=True)
    chosen = encoded.vectors[expected]
    assert [match.index for match in again] == [expected[n] for n in np.argsort(-(chosen @ chosen.mean(0)))]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_nearest_equals_a_full_sort(num_queries, num_candidates, top, seed):
    random = np.random.default_rng(seed)
    queries = random.integers(-2, 3, (num_queries, 3)).astype(np.float32)  # small integers make ties
    candidates = random.integers(-2, 3, (num_candidates, 3)).astype(np.float32)
    numbers, scores = nearest(queries, candidates, top)
    whole = queries @ candidates.T
    expected = np.argsort(-whole, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(whole, expected, axis=1))


def run_search(checkpoint, *words, capsys):
    code = search.main(["--model", str(checkpoint), *map(str, words)])
    return code, *capsys.readouterr()


def test_search_indexes_once_and_says_what_it_skipped(checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    words = ("--images", photos, "--text", "a red dog", "--top", 3, "--json")
    code, out, _ = run_search(checkpoint, *words, capsys=capsys)
    answer = json.loads(out)
    assert code == 3  # done, but some pictures were skipped
    assert answer["indexed"] == len(GOOD)
    assert len(answer["results"]) == 3
    assert sorted(one["image"].rsplit("/", 1)[1] for one in answer["skipped"]) == BAD
    encoded = []
    from vse.inference import TrainedRanker

    original = TrainedRanker.encode_images
    monkeypatch.setattr(
        TrainedRanker, "encode_images", lambda m, sources, o: encoded.extend(sources) or original(m, sources, o)
    )
    code, out, _ = run_search(checkpoint, *words, capsys=capsys)
    assert sorted(path.name for path in encoded) == BAD, "good pictures must come from the index"
    assert json.loads(out)["results"] == answer["results"]


def test_search_names_words_that_the_ranker_does_not_know(checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    known = vse.load_model(checkpoint).vocabulary.words[-1]
    code, out, err = run_search(checkpoint, "--images", photos, "--text", f"{known} zxqv, feline!", capsys=capsys)
    assert code == 3
    assert out
    assert "the ranker does not know: zxqv, feline" in err


def test_search_by_image_finds_itself_first(checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path))
    page = tmp_path / "page.html"
    code, out, err = run_search(
        checkpoint, "--images", photos, "--like", photos / "deep.png", "--html", page, capsys=capsys
    )
    assert code == 3
    assert out.splitlines()[0].startswith("1.000\t")
    assert out.splitlines()[0].endswith("deep.png")
    assert "letter.jpg" in err
    assert "data:image/jpeg;base64" in page.read_text()


def test_search_finds_the_sentences_of_ones_own_photographs(model, checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    captions = ["a red dog", "a blue cat", "a cat", "a dog", "a blue dog"]
    (tmp_path / "f8k_train_caps.txt").write_text("\n".join([*captions, "a cat ", ""]) + "\n")
    words = ("--images", photos, "--sentences", tmp_path / "f8k_train_caps.txt", "--top", 3)
    code, out, _ = run_search(checkpoint, *words, "--json", capsys=capsys)
    assert code == 3
    answer = json.loads(out)
    assert len(answer["images"]) == len(GOOD)
    expected = vse.retrieve_captions(model, photos / "deep.png", captions, top=3).matches[0]
    (row,) = [row for row in answer["images"] if row["image"].endswith("deep.png")]
    assert [one["sentence"] for one in row["results"]] == [match.name for match in expected]
    assert [one["score"] for one in row["results"]] == pytest.approx([match.score for match in expected], abs=1e-4)
    code, out, err = run_search(checkpoint, *words, capsys=capsys)
    assert len(out.splitlines()) == 3 * len(GOOD)
    assert "letter.jpg" in err
    (tmp_path / "f8k_train_caps.txt").write_text(" \n")
    code, _, err = run_search(checkpoint, *words, capsys=capsys)
    assert (code, "holds no sentence" in err) == (2, True)


@pytest.mark.parametrize("rerank", [False, True])
def test_search_does_arithmetic_with_words(model, checkpoint, photos, tmp_path, capsys, monkeypatch, rerank):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    words = [
        "--images",
        photos,
        "--like",
        photos / "deep.png",
        "--minus",
        "red",
        "--plus",
        "blue",
        "--top",
        3,
        "--json",
    ]
    _, out, _ = run_search(checkpoint, *words, *["--rerank"] * rerank, capsys=capsys)
    found = [one["image"].rsplit("/", 1)[1] for one in json.loads(out)["results"]]
    start = vse.encode_images(model, photos / "deep.png").vectors[0]
    red, blue = vse.encode_sentences(model, ["red", "blue"])
    query = start - red + blue
    images = vse.encode_images(model, photos)
    order = np.argsort(-(images.vectors @ query), kind="stable")[:3]
    if rerank:
        near = images.vectors[order]
        order = order[np.argsort(-(near @ near.mean(axis=0)), kind="stable")]
    assert found == [images.names[index].rsplit("/", 1)[1] for index in order]


def test_search_mistakes(checkpoint, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VISLANG_INDEX", str(tmp_path / "index"))
    for words, message in [
        (
            ("--images", photos, "--text", "a", "--like", "b", "--sentences", "s.txt"),
            "--text and --like and --sentences",
        ),
        (
            ("--images", photos, "--text", "a", "--store", tmp_path),
            "--store, --offset and filters are for what is indexed",
        ),
        (("--images", photos, "--text", "a", "--folder", tmp_path), "--store, --offset and filters are for"),
        (("--sentences", "s.txt"), "--sentences describes images; name them by --images"),
        (("--text", "a", "--offset", -1), "--offset got -1"),
        (("a", "red", "dog"), "holds no index of this ranker; make it by: vislang index FOLDER --model"),
        (("--folder", photos), "need a query; add --text or --like"),
        (("--text", "a", "--caption-words", "!!!"), "--caption-words got '!!!', expected at least one word"),
        (("--text", "a", "--caption-words", ""), "--caption-words got '', expected at least one word"),
        (
            ("--text", "a", "--taken-from", "2024-06-02", "--taken-to", "2024-06-01"),
            "--taken-from got 2024-06-02, expected a day up to --taken-to, 2024-06-01",
        ),
        (("--like", photos), "images, expected one; name a file"),
        (("--text", "a", "--store", "ftp://x"), "expected a folder, lance:PATH, s3://BUCKET/PATH or postgresql://"),
        (("--images", photos, "--text", "a", "--top", 0), "--top got 0"),
        (("--images", photos, "--html", "page.html"), "--html shows the images that a query finds, got no query"),
        (("--images", photos, "--text", "a", "--strict"), "strict"),
        (("",), "--text got '', expected at least one word that the ranker knows"),
        (("--images", photos, "--text", ""), "--text got '', expected at least one word that the ranker knows"),
        (("--images", photos, "--text", "zxqv ?!"), "--text got 'zxqv ?!', expected at least one word"),
        (("--images", photos, "--text", "a", "--sentences", "s.txt"), "--text and --sentences were both given"),
        (("--images", photos, "--like", "b", "--minus", "red"), "--minus and --plus go together with --like"),
        (("--images", photos, "--text", "b", "--minus", "red", "--plus", "blue"), "--minus and --plus go together"),
        (("--images", photos, "--like", "b", "--rerank"), "--rerank is for --minus and --plus"),
        (("--images", photos, "--sentences", tmp_path / "none.txt"), "none.txt cannot be read"),
        (("--images", photos, "--sentences", "s.txt", "--html", "p.html"), "--sentences finds sentences"),
        (("--images", photos, "--text", "a", "--html", "-"), "--html got -, which is no file"),
        (("--images", photos / "alpha.png", "--like", photos / "[ap]*.png"), "2 images, expected one"),
        (("--images", tmp_path / "none", "--text", "a"), "no such file"),
        (("--images", tmp_path / "none.h5", "--text", "a"), "none.h5"),
    ]:
        code, _, err = run_search(checkpoint, *words, capsys=capsys)
        assert code == 2, words
        assert message in err.splitlines()[-1]
    assert search.main(["--model", str(tmp_path), "--images", str(photos)]) == 2
    assert "holds no config.json" in capsys.readouterr().err


def test_a_damaged_index_is_made_anew(model, photos, tmp_path):
    from vse.index.images import default_place, index_images

    first = index_images(model, [photos], folder=tmp_path)
    assert isinstance(first, EncodedImages)
    for name in ("images.sqlite", "vectors-1.f32"):
        stored = default_place(model, tmp_path) / name
        stored.write_bytes(stored.read_bytes()[:-60])
        np.testing.assert_allclose(index_images(model, [photos], folder=tmp_path).vectors, first.vectors, atol=1e-6)


def test_damaged_checkpoints_are_refused(checkpoint, tmp_path):
    import shutil

    for name, content, message in [
        ("config.json", "{", "not JSON"),
        ("config.json", '{"kind": "mrnn"}', "expected a ranker, got kind 'mrnn' in"),
        ("vocabulary.json", '{"words": 3}', "not a vocabulary"),
        ("model.weights.h5", "garbage", "is no weights file"),
    ]:
        folder = tmp_path / name / message[:5]
        shutil.copytree(checkpoint, folder)
        (folder / name).write_text(content)
        with pytest.raises(CheckpointError, match=message):
            vse.load_model(folder)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(CheckpointError, match="has not reached its first validation"):
        vse.load_model(folder)


def test_other_weights_than_in_training_are_refused(checkpoint, photos, tmp_path):
    import shutil

    folder = shutil.copytree(checkpoint, tmp_path / "other")
    text = (folder / "config.json").read_text()
    fingerprint = json.loads(text)["backbone"]["weights"]["pooled"]
    (folder / "config.json").write_text(text.replace(fingerprint, "0" * 64))
    with pytest.raises(DataError, match="expected 000000000000 as in training"):
        vse.encode_images(vse.load_model(folder), photos / "alpha.png")


@pytest.mark.parametrize("encoder", ["gru", "bow"])
def test_released_models_encode_as_the_original_equations(tmp_path, encoder):
    path = tmp_path / "coco.npz"
    arrays = released_model(path, encoder=encoder)
    model = vse.load_model(path)
    # Four words and four rows: the last two words lost their rows to the end and unknown marks.
    numbers = {"dog": 2, "cat": 3}
    for sentence in ("dog cat", "red dog", "cat"):
        steps = [numbers.get(word, 1) for word in sentence.split()] + [0]
        words = arrays["Wemb"][steps]
        if encoder == "bow":
            state = words.sum(0)
        else:
            state = np.zeros(6)
            for word in words:
                gates = 1 / (
                    1 + np.exp(-(state @ arrays["encoder_U"] + word @ arrays["encoder_W"] + arrays["encoder_b"]))
                )
                inner = gates[:6] * (state @ arrays["encoder_Ux"]) + word @ arrays["encoder_Wx"] + arrays["encoder_bx"]
                state = gates[6:] * state + (1 - gates[6:]) * np.tanh(inner)
        np.testing.assert_allclose(vse.encode_sentences(model, sentence)[0], state / np.linalg.norm(state), atol=1e-5)
    features = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = unit @ arrays["ff_image_W"] + arrays["ff_image_b"]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vse.encode_images(model, features).vectors, expected, atol=1e-5)


class Hostile:
    """Pickles into a call of os.system."""

    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/vislang-was-here",)


def test_hostile_and_damaged_releases_are_refused_without_running_anything(tmp_path):
    path = tmp_path / "coco.npz"
    released_model(path)
    dictionary, options = (path.with_name(path.name + end) for end in (".dictionary.pkl", ".pkl"))
    good = options.read_bytes()
    options.write_bytes(pickle.dumps({"encoder": Hostile()}))
    with pytest.raises(CheckpointError, match=r"refused: its pickle names posix.system"):
        vse.load_model(path)
    large_memo = b"\x80\x02Nr\xff\xff\xff\x7f."  # for which the unpickler in C allocates 4 GB
    large_array = b"\x80\x05\x96" + (2**34).to_bytes(8, "little") + b"x."
    refusals = [(b"", "refused"), (pickle.dumps([1]), "holds a list"), (good[:-9], "refused")]
    for content, message in [*refusals, (large_memo, "holds a NoneType"), (large_array, "refused")]:
        options.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            vse.load_model(path)
    options.write_bytes(pickle.dumps({"encoder": "lstm"}))
    with pytest.raises(CheckpointError, match="expected"):
        vse.load_model(path)
    options.write_bytes(good)
    dictionary.write_bytes(pickle.dumps(OrderedDict(dog=2)))
    with pytest.raises(CheckpointError, match="do not fit its weights"):
        vse.load_model(path)
    dictionary.unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        vse.load_model(path)
    np.savez(path, Wemb=np.zeros((3, 2)))
    dictionary.write_bytes(pickle.dumps(OrderedDict()))
    with pytest.raises(CheckpointError, match="holds no ff_image_W"):
        vse.load_model(path)
    assert not Path("/tmp/vislang-was-here").exists()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="cannot be read"):
        vse.load_model(path)


def test_results_with_terminal_escapes_in_names_are_printed_safely(tmp_path, capsys):
    args = search.build_parser().parse_args(["--images", str(tmp_path), "--text", "a dog"])
    name = "\x1b]0;title\x07\x9b2J.png"
    search.show(args, 1, [], [{"image": name, "score": 1.0}])
    args.json = True
    search.show(args, 1, [], [{"image": name, "score": 1.0}])
    shown = capsys.readouterr().out
    text, document = shown.splitlines()
    assert text == "1.000\t\\x1b]0;title\\x07\\x9b2J.png"
    assert document.isprintable()
    assert json.loads(document)["results"][0]["image"] == name


def test_the_page_of_a_search_names_files_shortly(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.png")
    words = ["--images", str(tmp_path), "--like", str(tmp_path / "a.png"), "--html", str(tmp_path / "page.html")]
    args = search.build_parser().parse_args([*words, "--json"])
    search.show(args, 1, [], [{"image": str(tmp_path / "a.png"), "score": 1.0}])
    page = (tmp_path / "page.html").read_text()
    assert "<title>a.png" in page
    assert str(tmp_path) not in page
