"""What is known of when a classifier can be believed, in files beside its weights, and never taken for another's.

::

    calibration.json         temperature, threshold, limit of the sets, figures, what all of it was learned from
    calibration.safetensors  the values of single images that other thresholds and sets are computed from

Of a run they lie in its checkpoint's folder, of anybody else's weights in ``runs/calibration-NAME``. Both name the
weights by the SHA-256 of their tensors (`vitrail.weights.hashes.tensors_sha256`): with others they are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from vitrail.config import Preprocessing, from_json, to_json
from vitrail.console import quoted
from vitrail.errors import DataError, VitrailError, WeightsError
from vitrail.paths import user_path
from vitrail.serialize import dumps, read_regular, write_whole
from vitrail.training.checkpoint import resolve
from vitrail.trust.calibration import Calibration, Temperature
from vitrail.trust.reliability import COVERAGE, MAX_ERROR, Reliability
from vitrail.trust.unlike import FALSE_ALARMS, Likeness
from vitrail.weights.fetch import OF_CALIBRATION
from vitrail.weights.hashes import tensors_sha256
from vitrail.weights.named import find_model, is_on_hub
from vitrail.weights.open_any import is_own_checkpoint

FILE, VALUES = OF_CALIBRATION

FORMAT = 1
"""Raised when what the files hold changes its meaning."""


@dataclass(frozen=True)
class LearnedFrom:
    """The images that a calibration was learned from.

    Attributes:
        data: what the user called them.
        split: which of them; ``validation`` are images that a run chose its best checkpoint by, and did not learn from.
        images: how many could be read.
        damaged: how many could not, and were left out.
        precision: of the model that scored them.
    """

    data: str
    split: str
    images: int
    damaged: int = 0
    precision: str = "fp32"

    def __str__(self) -> str:
        """Say which images they are: ``341 validation images of DATA``."""
        split = "" if self.split == "all" else f"{self.split} "
        return f"{self.images:,} {split}image{'' if self.images == 1 else 's'} of {self.data}"


@dataclass(frozen=True, eq=False)
class StoredReliability:
    """When a classifier can be believed, as it is stored.

    Attributes:
        reliability: what was learned.
        source: the images it was learned from.
        max_error: share of wrong answers that is wanted where nothing else is said.
        coverage: likewise, how often sets are to hold the right class.
    """

    reliability: Reliability
    source: LearnedFrom
    max_error: float = MAX_ERROR
    coverage: float = COVERAGE


def calibration_folder(model: str | Path) -> Path:
    """Return the folder that the files of a model are written to, which need not be there."""
    if is_kept_beside(model):
        return resolve(find_model(model).path)
    return Path("runs") / f"calibration-{user_path(str(model)).resolve().stem.replace(':', '-')}"


def is_kept_beside(model: str | Path) -> bool:
    """Whether the files of a model lie in its checkpoint: one of vitrail's that is not in the cache of a hub."""
    return is_own_checkpoint(model) and not is_on_hub(model)


def _file_of(model: str | Path) -> Path | None:
    """Return the file that says what is known of a model: the user's own before what came with it from a hub."""
    folders = [calibration_folder(model)]
    if is_on_hub(model) and is_own_checkpoint(model):
        folders.append(resolve(find_model(model).path))
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def write_calibration(folder: Path, stored: StoredReliability, model: nn.Module, preprocessing: Preprocessing) -> Path:
    """Write what is known of a model into a folder, and return the file that people read.

    Raises:
        OSError: it cannot be written.
    """
    values = save(_arrays(stored.reliability))
    folder.mkdir(parents=True, exist_ok=True)
    # The JSON, which says what the other file has to be, comes last: no half of both is ever taken for a whole.
    write_whole(folder / VALUES, values)
    about = {
        "format": FORMAT,
        "weights": tensors_sha256(model.state_dict()),
        "values": hashlib.sha256(values).hexdigest(),
        "preprocessing": to_json(preprocessing),
        **_said(stored),
    }
    write_whole(folder / FILE, (dumps(about, indent=2) + "\n").encode())
    return folder / FILE


def read_calibration(name: str | Path, model: nn.Module, preprocessing: Preprocessing) -> StoredReliability | None:
    """Read what is known of a model; None where nothing is.

    Args:
        name: what the user calls the model.
        model: the same, opened.
        preprocessing: how its images are prepared now.

    Raises:
        WeightsError: the files are damaged, belong to other weights, or were made with images prepared otherwise.
    """
    file = _file_of(name)
    if file is None:
        return None
    try:
        about = json.loads(read_regular(file))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, and this version reads {FORMAT}")
        _check_same(name, about, model, preprocessing)
        values = read_regular(file.with_name(VALUES))
        if hashlib.sha256(values).hexdigest() != about["values"]:
            raise ValueError(f"{VALUES} beside it is not the file it was written with")
        return _restored(about, load(values))
    except WeightsError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError, VitrailError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"{quoted(file)} is damaged ({reason}); {again(name)}") from None


def copy_calibration(name: str | Path, model: nn.Module, preprocessing: Preprocessing, folder: Path) -> None:
    """Write what is known of a model into the folder of a copy, if anything is, without where its images lie.

    What belongs to other weights is left behind, with a warning.

    Raises:
        OSError: it cannot be written.
    """
    try:
        stored = read_calibration(name, model, preprocessing)
    except WeightsError as error:
        warnings.warn(f"not copied: {error}", stacklevel=2)
        return
    if stored is not None:
        source = replace(stored.source, data=user_path(stored.source.data).name)
        write_calibration(folder, replace(stored, source=source), model, preprocessing)


def again(name: str | Path) -> str:
    """Return how a calibration is learned anew, half a sentence."""
    return (
        f"vitrail evaluate {quoted(name)} DATA --max-error {MAX_ERROR:g} learns it from the validation images of DATA"
    )


def _check_same(name: str | Path, about: dict[str, Any], model: nn.Module, preprocessing: Preprocessing) -> None:
    """Refuse what was learned of other weights, or of images prepared otherwise."""
    known = f"what is stored of when {quoted(name)} can be believed"
    if about["weights"] != tensors_sha256(model.state_dict()):
        raise WeightsError(f"{known} was learned with other weights than it has now; {again(name)}")
    now, then = to_json(preprocessing), about["preprocessing"]
    if now != then:
        which = next(key for key in now if then.get(key) != now[key])
        raise WeightsError(
            f"{known} was learned from images prepared otherwise ({which} {then.get(which)}, now {now[which]}); "
            f"prepare them as then, or learn it anew: {again(name)}"
        )


def _said(stored: StoredReliability) -> dict[str, Any]:
    """Return what the JSON says for people and for other programs, beside what files are checked by."""
    known = stored.reliability
    limit = known.set_limit(stored.coverage)
    likeness = known.likeness
    return {
        "learned_from": to_json(stored.source),
        "temperature": to_json(known.temperature),
        "calibration": to_json(known.calibration),
        "threshold": to_json(known.threshold(stored.max_error)),
        "sets": {"coverage": stored.coverage, "limit": limit if math.isfinite(limit) else None},
        "unlike": None
        if likeness is None
        else {"false_alarms": FALSE_ALARMS, "limit": likeness.limit, "images": likeness.images},
    }


def _arrays(known: Reliability) -> dict[str, np.ndarray]:
    found = {"confidence": known.confidence, "right": known.right, "scores": known.scores}
    if known.likeness is not None:
        found |= {"mean": known.likeness.mean, "whitening": known.likeness.whitening}
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def _restored(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> StoredReliability:
    likeness = about["unlike"]
    if likeness is not None:
        likeness = Likeness(arrays["mean"], arrays["whitening"], float(likeness["limit"]), int(likeness["images"]))
    known = Reliability(
        temperature=from_json(Temperature, about["temperature"]),
        calibration=from_json(Calibration, about["calibration"]),
        confidence=arrays["confidence"],
        right=arrays["right"],
        scores=arrays["scores"],
        likeness=likeness,
    )
    source = from_json(LearnedFrom, about["learned_from"])
    if not 0 < known.temperature.value < math.inf or len(known) != source.images:
        raise DataError("its numbers do not fit together")
    return StoredReliability(known, source, float(about["threshold"]["max_error"]), float(about["sets"]["coverage"]))


__all__ = [
    "FILE",
    "VALUES",
    "LearnedFrom",
    "StoredReliability",
    "again",
    "calibration_folder",
    "copy_calibration",
    "is_kept_beside",
    "read_calibration",
    "write_calibration",
]
