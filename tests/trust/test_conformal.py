import math

import numpy as np
import pytest

from vitrail.errors import ConfigError
from vitrail.trust.calibration import probabilities
from vitrail.trust.conformal import label_scores, needed_images, prediction_sets, quantile


def drawn(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities of a model that is too sure of itself, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * 2
    truth = (probabilities(logits).cumsum(axis=1) > rng.random((images, 1))).argmax(axis=1)
    return probabilities(logits, 0.5), truth


@pytest.mark.parametrize(("classes", "coverage"), [(2, 0.9), (10, 0.95), (1000, 0.9)])
def test_sets_hold_the_right_class_as_often_as_wanted_over_1000_splits(classes: int, coverage: float) -> None:
    shares, labels = drawn(1000, classes, seed=classes)
    scores = label_scores(shares, labels)
    rng, held = np.random.default_rng(2), []
    for _ in range(1000):
        order = rng.permutation(1000)
        held.append((scores[order[500:]] <= quantile(scores[order[:500]], coverage)).mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.01)
    members = prediction_sets(shares, quantile(scores, coverage))
    assert members[np.arange(1000), labels].mean() >= coverage


def test_the_quantile_is_the_one_of_n_plus_1() -> None:
    scores = np.random.default_rng(3).permutation(np.arange(1, 100) / 100)
    assert quantile(scores, 0.9) == 0.9  # the 90th of 99, as 100 x 0.9 = 90
    assert quantile(scores, 0.901) == 0.91
    assert quantile(np.arange(19.0), 0.95) == 18.0  # 20 x 0.95 = 19: the largest of 19
    assert quantile(np.arange(18.0), 0.95) == math.inf
    assert quantile([], 0.5) == math.inf
    assert [needed_images(one) for one in (0.9, 0.95, 0.99, 0.9999, 0.5)] == [9, 19, 99, 9999, 1]


def test_sets_are_those_of_the_definition_class_by_class() -> None:
    shares, labels = drawn(50, 6, seed=4)
    limit = quantile(label_scores(shares, labels), 0.8)
    members = prediction_sets(shares, limit)
    for image in range(50):
        for own in range(6):
            fits = 1 - shares[image, own] <= limit
            assert members[image, own] == (fits or own == np.argmax(shares[image]))


def test_no_set_is_empty_and_too_few_images_give_every_class() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    assert prediction_sets(shares, 0.1).tolist() == [[True, False, False], [False, False, True]]
    assert prediction_sets(shares, quantile([0.5] * 8, 0.95)).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_a_coverage_outside_0_to_1_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match="coverage must lie between 0 and 1"):
        quantile([0.1], coverage)
