"""What is shown and kept of an evaluation, beside its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vitrail.visualize.figure import Figure
from vitrail.visualize.report import Table


@dataclass(frozen=True)
class Illustrated:
    """What the page of an evaluation holds.

    Attributes:
        facts: what a reader takes away, as (name, value); the result first.
        figures: by name, each with its title, its text and its numbers.
        tables: below the figures.
        notes: what must be known of the figures, each a sentence.
        files: texts that are written beside the page, by file name.
    """

    facts: tuple[tuple[str, str], ...]
    figures: Mapping[str, Figure]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


__all__ = ["Illustrated"]
