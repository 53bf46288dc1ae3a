"""What a model answered, kept as it comes: a file to which whole lines are added, and that goes on after any end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import DataError
from vitrail.serialize import dumps

DIGITS = 6
"""Of the probabilities that are kept."""


@dataclass(frozen=True)
class Unit:
    """What is measured at a time: one variant of one part of the images."""

    curve: str
    level: float
    seed: int
    part: int


@dataclass(frozen=True)
class Answers:
    """What a model says of images.

    Attributes:
        predicted: int64 ``(N,)``, the class of the highest score.
        probability: float64 ``(N,)``, of the right class, in [0, 1], rounded to `DIGITS`.
    """

    predicted: np.ndarray
    probability: np.ndarray

    @classmethod
    def joined(cls, parts: list[Answers]) -> Answers:
        """Return the answers to several parts, one after the other."""
        return cls(np.concatenate([p.predicted for p in parts]), np.concatenate([p.probability for p in parts]))


class AnswerFile:
    """Answers by unit, in a file of JSON lines of which the first says what they are of.

    A last line that is not whole, as a killed process leaves it, is taken away.

    Args:
        path: the file; made where there is none.
        about: what the answers depend on. A file about something else is refused.

    Raises:
        DataError: the file is about something else, or damaged.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._known: dict[Unit, Answers] = {}
        self._file: Any = None
        head = json.loads(dumps(about))
        if path.exists():
            self._read(head)
        self._file = path.open("ab")
        if path.stat().st_size == 0:
            self._write(head)

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._known

    def __getitem__(self, unit: Unit) -> Answers:
        return self._known[unit]

    def __len__(self) -> int:
        return len(self._known)

    def add(self, unit: Unit, answers: Answers) -> None:
        """Keep what was answered, on the disk before this returns."""
        rounded = Answers(answers.predicted, np.round(answers.probability.astype(np.float64), DIGITS))
        self._write(
            {
                "curve": unit.curve,
                "level": unit.level,
                "seed": unit.seed,
                "part": unit.part,
                "predicted": rounded.predicted,
                "probability": rounded.probability,
            }
        )
        self._known[unit] = rounded

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(dumps(row).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, head: Mapping[str, Any]) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        try:
            rows = [json.loads(line) for line in whole.splitlines()]
            if rows and rows[0] != head:
                raise DataError(f"{self.path} holds answers to something else; remove it, or choose another --out")
            for row in rows[1:]:
                unit = Unit(row["curve"], float(row["level"]), int(row["seed"]), int(row["part"]))
                answers = (np.array(row[name], dtype=kind) for name, kind in COLUMNS)
                self._known[unit] = Answers(*answers)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path} is damaged ({error}); remove it to measure anew") from None


COLUMNS = (("predicted", np.int64), ("probability", np.float64))

__all__ = ["AnswerFile", "Answers", "Unit"]
