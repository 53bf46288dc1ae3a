"""Which of a data set's splits is meant."""

from __future__ import annotations

from vitrail.data.sources import Pictures, Source
from vitrail.errors import DataError


def choose_split(source: Source, split: str, data: str) -> tuple[str, Pictures]:
    """Return the name and the pictures of a split.

    Args:
        source: the data set; for "all" opened so that nothing was held out.
        split: train, validation, test, all, or auto: test where there is one, else validation, else everything.
        data: what the user called it.

    Raises:
        DataError: there are no such pictures.
    """
    parts = {"test": source.test, "validation": source.validation, "train": source.train}
    if split == "auto":
        split = next((name for name, part in parts.items() if part is not None and len(part)), "train")
    found = parts["train"] if split == "all" else parts[split]
    if found is None or not len(found):
        there = ", ".join(name for name, part in parts.items() if part is not None and len(part))
        raise DataError(f"{data} has no {split} pictures; it has {there}")
    return split, found
