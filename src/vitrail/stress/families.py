"""The examples of every family of curves: one of a model's images under all that is done to it."""

from __future__ import annotations

from PIL import Image

from vitrail.stress.curves import Curve
from vitrail.stress.examples import draw_family
from vitrail.stress.image import StressImage
from vitrail.stress.randomness import rank_of
from vitrail.stress.study import Measured


def draw_families(measured: Measured) -> dict[str, Image.Image]:
    """Draw an image under the changes of each family that was measured, by the family's name."""
    families: dict[str, list[Curve]] = {}
    for curve in measured.measurement.curves:
        families.setdefault(curve.group, []).append(curve)
    image, grid = shown_image(measured), measured.measurement.model.token_grid
    return {group: draw_family(image, curves, grid) for group, curves in families.items()}


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


__all__ = ["draw_families", "shown_image"]
