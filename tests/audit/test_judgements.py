"""Label errors, outliers, frames and oddities equal plain loops, and what cannot be judged is not."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vitrail.audit.background import frame_figures
from vitrail.audit.descriptors import Descriptors
from vitrail.audit.image_statistics import oddities
from vitrail.audit.label_errors import FOLDS, ITERATIONS, STRENGTH, cross_validated, doubts, folds
from vitrail.audit.outliers import deviations, is_far, neighbours_counted, outlier_scores


def clusters(seed: int, each: int, classes: int, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    centres = 2.5 * random.standard_normal((classes, width))
    labels = np.repeat(np.arange(classes), each)
    return (centres[labels] + random.standard_normal((len(labels), width))).astype(np.float32), labels


def test_doubts_are_those_of_a_plain_loop_after_the_paper() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 60)
    mixed = 0.3 * random.dirichlet(np.full(4, 0.5), 60) + 0.7 * np.eye(4)[np.where(labels == 3, 3, labels ^ 1)]
    mixed[::3] = random.dirichlet(np.full(4, 0.5), 20)
    probabilities = mixed.astype(np.float32)
    probabilities[17] = np.nan
    found = doubts(probabilities, labels)
    judged = [row for row in range(60) if row != 17]
    thresholds = []
    for label in range(4):
        own = [float(probabilities[row, label]) for row in judged if labels[row] == label]
        thresholds.append(min(sum(own) / len(own), 0.8))
    for row in judged:
        told = [float(value) for value in probabilities[row]]
        assert found.confidence[row] == told[labels[row]]
        above = [place for place in range(4) if told[place] >= thresholds[place] - 1e-9]
        likeliest = max(above, key=lambda place: told[place]) if above else labels[row]
        suspected = likeliest != labels[row] and told[labels[row]] < max(told)
        assert found.suggested[row] == (likeliest if suspected else -1)
    assert (found.suggested[17], found.confidence[17]) == (-1, 1.0)
    right = np.mean([probabilities[row].argmax() == labels[row] for row in judged])
    assert found.accuracy == pytest.approx(right)


def test_probabilities_are_those_of_a_classifier_that_had_not_seen_the_image() -> None:
    features, labels = clusters(3, 20, 3)
    groups = np.arange(60)
    groups[31] = 30
    found = cross_validated(features, labels, 4, groups, seed=7)
    fold = folds(labels, groups, 7)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    for number in range(FOLDS):
        held = fold == number
        model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(scaled[~held], labels[~held])
        assert np.abs(found[held, :3] - model.predict_proba(scaled[held])).max() < 1e-3
    assert (found[:, 3] == 0).all(), "a class without images is never told"
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_copies_lie_in_one_fold_and_every_fold_has_its_share_of_every_class() -> None:
    labels = np.repeat(np.arange(3), (25, 50, 10))
    groups = np.arange(85)
    groups[[3, 30, 60]] = 3
    fold = folds(labels, groups, 4)
    assert len(set(fold[[3, 30, 60]].tolist())) == 1
    for label, least in ((0, 4), (1, 9), (2, 1)):
        counts = np.bincount(fold[labels == label], minlength=FOLDS)
        assert counts.min() >= least, counts
    assert not np.array_equal(fold, folds(labels, groups, 5))


def test_planted_label_errors_come_first_and_are_suspected() -> None:
    features, labels = clusters(4, 60, 4)
    flipped = np.array([5, 77, 130, 201])
    wrong = labels.copy()
    wrong[flipped] = (labels[flipped] + 1) % 4
    found = doubts(cross_validated(features, wrong, 4, np.arange(240)), wrong)
    assert set(np.argsort(found.confidence)[:4].tolist()) == set(flipped.tolist())
    suggested = found.suggested[flipped]
    assert ((suggested == labels[flipped]) | (suggested == -1)).all()
    assert (suggested >= 0).sum() >= 2


def test_classes_of_a_handful_of_different_images_are_not_judged() -> None:
    features, labels = clusters(6, 10, 2)
    labels = labels.copy()
    labels[:5] = 2
    groups = np.arange(20)
    found = cross_validated(features, labels, 3, groups)
    assert np.isfinite(found).all()
    groups[4] = 3
    found = cross_validated(features, labels, 3, groups)
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5:]).all()
    assert (doubts(found, labels).suggested[:5] == -1).all()
    assert (doubts(found, labels).suggested != 2).all(), "nor is such a class suggested"


def test_outlier_scores_are_those_of_a_plain_loop_which_passes_over_copies() -> None:
    random = np.random.default_rng(8)
    vectors = random.standard_normal((40, 6)).astype(np.float32)
    vectors[11] = vectors[10]
    groups = np.arange(40)
    groups[11] = 10
    found = outlier_scores(vectors, groups)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    for row in range(40):
        distances = sorted(1 - centred[row] @ centred[other] for other in range(40) if groups[other] != groups[row])
        assert found[row] == pytest.approx(distances[10 - 1], abs=1e-5)
    assert outlier_scores(vectors[:1], groups[:1]).tolist() == [0]
    assert outlier_scores(np.repeat(vectors[:1], 3, axis=0), np.zeros(3, int)).tolist() == [0, 0, 0]


def test_foreign_images_that_are_alike_do_not_hide_one_another() -> None:
    random = np.random.default_rng(12)
    usual = random.standard_normal((2000, 16)) * np.repeat([1, 0.1], 8)
    foreign = random.standard_normal(16) * np.repeat([0.1, 1], 8) + 0.01 * random.standard_normal((15, 16))
    found = outlier_scores(np.concatenate([usual, 3 * foreign]).astype(np.float32), np.arange(2015))
    assert neighbours_counted(2015) == 20
    assert found[2000:].min() > np.quantile(found[:2000], 0.99)
    assert [neighbours_counted(count) for count in (30, 1000, 4000, 100_000)] == [10, 10, 40, 50]


def test_the_farthest_are_listed_and_of_a_few_images_none_is() -> None:
    scores = np.linspace(0.4, 0.5, 200)
    scores[[20, 90, 150]] = 0.8
    assert np.flatnonzero(is_far(scores)).tolist() == [20, 90, 150], "2 % are 4, and the fourth is not far"
    scores[:50] = 0.9
    assert np.flatnonzero(is_far(scores)).tolist() == [0, 1, 2, 3], "2 % at most"
    assert not is_far(scores[:19]).any()
    assert not is_far(np.full(100, 0.3)).any()


def test_deviations_are_scaled_to_those_of_a_normal_distribution() -> None:
    values = 5 + 3 * np.random.default_rng(1).standard_normal(200_001)
    assert np.std(deviations(values)) == pytest.approx(1, abs=0.01)
    assert deviations(np.full(4, 2.0)).tolist() == [0, 0, 0, 0]


def test_frame_figures_are_means_over_classes_and_leave_out_what_was_not_judged() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    frame = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.2, 0.1], [0.6, 0.4, 0], [np.nan] * 3], np.float32)
    whole = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.2, 0.1], [0.1, 0.9, 0], [np.nan] * 3], np.float32)
    found = frame_figures(frame, whole, labels)
    assert found.accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert found.whole == pytest.approx(1)
    assert found.chance == 0.5
    assert found.by_class[:2] == ((pytest.approx(2 / 3), 1.0), (0.0, 1.0))
    assert np.isnan(found.by_class[2][0])
    assert found.own[:4] == pytest.approx([0.9, 0.2, 0.7, 0.4])


def test_odd_images_are_named_once_each_with_what_was_measured() -> None:
    random = np.random.default_rng(6)
    count = 60
    brightness, contrast = random.uniform(0.3, 0.7, count), random.uniform(0.1, 0.3, count)
    sharpness = random.uniform(0.2, 0.3, count)
    sizes = np.stack([random.integers(190, 210, count), random.integers(150, 170, count)], axis=1)
    brightness[3], brightness[4], contrast[5], sharpness[6] = 0.01, 0.99, 0.001, 0.01
    sizes[7], sizes[8] = (40, 30), (900, 160)
    contrast[3] = 0.001
    waves = np.zeros((count, 63), np.float32)
    found = oddities(Descriptors(brightness, contrast, sharpness, waves), sizes)
    assert {(one.number, one.what) for one in found} == {
        (3, "dark"),
        (4, "bright"),
        (5, "low contrast"),
        (6, "blurred"),
        (7, "small"),
        (8, "odd aspect"),
    }
    assert "30 pixels" in next(one.said for one in found if one.what == "small")
    assert not oddities(Descriptors(*(np.full(5, 0.4) for _ in range(3)), waves[:5]), np.full((5, 2), 100))
