"""From answers to figures: accuracy along each curve with its interval, the area under it, shape against texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.stress.answers import AnswerFile, Answers, Unit
from vitrail.stress.curves import Curve
from vitrail.stress.measure import CLEAN, Measurement
from vitrail.trust.intervals import Z, accuracy_interval

MEAN = "corruption_mean"
"""Name of the mean curve of all corruptions."""


@dataclass(frozen=True)
class Point:
    """What a model reaches at one strength.

    Attributes:
        level: the strength.
        accuracy: share of the images that are named right, over all seeds.
        low, high: its 95 % interval, over images and seeds.
        probability: mean probability of the right class.
        same: share of the images named as they are when nothing is changed, right or wrong.
    """

    level: float
    accuracy: float
    low: float
    high: float
    probability: float
    same: float


@dataclass(frozen=True)
class CurveFigures:
    """A curve of one model.

    Attributes:
        name, group, title, axis: of the curve.
        points: one for each strength.
        area: mean accuracy over the axis, which is the area under the curve where the axis goes from 0 to 1.
        area_low, area_high: its 95 % interval over images (of the normal distribution).
        kept: area over the accuracy on images as they are; None where that is 0.
    """

    name: str
    group: str
    title: str
    axis: str
    points: tuple[Point, ...]
    area: float
    area_low: float
    area_high: float
    kept: float | None


@dataclass(frozen=True)
class ConflictPoint:
    """Whose class a model names where shape and texture disagree.

    Attributes:
        level: strength of the foreign texture.
        shape, texture: shares of the images, with their 95 % intervals.
        bias: shape over shape or texture, as Geirhos et al. (2019) count it; None where neither is ever named.
    """

    level: float
    shape: tuple[float, float, float]
    texture: tuple[float, float, float]
    bias: float | None


@dataclass(frozen=True)
class ModelFigures:
    """All that was measured of a model.

    Attributes:
        name: what charts call it.
        model: its architecture.
        family: vit, swin, bit or another kind of backbone.
        images: how many.
        clean: accuracy on images as they are, with its 95 % interval.
        curves: in their order.
        conflict: shape against texture; empty where it was not measured.
        saliency: what said what matters; "" where nothing did.
        size: height and width of its input, in pixels.
        patches: rows and columns of its patches, where some can be removed; else None.
        digest: 32 hexadecimal digits of its weights and of how images are prepared for it.
    """

    name: str
    model: str
    family: str
    images: int
    clean: tuple[float, float, float]
    curves: tuple[CurveFigures, ...]
    conflict: tuple[ConflictPoint, ...]
    saliency: str
    size: tuple[int, int]
    patches: tuple[int, int] | None = None
    digest: str = ""

    def curve(self, name: str) -> CurveFigures | None:
        """Return a curve by its name; None where it was not measured."""
        return next((curve for curve in self.curves if curve.name == name), None)

    def accuracy_at(self, name: str, level: float) -> float | None:
        """Return the accuracy at a strength of a curve; None where it was not measured."""
        curve = self.curve(name)
        points = curve.points if curve else ()
        return next((point.accuracy for point in points if abs(point.level - level) < 1e-9), None)


def figures_of(measured: Measurement, file: AnswerFile) -> ModelFigures:
    """Return the figures of a model all of whose units are in the file."""
    labels = np.array(measured.images.labels)
    clean = answers_of(measured, file, None, 0.0, 0)
    curves = tuple(_curve(measured, file, curve, clean) for curve in measured.curves)
    return ModelFigures(
        measured.model.name,
        measured.model.predictor.description.name,
        measured.model.backbone.config.family,
        len(labels),
        accuracy_interval((clean.predicted == labels)[None]),
        (*curves, *_mean_of_corruptions(measured, file, clean)),
        _conflict(measured, file),
        measured.saliency.words if measured.saliency else "",
        measured.model.size,
        measured.model.token_grid,
        measured.model.digest,
    )


def _curve(measured: Measurement, file: AnswerFile, curve: Curve, clean: Answers) -> CurveFigures:
    labels = np.array(measured.images.labels)
    by_level = [
        [answers_of(measured, file, curve, level, seed) for seed in range(curve.seeds)] for level in curve.levels
    ]
    return _figures((curve.name, curve.group, curve.title, curve.axis), curve, by_level, clean, labels)


def _figures(
    about: tuple[str, str, str, str],
    curve: Curve,
    by_level: Sequence[Sequence[Answers]],
    clean: Answers,
    labels: np.ndarray,
) -> CurveFigures:
    """Return the figures of a curve from the answers of each seed at each level."""
    points, rights = [], []
    for level, answers in zip(curve.levels, by_level, strict=True):
        right = np.stack([one.predicted == labels for one in answers])
        same = np.mean([one.predicted == clean.predicted for one in answers])
        probability = np.mean([one.probability for one in answers])
        points.append(Point(level, *accuracy_interval(right), float(probability), float(same)))
        rights.append(right.mean(axis=0))
    areas = areas_of(curve.places(), np.stack(rights))
    reach = Z * float(areas.std()) / len(areas) ** 0.5
    area, base = float(areas.mean()), float((clean.predicted == labels).mean())
    low, high = max(0.0, area - reach), min(1.0, area + reach)
    kept = area / base if base else None
    return CurveFigures(*about, tuple(points), area, low, high, kept)


def _mean_of_corruptions(measured: Measurement, file: AnswerFile, clean: Answers) -> tuple[CurveFigures, ...]:
    """Return the mean curve of all corruptions, each taken for one more seed; nothing where none was measured."""
    chosen = [curve for curve in measured.curves if curve.group == "corruptions"]
    if not chosen:
        return ()
    labels = np.array(measured.images.labels)
    by_level = [[answers_of(measured, file, curve, level, 0) for curve in chosen] for level in chosen[0].levels]
    about = (MEAN, "corruptions", f"mean of the {len(chosen)} corruptions", chosen[0].axis)
    return (_figures(about, chosen[0], by_level, clean, labels),)


def areas_of(places: np.ndarray, rights: np.ndarray) -> np.ndarray:
    """Return the area under the curve of each image.

    Args:
        places: of the levels, from 0 to 1.
        rights: ``(levels, N)``, the share of the seeds for which each image is named right.
    """
    return np.array([area_under(places, right) for right in rights.T])


def area_under(places: np.ndarray, values: np.ndarray) -> float:
    """Return the mean of a curve over its axis by the trapezium rule.

    Args:
        places: rising, from 0 to 1.
        values: at those places.
    """
    return float((np.diff(places) * (values[1:] + values[:-1]) / 2).sum())


def _conflict(measured: Measurement, file: AnswerFile) -> tuple[ConflictPoint, ...]:
    curve = next((curve for curve in measured.curves if "partner" in curve.needs), None)
    if curve is None:
        return ()
    labels = np.array(measured.images.labels)
    textures = [labels[np.array(measured.images.partners(seed))] for seed in range(curve.seeds)]
    points = []
    for level in curve.levels:
        answers = [answers_of(measured, file, curve, level, seed).predicted for seed in range(curve.seeds)]
        shape = np.stack([predicted == labels for predicted in answers])
        texture = np.stack([predicted == other for predicted, other in zip(answers, textures, strict=True)])
        points.append(conflict_point(level, shape, texture))
    return tuple(points)


def conflict_point(level: float, shape: np.ndarray, texture: np.ndarray) -> ConflictPoint:
    """Return whose class was named, given for each seed and image whether it was the shape's or the texture's."""
    either = int(shape.sum()) + int(texture.sum())
    bias = int(shape.sum()) / either if either else None
    return ConflictPoint(level, accuracy_interval(shape), accuracy_interval(texture), bias)


def answers_of(measured: Measurement, file: AnswerFile, curve: Curve | None, level: float, seed: int) -> Answers:
    """Return the answers to all images under a curve at one strength and seed, or as they are."""
    parts: Sequence[int] = range(len(measured.images.parts))
    if curve is None or level == curve.clean:
        return Answers.joined([file[Unit(CLEAN, 0.0, 0, part)] for part in parts])
    return Answers.joined([file[Unit(curve.key, level, seed, part)] for part in parts])


__all__ = [
    "ConflictPoint",
    "CurveFigures",
    "ModelFigures",
    "Point",
    "answers_of",
    "area_under",
    "areas_of",
    "conflict_point",
    "figures_of",
]
