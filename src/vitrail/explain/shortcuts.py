"""On which regions the answers of one class hang: what flips the most images of it when it is filled in.

Regions are of two kinds: what looks alike in the images of the class, wherever it lies, and what lies at the same
place, whatever it looks like. They are chosen without asking the model, so that counting flips needs no other images;
that many are tried is paid for in the test (Bonferroni). Each is set against a region of the same shape elsewhere in
the same image, and against images of other classes that have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vitrail.explain.appearance import Groups, group_cells, grown, in_words
from vitrail.explain.cells import Cells
from vitrail.explain.fill import Fill
from vitrail.explain.refilled import answers_without
from vitrail.heads.classifier import ImageClassifier
from vitrail.trust.intervals import wilson

Kind = Literal["appearance", "place"]

LOOKS = 16
"""Groups of cells that look alike, of each class."""

PLACES = 4
"""Squares along each side of an image whose places are tried."""

LARGEST = 0.25
"""Share of an image from which on a region is the scene or the object itself, and is not tried in that image."""

LEAST_IMAGES = 10
"""That a class, and a region of it, must be seen in: of fewer no test could find anything."""

LEAST_FLIPS = 0.25
"""Share of the images with a region that its removal must flip before it is tested at all."""

LEAST_LIFT = 0.2
"""By which the share of flips must exceed that of a region of the same shape elsewhere in the image."""

LEVEL = 0.05
"""Of all tests of a class together, that one of them errs."""

TRIES = 24
"""Places at which a region of the same shape is tried, before the one that covers least of the region is taken."""


@dataclass(frozen=True)
class Images:
    """Images of one class, or of others, as they are searched.

    Attributes:
        images: ``(n, C, H, W)``, normalised.
        answers: ``(n,)``, the class that the model gives each.
        described: ``(n, N, D)``, what each cell looks like.
        fills: of each image, what stands in the place of its hidden cells.
    """

    images: Tensor
    answers: Tensor
    described: Tensor
    fills: Sequence[Fill]


@dataclass(frozen=True)
class Flips:
    """How many images get another answer.

    Attributes:
        flipped: of them.
        images: all of them.
    """

    flipped: int
    images: int

    @property
    def share(self) -> float:
        """Of the images; 0 without any."""
        return self.flipped / self.images if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The share's 95 % interval (Wilson 1927)."""
        low, high = wilson(self.share, self.images)
        return min(low, self.share), max(high, self.share)


@dataclass(frozen=True)
class Region:
    """A region of the images of one class, and what becomes of the answer without it.

    Attributes:
        kind: appearance or place.
        name: what it looks like, or where it lies.
        hidden: ``(n, N)`` bool, its cells in each image of the class; none where it is absent, or too large.
        flipped: ``(n,)`` bool, which images get another answer without it.
        share: of an image, the mean over the images that have it.
        towards: the classes that they get instead, and how often.
        random: the same of a region of the same shape elsewhere; None where there was no need to know.
        elsewhere: the same of images of other classes that have it; None likewise.
        p: the chance of so many more flips than at random; None likewise.
        stands_out: whether the class hangs on it.
    """

    kind: Kind
    name: str
    hidden: Tensor
    flipped: Tensor
    share: float
    towards: tuple[tuple[int, int], ...]
    random: Flips | None = None
    elsewhere: Flips | None = None
    p: float | None = None
    stands_out: bool = False

    @property
    def present(self) -> Tensor:
        """Which images have it, ``(n,)`` bool."""
        return self.hidden.any(dim=1)

    @property
    def flips(self) -> Flips:
        """How many of the images that have it get another answer without it."""
        return Flips(int(self.flipped.sum()), int(self.present.sum()))


@dataclass(frozen=True)
class Candidate:
    """A region before the model is asked.

    Attributes:
        kind: appearance or place.
        name: what it looks like, or where it lies.
        hidden: ``(n, N)`` bool, its cells in the images of the class.
        within: finds its cells ``(m, N)`` in other images by their descriptions ``(m, N, D)``.
    """

    kind: Kind
    name: str
    hidden: Tensor
    within: Callable[[Tensor], Tensor]


class Search:
    """Finds the regions that one class hangs on.

    Args:
        model: the classifier.
        cells: in which regions are hidden.
        own: the images that the model gives the class.
        others: images that it gives other classes.
        seed: of the groups of cells, and of regions elsewhere.
        done: is told of each image whose regions have all been asked for.
    """

    def __init__(
        self,
        model: ImageClassifier,
        cells: Cells,
        own: Images,
        others: Images,
        seed: int,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._model, self._cells, self._own, self._others = model, cells, own, others
        self._seed, self._done = seed, done

    def run(self) -> list[Region]:
        """Return all regions that were tried, those that stand out first, then by the images they flip.

        A region that stands out by what another one hides already is no second finding: it must still do so without
        the cells of those before it.
        """
        tried = self._tried()
        taken = torch.zeros_like(self._own.described[..., 0], dtype=torch.bool)
        found = []
        for candidate, region in sorted(tried, key=lambda pair: -_worth(pair[1])):
            tested = self._tested(candidate, region, taken, len(tried))
            taken = taken | tested.hidden if tested.stands_out else taken
            found.append(tested)
        return sorted(found, key=lambda one: (not one.stands_out, -one.flips.flipped, one.share))

    def _tried(self) -> list[tuple[Candidate, Region]]:
        """Ask the model without each region that enough images have."""
        chosen = candidates(self._own.described, self._cells, self._seed)
        hidden = torch.stack([_small(one.hidden) for one in chosen], dim=1)
        enough = (hidden.any(dim=2).sum(dim=0) >= LEAST_IMAGES).nonzero().flatten().tolist()
        after = self._answers(self._own, hidden[:, enough], self._done)
        return [
            (chosen[number], self._region(chosen[number], hidden[:, number], after[:, place]))
            for place, number in enumerate(enough)
        ]

    def _region(self, candidate: Candidate, hidden: Tensor, after: Tensor) -> Region:
        present = hidden.any(dim=1)
        flipped = present & (after != self._own.answers)
        towards = Counter(after[flipped].tolist()).most_common()
        share = float(hidden[present].double().mean())
        return Region(candidate.kind, candidate.name, hidden, flipped, share, tuple(towards))

    def _tested(self, candidate: Candidate, region: Region, taken: Tensor, tests: int) -> Region:
        """Test a region that flips enough images against chance and against other classes."""
        alone = self._without_taken(candidate, region, taken)
        if alone is None or alone.flips.share < LEAST_FLIPS:
            return region
        moved = elsewhere(alone.hidden, self._cells, self._seed)
        at_random = alone.present & (self._answers(self._own, moved.unsqueeze(1))[:, 0] != self._own.answers)
        random = Flips(int(at_random.sum()), int(alone.present.sum()))
        p, others = exact_sign_test(alone.flipped, at_random), self._in_others(candidate)
        lift = alone.flips.share - random.share
        stands_out = p * tests < LEVEL and lift >= LEAST_LIFT and more_often(alone.flips, others)
        return replace(alone, random=random, elsewhere=others, p=p, stands_out=stands_out)

    def _without_taken(self, candidate: Candidate, region: Region, taken: Tensor) -> Region | None:
        """Return a region without what others hide already; None where too few images have any of it left."""
        hidden = region.hidden & ~taken
        if torch.equal(hidden, region.hidden):
            return region
        if int(hidden.any(dim=1).sum()) < LEAST_IMAGES:
            return None
        return self._region(candidate, hidden, self._answers(self._own, hidden.unsqueeze(1))[:, 0])

    def _in_others(self, candidate: Candidate) -> Flips:
        hidden = _small(candidate.within(self._others.described))
        flipped = self._answers(self._others, hidden.unsqueeze(1))[:, 0] != self._others.answers
        return Flips(int(flipped.sum()), int(hidden.any(dim=1).sum()))

    def _answers(self, images: Images, hidden: Tensor, done: Callable[[], None] = lambda: None) -> Tensor:
        """Return the answers ``(n, R)`` without each region ``(n, R, N)``; where that is absent, the old one."""
        after = images.answers.unsqueeze(1).repeat(1, hidden.shape[1])
        for number, regions in enumerate(hidden):
            some = regions.any(dim=1)
            shown, fill = images.images[number], images.fills[number]
            after[number, some] = answers_without(self._model, shown, regions[some], self._cells, fill)
            done()
        return after


def _worth(region: Region) -> float:
    """What a region flips, less what it hides: of two that flip the same images the smaller one says more."""
    return region.flips.share - region.share


def _small(hidden: Tensor) -> Tensor:
    """Leave a region ``(n, N)`` out of the images in which it is larger than `LARGEST`."""
    return hidden & (hidden.double().mean(dim=1, keepdim=True) <= LARGEST)


def candidates(described: Tensor, cells: Cells, seed: int) -> list[Candidate]:
    """Return the regions to try in images whose cells are described ``(n, N, D)``: by appearance, then by place."""
    groups = group_cells(described, LOOKS, seed)
    looks = [_look(groups, number, cells) for number in range(len(groups.centres))]
    return looks + [_place(row, column, len(described), cells) for row in range(PLACES) for column in range(PLACES)]


def _look(groups: Groups, number: int, cells: Cells) -> Candidate:
    own = groups.labels == number
    where = _where(own, cells)
    name = f"{in_words(groups.centres[number])} cells{f', mostly {where}' if where else ''}"
    return Candidate("appearance", name, grown(own, cells), lambda other: grown(groups.belongs(other, number), cells))


def _place(row: int, column: int, images: int, cells: Cells) -> Candidate:
    rows = torch.arange(cells.grid[0]) * PLACES // cells.grid[0] == row
    columns = torch.arange(cells.grid[1]) * PLACES // cells.grid[1] == column
    hidden = (rows[:, None] & columns[None]).flatten()
    name = f"the square in row {row + 1} and column {column + 1} of {PLACES}x{PLACES}"
    return Candidate("place", name, hidden.expand(images, -1), lambda other: hidden.expand(len(other), -1))


def _where(own: Tensor, cells: Cells) -> str:
    """Say in which ninth of the image more than half of a group's cells ``(n, N)`` lie; empty where they are spread."""
    rows = torch.arange(cells.grid[0]) * 3 // cells.grid[0]
    columns = torch.arange(cells.grid[1]) * 3 // cells.grid[1]
    ninths = (3 * rows[:, None] + columns[None]).flatten()
    counts = torch.zeros(9, dtype=torch.int64).index_add_(0, ninths, own.sum(dim=0))
    best = int(counts.argmax())
    if int(counts[best]) * 2 <= int(counts.sum()):
        return ""
    row, column = ("at the top", "in the middle", "at the bottom")[best // 3], ("left", "", "right")[best % 3]
    return f"{row} {column}".strip() if best // 3 != 1 or not column else f"in the middle of the {column} side"


def elsewhere(hidden: Tensor, cells: Cells, seed: int) -> Tensor:
    """Move each region ``(n, N)`` to another place of its image, round the edges, where it covers little of itself."""
    generator = torch.Generator().manual_seed(seed)
    moved = []
    for row in hidden.view(-1, *cells.grid):
        shifts = [[int(torch.randint(size, (), generator=generator)) for size in cells.grid] for _ in range(TRIES)]
        rolled = [row.roll(shift, dims=(0, 1)) for shift in shifts]
        moved.append(min(rolled, key=lambda other: int((other & row).sum())))
    return torch.stack(moved).flatten(1)


def exact_sign_test(first: Tensor, second: Tensor) -> float:
    """Return the chance that as many more images flip by the first as do, were both alike: the exact sign test.

    Images that flip by both or by neither say nothing (McNemar 1947, one-sided).

    Args:
        first, second: ``(n,)`` bool, of the same images.
    """
    from scipy.stats import binom  # takes half a second, which a prediction need not wait for

    more, less = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binom.sf(more - 1, more + less, 0.5)) if more + less else 1.0


def more_often(own: Flips, others: Flips) -> bool:
    """Return whether flips are more frequent than among other images (Fisher's exact test, one-sided, `LEVEL`).

    Where hardly any other image has the region, nothing is known against it.
    """
    from scipy.stats import fisher_exact

    if not others.images:
        return True
    table = [[own.flipped, own.images - own.flipped], [others.flipped, others.images - others.flipped]]
    found: Any = fisher_exact(np.array(table), alternative="greater")
    return found.pvalue < LEVEL or (others.images < LEAST_IMAGES and own.share > others.share)


__all__ = ["LEAST_IMAGES", "Candidate", "Flips", "Images", "Region", "Search", "candidates", "elsewhere"]
