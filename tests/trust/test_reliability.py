import math

import numpy as np
import pytest

from vitrail.errors import DataError
from vitrail.trust.abstention import find_threshold
from vitrail.trust.calibration import fit_temperature, probabilities
from vitrail.trust.conformal import label_scores, quantile
from vitrail.trust.reliability import learn_reliability


def drawn(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * 6
    labels = (probabilities(logits, 2.0).cumsum(axis=1) > rng.random((images, 1))).argmax(axis=1)
    return logits, labels, rng.normal(size=(images, 8))


@pytest.mark.parametrize("classes", [2, 1000])
def test_everything_is_that_of_the_probabilities_at_the_fitted_temperature(classes: int) -> None:
    logits, labels, vectors = drawn(300, classes, seed=classes)
    found = learn_reliability(logits, labels, vectors)
    shares = probabilities(logits, fit_temperature(logits, labels).value)
    best = shares.argmax(axis=1)
    for error in (0.1, 0.3):
        assert found.threshold(error) == find_threshold(shares.max(axis=1), best == labels, error)
    assert found.set_limit(0.9) == quantile(label_scores(shares, labels), 0.9)
    assert found.likeness is not None
    assert found.likeness.images == len(found) == 300


def test_one_image_gives_sets_of_all_classes_no_threshold_and_no_figures() -> None:
    found = learn_reliability([[1.0, 2.0, 0.0]], [0], [[0.5, 0.5]])
    assert found.threshold(0.05).value is None
    assert found.set_limit(0.95) == math.inf
    assert found.likeness is None
    assert found.calibration.before == found.calibration.after
    assert "too few" in found.calibration.temperature.reason


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="there are none"):
        learn_reliability(np.zeros((0, 3)), [], np.zeros((0, 2)))
