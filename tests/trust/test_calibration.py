import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

from vitrail.errors import DataError
from vitrail.trust import calibration
from vitrail.trust.calibration import (
    COLDEST,
    FEWEST,
    HOTTEST,
    calibrate,
    confidences,
    cross_calibrate,
    equal_count,
    equal_width,
    figures_of,
    fit_temperature,
    log_likelihood,
    probabilities,
)


def drawn(images: int, classes: int, seed: int, true_temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits, and labels by the probabilities of these logits at a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * 3
    shares = probabilities(logits, true_temperature)
    labels = np.array([rng.choice(classes, p=row) for row in shares])
    return logits, labels


def counted_error(confidence: list[float], right: list[bool], bins: int) -> float:
    """Count the expected calibration error image by image, as its definition says."""
    total = 0.0
    for m in range(bins):
        low, high = m / bins, (m + 1) / bins
        own = [(c, r) for c, r in zip(confidence, right, strict=True) if low < c <= high or (m == 0 and c == 0)]
        if own:
            accuracy, mean = sum(r for _, r in own) / len(own), sum(c for c, _ in own) / len(own)
            total += len(own) / len(confidence) * abs(accuracy - mean)
    return total


@pytest.mark.parametrize(("images", "classes", "bins"), [(500, 10, 15), (137, 2, 10), (60, 1000, 15), (1, 3, 15)])
def test_the_calibration_error_is_that_of_a_count_image_by_image(images: int, classes: int, bins: int) -> None:
    logits, labels = drawn(images, classes, seed=images)
    shares = probabilities(logits)
    confidence, right = confidences(shares, labels)
    assert figures_of(shares, labels, bins).ece == pytest.approx(
        counted_error(confidence.tolist(), right.tolist(), bins), abs=1e-12
    )


def test_bins_hold_what_lies_above_their_lower_edge_and_every_image_once() -> None:
    confidence = np.array([0.0, 0.1, 0.2, 0.2000001, 0.95, 1.0])
    found = equal_width(confidence, np.array([False, True, True, False, True, True]), bins=5)
    assert found.counts == (3, 1, 0, 0, 2)
    assert found.accuracy == (2 / 3, 0.0, None, None, 1.0)
    assert found.confidence[0] == pytest.approx(0.1)
    assert sum(equal_count(confidence, np.ones(6, dtype=bool), bins=4).counts) == 6
    assert equal_count(confidence, np.ones(6, dtype=bool), bins=4).counts == (2, 2, 1, 1)
    assert equal_count(confidence[:2], np.ones(2, dtype=bool), bins=15).counts == (1, 1)


def test_bins_of_equally_many_images_are_counted_one_by_one() -> None:
    logits, labels = drawn(300, 5, seed=4)
    confidence, right = confidences(probabilities(logits), labels)
    pairs = sorted(zip(confidence.tolist(), right.tolist(), strict=True))
    parts = [pairs[start : start + 20] for start in range(0, 300, 20)]
    expected = sum(abs(sum(c for c, _ in part) - sum(r for _, r in part)) for part in parts) / 300
    assert equal_count(confidence, right, bins=15).error == pytest.approx(expected, abs=1e-12)


def test_likelihood_and_brier_score_are_those_of_torch_and_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss

    logits, labels = drawn(200, 2, seed=5)
    found = figures_of(probabilities(logits), labels)
    torch_loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert found.nll == pytest.approx(torch_loss, abs=1e-12)
    assert log_likelihood(logits, labels, 1.7) == pytest.approx(
        F.cross_entropy(torch.from_numpy(logits / 1.7), torch.from_numpy(labels)).item(), abs=1e-12
    )
    assert found.brier == pytest.approx(2 * brier_score_loss(labels, probabilities(logits)[:, 1]), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("true_temperature", [0.6, 2.5])
def test_the_temperature_has_the_least_loss_by_another_optimiser(classes: int, true_temperature: float) -> None:
    logits, labels = drawn(400, classes, seed=classes, true_temperature=true_temperature)
    scores, truth = torch.from_numpy(logits), torch.from_numpy(labels)
    found = fit_temperature(logits, labels)
    other = minimize_scalar(
        lambda t: F.cross_entropy(scores / t, truth).item(),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found.value == pytest.approx(other.x, abs=1e-5)
    assert found.value == pytest.approx(true_temperature, rel=0.2)
    assert not found.reason


def test_a_temperature_lowers_the_error_of_images_it_was_not_fitted_to() -> None:
    logits, labels = drawn(4000, 10, seed=6, true_temperature=2.0)
    temperature = fit_temperature(logits[:2000], labels[:2000])
    found = calibrate(temperature, logits[2000:], labels[2000:])
    assert found.after.ece < 0.4 * found.before.ece
    assert found.after.nll < found.before.nll
    assert found.after.accuracy == found.before.accuracy
    assert found.images == 2000


def test_halves_are_scaled_by_the_temperature_of_each_other() -> None:
    logits, labels = drawn(400, 5, seed=9, true_temperature=3.0)
    found = cross_calibrate(logits, labels)
    assert found.temperature == fit_temperature(logits, labels)
    assert found.before == figures_of(probabilities(logits), labels)
    assert found.after.ece < 0.5 * found.before.ece
    # What an image says of its own temperature would make the likelihood better than it is.
    assert found.after.nll > log_likelihood(logits, labels, found.temperature.value)


def test_answers_that_are_all_right_leave_the_temperature_at_one_and_say_so() -> None:
    logits = np.random.default_rng(7).normal(size=(30, 4))
    found = fit_temperature(logits, logits.argmax(axis=1))
    assert (found.value, found.images) == (1.0, 30)
    assert "all answers to the 30 images are right" in found.reason


def test_scores_that_say_nothing_or_are_always_wrong_stay_within_limits() -> None:
    even = fit_temperature(np.zeros((50, 3)), np.arange(50) % 3)
    assert even.value == 1.0
    assert "same score" in even.reason
    logits = np.random.default_rng(8).normal(size=(50, 4)) * 100
    wrong = fit_temperature(logits, logits.argmin(axis=1))
    assert wrong.value == HOTTEST
    assert "upper limit" in wrong.reason
    nearly = np.zeros((1001, 2))
    nearly[:, 0] = 0.1
    nearly[0] = [0.0, 0.001]
    cold = fit_temperature(np.where(nearly > 0, nearly, 0), np.array([0] * 1001))
    assert cold.value == COLDEST
    assert "lower limit" in cold.reason


def test_one_image_and_huge_scores_give_finite_figures() -> None:
    scores, labels = [[1e6, 0.0]], [1]
    few = fit_temperature(scores * (FEWEST - 1), labels * (FEWEST - 1))
    assert (few.value, few.reason) == (1.0, "24 images are too few to fit one, it takes 25")
    found = calibrate(fit_temperature(scores * FEWEST, labels * FEWEST), scores, labels)
    assert found.temperature.value == HOTTEST
    assert np.isfinite([found.before.nll, found.after.nll, found.before.brier]).all()


def test_what_cannot_be_measured_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="there are none"):
        fit_temperature(np.zeros((0, 3)), [])
    with pytest.raises(DataError, match="1 of 2 images are no finite numbers"):
        fit_temperature([[0.0, 1.0], [np.nan, 0.0]], [0, 1])
    with pytest.raises(DataError, match="not those of the same images"):
        fit_temperature([[0.0, 1.0]], [0, 1])
    with pytest.raises(DataError, match="labels reach from 0 to 2"):
        fit_temperature([[0.0, 1.0], [1.0, 0.0]], [0, 2])


def test_probabilities_computed_some_images_at_a_time_give_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.RandomState(12)
    logits, labels = random.normal(size=(50, 7)).astype(np.float32) * 3, random.randint(0, 7, 50)
    values = random.uniform(0.5, 2.0, 50)
    whole = calibration.figures_of(calibration.probabilities(logits / values[:, None]), labels)
    monkeypatch.setattr(calibration, "AT_ONCE", 20)
    apart = calibration.figures_at(logits, labels, values)
    for name in ("ece", "adaptive_ece", "nll", "brier", "confidence", "accuracy"):
        assert getattr(apart, name) == pytest.approx(getattr(whole, name), rel=1e-5)
    assert calibration.figures_at(logits, labels, 1.0) == calibration.figures_of(
        calibration.probabilities(logits), labels
    )


def test_of_many_images_an_even_part_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.RandomState(13)
    labels = random.randint(0, 5, 400)
    logits = 4 * (random.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels])
    whole = calibration.cross_calibrate(logits, labels).temperature
    monkeypatch.setattr(calibration, "MOST_FITTED", 100)
    few = calibration.cross_calibrate(logits, labels).temperature
    assert (whole.images, few.images) == (400, 100)
    assert few.value == pytest.approx(whole.value, rel=0.3)
    places = np.linspace(0, 399, 100).round().astype(int)
    assert few == calibration.fit_temperature(logits[places], labels[places])
