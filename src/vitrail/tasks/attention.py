"""What a backbone attends to, as figures: of a ViT attention, of a Swin its windows and biases too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.explain.rollout import attention_maps
from vitrail.models.backbone import backbone_of
from vitrail.settings import LookSettings
from vitrail.visualize import attention, offsets, pixel, windows
from vitrail.visualize.draw import contact_sheet, to_image

WITHOUT_BIAS = ("absolute", "none")


def draw_attention(
    model: Any,
    images: Tensor,
    captions: Sequence[str],
    preprocessing: Preprocessing,
    settings: LookSettings | None = None,
) -> dict[str, Image.Image]:
    """Draw what a model's backbone attends to in images ``(B, C, H, W)``, by name."""
    mean, std = preprocessing.mean, preprocessing.std
    backbone = backbone_of(model)
    if backbone.has_windows:
        return _draw_swin(model, images, captions, preprocessing, settings)
    if not backbone.attention_layers():
        return {"answers": _answer_sheet(images, captions, preprocessing)}
    layers = settings.layers if settings else ()
    return {
        f"attention_{layer}" if layers else "attention": attention.panel(
            attention_maps(model, images, layer), images, mean, std, captions=captions
        )
        for layer in layers or (-1,)
    }


def attention_options(model: Any) -> tuple[str, tuple[str, ...]]:
    """Return what a model's backbone is, and the options of ``vitrail look`` that its attention has a use for."""
    backbone = backbone_of(model)
    if backbone.has_windows:
        return "a Swin", ("pixel",) if backbone.config.positions in WITHOUT_BIAS else ("pixel", "layers")
    return f"a {type(backbone).__name__}", ("layers",) if backbone.attention_layers() else ()


def _draw_swin(
    model: Any, images: Tensor, captions: Sequence[str], preprocessing: Preprocessing, settings: LookSettings | None
) -> dict[str, Image.Image]:
    """Draw windows on the first image, the biases, and attention in all images, by name."""
    mean, std = preprocessing.mean, preprocessing.std
    chosen = settings.pixel if settings else None
    drawn = {
        "attention": pixel.panel(model, images, mean, std, captions=captions, pixel=chosen),
        "windows": windows.panel(model, images[0], mean, std),
    }
    if backbone_of(model).config.positions not in WITHOUT_BIAS:
        drawn["bias"] = offsets.panel(model, layers=settings.layers or None if settings else None)
    return drawn


def _answer_sheet(images: Tensor, captions: Sequence[str], preprocessing: Preprocessing) -> Image.Image:
    """Draw images ``(B, C, H, W)`` with their captions: all there is to see of a model without attention."""
    note = "This model has no attention; what it answers stands below each image."
    shown = [to_image(image, preprocessing.mean, preprocessing.std) for image in images]
    return contact_sheet(shown, captions, note=note)
