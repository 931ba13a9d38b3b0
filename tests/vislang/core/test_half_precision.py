"""Weights in half precision."""

import h5py
import keras
import numpy as np
import pytest

from vislang.core.errors import DataError
from vislang.core.half_precision import halve, with_short_mantissa


def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])


def test_what_is_loaded_is_what_was_saved_rounded_once(tmp_path):
    one, other = model(), model()
    one.save_weights(tmp_path / "whole.weights.h5")
    halve(tmp_path / "whole.weights.h5", tmp_path / "half.weights.h5")
    other.load_weights(tmp_path / "half.weights.h5")
    for found, expected in zip(other.get_weights(), one.get_weights(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float16).astype(np.float32))


def test_equal_sources_give_equal_bytes(tmp_path):
    model().save_weights(tmp_path / "whole.weights.h5")
    for name in ("a", "b"):
        halve(tmp_path / "whole.weights.h5", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_number_beyond_half_precision_is_refused_and_nothing_written(tmp_path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("layer/weights", data=np.array([1.0, 70000.0], np.float32))
    with pytest.raises(DataError, match="layer/weights reaches 7e.04, beyond half precision"):
        halve(tmp_path / "large.h5", tmp_path / "half.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["large.h5"]


def test_short_mantissas_are_the_nearest_and_even_between_two():
    values = np.array([1.0, 1.001, 1.002, 1 + 2**-9, 1 + 3 * 2**-9, -0.3, 0.0, 1e-7, 60000], np.float16)
    short = with_short_mantissa(values, 2)
    assert (short.view(np.uint16) & 3 == 0).all()
    np.testing.assert_allclose(short[:-2], values[:-2], rtol=1 / 512)
    assert short[3] == 1.0  # a tie
    assert short[4] == 1 + 2**-7  # another, whose even neighbour is above
    assert with_short_mantissa(values, 0) is values


def test_many_weights_are_compressed_and_load_as_they_are(tmp_path):
    large = keras.Sequential([keras.Input((200,)), keras.layers.Dense(300)])
    large.save_weights(tmp_path / "whole.weights.h5")
    sizes = {}
    for bits in (10, 8):
        halve(tmp_path / "whole.weights.h5", tmp_path / f"{bits}.weights.h5", bits=bits)
        sizes[bits] = (tmp_path / f"{bits}.weights.h5").stat().st_size
    assert sizes[8] < 0.9 * sizes[10] < 0.9 * 2 * 60_300
    again = keras.Sequential([keras.Input((200,)), keras.layers.Dense(300)])
    again.load_weights(tmp_path / "8.weights.h5")
    expected = with_short_mantissa(large.get_weights()[0].astype(np.float16), 2)
    np.testing.assert_array_equal(again.get_weights()[0], expected)


def test_steps_are_powers_of_two_below_a_share_of_the_deviation(tmp_path):
    random = np.random.default_rng(4)
    values = random.normal(0, 0.3, (80, 60)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["large"], file["small"], file["flat"] = values, values[0], np.full((80, 60), 0.7, np.float32)
    halve(tmp_path / "a.h5", tmp_path / "b.h5", bits=8, step=0.125)
    with h5py.File(tmp_path / "b.h5") as file:
        found = file["large"][()].astype(np.float64)
        assert np.all(found * 32 == np.round(found * 32))  # 0.125 * 0.3 = 0.0375, above 1/32
        assert np.abs(found - values).max() <= 1 / 64 + 1e-6
        np.testing.assert_allclose(file["small"][()], values[0], rtol=1 / 400)
        np.testing.assert_allclose(file["flat"][()], 0.7, rtol=1 / 400)
    halve(tmp_path / "a.h5", tmp_path / "c.h5", bits=8)
    assert (tmp_path / "b.h5").stat().st_size < 0.8 * (tmp_path / "c.h5").stat().st_size
