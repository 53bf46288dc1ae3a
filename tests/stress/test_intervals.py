"""Intervals against statsmodels' formula written out, and whether they hold what they promise."""

import math

import numpy as np
import pytest

from vitrail.stress.intervals import Z, accuracy_interval, area_under, effective_count, wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (3, 7), (50, 50), (208, 250)])
def test_wilsons_interval_holds_the_shares_that_the_score_test_does_not_refuse(hits: int, count: int) -> None:
    low, high = wilson(hits / count, count)
    kept = [
        p for p in np.linspace(0, 1, 200_001) if abs(hits / count - p) <= Z * math.sqrt(p * (1 - p) / count) + 1e-12
    ]
    assert low == pytest.approx(kept[0], abs=2e-5)
    assert high == pytest.approx(kept[-1], abs=2e-5)


def test_one_seed_counts_each_image_once_and_like_answers_of_two_seeds_no_more() -> None:
    right = np.random.RandomState(4).random_sample((1, 40)) < 0.7
    assert effective_count(right) == pytest.approx(40)
    assert effective_count(np.concatenate([right, right])) == pytest.approx(40)
    assert accuracy_interval(right)[1:] == pytest.approx(wilson(right.mean(), 40))
    assert accuracy_interval(np.ones((3, 20)))[0] == 1.0
    assert accuracy_interval(np.ones((3, 20)))[1:] == pytest.approx(wilson(1.0, 20))


def test_independent_seeds_are_worth_as_much_as_more_images() -> None:
    right = np.random.RandomState(4).random_sample((4, 3000)) < 0.4
    assert effective_count(right) == pytest.approx(12000, rel=0.15)


def test_a_seed_that_moves_all_images_at_once_widens_the_interval() -> None:
    random = np.random.RandomState(4)
    right = random.random_sample((2, 400)) < np.array([[0.2], [0.8]])
    assert effective_count(right) < 5


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_nineteen_of_twenty_intervals_hold_the_truth(share: float) -> None:
    """Images differ in how hard they are, and seeds are drawn anew for each of them."""
    random, held = np.random.RandomState(9), 0
    for _ in range(1000):
        hard = random.beta(2 * share, 2 * (1 - share), 80)
        low, high = accuracy_interval(random.random_sample((2, 80)) < hard)[1:]
        held += low <= share <= high
    assert held >= 930


def test_the_area_is_that_of_trapeziums() -> None:
    places, values = np.array([0.0, 0.25, 1.0]), np.array([1.0, 0.5, 0.1])
    assert area_under(places, values) == pytest.approx(0.25 * 0.75 + 0.75 * 0.3)
