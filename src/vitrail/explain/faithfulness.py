"""Whether a map is true of the model: what becomes of the score as the places it names are removed or put in.

Deletion and insertion are those of Petsiuk et al. 2018 (RISE, section 4.1), by cells in the place of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.cells import fit_map
from vitrail.explain.removal import Removal

STEPS = 20
"""Parts of a curve, each of as many cells as the others up to rounding."""

RANDOM_MAPS = 3
"""Random orders that a map is compared with; their curves are averaged."""

SHARE = 0.2
"""Of the cells, whose removal is reported in a sentence."""


@dataclass(frozen=True)
class Curves:
    """The probability of the explained class as cells are removed from images, or put in, in some order.

    Attributes:
        shares: ``(F,)`` of the cells, from 0 to 1, that were removed or put in.
        deletion: ``(B, F)`` after removing them from the whole image.
        insertion: ``(B, F)`` after putting them into an image without any.
    """

    shares: Tensor
    deletion: Tensor
    insertion: Tensor

    @property
    def deletion_area(self) -> Tensor:
        """Area under the curve of deletion, ``(B,)`` in [0, 1]; the smaller, the better was what was removed first."""
        return torch.trapezoid(self.deletion, self.shares)

    @property
    def insertion_area(self) -> Tensor:
        """Area under the curve of insertion, ``(B,)`` in [0, 1]; the larger, the better was what was put in first."""
        return torch.trapezoid(self.insertion, self.shares)

    def drop(self, share: float = SHARE) -> Tensor:
        """Return by how much removing a share of the cells lowers the probability, ``(B,)``; at the nearest step."""
        return self.deletion[:, 0] - self.deletion[:, self.step_at(share)]

    def step_at(self, share: float) -> int:
        """Return the step nearest to a share of the cells, but not the first, at which there is nothing to be seen."""
        return 1 + int((self.shares[1:] - share).abs().argmin())


@dataclass(frozen=True)
class Faithfulness:
    """The curves of a map, beside those of random ones and of the map turned round.

    Attributes:
        named: cells in the order of the map, from the highest value.
        random: the mean of curves of random orders.
        least: cells from the lowest value.
    """

    named: Curves
    random: Curves
    least: Curves

    def sentence(self, image: int, share: float = SHARE) -> str:
        """Say of one image what removing about this share of its cells does: those the map names, and random ones."""
        named, random = (float(curves.drop(share)[image]) for curves in (self.named, self.random))
        removed = float(self.named.shares[self.named.step_at(share)])
        return f"removing the {removed * 100:.0f} % it names {_changes(named)}; random {_signed(random)}"


def _changes(drop: float) -> str:
    return (
        f"lowers the probability by {abs(drop):.2f}"
        if round(drop, 2) >= 0
        else f"raises the probability by {-drop:.2f}"
    )


def _signed(drop: float) -> str:
    return f"{abs(drop):.2f}" if round(drop, 2) >= 0 else f"raises it by {-drop:.2f}"


def measure_faithfulness(removal: Removal, values: Tensor, random: Curves, steps: int = STEPS) -> Faithfulness:
    """Measure whether a map is true of the model.

    Args:
        removal: the images, the class and how cells are hidden. All maps compared must be tested with the same.
        values: ``(B, h, w)``, a map of each image on any grid, higher where it matters more.
        random: of random orders, as `random_curves` gives them; the same for all maps.
        steps: parts of a curve.
    """
    order = order_of(removal, values)
    return Faithfulness(curves_of(removal, order, steps), random, curves_of(removal, order.flip(1), steps))


def random_curves(removal: Removal, seed: int, steps: int = STEPS) -> Curves:
    """Return the mean curves of `RANDOM_MAPS` random orders of each image's cells."""
    generator = torch.Generator().manual_seed(seed)
    count, images = removal.cells.count, removal.images
    orders = [torch.rand(images, count, generator=generator).argsort(dim=1) for _ in range(RANDOM_MAPS)]
    drawn = [curves_of(removal, order, steps) for order in orders]
    return Curves(
        drawn[0].shares,
        torch.stack([one.deletion for one in drawn]).mean(dim=0),
        torch.stack([one.insertion for one in drawn]).mean(dim=0),
    )


def order_of(removal: Removal, values: Tensor) -> Tensor:
    """Return the cells of each image from the highest value of a map ``(B, h, w)`` to the lowest: ``(B, N)``.

    Among equal values the first row by row comes first.

    Raises:
        ConfigError: a map holds what is no number.
    """
    if not values.isfinite().all():
        raise ConfigError("a map holds values that are not finite; nothing can be put in order by it")
    return fit_map(values.float(), removal.cells.grid).flatten(1).argsort(dim=1, descending=True, stable=True)


def curves_of(removal: Removal, order: Tensor, steps: int = STEPS) -> Curves:
    """Remove cells from images, and put them into empty ones, in an order ``(B, N)``.

    A model that has no answer without any patch keeps the last one; its curves are drawn to the end all the same.

    Raises:
        ConfigError: there are no steps.
    """
    if steps < 1:
        raise ConfigError(f"a curve has one step or more, not {steps}")
    count = order.shape[1]
    counts = torch.linspace(0, count, min(steps, count) + 1).round().long()
    rank = order.argsort(dim=1).unsqueeze(1)
    most = count - 1 if removal.needs_a_patch else count
    removed = rank >= counts.clamp(max=most).view(1, -1, 1)
    put_in = rank < counts.clamp(min=count - most).view(1, -1, 1)
    deletion, insertion = removal.scores(torch.cat([removed, put_in], dim=1), "probability").chunk(2, dim=1)
    return Curves(counts / count, deletion, insertion)
