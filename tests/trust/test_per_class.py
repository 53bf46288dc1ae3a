"""Figures of classes against scikit-learn's and against loops, whatever classes are there."""

import math

import numpy as np
import pytest
from sklearn import metrics

from vitrail.trust.intervals import Z, bootstrap
from vitrail.trust.per_class import areas_under_roc, averages, class_figures, f1_of, largest_confusions


def drawn(seed: int, images: int = 120, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels of which about half are right."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, classes, images)
    scores = np.round(random.normal(size=(images, classes)) + 1.2 * np.eye(classes)[labels], 1)  # with ties
    return scores, labels


def confusion_of(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return metrics.confusion_matrix(labels, scores.argmax(axis=1), labels=range(scores.shape[1]))


def test_precision_recall_f1_and_areas_are_scikit_learns() -> None:
    scores, labels = drawn(7)
    said = scores.argmax(axis=1)
    areas, mean_area = areas_under_roc(scores, labels)
    ours = class_figures(tuple("abcde"), confusion_of(scores, labels), areas)
    theirs = metrics.precision_recall_fscore_support(labels, said, zero_division=np.nan)
    for number, one in enumerate(ours):
        values = (one.precision.value, one.recall.value, one.f1.value, one.images)
        assert values == pytest.approx(tuple(column[number] for column in theirs))
        assert one.auroc.value == pytest.approx(metrics.roc_auc_score(labels == number, scores[:, number]))
        assert one.said == (said == number).sum()
    assert mean_area.value == pytest.approx(np.mean([one.auroc.value for one in ours]))


@pytest.mark.parametrize("seed", [7, 11])
def test_means_over_the_classes_are_scikit_learns(seed: int) -> None:
    scores, labels = drawn(seed, 40, 9)
    labels[labels == 3] = 4
    found = averages(confusion_of(scores, labels))
    said = scores.argmax(axis=1)
    assert found["mean_class"].value == pytest.approx(metrics.balanced_accuracy_score(labels, said))
    assert found["f1"].value == pytest.approx(metrics.f1_score(labels, said, average="macro", zero_division=0))
    precision = metrics.precision_score(labels, said, average="macro", zero_division=0)
    assert found["precision"].value == pytest.approx(precision)


def test_intervals_of_means_are_those_of_images_drawn_anew() -> None:
    scores, labels = drawn(5)
    said = scores.argmax(axis=1)
    found = averages(confusion_of(scores, labels), seed=2)

    def macro_f1(rows: np.ndarray) -> float:
        return float(metrics.f1_score(labels[rows], said[rows], average="macro", zero_division=0))

    of_images = bootstrap(macro_f1, len(labels), resamples=400, seed=3)
    mirrored = (2 * found["f1"].value - of_images.high, 2 * found["f1"].value - of_images.low)
    assert (found["f1"].low, found["f1"].high) == pytest.approx(mirrored, abs=0.025)


def test_of_classes_with_few_images_nine_of_ten_intervals_of_f1_hold_the_truth() -> None:
    """F1 is too low there, which an interval by percentiles of the resamples would count twice."""
    random, classes = np.random.RandomState(6), 40
    joint = (0.3 * random.dirichlet(np.ones(classes) * 0.3, classes) + 0.7 * np.eye(classes)) / classes
    true = float((2 * joint.diagonal() / (joint.sum(axis=0) + joint.sum(axis=1))).mean())
    drawn = [random.multinomial(240, joint.ravel()).reshape(classes, classes) for _ in range(60)]
    found = [averages(confusion, seed)["f1"] for seed, confusion in enumerate(drawn)]
    assert sum(one.low <= true <= one.high for one in found) >= 52
    assert np.mean([one.value for one in found]) < true - 0.01


def test_of_classes_with_a_single_image_means_of_f1_and_precision_have_no_interval() -> None:
    found = averages(np.eye(40, dtype=np.int64)[::-1] + np.eye(40, dtype=np.int64))
    assert found["f1"].low is found["precision"].low is None
    assert found["mean_class"].low is not None


def delong(scores: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """Return the area and its variance by a loop over pairs (DeLong et al. 1988, equations 3 to 5)."""
    ours, others = scores[own], scores[~own]
    won = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in others] for x in ours])
    of_ours, of_others = won.mean(axis=1), won.mean(axis=0)
    return won.mean(), of_ours.var(ddof=1) / len(ours) + of_others.var(ddof=1) / len(others)


def test_the_interval_of_an_area_is_delongs_on_the_scale_of_log_odds() -> None:
    scores, labels = drawn(3, 60)
    areas, _ = areas_under_roc(scores, labels)
    for number, one in enumerate(areas):
        area, variance = delong(scores[:, number], labels == number)
        reach = Z * math.sqrt(variance) / (area * (1 - area))
        ends = [1 / (1 + math.exp(-(math.log(area / (1 - area)) + sign * reach))) for sign in (-1, 1)]
        assert (one.value, one.low, one.high) == pytest.approx((area, *ends))


def test_nineteen_of_twenty_intervals_hold_the_true_area_and_the_true_mean_of_areas() -> None:
    """Of two classes a normal distribution apart the area is known, and of several their mean."""
    random, held, mean_held = np.random.RandomState(8), 0, 0
    true = 0.5 * (1 + math.erf(1.0 / math.sqrt(2) / math.sqrt(2)))
    for _ in range(300):
        labels = random.randint(0, 3, 90)
        areas, mean = areas_under_roc(random.normal(size=(90, 3)) + np.eye(3)[labels], labels)
        held += areas[0].low <= true <= areas[0].high
        mean_held += mean.low <= true <= mean.high
    assert held >= 270
    assert mean_held >= 270


def test_the_interval_of_f1_holds_the_truth_and_is_wilsons_of_the_overlap() -> None:
    random, held = np.random.RandomState(4), 0
    true = 2 * 0.2 / (2 * 0.2 + 0.1)
    for _ in range(500):
        hits, wrong, _ = random.multinomial(100, (0.2, 0.1, 0.7))
        one = f1_of(int(hits), int(hits), int(hits + wrong))
        held += one.low <= true <= one.high
    assert held >= 460
    assert f1_of(0, 0, 0).value is None
    assert f1_of(5, 5, 5).value == 1.0
    assert 0 < f1_of(5, 5, 5).low < 1.0


def test_classes_without_images_or_with_a_single_one_have_no_figures_rather_than_wrong_ones() -> None:
    scores = np.array([[2.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    labels = np.array([0, 0, 1])
    areas, mean = areas_under_roc(scores, labels)
    ours = class_figures(("a", "b", "never"), confusion_of(scores, labels), areas)
    assert ours[2].recall.value is ours[2].precision.value is ours[2].f1.value is ours[2].auroc.value is None
    assert ours[1].auroc.value == 1.0
    assert ours[1].auroc.low is None
    assert mean.value == 1.0
    assert mean.low is None
    one_class, nothing = areas_under_roc(scores[:2], labels[:2])
    assert {one.value for one in one_class} == {None}
    assert nothing.value is None


def test_the_largest_confusions_are_the_cells_off_the_diagonal_in_order() -> None:
    confusion = np.array([[50, 3, 0], [2, 4, 2], [0, 3, 90]])
    found = largest_confusions(("a", "b", "c"), confusion, 3)
    assert [(one.label, one.said, one.images) for one in found] == [("a", "b", 3), ("c", "b", 3), ("b", "a", 2)]
    assert found[0].share == pytest.approx(3 / 53)
    assert largest_confusions(("a", "b"), np.diag([3, 4])) == ()
