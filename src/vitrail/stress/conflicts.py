"""A set of images whose shape says one class and whose texture another, written to be used elsewhere."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from vitrail.errors import ConfigError
from vitrail.serialize import write_whole
from vitrail.stress.curves import Curve
from vitrail.stress.examples import to_picture
from vitrail.stress.study import Measured

TABLE = "conflicts.csv"


def write_conflicts(folder: Path, measured: Measured) -> Path:
    """Write every image with the texture of another class, and a table of both classes; return the table's path.

    Args:
        folder: where to; made if need be.
        measured: a model with its images; their classes are called as it calls them.

    Raises:
        ConfigError: no such images were measured.
    """
    curve = next((curve for curve in measured.measurement.curves if "partner" in curve.needs), None)
    if curve is None:
        raise ConfigError("--keep-conflicts keeps images of --curves texture, of two classes or more; ask for it too")
    folder.mkdir(parents=True, exist_ok=True)
    rows = _written(folder, measured, curve)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([("file", "shape", "texture", "shape_image", "texture_image"), *rows])
    write_whole(folder / TABLE, table.getvalue().encode("utf-8", "surrogateescape"))
    return folder / TABLE


def _written(folder: Path, measured: Measured, curve: Curve) -> list[tuple[str, ...]]:
    """Write the images at full strength, and return the rows of the table."""
    images, names = measured.measurement.images, measured.measurement.model.predictor.description.class_names
    rows = []
    for part in images.parts:
        for number, image in zip(part, images.with_partners(images.read(part), part, 0), strict=True):
            assert image.partner is not None
            file = f"{number:06}.png"
            to_picture(curve.changed(image, curve.levels[-1], 0)).save(folder / file)
            both = (names[image.label], names[image.partner.label], image.name, image.partner.name)
            rows.append((file, *both))
    return rows


__all__ = ["write_conflicts"]
