"""The code stays within the limits of tests/figures.py, and the counting is right."""

import ast

import figures
import pytest

FIGURES = figures.measure()


@pytest.mark.parametrize("name", figures.LIMITS)
def test_at_most(name):
    assert FIGURES["total"][name] <= figures.LIMITS[name]


@pytest.mark.parametrize("name", figures.LEAST)
def test_at_least(name):
    assert FIGURES["total"][name] >= figures.LEAST[name]


def test_the_counts_of_a_small_file(tmp_path):
    source = '''"""Two
lines of docstring."""

# a comment
def double(values: list[int], loud: bool) -> str:
    """Return text."""
    first, second = 1, 2
    texts = [str(value) for value in values]
    mark = "!" * (loud == True)
    return mark if loud else texts[first - second]
'''
    ast.parse(source)
    path = tmp_path / "small.py"
    path.write_text(source)
    count = figures.count_file(path)
    assert count.code_lines == 5
    assert (count.comprehensions, count.ternaries, count.tuple_assignments, count.boolean_products) == (1, 1, 1, 1)
    assert (count.public, count.documented, count.functions, count.annotated) == (1, 1, 1, 1)
