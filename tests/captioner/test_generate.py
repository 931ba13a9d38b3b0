"""The command: what it takes, every form of what it writes, and its one line for each mistake."""

import csv
import html
import io
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import write_clip
from PIL import Image

import captioner
from captioner import generate
from captioner.decoding.options import DecodeOptions
from captioner.inference import Caption
from captioner.output_formats import Captioned, csv_lines, image_id, text_lines, word_probabilities
from captioner.page import captions_page
from eval.metrics.captions.coco_files import read_results
from vislang.images.sources import Skipped

GOOD = ["COCO_val2014_000000391895.jpg", "a.jpg", "b.png"]
DONE, MISTAKE, SKIPPED_SOME = 0, 2, 3


@pytest.fixture(scope="module")
def expected(tiny_captioner, album):
    """What the Python call gives for the good photographs: {path: captions}."""
    found = captioner.caption_images(
        captioner.load_model(tiny_captioner), [album / name for name in GOOD], decode=DecodeOptions(num=2)
    )
    return dict(zip(found.names, found.captions, strict=True))


@pytest.fixture
def run(tiny_captioner, monkeypatch, capsys):
    """Run the command: run(*words, stdin=bytes) gives exit code, stdout and stderr."""

    def command(*words, stdin=b"", checkpoint=tiny_captioner):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = generate.main(["--model", str(checkpoint), *map(str, words)])
        return code, *capsys.readouterr()

    return command


@pytest.mark.slow
def test_text_is_a_line_for_each_photograph(run, album, expected):
    code, out, err = run("--images", album)
    assert code == SKIPPED_SOME
    assert out == "".join(f"{path}\t{captions[0].text}\n" for path, captions in expected.items())
    assert [line.split(":")[0] for line in err.splitlines()] == [
        f"skipped {album / name}" for name in ("empty.jpg", "letter.jpg")
    ]


@pytest.mark.slow
def test_several_captions_are_indented_and_explained(run, album, expected):
    path = str(album / "a.jpg")
    code, out, _ = run("--images", path, "--num", 2, "--explain")
    lines = out.splitlines()
    assert code == DONE
    assert lines[0] == path
    assert len(lines) == 5
    for line, words, caption in zip(lines[1::2], lines[2::2], expected[path], strict=True):
        assert line.split(maxsplit=1) == [f"{caption.log_prob:.3f}", caption.text]
        pairs = [pair.split(" ") for pair in words.strip().split("  ")]
        assert [word for word, _ in pairs] == [word for word, _ in word_probabilities(caption)]
        assert np.prod([float(p) for _, p in pairs]) == pytest.approx(np.exp(caption.log_prob), rel=0.05)


@pytest.mark.slow
def test_json_holds_captions_words_and_what_was_skipped(run, album, expected, tiny_captioner):
    code, out, _ = run("--images", album, "--num", 2, "--json", "--explain", "--length-power", 0)
    document = json.loads(out)
    assert code == SKIPPED_SOME
    assert [one["image"] for one in document["images"]] == list(expected)
    assert [os.path.basename(one["image"]) for one in document["skipped"]] == ["empty.jpg", "letter.jpg"]
    assert document["decode"]["width"] == 3
    assert document["fingerprint"] == captioner.load_model(tiny_captioner).fingerprint
    for one in document["images"]:
        assert [row["caption"] for row in one["captions"]] == [caption.text for caption in expected[one["image"]]]
        for row in one["captions"]:
            product = np.prod([word["probability"] for word in row["words"]])
            assert product == pytest.approx(np.exp(row["log_prob"]), rel=1e-3)


@pytest.mark.slow
def test_lines_of_json_and_rows_of_csv(run, album, expected):
    code, out, _ = run("--images", album, "--num", 2, "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == SKIPPED_SOME
    assert {row["image"]: [one["caption"] for one in row["captions"]] for row in rows} == {
        path: [caption.text for caption in captions] for path, captions in expected.items()
    }
    assert "words" not in rows[0]["captions"][0]
    _, out, _ = run("--images", album, "--num", 2, "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [(row["image"], row["rank"], row["caption"]) for row in table] == [
        (path, str(rank), caption.text)
        for path, captions in expected.items()
        for rank, caption in enumerate(captions, start=1)
    ]


@pytest.mark.slow
def test_files_are_written_beside_the_text(run, album, expected, tmp_path):
    results, page = tmp_path / "new" / "results.json", tmp_path / "page.html"
    code, out, err = run("--images", album, "--num", 2, "--coco-results", results, "--html", page)
    assert code == SKIPPED_SOME
    assert len(out.splitlines()) == 9
    first = {Path(path).name: captions[0].text for path, captions in expected.items()}
    first[391895] = first.pop(GOOD[0])
    assert read_results(results) == first
    document = page.read_text()
    visible = html.unescape(re.sub(r"<[^>]+>", "", document))
    assert all(one.text in visible for captions in expected.values() for one in captions)
    assert document.count("data:image/jpeg;base64") == 3
    assert "letter.jpg: not an image" in visible
    assert "http" not in document
    assert err.splitlines()[-2:] == [f"wrote {results}", f"wrote {page}"]


@pytest.mark.slow
def test_photographs_come_once_and_in_order(run, album):
    words = ("--images", album / "b.png", album / "[ab].*", f"{album}/../{album.name}/a.jpg")
    code, out, _ = run(*words, "--images", album / "b.png")
    assert code == DONE
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(album / "b.png"), str(album / "a.jpg")]


@pytest.mark.slow
@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0"])
def test_a_list_on_stdin(run, album, separator):
    paths = [os.fsencode(album / name) for name in ("b.png", "a.jpg", "b.png")]
    code, out, _ = run(stdin=separator.join([*paths, b""]))
    assert code == DONE
    assert [line.split("\t")[0].rsplit("/", 1)[1] for line in out.splitlines()] == ["b.png", "a.jpg"]


@pytest.mark.slow
def test_odd_names_do_not_break_the_output(run, album, tmp_path):
    odd = [os.fsencode(tmp_path) + name for name in (b"/\xff.png", b"/[1].png", b"/two\nlines.png")]
    for path in odd:
        shutil.copy(album / "b.png", path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.jpg")).write_text("Dear Sir")
    code, out, err = run("--images", tmp_path)
    assert code == SKIPPED_SOME
    assert len(out.splitlines()) == 3
    assert "two\\nlines.png\t" in out
    assert "\ufffd.jpg" in err
    _, out, _ = run("--images", tmp_path, "--json")
    document = json.loads(out)
    assert sorted(os.path.basename(one["image"]) for one in document["images"]) == [
        "[1].png",
        "two\nlines.png",
        "\ufffd.png",
    ]
    assert "\ufffd.jpg" in document["skipped"][0]["reason"]
    code, out, _ = run("--images", os.fsdecode(odd[1]))
    assert (code, len(out.splitlines())) == (DONE, 1)


@pytest.mark.slow
def test_what_is_not_there_is_listed_and_the_rest_is_done(run, album, tmp_path):
    missing = [album / "none.jpg", album / "none*.jpg", tmp_path]
    code, out, err = run("--images", *missing, album / "a.jpg")
    assert code == SKIPPED_SOME
    assert len(out.splitlines()) == 1
    assert len(err.splitlines()) == 3
    for path in missing:
        assert f"skipped {path}: " in err


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of a photograph and three videos, of which one is whole, one damaged and one empty."""
    folder = tmp_path_factory.mktemp("clips")
    Image.new("RGB", (60, 40), "teal").save(folder / "z.png")
    write_clip(folder / "a.mp4")
    (folder / "damaged.mp4").write_bytes((folder / "a.mp4").read_bytes()[:200])
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.mark.slow
def test_videos_are_captioned_after_the_photographs(run, clips, tiny_captioner):
    code, out, err = run("--images", clips, "--num", 2, "--json", "--explain", "--html", clips / "page.html")
    document = json.loads(out)
    assert code == SKIPPED_SOME
    (image,) = document["images"]
    (video,) = document["videos"]
    assert image["image"].endswith("z.png")
    assert video["video"].endswith("a.mp4")
    expected = captioner.caption_video(
        captioner.load_model(tiny_captioner), clips / "a.mp4", decode=DecodeOptions(num=2)
    )
    assert [row["caption"] for row in video["captions"]] == [caption.text for caption in expected]
    assert [os.path.basename(one["image"]) for one in document["skipped"]] == ["damaged.mp4", "empty.mp4"]
    assert [line for line in err.splitlines() if "skipped" in line][1].startswith(f"skipped {clips / 'empty.mp4'}: ")
    page = (clips / "page.html").read_text()
    assert "<title>Captions of 1 image and 1 video</title>" in page
    assert page.count("data:image/jpeg;base64") == 2
    _, out, _ = run(clips, "--jsonl")
    assert ["video" in json.loads(line) for line in out.splitlines()] == [False, True]


def test_a_video_that_cannot_be_read_is_one_line(run, clips):
    for name, reason in (("damaged.mp4", "no video that can be read"), ("empty.mp4", "it is empty")):
        code, _, err = run(clips / name)
        assert code == MISTAKE
        assert err.splitlines()[-1].startswith("error: none of 1 files could be used")
        assert reason in err.splitlines()[-1]
    code, _, err = run(clips / "empty.mp4", "--strict")
    assert code == MISTAKE
    assert err.splitlines()[-1].startswith(f"error: {clips / 'empty.mp4'}")


@pytest.mark.parametrize(("model", "descriptors"), [("attend", 26 * 64), ("s2vt", 26)])
def test_of_a_clip_attention_reads_all_cells_and_s2vt_the_mean_of_each_frame(tiny_captioner, model, descriptors):
    trained = captioner.load_model(tiny_captioner)
    frames = [Image.new("RGB", (66, 48), (9 * number, 100, 50)) for number in range(26)]
    cells = trained.clip_descriptors(frames, captioner.ReadingOptions()).reshape(26, 64, -1)
    config = replace(trained.config, model=model)
    network = SimpleNamespace(config=config)
    found = replace(trained, network=network).clip_descriptors(frames, captioner.ReadingOptions())
    assert len(found) == descriptors
    np.testing.assert_allclose(found.reshape(26, -1, cells.shape[-1]).mean(axis=1), cells.mean(axis=1), atol=1e-5)


def test_mistakes_are_one_line_and_leave_files_alone(run, album, tmp_path, tiny_captioner):
    results = tmp_path / "results.json"
    results.write_text("kept")
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    shutil.copy(album / "a.jpg", tmp_path / "twin" / "a.jpg")
    photo = album / "a.jpg"
    for words, message in [
        ((), "no image was given"),
        (("--images", tmp_path / "empty"), "holds no image"),
        (("--images", album / "none*.jpg"), "holds no image"),
        (("--images", album / "letter.jpg", "--coco-results", results), "none of 1 files could be used"),
        (("--images", album, "--strict", "--coco-results", results), "strict"),
        (("--images", album / "none.jpg", photo, "--strict"), "no such file or folder"),
        (("--images", tmp_path / "empty", photo, "--strict"), "holds no image"),
        (("--images", photo, tmp_path / "twin" / "a.jpg", "--coco-results", results), "both 'a.jpg'"),
        (("--images", photo, "--html", tmp_path), "expected a file"),
        (("--images", photo, "--html", results / "page.html"), "cannot write"),
        (("--images", photo, "--beam", 2, "--num", 3), "num got 3, expected at most the width 2"),
        (("--images", photo, "--seed", 1), "seed is for method sample"),
        (("--images", photo, "--weights", tmp_path / "none.h5"), "none.h5"),
    ]:
        code, _, err = run(*words)
        assert code == MISTAKE, words
        assert err.splitlines()[-1].startswith("error: ")
        assert message in err.splitlines()[-1]
        assert "Traceback" not in err
    assert results.read_text() == "kept"
    code, _, err = run("--images", photo, checkpoint=tmp_path)
    assert (code, err.count("\n")) == (MISTAKE, 1)
    assert "holds no config.json" in err


def test_a_document_is_printed_even_when_every_photograph_is_bad(run, album):
    code, out, _ = run("--images", album / "letter.jpg", album / "empty.jpg", "--json")
    assert code == MISTAKE
    assert json.loads(out)["images"] == []
    assert len(json.loads(out)["skipped"]) == 2


@pytest.mark.slow
def test_every_way_of_decoding(run, album):
    for words in (
        ("--decode", "greedy", "--max-words", 3, "--forbid-repeats"),
        ("--decode", "diverse", "--beam", 4, "--groups", 2, "--diversity", 1, "--num", 3, "--no-repeat-ngram", 2),
        ("--decode", "sample", "--temperature", 0.7, "--top-p", 0.9, "--seed", 4, "--num", 3),
    ):
        code, out, _ = run("--images", album / "a.jpg", "--json", *words)
        (image,) = json.loads(out)["images"]
        assert code == DONE
        assert len(image["captions"]) == (1 if words[1] == "greedy" else 3)


def test_image_ids_are_numbers_for_names_of_coco_only():
    for name, known in [
        ("COCO_val2014_000000391895.jpg", 391895),
        ("COCO_train2014_000000000009.png", 9),
        ("000000391895.jpg", 391895),
        ("1000092795.jpg", "1000092795.jpg"),  # Flickr30K
        ("1000268201_693b08cb0e.jpg", "1000268201_693b08cb0e.jpg"),
        ("holiday_000000000009.jpg", "holiday_000000000009.jpg"),
    ]:
        assert image_id(Path("folder") / name) == known


def test_a_cut_caption_has_no_end_mark_and_names_are_quoted():
    cut = Caption("a dog", -1.0, (0.5, 0.25))
    assert word_probabilities(cut) == [("a", 0.5), ("dog", 0.25)]
    image = Captioned(Path('a"b,\r.jpg'), [cut])
    assert next(csv.reader(io.StringIO(csv_lines(image, False)[0], newline=""))) == [
        'a"b,\r.jpg',
        "1",
        "-1.000000",
        "",
        "a dog",
    ]
    assert text_lines(image, True) == ['a"b,\\r.jpg\ta dog', "  a 0.500  dog 0.250"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_that_starts_like_a_formula_is_text_in_csv(start):
    image = Captioned(Path(f'{start}cmd("x").jpg'), [Caption("=1+1 dog", -1.0, (0.5, 0.25, 0.25))])
    (line,) = csv_lines(image, True)
    name, rank, log_prob, _, text, words = next(csv.reader(io.StringIO(line, newline="")))
    assert (name, text) == (f'\'{start}cmd("x").jpg', "'=1+1 dog")
    assert words.startswith("'=1+1")
    assert (rank, log_prob) == ("1", "-1.000000"), "numbers stay numbers"


def test_the_page_escapes_everything_and_shows_what_cannot_be_read(tmp_path):
    bad = "<script>alert('&')</script>"
    bad_name = "<script>alert('&')"  # a file's name holds no slash
    shown = Caption(bad, -1.0, (0.5, 0.5))
    silent = Caption("", -0.1, (0.9,))
    page = captions_page(bad, [bad], [Captioned(tmp_path / bad_name, [shown, silent])], [bad]).html()
    assert bad_name not in page
    assert page.count("<script") == 1  # our own
    assert page.count(html.escape(bad)) == 6  # title twice, tag, caption, left out, searched text
    assert page.count(html.escape(bad_name)) == 6 + 4  # and the name: heading, searched text, placeholder twice
    assert "no picture at hand" in page
    assert "(empty caption)" in page


def test_the_page_names_files_shortly(tmp_path):
    captioned = [Captioned(tmp_path / "dog.jpg", [Caption("a dog", -1.0, (0.5, 0.5, 0.5))])]
    bad = str(tmp_path / "letter.jpg")
    generate.write_page(tmp_path / "page.html", [], captioned, [Skipped(bad, f"{bad}: not an image")])
    page = (tmp_path / "page.html").read_text()
    assert "dog.jpg" in page
    assert "<li>letter.jpg: not an image</li>" in page
    assert str(tmp_path) not in page
