"""What a curve is: one way to change images, at rising strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitrail.stress.image import Change, StressImage
from vitrail.stress.randomness import draws

Keep = Callable[[StressImage, float, np.random.RandomState], np.ndarray]
"""Takes an image, a share and the image's own random numbers; returns which tokens stay, int64 ``(V,)``."""

Need = Literal["saliency", "partner"]


@dataclass(frozen=True)
class Curve:
    """Accuracy over the strength of one change.

    Attributes:
        name: in files; no two curves have the same.
        group: the family it belongs to.
        title: for people.
        axis: what its strengths are, with the unit.
        levels: the strengths, rising.
        clean: the strength that leaves an image as it is, one of the levels.
        change: makes other pixels; None where tokens are removed.
        keep: chooses the tokens that stay; None where pixels change.
        stream: names the random numbers: curves of one stream draw the same ones.
        seeds: how many times each image is changed, by random numbers of its own.
        needs: what an image must have.
        logarithmic: whether strengths are spaced by their ratios.
        basis: what else its answers depend on, such as what says what matters; another basis is measured anew.
    """

    name: str
    group: str
    title: str
    axis: str
    levels: tuple[float, ...]
    clean: float
    change: Change | None = None
    keep: Keep | None = None
    stream: str = ""
    seeds: int = 1
    needs: frozenset[Need] = frozenset()
    logarithmic: bool = False
    basis: str = ""

    @property
    def key(self) -> str:
        """What its answers are kept under."""
        return f"{self.name} by {self.basis}" if self.basis else self.name

    def changed(self, image: StressImage, level: float, seed: int) -> np.ndarray:
        """Return an image changed, uint8 ``(C, H, W)``: the same whatever was asked before."""
        assert self.change is not None
        return self.change(image, level, self._draws(image, seed))

    def kept(self, image: StressImage, level: float, seed: int) -> np.ndarray:
        """Return the tokens of an image that stay, int64 ``(V,)``; V depends on the level alone."""
        assert self.keep is not None
        return self.keep(image, level, self._draws(image, seed))

    def places(self) -> np.ndarray:
        """Return where its levels lie on an axis from 0 to 1."""
        levels = np.array(self.levels, dtype=np.float64)
        levels = np.log(levels) if self.logarithmic else levels
        return (levels - levels[0]) / (levels[-1] - levels[0])

    def _draws(self, image: StressImage, seed: int) -> np.random.RandomState:
        return draws(image.identity, self.stream or self.name, seed)


__all__ = ["Curve", "Keep", "Need"]
