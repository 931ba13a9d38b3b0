"""Rows in a file: read as from an array, and ranked as an array is."""

import numpy as np
import pytest

from eval.metrics.ranking import retrieval_ranks
from eval.metrics.row_file import RowFile, in_blocks, products


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(-3, 4, (23, 5)).astype(np.float32)


def in_file(rows, folder):
    file = RowFile(rows.shape[1], folder)
    for block in in_blocks(len(rows), 7):
        file.append(rows[block].astype(np.float64))
    return file


def test_slices_and_numbers_in_any_order_are_read(rows, tmp_path):
    file = in_file(rows, tmp_path)
    assert (file.shape, len(file), file.dtype) == ((23, 5), 23, np.float32)
    for chosen in (slice(0, 23), slice(4, 9), slice(20, 99), slice(9, 4)):
        np.testing.assert_array_equal(file[chosen], rows[chosen])
    for numbers in ([], [3], [22, 0, 1, 2, 2, 7], [5, 4, 3]):
        np.testing.assert_array_equal(file[np.array(numbers, int)], rows[np.array(numbers, int)])
    assert not list(tmp_path.iterdir())  # the file has no name, so that nothing stays behind


def test_products_are_those_of_the_array(rows, tmp_path):
    np.testing.assert_array_equal(products(in_file(rows, tmp_path), rows[:3]), rows[:3] @ rows.T)
    np.testing.assert_array_equal(products(rows, rows[:3]), rows[:3] @ rows.T)


@pytest.mark.parametrize("grouped", [True, False])
def test_ranks_are_those_of_the_arrays_ties_included(rows, tmp_path, grouped):
    random = np.random.default_rng(1)
    owners = np.repeat(np.arange(23), 3)
    if not grouped:
        random.shuffle(owners)
    captions = random.integers(-3, 4, (69, 5)).astype(np.float32)  # small whole numbers: many scores are equal
    captions[10] = captions[40]
    files = [in_file(rows, tmp_path), in_file(captions, tmp_path)]
    for block in (8, 1000):
        found = retrieval_ranks(*files, owners, block=block)
        expected = retrieval_ranks(rows, captions, owners)
        np.testing.assert_array_equal(found.image_to_text, expected.image_to_text)
        np.testing.assert_array_equal(found.text_to_image, expected.text_to_image)
