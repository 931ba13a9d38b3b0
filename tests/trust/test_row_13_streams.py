"""Row 13 of docs/trust.md: closed, full and ASCII streams, and what the system refuses, cost one line at most."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vislang.core.cli import run_command
from vislang.core.files import parse_json, read_json

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "-c 'import sys; from vislang.core import cli; sys.exit(cli.run_command(lambda: cli.print_json({body}) or 0))'"
)


def shell(command: str, **env: str) -> subprocess.CompletedProcess:
    """Run Python in a shell with redirections."""
    line = f"{sys.executable} {command}"
    given = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(["sh", "-c", line], cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["-m app.cli --help", "-m app.cli --version", "-m vse.search --help"])
@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_row_13_closed_streams_cost_nothing(command, stream):
    done = shell(f"{command} {stream}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["-m app.cli --help", "-m vse.search --help", COMMAND.format(body="[1]")])
def test_row_13_a_full_disk_ends_the_output_with_one_line(command):
    done = shell(f"{command} >/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot read the input or write the output")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_row_13_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    code = "from vislang.core.cli import prepare_streams; prepare_streams(); stream = open('x.txt', 'w'); print('lost')"
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{code}" >&-'],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.txt").read_text() == ""


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}])
def test_row_13_ascii_output_shows_other_letters_as_escapes(env):
    name = "d\\u00f6g \\u4e2d.jpg"
    done = shell(COMMAND.format(body=f'["{name}"]'), PYTHONUTF8="0", **env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["dög 中.jpg"]
    line = f"-c 'import sys; from vislang.core import cli; sys.exit(cli.run_command(lambda: print(\"{name}\") or 0))'"
    done = shell(line, PYTHONUTF8="0", **env)
    assert (done.returncode, done.stdout) == (0, "d\\xf6g \\u4e2d.jpg\n")


def test_row_13_what_the_system_refuses_is_one_line(tmp_path, capsys):
    def refused():
        (tmp_path / ("a" * 300)).read_bytes()

    def too_large():
        raise MemoryError

    assert run_command(refused) == 2
    error = capsys.readouterr().err
    assert "File name too long" in error
    assert error.count("\n") == 1
    assert run_command(too_large) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; give smaller or fewer images")


def test_row_13_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json", "settings", "") == {"a": 1}
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize("text", ["[" * 100_000, '["\\ud800"]', '{"a": 1, "a": 2}', "[" * 5000 + "]" * 5000])
def test_row_13_json_that_would_fail_later_is_refused(text):
    with pytest.raises(ValueError, match=r"nested too deeply|surrogates|got 'a' 2 times"):
        parse_json(text)


def test_row_13_json_keeps_whole_letters_beyond_16_bits():
    assert parse_json('["\\ud83d\\ude00"]') == ["\U0001f600"]
