"""Values from JSON, checkpoints and callers: in the type that is asked for, or one sentence."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.coerce import coerce
from vitrail.config import Preprocessing, from_json
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.settings import Dense, TrainSettings
from vitrail.weights.description import Description

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 224.0, 224),
        (int, "10", 10),
        (float, "1e-3", 1e-3),
        (float, 3, 3),
        (str, Path("a") / "b", "a/b"),
        (tuple[int, ...], [1.0, "2"], (1, 2)),
        (int | tuple[int, int], [32, 48], (32, 48)),
        (int | tuple[int, int] | None, None, None),
        (Literal["crop", "squash"], "crop", "crop"),
        (Literal[1, 3], "3", 3),
        (Literal[1, 3], 3.0, 3),
        (Literal[1, 3] | None, "1", 1),
    ],
)
def test_what_loses_nothing_is_converted(hint, value, expected):
    found = coerce("x", hint, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 1.5),
        (int, True),
        (int, "1.5"),
        (int, 10**40),
        (float, "fast"),
        (float, float("nan")),
        (float, True),
        (bool, 1),
        (bool, "yes"),
        (str, 3),
        (tuple[int, int], [1, 2, 3]),
        (tuple[int, ...], 3),
        (Literal["crop", "squash"], ["crop"]),
        (dict[str, int], [1]),
        (Preprocessing, "small"),
    ],
)
def test_what_would_lose_something_is_refused_by_name(hint, value):
    with pytest.raises(ConfigError, match="the_setting"):
        coerce("the_setting", hint, value)


@pytest.mark.parametrize("kind", [Preprocessing, Dense, TrainSettings, Description])
@given(data=st.data())
def test_any_json_in_any_place_of_a_config_is_a_config_or_one_sentence(kind, data):
    names = [field.name for field in dataclasses.fields(kind)]
    content = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=4) | JSON)
    with contextlib.suppress(ConfigError):
        assert isinstance(from_json(kind, json.loads(json.dumps(content))), kind)


def test_sizes_and_classes_of_a_model_may_be_written_as_text_or_whole_floats():
    model = build_model("vit_ti16", image_size=32.0, patch_size="8", depth=1, num_classes="10")
    assert model.backbone.config.image_size == (32, 32)
    assert model.head.out_features == 10
    swin = build_model("swin_t", depths=["1", 1.0], window=4.0, num_classes=0)
    assert swin.config.depths == (1, 1)


OPTIONS = ["image_size", "depth", "width", "depths", "window", "num_classes", "head_init", "pool", "mlp_ratio", "shift"]


@pytest.mark.parametrize("name", ["vit_ti16", "swin_t", "mae_vit_ti16", "bit_r50x1"])
@given(option=st.sampled_from(OPTIONS), value=JSON.filter(lambda value: not isinstance(value, (int, float, list))))
def test_options_of_wrong_types_are_refused_in_one_sentence(name, option, value):
    small = {"depth": 1} if "vit" in name else {"depths": (1,)}
    if value == "" or isinstance(value, str):
        value += "!"
    with pytest.raises(ConfigError):
        build_model(name, **{**small, option: value})


def test_options_that_no_memory_holds_are_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="width must be a whole number"):
        build_model("vit_ti16", depth=1, width=10**30)
