"""Options that every command shares, their errors, and the program's name."""

from pathlib import Path

import pytest

from vislang.core.cli import (
    add_images,
    add_model,
    add_models,
    add_preset,
    command_parser,
    program_name,
)


def parser():
    made = command_parser("captioner.generate", "Write captions.")
    add_images(made)
    add_model(made, "captioner")
    made.add_argument("--top", type=int)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["a.jpg", "b"],
        ["--images", "a.jpg", "b"],
        ["--image", "a.jpg", "--image", "b"],
        ["a.jpg", "--images", "b"],
        ["--top", "3", "a.jpg", "b"],
        ["a.jpg", "b", "--top", "3"],
        ["--images", "a.jpg", "--top", "3", "--images", "b"],
    ],
)
def test_images_have_one_meaning_with_and_without_a_name(words):
    assert parser().parse_args(words).images == ["a.jpg", "b"]


def test_without_images_the_list_is_empty_every_time():
    assert parser().parse_args([]).images == []
    parser().parse_args(["a.jpg"])
    assert parser().parse_args(["--top", "3"]).images == []


def test_one_model_or_several():
    assert parser().parse_args(["--model", "runs/a"]).model == Path("runs/a")
    assert parser().parse_args([]).model is None
    several = command_parser("eval.run", None)
    add_models(several, "ranker")
    assert several.parse_args(["--model", "a", "--model", "b"]).model == [Path("a"), Path("b")]
    assert several.parse_args(["--model", "a", "b"]).model == [Path("a"), Path("b")]
    assert several.parse_args([]).model == []


def test_the_program_is_named_as_it_was_called():
    assert parser().prog == "python -m captioner.generate"
    with program_name("vislang caption"):
        assert parser().format_usage().startswith("usage: vislang caption ")
    assert parser().prog == "python -m captioner.generate"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modle", "x"], "unrecognized arguments: --modle (did you mean --model?)"),
        (["--mod=x"], "unrecognized arguments: --mod=x (did you mean --model?)"),
        (["--top", "many"], "argument --top: invalid int value: 'many'"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {message}; see python -m captioner.generate --help\n"


def test_presets_are_listed_in_the_help():
    made = command_parser("vse.train", None)
    add_preset(made, ["best", "kiros"], "best")
    assert "best, kiros (default: best)" in made.format_help()
    assert made.parse_args(["--set", "a=1", "--set", "b=2"]).set == ["a=1", "b=2"]
