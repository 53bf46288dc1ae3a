import json

import pytest

from vitrail.config import Augment, Optim, Preprocessing, from_json, pair, replace, to_json
from vitrail.errors import ConfigError
from vitrail.recipes import RECIPES
from vitrail.settings import TrainSettings

ALL_RECIPES = [(kind, recipe) for kind, recipes in RECIPES.items() for recipe in recipes.values()]


@pytest.mark.parametrize(("kind", "recipe"), ALL_RECIPES)
def test_a_recipe_survives_json_unchanged(kind: type, recipe: object) -> None:
    assert from_json(kind, json.loads(json.dumps(to_json(recipe)))) == recipe


def test_an_unknown_key_in_json_names_the_nearest_setting() -> None:
    with pytest.raises(ConfigError, match="'weight_decay'"):
        from_json(Optim, {"weight_decy": 0.1})


def test_nested_settings_are_replaced_by_name_and_the_rest_is_kept() -> None:
    changed = replace(TrainSettings(data="x"), lr=1.0, optim={"weight_decay": 0.5})
    assert (changed.lr, changed.optim) == (1.0, Optim(weight_decay=0.5))


def test_a_misspelt_nested_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'mixup'"):
        replace(TrainSettings(data="x"), augment={"mixupp": 1.0})


def test_tuples_come_back_as_tuples() -> None:
    assert from_json(Preprocessing, to_json(Preprocessing(image_size=(4, 8)))).image_size == (4, 8)
    assert isinstance(from_json(Augment, to_json(Augment())).crop_scale, tuple)


def test_one_or_two_numbers_of_a_size_come_back_as_they_were() -> None:
    for size in (64, (64, 96), None):
        settings = TrainSettings(data="x", image_size=size)
        assert from_json(TrainSettings, json.loads(json.dumps(to_json(settings)))) == settings


def test_one_number_stands_for_height_and_width() -> None:
    assert pair(3) == (3, 3)
    assert pair([3, 4]) == (3, 4)
