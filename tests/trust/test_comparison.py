"""Two classifiers on the same images: against formulas written out, and whether the interval holds the truth."""

import math

import numpy as np
import pytest

from vitrail.trust.comparison import difference_of_shares, mcnemar, paired


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (1, 0), (3, 9), (20, 7), (5, 5), (0, 6)])
def test_mcnemars_p_value_is_that_of_tossing_a_coin_for_each_image_that_only_one_gets_right(
    ours: int, theirs: int
) -> None:
    total, fewer = ours + theirs, min(ours, theirs)
    tail = sum(math.comb(total, n) for n in range(fewer + 1)) / 2**total
    assert mcnemar(ours, theirs) == pytest.approx(min(1.0, 2 * tail))


def test_counts_and_difference_are_those_of_a_loop() -> None:
    random = np.random.RandomState(6)
    first, second = random.random_sample(80) < 0.8, random.random_sample(80) < 0.6
    found = paired(first, second)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert found.both == pairs.count((True, True))
    assert found.only_first == pairs.count((True, False))
    assert found.only_second == pairs.count((False, True))
    assert found.neither == pairs.count((False, False))
    assert found.difference.value == pytest.approx(first.mean() - second.mean())
    assert found.first.value == pytest.approx(first.mean())
    assert found.second.value == pytest.approx(second.mean())


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    random, held = np.random.RandomState(5), 0
    for _ in range(1000):
        cells = random.multinomial(60, (0.7, 0.15, 0.05, 0.1))
        one = difference_of_shares(int(cells[1]), int(cells[2]), 60)
        held += one.low <= 0.1 <= one.high
    assert held >= 930


def test_models_that_agree_on_every_image_are_not_told_apart_and_the_interval_has_a_width() -> None:
    right = np.ones(12, dtype=bool)
    found = paired(right, right)
    assert found.p_value == 1.0
    assert not found.is_told
    assert found.difference.low < 0 < found.difference.high
    assert found.difference.value == 0.0
