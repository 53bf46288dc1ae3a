import json
from pathlib import Path

import numpy as np
import pytest

import vitrail
from vitrail.config import Augment, Optim, Preprocessing, from_json, make, pair, replace, to_json
from vitrail.errors import ConfigError
from vitrail.settings import LookSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.recipes import RECIPES

ALL_RECIPES = [(type(recipe), recipe) for recipes in RECIPES.values() for recipe in recipes.values()]


@pytest.mark.parametrize(("kind", "recipe"), ALL_RECIPES)
def test_a_recipe_survives_json_unchanged(kind: type, recipe: object) -> None:
    assert from_json(kind, json.loads(json.dumps(to_json(recipe)))) == recipe


def test_an_unknown_key_in_json_names_the_nearest_setting() -> None:
    with pytest.raises(ConfigError, match="'weight_decay'"):
        from_json(Optim, {"weight_decy": 0.1})


def test_nested_settings_are_replaced_by_name_and_the_rest_is_kept() -> None:
    changed = replace(ClassifySettings(data="x"), lr=1.0, optim={"weight_decay": 0.5})
    assert (changed.lr, changed.optim) == (1.0, Optim(weight_decay=0.5))


def test_a_misspelt_nested_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'mixup'"):
        replace(ClassifySettings(data="x"), augment={"mixupp": 1.0})


def test_tuples_come_back_as_tuples() -> None:
    assert from_json(Preprocessing, to_json(Preprocessing(image_size=(4, 8)))).image_size == (4, 8)
    assert isinstance(from_json(Augment, to_json(Augment())).crop_scale, tuple)


def test_one_or_two_numbers_of_a_size_come_back_as_they_were() -> None:
    for size in (64, (64, 96), None):
        settings = ClassifySettings(data="x", image_size=size)
        assert from_json(ClassifySettings, json.loads(json.dumps(to_json(settings)))) == settings


def test_one_number_stands_for_height_and_width() -> None:
    assert pair(3) == (3, 3)
    assert pair([3, 4]) == (3, 4)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr": "1e-3"}, ("lr", 1e-3)),
        ({"epochs": "3"}, ("epochs", 3.0)),
        ({"image_size": 224.0}, ("image_size", 224)),
        ({"image_size": [32.0, "48"]}, ("image_size", (32, 48))),
        ({"batch_size": 64.0}, ("batch_size", 64)),
        ({"batch_size": np.int64(64)}, ("batch_size", 64)),
        ({"lr": np.float32(0.5)}, ("lr", 0.5)),
        ({"weights": Path("runs") / "mae"}, ("weights", "runs/mae")),
        ({"out": None}, ("out", None)),
        ({"optim": {"weight_decay": "0.5"}}, ("optim", Optim(weight_decay=0.5))),
        ({"optim": Optim(ema=0.5)}, ("optim", Optim(ema=0.5))),
    ],
)
def test_values_of_another_type_are_taken_where_that_is_exact(settings: dict, expected: tuple) -> None:
    for made in (make(ClassifySettings, data=Path("x"), **settings), replace(ClassifySettings(data="x"), **settings)):
        name, value = expected
        assert made.data == "x"
        assert getattr(made, name) == value
        assert type(getattr(made, name)) is type(value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": None}, "epochs must be a number, not None"),
        ({"batch_size": 64.5}, "batch_size must be a whole number, not 64.5"),
        ({"batch_size": True}, "batch_size"),
        ({"lr": [1e-3]}, "lr must be a number"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"data": None}, "data must be text"),
        ({"optim": 3}, "optim must be"),
        ({"optim": {"weight_decy": 1}}, "'weight_decay'"),
        ({"learning_rate": 1}, "'lr'"),
        ({"weight_decay": 1}, "'optim.weight_decay'"),
        ({"optim": {"weight_decay": None}}, "optim.weight_decay"),
        ({"epocs": 1}, "'epochs'"),
        ({"resume": True}, "the same command"),
    ],
)
def test_values_of_another_type_are_refused_in_one_sentence_elsewhere(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make(ClassifySettings, **{"data": "x", **settings})
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_one_value_is_enough_where_any_number_is_taken() -> None:
    assert make(LookSettings, checkpoint="run", layers=3, mask_ratio=0.5).layers == (3,)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="'data'"):
        make(ClassifySettings)


@pytest.mark.parametrize("name", ["train", "pretrain", "evaluate", "probe", "plan"])
def test_an_empty_name_of_data_is_refused_and_is_not_the_working_directory_or_the_runs_own_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"evaluate": ["run", ""], "probe": ["run", ""]}.get(name, [""])
    with pytest.raises(ConfigError, match="data is empty"):
        getattr(vitrail, name)(*words)
    assert not list(tmp_path.iterdir())
