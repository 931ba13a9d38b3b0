"""Settings: overrides, JSON and their errors."""

import json
import re
from dataclasses import dataclass

import pytest

from vislang.core.config import from_json, override, preset, setting, settings_table, to_json, validate
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class Part:
    layer: str = setting(help="feature layer")
    scale: float = setting(1.0, above=0, at_most=2, help="factor")

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True)
class Settings:
    margin: float = setting(0.2, at_least=0, help="margin of the loss")
    epochs: int = setting(15, at_least=1, help="passes")
    encoder: str = setting("gru", choices=("gru", "bow"), help="sentence encoder")
    decay: float | None = setting(None, at_least=0, below=1, help="decay of the rate")
    exact: bool = setting(False, help="slow but exact")
    layers: tuple[str, ...] = setting(("pooled",), help="feature layers")
    rates: tuple[float, ...] = setting((1.0, 0.1), above=0, help="of each stage")
    parts: tuple[Part, ...] = setting((Part("grid"),), help="parts of the model")

    def __post_init__(self):
        validate(self)


def test_override_parses_each_type():
    words = ["margin=1", "epochs=3", "encoder=bow", "decay=0.5", "exact=true", "layers=a,b", "rates=2, 1e-3"]
    changed = override(Settings(), [*words, 'parts=[{"layer": "a", "scale": 2}]'])
    assert changed == Settings(1.0, 3, "bow", 0.5, True, ("a", "b"), (2.0, 0.001), (Part("a", 2),))
    assert type(changed.margin) is float
    assert type(changed.rates[0]) is float
    assert override(changed, ["decay=none"]).decay is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("margn=1", r"unknown setting 'margn'; did you mean margin\? see --list-settings$"),
        ("margin", "expected field=value"),
        ("margin=-1", "setting margin got -1.0, expected 0 or more, such as margin=0.2"),
        ("margin=nan", "setting margin got 'nan', expected a number"),
        ("epochs=3.5", "setting epochs got 3.5, expected a whole number, such as epochs=15"),
        ("epochs=0", "setting epochs got 0, expected 1 or more, such as epochs=15"),
        ("encoder=rnn", "setting encoder got 'rnn', expected one of: gru, bow, such as encoder=gru"),
        ("decay=1", "setting decay got 1.0, expected 0 to below 1$"),
        ("decay=a", "setting decay got 'a', expected a number or none$"),
        ("exact=yes", "setting exact got 'yes', expected true or false, such as exact=false"),
        ("layers=", "setting layers got nothing, expected one or more, separated by commas, such as layers=pooled"),
        ("rates=1,a", "setting rates got 1.0,a, expected a number, or several separated by commas"),
        ("rates=1,0", "setting rates got 1.0,0.0, expected more than 0, such as rates=1.0,0.1"),
        ("parts=grid", "setting parts got 'grid', expected a JSON list of objects of layer, scale"),
        ("parts=3", "setting parts got 3, expected a list of Part"),
        ('parts=[{"layer": "a", "scale": 3}]', "setting scale got 3, expected more than 0, at most 2"),
        ('parts=[{"scale": 1.0}]', "Part got no layer, expected text"),
    ],
)
def test_bad_settings_are_refused_with_the_way_out(word, message):
    with pytest.raises(ConfigError, match=message):
        override(Settings(), [word])


def test_json_round_trip_and_refusals():
    config = Settings(layers=("grid", "pooled"), decay=0.1, parts=(Part("a"), Part("b", 0.5)))
    assert from_json(Settings, json.loads(json.dumps(to_json(config)))) == config
    with pytest.raises(ConfigError, match="did you mean margin"):
        from_json(Settings, {"marginn": 1})
    with pytest.raises(ConfigError, match="expected a whole number"):
        from_json(Settings, {"epochs": "many"})
    with pytest.raises(ConfigError, match="expected a list of Part"):
        from_json(Settings, {"parts": ["a"]})


def test_a_field_without_description_is_checked_for_its_type():
    @dataclass(frozen=True)
    class Plain:
        size: int = 3

    with pytest.raises(ConfigError, match="setting size got '3', expected a whole number, such as size=3"):
        validate(Plain("3"))


def test_the_table_shows_name_value_range_and_help():
    lines = settings_table(Settings(epochs=3)).splitlines()
    assert lines[0].split() == ["field", "default", "range", "help"]
    rows = {line.split()[0]: re.split(r"  +", line) for line in lines[1:]}
    assert list(rows) == ["margin", "epochs", "encoder", "decay", "exact", "layers", "rates", "parts"]
    assert rows["epochs"] == ["epochs", "3", "1 or more", "passes"]
    assert rows["encoder"] == ["encoder", "gru", "gru, bow", "sentence encoder"]
    assert rows["decay"] == ["decay", "none", "0 to below 1", "decay of the rate"]
    assert rows["exact"] == ["exact", "false", "true or false", "slow but exact"]
    assert rows["parts"][1:3] == ['[{"layer": "grid", "scale": 1.0}]', "a list of Part"]


def test_preset_names_the_nearest():
    assert preset({"best": 1}, "best") == 1
    with pytest.raises(ConfigError, match="unknown preset 'bset'; did you mean best"):
        preset({"best": 1, "kiros": 2}, "bset")


def test_a_long_list_of_names_is_cut_and_keeps_its_order():
    from vislang.core.errors import unknown_name

    message = str(
        unknown_name("layer", "zzz", ["pooled", "grid", *(f"block_{number}" for number in range(40))], "see --list")
    )
    assert "expected one of: pooled, grid, block_0," in message
    assert message.endswith("block_17 and 22 more; see --list")
    message = str(unknown_name("layer", "block_1", [f"block_{number}" for number in (11, 12, 13)]))
    assert message == "unknown layer 'block_1'; did you mean block_13, block_12 or block_11?"
