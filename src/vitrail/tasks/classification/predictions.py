"""What a classifier says of images, and the table or JSON of it that ``vitrail predict`` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from vitrail.console import percent, shortened
from vitrail.errors import ConfigError
from vitrail.paths import user_path
from vitrail.serialize import dumps
from vitrail.tasks.classification.settings import ClassifyPredictSettings


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        file: the image's path, or ``image N`` for one in memory.
        classes: the best classes and their probabilities in [0, 1], best first; empty for a damaged image.
        error: why the image could not be read, if it could not.
    """

    file: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The best class, None for a damaged image."""
        return self.classes[0][0] if self.classes else None

    @property
    def probability(self) -> float | None:
        """The best class's probability in [0, 1], None for a damaged image."""
        return self.classes[0][1] if self.classes else None


@dataclass(frozen=True)
class CautiousPrediction(Prediction):
    """What a classifier that may be unsure says of one image; probabilities are calibrated.

    Attributes:
        unsure: whether its best class is too often wrong at this probability to be an answer; None for a damaged image,
            of which nothing is said.
        candidates: the classes that hold the right one with the wanted probability, likeliest first.
        distance: how far the image lies from those the model was trained for, around 1 for such; None where that is
            not known.
        unlike: whether that is farther than 99 % of them; None likewise.
    """

    unsure: bool | None = None
    candidates: tuple[str, ...] = ()
    distance: float | None = None
    unlike: bool | None = None

    @property
    def answer(self) -> str | None:
        """The best class; None where the model is unsure, or the image is damaged."""
        return None if self.unsure else self.label


UNSURE = "unsure"
"""What stands in tables in the place of an answer; in JSON it is a value of its own."""

AND = " | "
"""Between the classes of a set in a cell."""

MOST_SHOWN = 4
"""Classes of a set that a table shows."""

CAUTIOUS_COLUMNS = ("answer", "candidates", "unlike", "distance")
"""Columns of CSV that only a classifier that may be unsure has."""


def write_csv(file: TextIO, predictions: Iterable[Prediction], top: int, cautious: bool = False) -> None:
    """Write a row for each image: file, then class and probability of each rank up to ``top``, then the error.

    Args:
        file: open for writing.
        predictions: a row each.
        top: ranks.
        cautious: they are `CautiousPrediction`; `CAUTIOUS_COLUMNS` come before the error.
    """
    writer = csv.writer(file)
    ranks = range(1, top + 1)
    columns = [*(f"{what}_{n}" for n in ranks for what in ("class", "probability"))]
    writer.writerow(["file", *columns, *(CAUTIOUS_COLUMNS if cautious else ()), "error"])
    for p in predictions:
        pairs = [*p.classes, *[("", "")] * (top - len(p.classes))]
        beyond = _cautious_cells(p) if cautious else ()
        writer.writerow([p.file, *(cell for pair in pairs for cell in pair), *beyond, p.error or ""])


def _cautious_cells(prediction: Prediction) -> tuple[Any, ...]:
    if not isinstance(prediction, CautiousPrediction) or prediction.error:
        return ("",) * len(CAUTIOUS_COLUMNS)
    unlike = {True: "yes", False: "no", None: ""}[prediction.unlike]
    distance = "" if prediction.distance is None else prediction.distance
    return (prediction.answer or UNSURE, AND.join(prediction.candidates), unlike, distance)


def cautious_table(predictions: Iterable[Prediction], top: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows of a table of `CautiousPrediction`: answer, best classes, set, and what is unlike."""
    rows = [_cautious_row(p, top) for p in predictions if isinstance(p, CautiousPrediction)]
    ranks = min(top, max((len(row) - 4 for row in rows), default=0))
    columns = ("image", "answer", *(f"{n}." for n in range(1, ranks + 1)), "may be", "unlike training")
    return columns, [(*row[:-2], *[""] * (ranks + 4 - len(row)), *row[-2:]) for row in rows]


def _cautious_row(p: CautiousPrediction, top: int) -> tuple[str, ...]:
    if p.error:
        return (p.file, f"not read: {p.error}", "", "")
    classes = (f"{name} {percent(share)}" for name, share in p.classes[:top])
    unlike = {True: "unlike", False: "", None: "not known"}[p.unlike]
    return (p.file, p.answer or UNSURE, *classes, shortened(p.candidates, MOST_SHOWN), unlike)


def write_predictions(predictions: list[Prediction], settings: ClassifyPredictSettings) -> Path:
    """Write ``predictions.csv`` into the folder ``--out`` names, or ``predictions.json`` where JSON is asked for.

    The JSON file is one list of objects with ``file``, ``classes`` and ``error``.
    """
    out = user_path(settings.out or "", ConfigError)
    if settings.json or settings.format == "json":
        file, text = out / "predictions.json", dumps([vars(one) for one in predictions], indent=1)
    else:
        buffer = io.StringIO(newline="")
        write_csv(buffer, predictions, settings.top, settings.abstain)
        file, text = out / "predictions.csv", buffer.getvalue()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"--out {settings.out} cannot be written ({error.strerror or error})") from None
    return file
