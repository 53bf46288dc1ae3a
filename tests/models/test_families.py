"""Which options the backbones of a family have is said in one place, and is what they have."""

import dataclasses
import typing

import pytest

import vitrail
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.backbone import Family
from vitrail.models.registry import BACKBONES
from vitrail.settings.models import FAMILIES, BackboneArchitecture, families_with

CONFIGS = {type(config): config.family for _, config in BACKBONES.values()}
SETTINGS = {field.name for field in dataclasses.fields(BackboneArchitecture)}


def test_every_family_is_listed_and_every_setting_belongs_to_one() -> None:
    assert set(FAMILIES) == set(typing.get_args(Family)) == set(CONFIGS.values())
    assert {name for names in FAMILIES.values() for name in names} == SETTINGS


@pytest.mark.parametrize("config", CONFIGS)
def test_a_family_has_the_settings_that_its_backbones_are_built_by(config: type) -> None:
    fields = {field.name for field in dataclasses.fields(config)}
    assert set(FAMILIES[CONFIGS[config]]) == fields & SETTINGS


@pytest.mark.parametrize(
    ("model", "option", "value", "owners"),
    [
        ("vit_ti16", "widen", 2, "bit"),
        ("swin_t", "depth", 3, "vit, modern_vit, hybrid"),
        ("bit_r50x1", "window", 4, "swin, swin_v2"),
        ("swinv2_t", "positions", "none", "vit, modern_vit, hybrid, swin"),
    ],
)
def test_an_option_of_another_family_is_refused_by_the_name_of_those_that_have_it(
    model: str, option: str, value: object, owners: str
) -> None:
    assert families_with(option) == tuple(owners.split(", "))
    family = BACKBONES[model][1].family
    said = f"{option} is an option of {owners}; this model is of {family}"
    with pytest.raises(ConfigError, match=f"^{said}$"):
        build_model(model, **{option: value})
    with pytest.raises(ConfigError, match=f"^--architecture.{option.replace('_', '-')}{said.removeprefix(option)}$"):
        vitrail.train("digits", model=model, architecture={option: value})


def test_a_setting_that_no_family_has_is_still_unknown() -> None:
    with pytest.raises(ConfigError, match="no option 'widht'; did you mean 'width'"):
        build_model("vit_ti16", widht=2)
