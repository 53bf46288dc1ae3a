from __future__ import annotations

import math

import pytest

from vitrail.errors import ConfigError
from vitrail.training.state import State


def judged(monitor: str | None, *values: dict[str, float]) -> list[bool]:
    state = State()
    return [state.update_best(value, monitor) for value in values]


def test_accuracy_is_better_when_large() -> None:
    assert judged("top1", {"top1": 0.5}, {"top1": 0.6}, {"top1": 0.5}, {"top1": 0.4}) == [True, True, False, False]


def test_a_loss_is_better_when_small() -> None:
    assert judged("loss", {"loss": 0.5}, {"loss": 0.6}, {"loss": 0.4}) == [True, False, True]


def test_the_first_metric_decides_when_none_is_named() -> None:
    assert judged(None, {"top1": 0.5, "loss": 1.0}, {"top1": 0.6, "loss": 2.0}) == [True, True]


def test_nan_is_never_better_and_always_bettered() -> None:
    assert judged("loss", {"loss": math.nan}, {"loss": 1.0}, {"loss": math.nan}) == [False, True, False]


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(ConfigError, match="'top1'"):
        State().update_best({"loss": 1.0, "top1": 0.5}, "top_1")


def test_of_equal_evaluations_the_later_is_the_best_but_no_reason_to_go_on() -> None:
    state = State(step=10)
    state.update_best({"top1": 0.6}, None)
    state.step = 20
    assert state.update_best({"top1": 0.6}, None)
    assert (state.best_step, state.worse_in_a_row) == (20, 1)
