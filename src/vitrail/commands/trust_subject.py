"""What a trust card is about, opened once: the model, the images, and what exactly they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail import __version__
from vitrail.card.provenance import WeightsFacts
from vitrail.config import to_json
from vitrail.data.hashes import DataHash, data_sha256
from vitrail.data.image_list import parts_of, root_of
from vitrail.errors import ConfigError
from vitrail.output import Progress
from vitrail.runs.foreign_models import published_precision
from vitrail.runs.measured import KnownSplit, choose_split, known_split
from vitrail.serialize import read_regular
from vitrail.settings import EvaluateSettings, TrustSettings
from vitrail.settings.inputs import in_options
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.find_preprocessing import items_of, settle_preprocessing
from vitrail.tasks.task import Measured
from vitrail.training.runtime import Runtime
from vitrail.trust.reliability import COVERAGE, MAX_ERROR
from vitrail.weights.calibration_file import FILE as CALIBRATION
from vitrail.weights.calibration_file import calibration_folder
from vitrail.weights.hashes import file_sha256, files_of, tensors_sha256
from vitrail.weights.open_any import OpenedModel, open_any
from vitrail.weights.origin import began_with, licence_of_model
from vitrail.weights.weights_file import WeightsFile


@dataclass(frozen=True)
class Subject:
    """What a card is about, opened once.

    Attributes:
        settings: what was asked for.
        opened: the model, with how images are prepared for it.
        known: all images, divided by what they were to its run.
        measured: those that are measured.
        hashes: of these, and of all.
        weights: what is known of the weights.
        runtime: where it computes, as `vitrail evaluate` chooses it.
        out: the folder of the card.
    """

    settings: TrustSettings
    opened: OpenedModel
    known: KnownSplit
    measured: Measured
    hashes: tuple[DataHash, DataHash]
    weights: WeightsFacts
    runtime: Runtime
    out: Path

    @property
    def predictor(self) -> ClassPredictor:
        """The model as a function of images."""
        return ClassPredictor(self.opened.model, self.opened.description, self.runtime)

    def about(self, part: str) -> dict[str, Any]:
        """Return all that could change a figure of a part that is kept."""
        settings = {key: value for key, value in to_json(self.settings).items() if key in PART_SETTINGS.get(part, ())}
        return {
            "version": __version__,
            "part": part,
            "weights": self.weights.tensors,
            "preprocessing": repr(self.opened.description.preprocessing),
            "classes": self.opened.description.class_names,
            "data": tuple(one.sha256 for one in self.hashes),
            "split": self.measured.split,
            "runtime": str(self.runtime),
            "settings": repr(settings),
            "wanted": _wanted(self.settings.model),
        }

    def options(self) -> dict[str, Any]:
        """Return the options that other commands take as well."""
        names = ("split", "device", "precision", "normalization", "resize", "crop_fraction", "interpolation")
        return {name: getattr(self.settings, name) for name in names}

    def words(self) -> list[str]:
        """Return the words of a command line for those options that differ from their defaults."""
        asked = {name: getattr(self.settings, name) for name in ("split", "device", "precision")}
        given = [word for name, value in asked.items() if value != "auto" for word in (f"--{name}", str(value))]
        return [*given, *in_options(self.settings)]


PART_SETTINGS = {"explanations": ("explained",), "audit": ("encoder",)}
"""Settings that change the figures of one part alone."""


def open_subject(settings: TrustSettings, out: Path) -> Subject:
    """Open the model and the images, and hash both.

    Raises:
        VitrailError: one of them cannot be used.
    """
    opened = open_any(settings.model, accept_license=settings.accept_license)
    if not opened.description.is_classifier:
        raise ConfigError(f"{settings.model} tells no classes of whole images; vitrail trust takes classifiers")
    known = known_split(settings.model, opened.description, settings.data)
    measured = choose_split(known, settings.split)
    runtime = Runtime.named(settings.device, _precision(settings, opened)).prepared()
    opened = settle_preprocessing(opened, settings, items_of(measured.images), runtime.device)
    return Subject(
        settings, opened, known, measured, _hashes(known, measured), _weights(settings.model, opened), runtime, out
    )


def _wanted(model: str) -> tuple[float, float]:
    """Return the share of wrong answers and the coverage of sets that are stored with a model, else the usual ones."""
    try:
        stored = json.loads(read_regular(calibration_folder(model) / CALIBRATION))
        return float(stored["threshold"]["max_error"]), float(stored["sets"]["coverage"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return MAX_ERROR, COVERAGE


def _precision(settings: TrustSettings, opened: OpenedModel) -> str:
    """Return the precision in which figures of this model are measured."""
    asked = EvaluateSettings(settings.model, settings.data, precision=settings.precision)
    return published_precision(asked, opened).precision


def _hashes(known: KnownSplit, measured: Measured) -> tuple[DataHash, DataHash]:
    """Return the hash of the images that are measured and of all; each is read once."""
    root, names, parts = root_of(known.data), known.pool.class_names, parts_of(known.pool)
    total = len(measured.images) + sum(len(images) for _, images in parts)
    progress, seen = Progress("images hashed"), dict[Path, str]()
    own = data_sha256([(measured.split, measured.images)], root, names, lambda n: progress.reached(n, total), seen)
    own_count = own.images
    everything = data_sha256(parts, root, names, lambda n: progress.reached(own_count + n, total), seen)
    return own, everything


def _weights(model: str, opened: OpenedModel) -> WeightsFacts:
    files = files_of(WeightsFile(model).path)
    return WeightsFacts(
        opened.description.name,
        sum(parameter.numel() for parameter in opened.model.parameters()),
        tuple((file.name, file_sha256(file)) for file in files),
        tensors_sha256(opened.model.state_dict()),
        licence_of_model(model),
        began_with(opened.description),
    )


__all__ = ["Subject", "open_subject"]
