"""What a classifier says of images, and the table or JSON of it that ``vitrail predict`` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

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


def write_csv(file: TextIO, predictions: Iterable[Prediction], top: int) -> None:
    """Write a row for each image: file, then class and probability of each rank up to ``top``, then the error."""
    writer = csv.writer(file)
    ranks = range(1, top + 1)
    writer.writerow(["file", *(f"{what}_{n}" for n in ranks for what in ("class", "probability")), "error"])
    for p in predictions:
        pairs = [*p.classes, *[("", "")] * (top - len(p.classes))]
        writer.writerow([p.file, *(cell for pair in pairs for cell in pair), p.error or ""])


def write_predictions(predictions: list[Prediction], settings: ClassifyPredictSettings) -> Path:
    """Write ``predictions.csv`` into the folder ``--out`` names, or ``predictions.json`` where JSON is asked for.

    The JSON file is one list of objects with ``file``, ``classes`` and ``error``.
    """
    out = user_path(settings.out or "", ConfigError)
    if settings.json or settings.format == "json":
        file, text = out / "predictions.json", dumps([vars(one) for one in predictions], indent=1)
    else:
        buffer = io.StringIO(newline="")
        write_csv(buffer, predictions, settings.top)
        file, text = out / "predictions.csv", buffer.getvalue()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"--out {settings.out} cannot be written ({error.strerror or error})") from None
    return file
