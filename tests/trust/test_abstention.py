import math

import numpy as np
import pytest
from scipy.stats import beta

from vitrail.errors import ConfigError
from vitrail.trust.abstention import LEVEL, find_threshold, looks_of, needed_images
from vitrail.trust.calibration import confidences, fit_temperature, probabilities

DRAWS = 1000


def share_beyond(error_at, images: int, max_error: float, seed: int) -> tuple[float, float]:
    """Draw validation sets; return how often the threshold's true error is larger than wanted, and is there at all.

    Confidences are uniform in [0, 1]; the true error at a threshold is the mean of ``error_at`` above it.
    """
    grid = np.linspace(0, 1, 100_001)
    true = (np.cumsum(error_at(grid)[::-1]) / np.arange(1, len(grid) + 1))[::-1]
    rng = np.random.default_rng(seed)
    beyond = found = 0
    for _ in range(DRAWS):
        confidence = rng.random(images)
        threshold = find_threshold(confidence, rng.random(images) >= error_at(confidence), max_error)
        if threshold.value is not None:
            found += 1
            beyond += bool(true[math.floor(threshold.value * 100_000)] > max_error)
    return beyond / DRAWS, found / DRAWS


@pytest.mark.parametrize(
    ("error_at", "images", "max_error"),
    [
        (lambda c: 0 * c + 0.0501, 1000, 0.05),  # just above the wanted error wherever one looks
        (lambda c: 0 * c + 0.0201, 341, 0.02),
        (lambda c: 0.4 * (1 - c) ** 3, 341, 0.05),
        (lambda c: 0.3 * (1 - c) ** 2, 2000, 0.02),
        (lambda c: np.where(c > 0.8, 0.1, 0.02), 1000, 0.05),  # the surest are wrong most often
    ],
)
def test_the_error_is_at_most_the_wanted_one_in_94_of_100_draws(error_at, images: int, max_error: float) -> None:
    beyond, _ = share_beyond(error_at, images, max_error, seed=11)
    assert beyond <= 0.06


def test_thresholds_are_found_where_the_error_allows_it() -> None:
    _, found = share_beyond(lambda c: 0.2 * (1 - c) ** 3, 1000, 0.05, seed=12)
    assert found > 0.9


def test_the_guarantee_holds_where_the_same_images_give_the_temperature() -> None:
    rng = np.random.default_rng(13)
    crowd = rng.normal(size=(200_000, 4)) * 8
    shares = probabilities(crowd, 2.0)
    labels = (shares.cumsum(axis=1) > rng.random((len(crowd), 1))).argmax(axis=1)
    beyond = found = 0
    for _ in range(DRAWS):
        some = rng.integers(len(crowd), size=400)
        temperature = fit_temperature(crowd[some], labels[some]).value
        threshold = find_threshold(*confidences(probabilities(crowd[some], temperature), labels[some]), 0.1)
        if threshold.value is None:
            continue
        others = rng.integers(len(crowd), size=10_000)
        confidence, right = confidences(probabilities(crowd[others], temperature), labels[others])
        found += 1
        beyond += bool((~right[confidence >= threshold.value]).mean() > 0.1)
    assert found > 0.5 * DRAWS
    assert beyond <= 0.06 * DRAWS


def test_a_number_of_errors_is_allowed_only_where_clopper_and_pearson_bound_the_error() -> None:
    looks = looks_of(2000, 0.03)
    assert (np.diff(looks) > 0).all()
    for errors, count in enumerate(looks.tolist()):
        assert beta.ppf(1 - LEVEL, errors + 1, count - errors) <= 0.03


@pytest.mark.parametrize(("images", "max_error"), [(300, 0.05), (150, 0.1), (400, 0.02)])
def test_the_chance_of_luck_is_that_of_following_every_number_of_answers(images: int, max_error: float) -> None:
    looks = looks_of(images, max_error).tolist()
    chances, passed = np.zeros(images + 2), 0.0
    chances[0] = 1.0
    for count in range(1, images + 1):
        chances[1:] = chances[1:] * (1 - max_error) + chances[:-1] * max_error
        chances[0] *= 1 - max_error
        allowed = sum(look <= count for look in looks)  # that many numbers of errors pass, from 0 on
        passed += chances[:allowed].sum()
        chances[:allowed] = 0
    assert 0.9 * LEVEL < passed <= LEVEL + 1e-9


def test_equal_confidences_are_answered_all_or_none() -> None:
    confidence = np.array([0.9] * 100 + [0.5] * 100)
    right = np.array([True] * 100 + [False] * 50 + [True] * 50)
    found = find_threshold(confidence, right, 0.05)
    assert (found.value, found.answered, found.wrong, found.coverage) == (0.9, 100, 0, 0.5)
    assert find_threshold(np.full(200, 0.7), np.arange(200) >= 20, 0.05).value is None


def test_no_threshold_is_an_answer_with_its_reason() -> None:
    few = find_threshold(np.linspace(0, 1, 100), np.ones(100, dtype=bool), 0.02)
    assert few.value is None
    assert few.reason == (
        "100 images are too few to show an error of at most 2 % with 95 % confidence: that takes 149 answers without "
        "a mistake"
    )
    bad = find_threshold(np.linspace(0, 1, 500), np.arange(500) % 2 == 0, 0.02)
    assert bad.value is None
    assert "too many of the surest answers are wrong" in bad.reason
    assert find_threshold([], [], 0.1).value is None


def test_images_that_are_needed_are_the_fewest_that_bound_the_error() -> None:
    for error in (0.01, 0.02, 0.05, 0.2):
        count = needed_images(error)
        assert beta.ppf(0.95, 1, count) <= error < beta.ppf(0.95, 1, count - 1)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, 2.0])
def test_a_wanted_error_outside_0_to_1_is_refused(error: float) -> None:
    with pytest.raises(ConfigError, match="max_error must lie between 0 and 1"):
        find_threshold([0.5], [True], error)
