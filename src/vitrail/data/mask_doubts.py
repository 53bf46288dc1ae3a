"""What the values of all masks together make doubtful, although each of them may be right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitrail.data.file_rules import named
from vitrail.data.segments import VOID, Labelling


class MaskDoubts:
    """Gathers which values masks show.

    Args:
        labelling: how values stand for classes.
        class_names: of the classes.
    """

    def __init__(self, labelling: Labelling, class_names: Sequence[str]) -> None:
        self.labelling, self.class_names = labelling, class_names
        self.seen = np.zeros(VOID + 1, dtype=bool)
        self.void_and_one_class: list[str] = []
        self.void_beside_classes = False

    def add(self, name: str, shown: np.ndarray) -> None:
        """Take note of a mask and the classes it shows, bool (256,)."""
        self.seen |= shown
        if not shown[VOID]:
            return
        if shown[:VOID].sum() == 1:
            self.void_and_one_class.append(name)
        self.void_beside_classes |= bool(shown[:VOID].sum() > 1)

    def sentences(self) -> list[str]:
        """Return what is doubtful; only where 255 alone means void, as an ignored value may stand anywhere."""
        if self.labelling.ignore != VOID:
            return []
        return [*self._mixed(), *self._from_one()]

    def _mixed(self) -> list[str]:
        """Name masks of 0 and 255 among masks of 0 and 1: what they show would be void, without a word."""
        odd = self.void_and_one_class
        if not odd or self.void_beside_classes or self.seen[:VOID].sum() < 2:
            return []
        masks = "the mask of" if len(odd) == 1 else f"{len(odd):,} masks, of"
        return [
            f"Only {masks} {named(odd)} hold{'s' if len(odd) == 1 else ''} 255, beside a single class: 255 means void, "
            "and nothing is learned from it; if it stands for a class there, write that class's number in its place."
        ]

    def _from_one(self) -> list[str]:
        """Doubt masks without 0 whose classes have names: numbered from 1, every class would be called as the next."""
        if self.seen[0] or len(self.class_names) < 2 or not self.seen[:VOID].any():
            return []
        return [
            f"No mask that was looked at holds the value 0, which is {self.class_names[0]!r}: if the values of "
            f"{named(self.class_names)} begin with 1, say --dense.ignore 0."
        ]


__all__ = ["MaskDoubts"]
