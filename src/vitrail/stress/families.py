"""The examples of every family of curves: one of a model's images under all that is done to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vitrail.stress.curves import Curve
from vitrail.stress.examples import SHOWN_SIDE, draw_family, to_picture
from vitrail.stress.image import StressImage
from vitrail.stress.patch import PatchPlan, fitted, pasted
from vitrail.stress.patch_study import TrainedPatch
from vitrail.stress.randomness import rank_of
from vitrail.stress.study import Measured
from vitrail.visualize.draw import Tile, enlarge, sheet


def draw_families(measured: Measured) -> dict[str, Image.Image]:
    """Draw an image under the changes of each family that was measured, by the family's name."""
    families: dict[str, list[Curve]] = {}
    for curve in measured.measurement.curves:
        families.setdefault(curve.group, []).append(curve)
    image, grid = shown_image(measured), measured.measurement.model.token_grid
    return {group: draw_family(image, curves, grid) for group, curves in families.items()}


def draw_patches_on(patches: Sequence[TrainedPatch], measured: Measured) -> Image.Image:
    """Draw each patch, and below it an image with it: those trained on a model, and for it, in a row."""
    image, size = shown_image(measured), measured.measurement.model.size
    rows: list[list[Tile | None]] = []
    for name in dict.fromkeys(patch.trained_on for patch in patches):
        own = [patch for patch in patches if patch.trained_on == name]
        rows.append([Tile(enlarge(to_picture(patch.pixels), SHOWN_SIDE, SHOWN_SIDE), patch.words) for patch in own])
        sides = [PatchPlan(patch.area, None, 1).side(size) for patch in own]
        shown = [pasted(image, fitted(patch.pixels, side), 0) for patch, side in zip(own, sides, strict=True)]
        rows.append(
            [Tile(enlarge(to_picture(pixels), SHOWN_SIDE, SHOWN_SIDE), f"trained on {name}") for pixels in shown]
        )
    return sheet(rows)


def write_patches(folder: Path, patches: Sequence[TrainedPatch]) -> None:
    """Write each patch as a PNG file, to be printed or pasted elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for patch in patches:
        words = f"{patch.trained_on}-{100 * patch.area:g}{f'-{patch.target}' if patch.target else ''}"
        to_picture(patch.pixels).save(folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', words)[:80]}.png")


def shown_image(measured: Measured) -> StressImage:
    """Return the image that is drawn, with all that changes of it may rest on; always the same of the same images."""
    images, curves = measured.measurement.images, measured.measurement.curves
    identities = images.identities
    number = min(range(len(images)), key=lambda number: (rank_of(identities[number], "shown"), number))
    shown = images.read([number])
    if any("saliency" in curve.needs for curve in curves):
        assert measured.measurement.saliency is not None
        shown = measured.measurement.saliency.put_on(shown)
    if any("partner" in curve.needs for curve in curves):
        shown = images.with_partners(shown, [number], 0)
    return shown[0]


__all__ = ["draw_families", "draw_patches_on", "shown_image", "write_patches"]
