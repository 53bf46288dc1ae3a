"""What is known of when an evaluated classifier can be believed: as it is stored, or learned now and stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vitrail.console import quoted
from vitrail.data.image_list import TRAIN, VALIDATION
from vitrail.data.sources import Images
from vitrail.errors import ConfigError, DataError, WeightsError
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.reliability import learnable, learned, score_together
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings
from vitrail.tasks.task import Measured
from vitrail.training import distributed
from vitrail.weights.calibration_file import (
    StoredReliability,
    calibration_folder,
    is_kept_beside,
    read_calibration,
    write_calibration,
)


@dataclass(frozen=True, eq=False)
class KnownReliability:
    """What is known of when a classifier can be believed.

    Attributes:
        stored: None where nothing is.
        apart: none of the images that it was learned from is measured.
        notes: what became of it, a sentence each.
    """

    stored: StoredReliability | None
    apart: bool
    notes: tuple[str, ...] = ()


def known_reliability(
    measured: Measured, predictor: ClassPredictor, settings: ClassifyEvaluateSettings
) -> KnownReliability:
    """Return what is stored of a classifier, or learn it from images that neither it learned from nor are measured.

    It is learned anew where nothing is stored, where what is stored belongs to other weights, and where that is asked
    for. Where there are no images beside those measured, it is learned from these if it is asked for at all. What is
    new is stored with a run of vitrail's, with others' weights only if asked for.

    Raises:
        ConfigError: it is asked for, and there is nothing but images that the run learned from.
    """
    stored, notes = _read(predictor, settings)
    asked = settings.recalibrate or settings.max_error is not None or settings.coverage is not None
    if settings.recalibrate or stored is None:
        images = _to_learn_from(measured, settings, asked)
        if images is None:
            return KnownReliability(None, False, notes)
        found = _learned(predictor, measured, images, settings)
        known = KnownReliability(found, measured.held_out is not None, notes)
    elif asked:
        known = KnownReliability(_wanted(stored, settings), VALIDATION not in measured.holds, notes)
    else:
        return KnownReliability(stored, VALIDATION not in measured.holds, notes)
    if asked or is_kept_beside(settings.checkpoint):
        return replace(known, notes=(*notes, _written(known.stored, predictor, settings)))
    return known


def _read(
    predictor: ClassPredictor, settings: ClassifyEvaluateSettings
) -> tuple[StoredReliability | None, tuple[str, ...]]:
    """Return what is stored, or None and why it cannot be used."""
    try:
        return read_calibration(settings.checkpoint, predictor.model, predictor.description.preprocessing), ()
    except WeightsError as error:
        return None, (f"Not used: {error}.",)


def _to_learn_from(measured: Measured, settings: ClassifyEvaluateSettings, asked: bool) -> Images | None:
    images = measured.held_out
    if images is None and asked:
        if TRAIN in measured.holds:
            raise ConfigError(
                f"when {quoted(settings.checkpoint)} can be believed is learned from images that it did not learn "
                "from, and among those measured are such; give another --split"
            )
        images = measured.images
    return images if images is not None and len(images) else None


def _learned(
    predictor: ClassPredictor, measured: Measured, images: Images, settings: ClassifyEvaluateSettings
) -> StoredReliability | None:
    split = VALIDATION if measured.held_out is not None else measured.split
    images = learnable(images, len(predictor.description.class_names))
    try:
        scored = score_together(predictor, images, settings.workers)
    except DataError:
        return None  # none of these can be read, and which cannot is said of the measured ones alone
    source = (measured.data, split, len(images))
    return learned(predictor, scored, source, settings.max_error, settings.coverage)


def _wanted(stored: StoredReliability, settings: ClassifyEvaluateSettings) -> StoredReliability:
    """Return what is stored with another wanted error or coverage."""
    max_error = stored.max_error if settings.max_error is None else settings.max_error
    return replace(stored, max_error=max_error, coverage=settings.coverage or stored.coverage)


def _written(stored: StoredReliability | None, predictor: ClassPredictor, settings: ClassifyEvaluateSettings) -> str:
    """Store what is new, and say where."""
    if stored is None:
        return "Nothing is stored of when this classifier can be believed: no image for it can be read."
    folder = calibration_folder(settings.checkpoint)
    if not distributed.is_main():
        return ""
    try:
        file = write_calibration(folder, stored, predictor.model, predictor.description.preprocessing)
    except OSError as error:
        return f"What vitrail predict --abstain needs cannot be stored in {folder} ({error.strerror or error})."
    return f"What vitrail predict --abstain needs is stored in {file}."


__all__ = ["KnownReliability", "known_reliability"]
