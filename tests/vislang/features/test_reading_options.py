from dataclasses import FrozenInstanceError, replace

import pytest

from vislang.core.errors import ConfigError
from vislang.features.reading_options import ReadingOptions


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown option of ReadingOptions 'batchsize'; did you mean batch_size"):
        ReadingOptions(batchsize=4)
    with pytest.raises(ConfigError, match=r"unknown option of ReadingOptions 'weight'; did you mean weights"):
        replace(ReadingOptions(), weight="file.h5")


def test_a_batch_without_an_image_is_refused():
    with pytest.raises(ConfigError, match="batch_size got 0, expected 1 or more"):
        ReadingOptions(batch_size=0)


def test_options_are_values():
    assert ReadingOptions() == ReadingOptions(weights=None, batch_size=8, strict=False, progress=False)
    assert hash(ReadingOptions(strict=True)) == hash(replace(ReadingOptions(), strict=True))
    with pytest.raises(FrozenInstanceError):
        ReadingOptions().strict = True
