from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.config import Schedule
from vitrail.training.schedule import rate


def rates(steps: int, steps_per_epoch: int, schedule: Schedule) -> list[float]:
    return [rate(step, steps, steps_per_epoch, schedule) for step in range(steps)]


def test_cosine_after_a_warm_up_has_the_values_computed_by_hand() -> None:
    # Three steps of warm-up to 3/4, then cos at 0, 1/4, 1/2, 3/4 of the way.
    expected = [1 / 4, 2 / 4, 3 / 4, 1.0, 0.853553391, 0.5, 0.146446609]
    assert rates(7, 3, Schedule(warmup_epochs=1)) == pytest.approx(expected)


def test_linear_falls_in_a_straight_line_to_its_smallest_factor() -> None:
    schedule = Schedule("linear", warmup_epochs=0, min_factor=0.2)
    assert rates(4, 4, schedule) == pytest.approx([1.0, 0.8, 0.6, 0.4])
    assert rate(4, 4, 4, schedule) == pytest.approx(0.2)


def test_constant_stays_at_the_peak_after_the_warm_up() -> None:
    assert rates(4, 1, Schedule("constant", warmup_epochs=1)) == [0.5, 1.0, 1.0, 1.0]


def test_the_warm_up_takes_at_most_half_of_the_run() -> None:
    assert rates(4, 100, Schedule("constant", warmup_epochs=5)) == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])


@given(
    st.sampled_from(["cosine", "linear", "constant"]),
    st.floats(0, 50),
    st.floats(0, 1),
    st.integers(1, 500),
    st.integers(1, 100),
)
def test_no_schedule_leaves_0_to_1_or_rises_after_its_warm_up(
    kind: str, warmup: float, smallest: float, steps: int, steps_per_epoch: int
) -> None:
    schedule = Schedule(kind, warmup, smallest)  # type: ignore[arg-type]
    factors = rates(steps, steps_per_epoch, schedule)
    assert all(0 < factor <= 1 for factor in factors[:1]) or smallest == 0
    assert all(0 <= factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
