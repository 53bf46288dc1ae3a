"""``vitrail models --flops``: how attention and whole models grow with the image."""

from __future__ import annotations

import dataclasses

from vitrail.errors import ConfigError, nearest
from vitrail.models.growth import Growth, growth
from vitrail.models.swin import SIZES as SWINS
from vitrail.models.vit import SIZES as VITS
from vitrail.output import say, say_table
from vitrail.runs.place import check_place
from vitrail.serialize import dumps
from vitrail.settings import ModelsSettings
from vitrail.visualize.growth import draw_growth

SIZES = (224, 384, 512, 640, 800, 1024)

PAIR = ("swin_t", "vit_s16")
"""Two models of about the same cost at 224 pixels."""


def show_growth(settings: ModelsSettings) -> None:
    """Print how the models that are asked for grow, and draw it if a file is named.

    Raises:
        ConfigError: no model with attention has such a name.
    """
    names = [name for name in (*SWINS, *VITS) if settings.pattern in name] if settings.pattern else list(PAIR)
    if not names:
        raise ConfigError(f"no Swin or ViT is named {settings.pattern!r}{nearest(settings.pattern, (*SWINS, *VITS))}")
    figure = settings.figure
    path = None if figure is None else check_place(figure, "", option="--figure", file=True)
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"--figure draws a PNG file; {path.name} does not end in .png")
    grown = {name: growth(name, SIZES) for name in names}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_growth(grown).save(path)
    if settings.json:
        print(dumps({name: [dataclasses.asdict(row) for row in rows] for name, rows in grown.items()}))
        return
    columns = ("side", "MSA", "W-MSA", "attention", "whole", "growth", "of pixels")
    for name, rows in grown.items():
        say_table(f"{name}: GMAC of one image", columns, [_row(row, rows[0]) for row in rows])
    say("MSA, W-MSA: all attention layers by the Swin paper's equations 1 and 2. Attention, whole: counted, with the")
    say("padding of windows and the class token. Growth: of the whole, beside that of the number of pixels.")
    if path is not None:
        say(str(path))


def _row(row: Growth, first: Growth) -> tuple[str, ...]:
    pixels = (row.image_size / first.image_size) ** 2
    windowed = "" if row.window_msa is None else _gmac(row.window_msa)
    counted = _gmac(row.counted), _gmac(row.total), f"{row.total / first.total:.1f}"
    return (str(row.image_size), _gmac(row.msa), windowed, *counted, f"{pixels:.1f}")


def _gmac(count: int) -> str:
    return f"{count / 1e9:,.2f}"
