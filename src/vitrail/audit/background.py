"""Images whose border alone gives the class: a shortcut that a classifier would learn in place of the object.

What is measured: the centre of the model's input is covered, and a linear classifier on the encoder's vectors of the
frame that is left is cross-validated as for label errors. Where it tells the class, something in the frame does; that
is the background where objects are central, and may be a part of the object where it reaches into the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SURE = 0.95
"""Probability of its class from which an image's frame is said to give it."""


@dataclass(frozen=True)
class FrameFigures:
    """How far classes are predicted from the frame alone.

    Attributes:
        accuracy: mean over classes of the share predicted right from the frame, in [0, 1].
        whole: likewise from whole images.
        chance: of guessing: one over the number of classes.
        by_class: for each class its share predicted right from the frame, and from whole images; NaN of one not judged.
        own: ``(N,)`` probability of each image's own class, by its frame; NaN where it was not judged.
    """

    accuracy: float
    whole: float
    chance: float
    by_class: tuple[tuple[float, float], ...]
    own: np.ndarray


def frame_figures(frame: np.ndarray, whole: np.ndarray, labels: np.ndarray) -> FrameFigures:
    """Compare probabilities ``(N, K)`` from the frame with those from whole images; rows of NaN were not judged."""
    by_frame, by_whole = _recalls(frame, labels), _recalls(whole, labels)
    judged = np.isfinite(by_frame) & np.isfinite(by_whole)
    means = [float(recalls[judged].mean()) if judged.any() else float("nan") for recalls in (by_frame, by_whole)]
    own = frame[np.arange(len(labels)), labels]
    pairs = tuple(zip(by_frame.tolist(), by_whole.tolist(), strict=True))
    return FrameFigures(means[0], means[1], 1 / max(1, int(judged.sum())), pairs, own)


def _recalls(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each class the share of its judged images that are predicted right; NaN where there is none."""
    judged = np.isfinite(probabilities[np.arange(len(labels)), labels])
    right = judged & (probabilities.argmax(axis=1) == labels)
    classes = probabilities.shape[1]
    total = np.bincount(labels[judged], minlength=classes)
    hits = np.bincount(labels[right], minlength=classes)
    return np.divide(hits, total, out=np.full(classes, np.nan), where=total > 0)


__all__ = ["SURE", "FrameFigures", "frame_figures"]
