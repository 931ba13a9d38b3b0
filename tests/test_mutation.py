"""The mutation script changes what counts, one thing at a time, and tells a noticed change from one that is not."""

import sys

import mutation
import pytest

SOURCE = '''
"""Docstring 1."""

_ROWS = 512


def double(x: int, twice: bool = True) -> int:
    if x < 0:
        raise ValueError(f"got {x + 1}")
    return 2 * x if twice else x
'''


def test_changes_of_a_function():
    found = [(one.before, one.after) for one in mutation.mutants(SOURCE)]
    assert found == [
        ("True", "False"),
        ("0", "1"),
        ("x < 0", "x <= 0"),
        ("2", "3"),
        ("2 * x", "2 / x"),
        ("twice", "not twice"),
    ]
    for one in mutation.mutants(SOURCE):
        compile(one.source, "changed", "exec")
        assert one.source != SOURCE


def test_what_no_result_depends_on_is_not_changed():
    source = """
self.built = True
layer.build((None, 4 * units))
pairs = zip(a, b, strict=True)
drawn = keras.random.uniform(shape, seed=1) < rate
"""
    assert not list(mutation.mutants(source))


@pytest.mark.slow
def test_a_change_is_noticed_and_the_file_stays_as_it_is():
    """In a process of its own: the script forks, and this one has threads."""
    import subprocess

    script = """
import sys
sys.path[:0] = ["tests/helpers", "."]
import mutation
path, tests = "captioner/alignment/viterbi.py", ["tests/captioner/test_mrf.py"]
source = open(path).read()
assert not mutation.tests_fail(path, source, tests, 300)
assert mutation.tests_fail(path, source.replace("best + reward", "best - reward"), tests, 300)
"""
    before = (mutation.ROOT / "captioner/alignment/viterbi.py").read_bytes()
    subprocess.run([sys.executable, "-c", script], cwd=mutation.ROOT, check=True)
    assert (mutation.ROOT / "captioner/alignment/viterbi.py").read_bytes() == before


def test_files_and_their_tests_are_there():
    for path, tests in mutation.TESTS.items():
        for name in (path, *tests):
            assert (mutation.ROOT / name.partition("::")[0]).is_file(), name
