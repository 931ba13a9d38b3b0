"""Settings: overrides, JSON and their errors."""

from dataclasses import dataclass

import pytest

from vislang.core.config import from_json, override, preset, to_json
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    margin: float = 0.2
    epochs: int = 15
    encoder: str = "gru"
    decay: float | None = None
    exact: bool = False
    taps: tuple[str, ...] = ("pooled",)

    def __post_init__(self):
        if self.margin < 0:
            raise ValueError(f"margin got {self.margin}, expected 0 or more")


def test_override_parses_each_type():
    changed = override(Settings(), ["margin=1", "epochs=3", "encoder=bow", "decay=0.5", "exact=true", "taps=a,b"])
    assert changed == Settings(1.0, 3, "bow", 0.5, True, ("a", "b"))
    assert type(changed.margin) is float
    assert override(changed, ["decay=none"]).decay is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("margn=1", "did you mean margin"),
        ("margin", "expected field=value"),
        ("epochs=3.5", "epochs got '3.5', expected int"),
        ("exact=yes", "expected bool"),
        ("margin=-1", "expected 0 or more"),
    ],
)
def test_bad_settings_are_refused_with_the_way_out(setting, message):
    with pytest.raises(ConfigError, match=message):
        override(Settings(), [setting])


def test_json_round_trip_and_refusals():
    config = Settings(taps=("grid", "pooled"), decay=0.1)
    assert from_json(Settings, to_json(config)) == config
    with pytest.raises(ConfigError, match="did you mean margin"):
        from_json(Settings, {"marginn": 1})
    with pytest.raises(ConfigError, match="expected int"):
        from_json(Settings, {"epochs": "many"})


def test_preset_names_the_nearest():
    assert preset({"best": 1}, "best") == 1
    with pytest.raises(ConfigError, match="unknown preset 'bset'; did you mean best"):
        preset({"best": 1, "kiros": 2}, "bset")


def test_a_long_list_of_names_is_cut_and_keeps_its_order():
    from vislang.core.errors import unknown_name

    message = str(
        unknown_name("tap", "zzz", ["pooled", "grid", *(f"block_{number}" for number in range(40))], "see --list")
    )
    assert "expected one of: pooled, grid, block_0," in message
    assert message.endswith("block_17 and 22 more see --list")
