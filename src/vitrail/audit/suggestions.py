"""What an audit suggests, image by image, and its table (CSV)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitrail.serialize import write_whole

COLUMNS = ("file", "split", "class", "what", "suggestion", "other", "score")


@dataclass(frozen=True)
class Suggestion:
    """One thing that somebody should look at.

    Attributes:
        number: of the image in the audit's order; -1 where it cannot be read.
        file: the image.
        split: train, validation or test; empty where the data has none.
        label: the name of its class; empty where there is none.
        what: damaged, near duplicate, label, outlier, background, or an oddity of its pixels.
        suggestion: what to do, in a few words.
        other: the copy, or the class that is predicted in place of the label.
        score: agreement, probability, distance, or the measured value.
        leave_out: whether ``--write`` leaves the image out.
        other_number: of the copy; -1 where there is none.
    """

    number: int
    file: str
    split: str
    label: str
    what: str
    suggestion: str
    other: str = ""
    score: float | None = None
    leave_out: bool = False
    other_number: int = -1

    def row(self) -> tuple[str, ...]:
        """Return the cells of its row in the table."""
        score = "" if self.score is None else f"{self.score:.4f}"
        return self.file, self.split, self.label, self.what, self.suggestion, self.other, score


def write_suggestions(path: Path, suggestions: Sequence[Suggestion]) -> None:
    """Write the table; names that are no Unicode are written with escapes."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(suggestion.row() for suggestion in suggestions)
    write_whole(path, lines.getvalue().encode("utf-8", "backslashreplace"))


__all__ = ["COLUMNS", "Suggestion", "write_suggestions"]
