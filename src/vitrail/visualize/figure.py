"""A figure: an image, what it shows in two sentences, and the numbers that were drawn."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.serialize import dumps


@dataclass(frozen=True)
class Figure:
    """What is drawn, explained and kept as numbers.

    Attributes:
        image: the figure.
        title: a heading; empty where the page knows what a figure of this name shows.
        text: what it shows and how to read it, with the paper's figure that it follows.
        data: what was drawn, by name: arrays and tensors, or plain values.
        table: the same, or the best of it, as rows of one table; with the same columns in each.
    """

    image: Image.Image
    title: str = ""
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    table: Sequence[Mapping[str, Any]] = ()

    @property
    def caption(self) -> str:
        """The heading, and below it the text."""
        return f"{self.title}\n{self.text}"

    def write_data(self, stem: Path) -> Path | None:
        """Write the numbers beside the image: arrays into ``.npz``, plain values into ``.json``; None without any.

        Args:
            stem: the path without an ending.
        """
        if not self.data:
            return None
        if any(isinstance(value, (Tensor, np.ndarray)) for value in self.data.values()):
            path = stem.with_name(f"{stem.name}.npz")
            arrays: dict[str, Any] = {name: _array(value) for name, value in self.data.items()}
            np.savez_compressed(path, **arrays)
        else:
            path = stem.with_name(f"{stem.name}.json")
            path.write_text(dumps(dict(self.data), indent=2) + "\n", encoding="utf-8")
        return path

    def write_table(self, stem: Path) -> Path | None:
        """Write the table beside the image as ``.csv``; None without any.

        Args:
            stem: the path without an ending.
        """
        if not self.table:
            return None
        path = stem.with_name(f"{stem.name}.csv")
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.DictWriter(file, list(self.table[0]))
            writer.writeheader()
            writer.writerows(self.table)
        return path


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
