"""A linear head for features that are at hand: logistic regression, its strength chosen by cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
"""Values of C tried, rising: the smaller, the more the weights are held near 0."""

FOLDS = 3
ITERATIONS = 100
"""Of L-BFGS: on standardised features more change neither the C that is chosen nor its top-1."""


@dataclass(frozen=True)
class FittedHead:
    """A linear head and how it was found.

    Attributes:
        weight: float32 ``(K, D)``.
        bias: float32 ``(K,)``.
        strength: C of the regression.
        top1: share told right in cross-validation; None where there was a single image of some class.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    top1: float | None


def fit_head(
    features: Tensor, labels: Tensor, classes: int, images: Tensor, *, balanced: bool = False, seed: int = 0
) -> FittedHead:
    """Fit class scores ``W x + b`` to features by multinomial logistic regression with an L2 penalty.

    Features are standardised for the penalty, which the weights returned undo. C is chosen by the share told right in
    stratified cross-validation, of equals the smaller one; all views of an image lie in one fold.

    Args:
        features: float32 ``(M, D)``.
        labels: ``(M,)`` int64, from 0 to K - 1.
        classes: K; one without features is never chosen.
        images: ``(M,)`` int64: which image each row is a view of.
        balanced: every class counts alike, however many images it has.
        seed: of the folds.
    """
    values, targets, groups = features.double().numpy(), labels.numpy(), images.numpy()
    mean, std = values.mean(axis=0), values.std(axis=0)
    std = np.where(std > 1e-8 * max(1.0, float(std.max())), std, 1.0)
    scaled = ((values - mean) / std).astype(np.float32)
    strength, top1 = _best_strength(scaled, targets, groups, balanced, seed)
    weight, bias = _scores(_fitted(_regression(strength, balanced), scaled, targets), classes)
    weight = weight / std
    return FittedHead(torch.from_numpy(weight).float(), torch.from_numpy(bias - weight @ mean).float(), strength, top1)


def _best_strength(
    values: np.ndarray, targets: np.ndarray, groups: np.ndarray, balanced: bool, seed: int
) -> tuple[float, float | None]:
    from sklearn.model_selection import StratifiedKFold

    _, first = np.unique(groups, return_index=True)
    of_image = dict(zip(groups[first].tolist(), targets[first].tolist(), strict=True))
    numbers, classes = np.array(list(of_image)), np.array(list(of_image.values()))
    folds = min(FOLDS, int(np.bincount(classes)[np.unique(classes)].min()))
    if folds < 2:
        return STRENGTHS[len(STRENGTHS) // 2], None
    right = np.zeros(len(STRENGTHS))
    for _, held in StratifiedKFold(folds, shuffle=True, random_state=seed).split(numbers, classes):
        out = np.isin(groups, numbers[held])
        right += _right_by_strength(values[~out], targets[~out], values[out], targets[out], balanced)
    best = int(right.argmax())
    return STRENGTHS[best], float(right[best] / len(targets))


def _right_by_strength(
    values: np.ndarray, targets: np.ndarray, held: np.ndarray, held_targets: np.ndarray, balanced: bool
) -> np.ndarray:
    """Return for each strength how many held-out rows are told right; each fit begins where the one before ended."""
    model, right = _regression(STRENGTHS[0], balanced, warm_start=True), []
    for strength in STRENGTHS:
        model.set_params(C=strength)
        right.append(int((_fitted(model, values, targets).predict(held) == held_targets).sum()))
    return np.array(right)


def _regression(strength: float, balanced: bool, warm_start: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression

    weights = "balanced" if balanced else None
    return LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight=weights, warm_start=warm_start)


def _fitted(model: Any, values: np.ndarray, targets: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # Stopped early it is a stronger penalty, no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values, targets)


def _scores(model: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights ``(K, D)`` and biases ``(K,)`` in float64 of all classes, those that were not seen last of all."""
    weight, bias, seen = model.coef_.astype(np.float64), model.intercept_.astype(np.float64), model.classes_
    if len(seen) == 2:  # one row tells two classes apart
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    whole, biases = np.zeros((classes, weight.shape[1])), np.full(classes, UNSEEN)
    whole[seen], biases[seen] = weight, bias
    return whole, biases


UNSEEN = -100.0
"""Score of a class that no image was of: its probability is nothing."""


__all__ = ["FittedHead", "fit_head"]
