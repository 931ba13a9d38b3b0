"""Options that every command shares, their errors, and the program's name."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vislang.core.cli import (
    add_images,
    add_model,
    add_models,
    command_parser,
    json_line,
    print_skipped,
    print_written,
    printable,
    program_name,
    run_command,
)
from vislang.core.config import setting
from vislang.core.config_options import add_preset, add_settings, chosen_config
from vislang.core.errors import DataError

ROOT = Path(__file__).resolve().parents[3]


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
    add_models(several, "trained rankers")
    assert several.parse_args(["--model", "a", "--model", "b"]).models == [Path("a"), Path("b")]
    assert several.parse_args(["--model", "a", "b"]).models == [Path("a"), Path("b")]
    assert several.parse_args([]).models == []


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


@dataclass(frozen=True)
class Settings:
    margin: float = setting(0.2, at_least=0, help="margin of the loss")


PRESETS = {"best": Settings(), "kiros": Settings(0.5)}


def preset_parser():
    made = command_parser("vse.train", None)
    made.add_argument("--out", required=True)
    add_preset(made, PRESETS, "best")
    return made


def test_presets_are_listed_in_the_help():
    assert "best, kiros (default: best)" in preset_parser().format_help()


def test_a_preset_is_chosen_and_changed():
    assert chosen_config(preset_parser().parse_args(["--out", "x"]), PRESETS) == Settings()
    args = preset_parser().parse_args(["--out", "x", "--preset", "kiros"])
    assert chosen_config(args, PRESETS) == Settings(0.5)
    args = preset_parser().parse_args(["--out", "x", "--set", "margin=0.1", "--set", "margin=0.3"])
    assert chosen_config(args, PRESETS) == Settings(0.3)


def test_an_unknown_preset_ends_with_the_nearest_name(capsys):
    with pytest.raises(SystemExit) as ended:
        preset_parser().parse_args(["--preset", "bset"])
    assert ended.value.code == 2
    assert "unknown preset 'bset'; did you mean best?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "default"),
    [
        (["--list-settings"], "0.2"),
        (["--list-settings", "kiros"], "0.5"),
        (["--preset", "kiros", "--list-settings"], "0.5"),
    ],
)
def test_settings_are_listed_without_the_required_options(words, default, capsys):
    with pytest.raises(SystemExit) as ended:
        preset_parser().parse_args(words)
    assert not ended.value.code
    name, header, row = capsys.readouterr().out.splitlines()
    assert name in PRESETS
    assert header.split() == ["field", "default", "range", "help"]
    assert row.split() == ["margin", default, *["0", "or", "more", "margin", "of", "the", "loss"]]


def test_settings_of_an_unknown_preset_are_not_listed(capsys):
    with pytest.raises(SystemExit) as ended:
        preset_parser().parse_args(["--list-settings", "kirso"])
    assert ended.value.code == 2
    assert "did you mean kiros" in capsys.readouterr().err


def test_a_command_without_presets_lists_everything_that_has_settings(capsys):
    made = command_parser("app.demo", None)
    add_settings(made, {"ranker": Settings(), "captioner": Settings(1.0)})
    with pytest.raises(SystemExit):
        made.parse_args(["--list-settings"])
    out = capsys.readouterr().out
    assert out.startswith("ranker\nfield")
    assert "\n\ncaptioner\nfield" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    "files", [["datasets/__init__.py"], ["datasets.py"], ["datasets/__init__.py", "datasets/registry.py"]]
)
def test_a_training_names_a_package_of_the_users_that_hides_ours(tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    code = (
        "import sys\n"  # an editable install finds the submodules of ours that the user's package lacks
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in str(finder).lower()]\n"
        "from vse.train import main\n"
        "sys.exit(main(['--data', 'd', '--cache', 'c.h5', '--out', 'out']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: package datasets got {tmp_path / files[0]}, expected {ROOT / 'datasets' / '__init__.py'}: a file or"
        f" package of yours has the same name; run the command in another folder, or rename {tmp_path / files[0]}"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dog.jpg", "dog.jpg"),
        ("Hündin 犬.jpg", "Hündin 犬.jpg"),
        ("\x1b]0;title\x07\x9b2J", "\\x1b]0;title\\x07\\x9b2J"),
        ("a\nb\tc\x7f", "a\\nb\\tc\\x7f"),
        ("gpj.\u202egod", "gpj.\\u202egod"),
        ("b\udcff.jpg", "b\ufffd.jpg"),
    ],
)
def test_terminals_never_get_control_characters_of_names(text, shown, capsys):
    assert printable(text) == shown

    def fail():
        raise DataError(f"{text}: no such file")

    assert run_command(fail) == 2
    print_skipped(f"x{text}: damaged")
    print_written(Path(text))
    err = capsys.readouterr().err
    assert err.splitlines()[0] == f"error: {shown}: no such file"
    assert all(line.isprintable() for line in err.split("\n"))
    assert json_line({"image": shown}).isprintable()
    assert json.loads(json_line({"image": "\x9b\u202e\U000e0001"})) == {"image": "\x9b\u202e\U000e0001"}
