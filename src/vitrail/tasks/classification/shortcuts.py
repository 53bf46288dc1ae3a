"""Shortcuts: on which regions the answers of each class hang, over many images, as figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitrail.console import percent, shortened
from vitrail.data.sources import Images as Pool
from vitrail.errors import DataError
from vitrail.explain.appearance import descriptors
from vitrail.explain.cells import Cells
from vitrail.explain.refilled import answers
from vitrail.explain.regions import fine_cells
from vitrail.explain.shortcuts import LEAST_IMAGES, Flips, Images, Region, Search
from vitrail.output import Progress, say
from vitrail.settings import LookSettings
from vitrail.tasks.fill import NamedFill, open_fill
from vitrail.tasks.inputs import inputs_of
from vitrail.visualize.figure import Figure
from vitrail.visualize.shortcuts import Example, ShortcutRow, draw_flips, draw_shortcuts
from vitrail.weights.description import Description

READ_AT_ONCE = 32
OTHERS = 60
"""Images of other classes that a region is looked for in."""

EXAMPLES = 3
"""Images that show a region."""

BEST = 3
"""Regions of a class that stand in its table where none stands out; those that do all stand there."""

ONLY_MOST = "Drawn are regions that flip most, which no test tells from chance or from other classes."

MOST_NAMED = 20
"""Classes that a sentence lists, and a chart shows."""

SEED = 0
"""Of the groups of cells, and of the regions elsewhere."""


@dataclass(frozen=True)
class ClassRegions:
    """What was found of one class.

    Attributes:
        name: of the class.
        images: how many images of it were searched.
        regions: all that were tried, those that stand out first, then by the images they flip.
    """

    name: str
    images: int
    regions: tuple[Region, ...]

    @property
    def outstanding(self) -> tuple[Region, ...]:
        """The regions that the class hangs on."""
        return tuple(one for one in self.regions if one.stands_out)


class ShortcutSearch:
    """Searches the images of a data set, class by class as the model names them.

    Args:
        model: the classifier.
        description: of it.
        pool: the images.
        settings: what was asked for.

    Raises:
        ConfigError: the fill cannot be used, or the cells do not fit the images.
        DataError: the model names no class often enough.
    """

    def __init__(self, model: Any, description: Description, pool: Pool, settings: LookSettings) -> None:
        assert settings.fill is not None  # as `vitrail.meaning` demands
        self._model, self._description, self._pool = model, description, pool
        preprocessing = description.preprocessing
        self._fill: NamedFill = open_fill(settings.fill, preprocessing)
        self._cells: Cells = fine_cells(*preprocessing.image_size, settings.cell)
        self._answers = self._named()
        self._chosen = _chosen(self._answers, settings.shortcut_images)
        searched = [number for number, images in self._chosen.items() if len(images) >= LEAST_IMAGES]
        if not searched:
            raise DataError(
                f"of {len(pool):,} images the model names no class {LEAST_IMAGES} times or more, which a search for "
                "shortcuts needs; give more images"
            )
        self._total = sum(len(self._chosen[number]) for number in searched)
        self._progress, self._done = Progress("images searched for shortcuts", at_once=True), 0

    @property
    def names(self) -> Sequence[str]:
        """Of the classes."""
        return self._description.class_names

    @property
    def cells(self) -> Cells:
        """In which regions are hidden."""
        return self._cells

    @property
    def fill(self) -> NamedFill:
        """What stands in the place of what is hidden."""
        return self._fill

    def run(self) -> list[ClassRegions]:
        """Search every class that the model names often enough; the others have no regions."""
        return [self._of_class(number) for number in sorted(self._chosen)]

    def shown(self, found: ClassRegions, region: Region) -> list[Example]:
        """Return some images of a class with a region, and with it filled in.

        Those that flip come first, and among them those in which the region is about as large as in most.
        """
        own = self._chosen[self.names.index(found.name)]
        sizes = region.hidden.sum(dim=1)
        unusual = (sizes - sizes[region.present].median()).abs().tolist()
        present = region.present.nonzero().flatten().tolist()
        order = sorted(present, key=lambda number: (not bool(region.flipped[number]), unusual[number]))
        return [self._example(own[number], region.hidden[number]) for number in order[:EXAMPLES]]

    def file(self, found: ClassRegions, number: int) -> str:
        """Return the name of an image of a class."""
        return self._pool.names[self._chosen[self.names.index(found.name)][number]]

    def _example(self, number: int, hidden: Tensor) -> Example:
        image = self._read([number])
        filled = self._fill_of(number)(image, hidden.view(1, 1, -1), self._cells)[0, 0]
        after = self.names[int(answers(self._model, filled.unsqueeze(0)))]
        covered = self._cells.over_pixels(hidden)
        return Example(image[0], covered, filled, self._pool.names[number], self.names[self._answers[number]], after)

    def _of_class(self, number: int) -> ClassRegions:
        own = self._chosen[number]
        if len(own) < LEAST_IMAGES:
            return ClassRegions(self.names[number], len(own), ())
        rest = [one for other, images in self._chosen.items() if other != number for one in images]
        others = [rest[place] for place in _spread(len(rest), OTHERS)]
        search = Search(self._model, self._cells, self._images(own), self._images(others), SEED, self._count)
        return ClassRegions(self.names[number], len(own), tuple(search.run()))

    def _count(self) -> None:
        self._done += 1
        self._progress.reached(self._done, self._total)

    def _images(self, numbers: Sequence[int]) -> Images:
        images, preprocessing = self._read(numbers), self._description.preprocessing
        shape = (1, -1, 1, 1)
        pixels = images * torch.tensor(preprocessing.std).view(shape) + torch.tensor(preprocessing.mean).view(shape)
        named = torch.tensor([self._answers[number] for number in numbers], dtype=torch.int64)
        return Images(images, named, descriptors(pixels, self._cells), [self._fill_of(one) for one in numbers])

    def _fill_of(self, number: int) -> Any:
        return self._fill.again(number) if self._fill.again else self._fill.fill

    def _read(self, numbers: Sequence[int]) -> Tensor:
        if not numbers:
            return torch.empty(0, self._description.preprocessing.channels, self._cells.height, self._cells.width)
        return inputs_of(self._pool.subset(numbers), self._description).images

    def _named(self) -> list[int]:
        """Return the class that the model gives each image."""
        progress, found = Progress("images classified", at_once=True), []
        for start in range(0, len(self._pool), READ_AT_ONCE):
            found += answers(self._model, self._read(range(start, min(start + READ_AT_ONCE, len(self._pool))))).tolist()
            progress.reached(len(found), len(self._pool))
        return found


def draw_all_shortcuts(model: Any, description: Description, pool: Pool, settings: LookSettings) -> dict[str, Figure]:
    """Search for shortcuts, say what was found, and draw it.

    Args:
        model, description: the classifier.
        pool: the images.
        settings: what was asked for.

    Returns:
        ``shortcuts``: the regions that stand out, in images; without any those that flip most. ``shortcut_flips``: how
        many images each region flips, class by class.
    """
    search = ShortcutSearch(model, description, pool, settings)
    found = search.run()
    said = list(sentences(found, search.names))
    for line in said:
        say(line)
    preprocessing = description.preprocessing
    rows = [_drawn(search, one, region) for one in found for region in one.outstanding]
    best = [one for one in found if one.regions and not rows]
    rows = rows or [_drawn(search, one, one.regions[0]) for one in sorted(best, key=_most_flips)[:BEST]]
    how = (
        f"Of {len(pool):,} images up to {settings.shortcut_images} of each class, as the model names it, were "
        f"searched; cells of {search.cells.side} pixels are {search.fill.what}. "
        f"A region stands out that flips more images than one of the same shape elsewhere in them (exact sign test, "
        "Bonferroni over all regions of the class), and than in images of other classes (Fisher's exact test)."
    )
    note = " ".join([*said, *([] if any(one.outstanding for one in found) else [ONLY_MOST])])
    image = draw_shortcuts(rows, preprocessing.mean, preprocessing.std, note)
    flips = draw_flips([(one.name, [_bars(region) for region in one.regions]) for one in _charted(found)])
    data = {
        "fill": settings.fill,
        "images": len(pool),
        "input_size": list(preprocessing.image_size),
        "cell": search.cells.side,
        "grid": list(search.cells.grid),
        "said": said,
        "classes": [_data(one, search) for one in found],
    }
    table = _table(found, search)
    return {
        "shortcuts": Figure(image, "Shortcuts", f"{note} {how}", data),
        "shortcut_flips": Figure(
            flips,
            "Regions and the images they flip",
            "Of every class the share of its images that get another answer when a region is filled in, with 95 % "
            "intervals (Wilson): what stands out, what flips most, and for those what a region of the same shape "
            "elsewhere flips.",
            {"regions": table},
            table,
        ),
    }


def sentences(found: Sequence[ClassRegions], names: Sequence[str]) -> Iterator[str]:
    """Say what was found: a sentence for each region that stands out, one for the classes without any."""
    for one in found:
        for region in one.outstanding:
            yield _sentence(one, region, names)
    nothing = [one.name for one in found if one.regions and not one.outstanding]
    if nothing:
        yield f"Nothing stands out for {shortened(nothing, MOST_NAMED)}."
    few = [f"{one.name} ({one.images})" for one in found if not one.regions]
    if few:
        yield f"Too few images for a test, {LEAST_IMAGES} being needed: {shortened(few, MOST_NAMED)}."


def _sentence(one: ClassRegions, region: Region, names: Sequence[str]) -> str:
    assert region.random is not None
    towards = f", mostly to {names[region.towards[0][0]]}" if region.towards else ""
    others = region.elsewhere or Flips(0, 0)
    in_others = (
        f"of the images of other classes that have it {others.flipped} of {others.images} change"
        if others.images
        else "no image of the other classes has it"
    )
    return (
        f"{one.name} hangs on {region.name}: filling that in ({percent(region.share)} of an image) changes the answer "
        f"of {_counted(region.flips)}{towards}; one of the same shape elsewhere in them that of "
        f"{region.random.flipped}; {in_others}."
    )


def _counted(flips: Flips) -> str:
    low, high = flips.interval
    return f"{flips.flipped} of {flips.images} images ({percent(flips.share)}, {100 * low:.0f} to {100 * high:.0f} %)"


def _drawn(search: ShortcutSearch, found: ClassRegions, region: Region) -> ShortcutRow:
    return ShortcutRow(found.name, region.name, _counted(region.flips), region.stands_out, search.shown(found, region))


def _bars(region: Region) -> tuple[str, Flips, Flips | None, bool]:
    return region.name, region.flips, region.random, region.stands_out


def _charted(found: Sequence[ClassRegions]) -> list[ClassRegions]:
    """Return the classes of a chart, in their order: of many those with regions that stand out, or that flip most."""
    searched = [one for one in found if one.regions]
    kept = sorted(searched, key=lambda one: (not one.outstanding, _most_flips(one)))[:MOST_NAMED]
    names = {one.name for one in kept}
    return [one for one in searched if one.name in names]


def _most_flips(found: ClassRegions) -> float:
    return -found.regions[0].flips.share


def _chosen(named: Sequence[int], most: int) -> dict[int, list[int]]:
    """Return for each class that is named the numbers of at most so many of its images, evenly spread."""
    classes: dict[int, list[int]] = {}
    for number, answer in enumerate(named):
        classes.setdefault(answer, []).append(number)
    return {answer: [images[place] for place in _spread(len(images), most)] for answer, images in classes.items()}


def _spread(count: int, most: int) -> list[int]:
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most)).round()}) if count else []


def _table(found: Sequence[ClassRegions], search: ShortcutSearch) -> list[dict[str, Any]]:
    return [{"class": one.name, **_figures(region, search)} for one in found for region in one.regions]


def _data(found: ClassRegions, search: ShortcutSearch) -> dict[str, Any]:
    regions = []
    for region in found.regions:
        flipped = region.flipped.nonzero().flatten().tolist()
        regions.append({**_figures(region, search), "flipped_images": [search.file(found, one) for one in flipped]})
        if region.stands_out:
            regions[-1]["cells"] = {
                search.file(found, number): region.hidden[number].nonzero().flatten().tolist()
                for number in region.present.nonzero().flatten().tolist()
            }
    return {"class": found.name, "images": found.images, "regions": regions}


def _figures(region: Region, search: ShortcutSearch) -> dict[str, Any]:
    low, high = region.flips.interval
    random, others = region.random, region.elsewhere
    return {
        "region": region.name,
        "kind": region.kind,
        "stands_out": region.stands_out,
        "share_hidden": region.share,
        "images": region.flips.images,
        "flipped": region.flips.flipped,
        "share_flipped": region.flips.share,
        "low": low,
        "high": high,
        "mostly_to": search.names[region.towards[0][0]] if region.towards else None,
        "flipped_by_region_elsewhere": random.flipped if random else None,
        "images_of_other_classes": others.images if others else None,
        "flipped_of_other_classes": others.flipped if others else None,
        "p": region.p,
    }


__all__ = ["ClassRegions", "ShortcutSearch", "draw_all_shortcuts", "sentences"]
