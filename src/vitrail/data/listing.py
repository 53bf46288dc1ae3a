"""What reading a folder or a CSV file finds: files and the names of their classes, by split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Listing:
    """Files by split, as they were found.

    Attributes:
        files: for each split (train, validation, test) its files in order, each with its class or None.
        places: what each split is called in messages.
        class_names: the classes in order; empty without labels.
        notes: what was decided, each a sentence for the user.
        warnings: those of the notes that tell of something that should be mended.
        contradiction: what is wrong where one file has two classes or splits.
        passed_over: how many files and folders were left out, by what they are.
    """

    files: dict[str, list[tuple[Path, str | None]]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    contradiction: str | None = None
    passed_over: Counter[str] = field(default_factory=Counter)

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes, and what was passed over as the last one."""
        left_out = [f"{what} ({count:,})" for what, count in sorted(self.passed_over.items()) if count]
        last = [f"Passed over: {', '.join(left_out)}."] if left_out else []
        return (*self.notes, *self.warnings, *last)


def lookalikes(class_names: Iterable[str]) -> list[str]:
    """Say which classes are probably one, as their names differ only in capitals or in how a number is written."""
    groups: dict[str, list[str]] = {}
    for name in class_names:
        if len(name) > 1 or name.isdecimal():
            groups.setdefault(re.sub(r"^(\d+)\.0*$", r"\1", name.casefold()), []).append(name)
    return [
        f"The classes {', '.join(map(repr, names))} are learned as {len(names)}, although their names hardly differ: "
        "give them one name if they are one class."
        for names in groups.values()
        if len(names) > 1
    ]


__all__ = ["Listing", "lookalikes"]
