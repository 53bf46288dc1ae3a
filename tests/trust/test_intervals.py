"""Intervals against scipy's and against formulas written out, and whether they hold what they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from vitrail.trust.intervals import (
    RESAMPLES,
    Z,
    accuracy_interval,
    bootstrap,
    clopper_pearson,
    counts_estimate,
    effective_count,
    mean_estimate,
    resampled,
    share_estimate,
    upper_limit,
    wilson,
)


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


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (3, 7), (50, 50), (208, 250), (0, 1), (1, 1)])
def test_exact_limits_are_scipys(hits: int, count: int) -> None:
    exact = stats.binomtest(hits, count).proportion_ci(method="exact")
    assert clopper_pearson(hits, count) == pytest.approx((exact.low, exact.high), abs=1e-9)
    narrow = stats.binomtest(hits, count).proportion_ci(0.8, method="exact")
    assert clopper_pearson(hits, count, 0.8) == pytest.approx((narrow.low, narrow.high), abs=1e-9)
    one_sided = stats.binomtest(hits, count, alternative="less").proportion_ci(method="exact")
    assert upper_limit(hits, count) == pytest.approx(one_sided.high, abs=1e-9)
    estimate = share_estimate(hits, count)
    by_scipy = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((hits / count, *by_scipy), abs=1e-9)


def test_without_trials_nothing_is_known() -> None:
    assert share_estimate(0, 0).value is None
    assert share_estimate(0, 0).low is None
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert mean_estimate(np.array([])).value is None
    assert bootstrap(np.mean, 0).value is None
    assert counts_estimate(np.zeros(3), lambda cells: cells[:, 0]).value is None


def test_the_bootstraps_of_a_mean_agree_with_scipys() -> None:
    values = np.random.RandomState(6).gamma(2.0, size=90)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=6)
    ours = [mean_estimate(values, seed=3), bootstrap(lambda rows: values[rows].mean(), 90, seed=4)]
    for one in ours:
        assert one.value == pytest.approx(values.mean())
        assert (one.low, one.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)


def test_counts_drawn_anew_are_images_drawn_anew() -> None:
    """F1 of a class from its table of four cells, against the same from the images themselves."""
    labels = np.random.RandomState(2).random_sample(150) < 0.3
    said = labels ^ (np.random.RandomState(3).random_sample(150) < 0.2)

    def f1_of(rows: np.ndarray) -> float:
        hits = (labels[rows] & said[rows]).sum()
        return 2 * hits / (labels[rows].sum() + said[rows].sum())

    table = np.array(
        [[(~labels & ~said).sum(), (~labels & said).sum()], [(labels & ~said).sum(), (labels & said).sum()]]
    )
    of_counts = counts_estimate(table, lambda n: 2 * n[:, 3] / (2 * n[:, 3] + n[:, 1] + n[:, 2]), seed=8)
    of_images = bootstrap(f1_of, 150, seed=9)
    assert of_counts.value == pytest.approx(of_images.value)
    assert (of_counts.low, of_counts.high) == pytest.approx((of_images.low, of_images.high), abs=0.02)


def test_a_bootstrap_is_the_same_again_and_another_with_another_seed() -> None:
    rows = np.concatenate(list(resampled(7, seed=5)))
    assert rows.shape == (RESAMPLES, 7)
    assert (rows == np.concatenate(list(resampled(7, seed=5)))).all()
    assert not (rows == np.concatenate(list(resampled(7, seed=6)))).all()
    values = np.arange(7.0)
    assert mean_estimate(values, seed=5) == mean_estimate(values, seed=5)


@pytest.mark.parametrize("values", [np.ones(40), np.array([2.5])])
def test_images_that_are_all_alike_give_no_interval_rather_than_one_of_no_width(values: np.ndarray) -> None:
    one = mean_estimate(values)
    assert one.value == values[0]
    assert one.low is None
    assert one.high is None


def test_nineteen_of_twenty_intervals_hold_the_true_mean() -> None:
    random = np.random.RandomState(11)
    found = [mean_estimate(random.exponential(size=60), seed=trial) for trial in range(300)]
    assert sum(one.low <= 1.0 <= one.high for one in found) >= 268
