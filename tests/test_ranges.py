"""Every number of the settings has a range, and nothing beyond it is accepted, on the command line or in Python."""

import dataclasses
import math
import typing
from collections.abc import Iterator

import pytest

import vitrail.settings
from vitrail.arguments import options_of, parse
from vitrail.cli import VERBS
from vitrail.config import check, make, replace
from vitrail.errors import VitrailError
from vitrail.ranges import RANGES, Range, range_of
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.recipes import RECIPES
from vitrail.tasks.registry import TASKS

KINDS = {name: getattr(vitrail.settings, verb.settings) for name, verb in VERBS.items()}
ASKED = ("evaluate", "predict")
COMMANDS = [
    *((name, "", kind) for name, kind in KINDS.items() if name not in ("train", "pretrain", *ASKED)),
    *((spec.verb, spec.option, spec.settings) for spec in TASKS.values()),
    *((command, "", own) for command in ASKED for spec in TASKS.values() if (own := spec.settings_for(KINDS[command]))),
]
"""Every command, with what chooses its settings, and these."""
NEEDED = {
    "pretrain": ["x"],
    "train": ["x"],
    "evaluate": ["x", "x"],
    "probe": ["x", "x"],
    "plan": ["x"],
    "predict": ["x", "x"],
    "look": ["x"],
    "weights": ["inspect", "x"],
}
"""The words that each command cannot do without."""


def is_numeric(hint: object) -> bool:
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return False
    return hint in (int, float) or any(is_numeric(option) for option in options)


def numbers() -> Iterator[tuple[str, str, type, str]]:
    seen = set()
    for command, choice, kind in COMMANDS:
        for name, option in options_of(kind).items():
            if is_numeric(option.type) and (command, name, option.kind) not in seen:
                seen.add((command, name, option.kind))
                yield command, choice, kind, name


def words(command: str, choice: str, kind: type, option: str, value: str) -> list[str]:
    hint = options_of(kind)[option].type
    lengths = [len(typing.get_args(hint))] if typing.get_origin(hint) is tuple else [1]
    count = 1 if typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis else lengths[0]
    kinds = typing.get_args(hint)
    if any(typing.get_origin(one) is tuple for one in kinds) and int not in kinds and float not in kinds:
        tuples = [one for one in kinds if typing.get_origin(one) is tuple]
        count = 1 if typing.get_args(tuples[0])[-1] is Ellipsis else len(typing.get_args(tuples[0]))
    return [*NEEDED.get(command, []), *choice.split(), option, *[value] * count]


@pytest.mark.parametrize(("command", "choice", "kind", "option"), list(numbers()))
def test_a_number_out_of_range_is_refused_with_its_name_and_its_range(
    command: str, choice: str, kind: type, option: str
) -> None:
    found = options_of(kind)[option]
    allowed = range_of(found.kind, found.name)
    assert allowed is not None
    for value in ("nan", "inf", "-inf", "-1", "0", "1e300", str(10**12)):
        number = float(value)
        if allowed.holds(number):
            continue
        with pytest.raises(VitrailError) as refusal:
            parse(command, KINDS[command], words(command, choice, kind, option, value))
        assert option in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [kind for _, _, kind in COMMANDS])
def test_no_number_is_without_a_range(kind: type) -> None:
    for name, option in options_of(kind).items():
        if is_numeric(option.type):
            assert range_of(option.kind, option.name), f"{name} of {kind.__name__} has no range"


def test_no_range_is_left_of_a_setting_that_went() -> None:
    options = [option.kind for _, _, kind in COMMANDS for option in options_of(kind).values()]
    kinds = {cls.__name__: cls for kind in options for cls in kind.__mro__ if dataclasses.is_dataclass(cls)}
    stated = {name: cls.__dict__["RANGES"] for name, cls in kinds.items() if "RANGES" in cls.__dict__}
    assert stated
    for kind, ranges in {**RANGES, **stated}.items():
        assert set(ranges) <= {field.name for field in dataclasses.fields(kinds[kind])}


@pytest.mark.parametrize("allowed", [one for ranges in RANGES.values() for one in ranges.values()])
def test_no_range_holds_what_is_no_finite_number(allowed: Range) -> None:
    assert not any(allowed.holds(value) for value in (math.nan, math.inf, -math.inf, 1e300))


@pytest.mark.parametrize("recipe", [one for recipes in RECIPES.values() for one in recipes.values()])
def test_every_recipe_is_in_range(recipe: object) -> None:
    check(recipe)


@pytest.mark.parametrize("kind", [kind for _, _, kind in COMMANDS])
def test_every_default_is_in_range(kind: type) -> None:
    needed = [field.name for field in dataclasses.fields(kind) if field.default is field.default_factory]
    check(make(kind, **dict.fromkeys(needed, "x")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": math.nan}, "lr must be a number"),
        ({"lr": 0}, "lr must be a number above 0"),
        ({"optim": {"ema": 2}}, "optim.ema must be a number from 0 to below 1, not 2"),
        ({"run": {"keep": -5}}, "run.keep"),
        ({"run": {"seed": -1}}, "run.seed"),
        ({"run": {"save_every": math.nan}}, "run.save_every"),
        ({"augment": {"crop_scale": (0.9, 0.1)}}, "augment.crop_scale must not fall"),
        ({"labels": 2.5}, "whole number"),
        ({"image_size": (0, 32)}, "image_size"),
    ],
)
def test_python_refuses_the_same_numbers_in_one_sentence(changes: dict, said: str) -> None:
    for give in (
        lambda: make(ClassifySettings, data="x", **changes),
        lambda: replace(ClassifySettings(data="x"), **changes),
    ):
        with pytest.raises(VitrailError) as refusal:
            give()
        assert said in str(refusal.value)


def test_a_settings_class_given_as_a_whole_is_checked_too() -> None:
    with pytest.raises(VitrailError, match=r"optim\.ema"):
        replace(ClassifySettings(data="x"), optim=vitrail.settings.Optim(ema=2))
