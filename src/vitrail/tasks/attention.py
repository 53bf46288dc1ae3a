"""What a backbone attends to, as figures: of a ViT attention, of a Swin its windows and biases too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.explain.rollout import attention_maps
from vitrail.explain.stitched import window_rollout
from vitrail.models.backbone import backbone_of
from vitrail.settings import LookSettings
from vitrail.visualize import attention, offsets, pixel, windows
from vitrail.visualize.draw import contact_sheet, to_image
from vitrail.visualize.figure import Figure

WITHOUT_BIAS = ("absolute", "none")
INSIDE = ("pixel", "compare")
"""Options of what is drawn of any backbone's inside."""


def attention_figures(
    model: Any,
    images: Tensor,
    captions: Sequence[str],
    preprocessing: Preprocessing,
    settings: LookSettings | None = None,
) -> dict[str, Figure]:
    """Draw what a model's backbone attends to in images ``(B, C, H, W)``, with the numbers, by name."""
    mean, std = preprocessing.mean, preprocessing.std
    backbone = backbone_of(model)
    if backbone.has_windows:
        return _draw_swin(model, images, captions, preprocessing, settings)
    if not backbone.attention_layers():
        return {"answers": Figure(_answer_sheet(images, captions, preprocessing))}
    layers, figures = settings.layers if settings else (), {}
    for layer in layers or (-1,):
        maps = attention_maps(model, images, layer)
        data = {"rollout": maps.rollout, "heads": maps.heads, "layer": maps.layer}
        name = f"attention_{layer}" if layers else "attention"
        figures[name] = Figure(attention.panel(maps, images, mean, std, captions=captions), data=data)
    return figures


def attention_options(model: Any) -> tuple[str, tuple[str, ...]]:
    """Return what a model's backbone is, and the options of ``vitrail look`` that its attention has a use for."""
    backbone = backbone_of(model)
    if backbone.has_windows:
        return "a Swin", INSIDE if backbone.config.positions in WITHOUT_BIAS else (*INSIDE, "layers")
    return f"a {type(backbone).__name__}", (*INSIDE, "layers") if backbone.attention_layers() else INSIDE


def _draw_swin(
    model: Any, images: Tensor, captions: Sequence[str], preprocessing: Preprocessing, settings: LookSettings | None
) -> dict[str, Figure]:
    """Draw windows on the first image, the biases, and attention in all images, by name."""
    mean, std = preprocessing.mean, preprocessing.std
    chosen = settings.pixel if settings else None
    rollout = window_rollout(model, images, chosen)
    drawn = {
        "attention": Figure(
            pixel.panel(model, images, mean, std, captions=captions, pixel=chosen), data={"rollout": rollout}
        ),
        "windows": Figure(windows.panel(model, images[0], mean, std), data=windows.windows_data(model, images[0])),
    }
    if backbone_of(model).config.positions not in WITHOUT_BIAS:
        tables = {f"block {n}": table for n, table in enumerate(backbone_of(model).position_biases())}
        drawn["bias"] = Figure(offsets.panel(model, layers=settings.layers or None if settings else None), data=tables)
    return drawn


def _answer_sheet(images: Tensor, captions: Sequence[str], preprocessing: Preprocessing) -> Image.Image:
    """Draw images ``(B, C, H, W)`` with their captions: all there is to see of a model without attention."""
    note = "This model has no attention; what it answers stands below each image."
    shown = [to_image(image, preprocessing.mean, preprocessing.std) for image in images]
    return contact_sheet(shown, captions, note=note)
