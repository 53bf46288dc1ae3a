"""What changes a classifier's mind: regions are hidden and filled in, and it is asked again, as a figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.console import percent
from vitrail.errors import ConfigError, nearest
from vitrail.explain.cells import Cells
from vitrail.explain.refilled import Refilled, refill
from vitrail.explain.regions import REGIONS, fine_cells, region
from vitrail.layers.masking import mask_of_image
from vitrail.paths import user_path
from vitrail.settings import LookSettings
from vitrail.tasks.drawn_mask import drawn_mask
from vitrail.tasks.fill import NamedFill, open_fill
from vitrail.tasks.inside import Inspected
from vitrail.visualize.figure import Figure
from vitrail.visualize.refilled import RefilledRow, draw_refilled


@dataclass(frozen=True)
class Counterfactual:
    """One image with one region filled in.

    Attributes:
        image: its number.
        region: what the user called the region.
        hidden: ``(N,)`` bool, its cells.
        refilled: the fillings and the answers.
    """

    image: int
    region: str
    hidden: Tensor
    refilled: Refilled


def check_regions(settings: LookSettings) -> None:
    """Refuse a region that does not exist, and fillings of which there cannot be several.

    Raises:
        ConfigError: the first of them.
    """
    for name in settings.counterfactual:
        if name not in REGIONS and not user_path(name, ConfigError).is_file():
            hint = nearest(name, REGIONS) or f"; choose one of {', '.join(REGIONS)}"
            raise ConfigError(f"--counterfactual {name!r} is neither a region nor the image of a mask{hint}")
    if settings.fillings < 1:
        raise ConfigError(f"--fillings takes 1 or more, not {settings.fillings}")


def draw_counterfactuals(inspected: Inspected, class_names: Sequence[str], settings: LookSettings) -> dict[str, Figure]:
    """Draw what the classifier answers once regions are filled in; nothing where none are asked for.

    Args:
        inspected: the classifier and its images.
        class_names: in the order of its outputs.
        settings: what was asked for.

    Raises:
        ConfigError: a mask does not fit, a region cannot be found in any image, or a fill cannot be used.
    """
    if not settings.counterfactual:
        return {}
    assert settings.fill is not None  # as `vitrail.meaning` demands
    fill = open_fill(settings.fill, inspected.preprocessing)
    if fill.again is None and settings.fillings != LookSettings.fillings:
        raise ConfigError(f"--fill {settings.fill} fills an image in one way only; leave out --fillings")
    cells = fine_cells(*inspected.size, settings.cell)
    found = [one for name in settings.counterfactual for one in _of_region(inspected, name, cells, fill, settings)]
    rows = [_row(inspected, one, cells, class_names) for one in found]
    count = len(inspected.images)
    said = [_sentence(name, [one for one in found if one.region == name], count) for name in settings.counterfactual]
    image = draw_refilled(rows, inspected.preprocessing.mean, inspected.preprocessing.std, " ".join(said))
    text = f"What the model answers when part of an image is {fill.what}. {' '.join(said)} {_spread(fill)}"
    data = {"fill": settings.fill, "found": [_data(inspected, one, class_names) for one in found]}
    return {"counterfactuals": Figure(image, "What changes its mind", text.strip(), data)}


def _of_region(
    inspected: Inspected, name: str, cells: Cells, fill: NamedFill, settings: LookSettings
) -> list[Counterfactual]:
    """Fill in one region of every image; one in which there is none of it, or nothing else, is passed over."""
    hidden = _cells_of(inspected, name, cells)
    counts = hidden.sum(dim=1)
    some = ((counts > 0) & (counts < cells.count)).nonzero().flatten().tolist()
    if not some:
        raise ConfigError(f"--counterfactual {name}: in none of the images is there a {name} beside something else")
    fills = fill.fillings(settings.fillings)
    model, images = inspected.model, inspected.images
    return [Counterfactual(n, name, hidden[n], refill(model, images[n], hidden[n], cells, fills)) for n in some]


def _cells_of(inspected: Inspected, name: str, cells: Cells) -> Tensor:
    if name in REGIONS:
        return region(name, inspected.model, inspected.images, cells)
    mask = mask_of_image(drawn_mask(name, inspected.size, cells.grid), cells.grid)
    return mask.expand(len(inspected.images), -1)


def _row(inspected: Inspected, one: Counterfactual, cells: Cells, class_names: Sequence[str]) -> RefilledRow:
    found = one.refilled
    own = class_names[found.answer]
    before, after = percent(float(found.before.max())), percent(float(found.kept.mean()))
    spread = "" if found.spread is None else f" ± {100 * found.spread:.1f}"
    region_name = one.region if one.region in REGIONS else Path(one.region).name
    captions = [
        f"{inspected.captions[one.image].splitlines()[0]}\n{own} {before}",
        f"{region_name}, {percent(float(one.hidden.double().mean()))} of the image\n"
        f"{own} {before} to {after}{spread}\n{_changed(found, class_names)}",
        *(
            f"{class_names[answer]} {percent(float(shares[answer]))}" + ("" if answer == found.answer else "\nchanged")
            for answer, shares in zip(found.answers.tolist(), found.after, strict=True)
        ),
    ]
    return RefilledRow(inspected.images[one.image], cells.over_pixels(one.hidden), found.shown, captions)


def _changed(found: Refilled, class_names: Sequence[str]) -> str:
    others = Counter(found.answers[found.changed].tolist())
    if not others:
        return "the answer stays"
    total = len(found.answers)
    said = [f"{class_names[number]}{f' {count}x' if total > 1 else ''}" for number, count in others.most_common(2)]
    return f"changed to {', '.join(said)}{f' of {total}' if total > 1 else ''}"


def _sentence(name: str, found: Sequence[Counterfactual], total: int) -> str:
    most = sum(int(one.refilled.changed.sum()) * 2 > len(one.refilled.changed) for one in found)
    before = torch.stack([one.refilled.before.max() for one in found]).mean()
    after = torch.stack([one.refilled.kept.mean() for one in found]).mean()
    region_name = name if name in REGIONS else Path(name).name
    images = "1 image" if len(found) == 1 else f"{len(found)} images"
    left_out = total - len(found)
    without = f" Left out: {left_out} of {total} images, in which it is nothing or everything." if left_out else ""
    return (
        f"Without {region_name}, {most} of {images} get another class in most fillings; the probability of the class "
        f"goes from {percent(float(before))} to {percent(float(after))} on average.{without}"
    )


def _spread(fill: NamedFill) -> str:
    if fill.again is None:
        return ""
    return (
        "Fillings differ in the patches that the masked autoencoder is shown: no more than in its training, drawn anew "
        "for each; ± is the standard deviation over them."
    )


def _data(inspected: Inspected, one: Counterfactual, class_names: Sequence[str]) -> dict[str, Any]:
    found = one.refilled
    return {
        "image": inspected.captions[one.image].splitlines()[0],
        "region": one.region,
        "share_hidden": float(one.hidden.double().mean()),
        "class": class_names[found.answer],
        "probability_before": float(found.before.max()),
        "probability_after": found.kept.tolist(),
        "probability_after_mean": float(found.kept.mean()),
        "probability_after_deviation": found.spread,
        "classes_after": [class_names[answer] for answer in found.answers.tolist()],
        "fillings_that_change_it": int(found.changed.sum()),
    }


__all__ = ["check_regions", "draw_counterfactuals"]
