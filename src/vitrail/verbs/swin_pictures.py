"""Pictures of what is special about a Swin: its windows, its biases, and attention through both."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor, nn

from vitrail.figures import hidden_squares, offsets, pixel, windows
from vitrail.figures.hiding import hidings
from vitrail.models.registry import backbone_of
from vitrail.models.simmim import SimMIM
from vitrail.settings import LookSettings
from vitrail.weights.description import Description

WITHOUT_BIAS = ("absolute", "none")


def draw_swin(
    model: nn.Module,
    description: Description,
    images: Tensor,
    captions: Sequence[str],
    settings: LookSettings | None = None,
) -> dict[str, Image.Image]:
    """Draw windows on the first picture, the biases, and attention in all pictures ``(B, C, H, W)``, by name."""
    mean, std = description.preprocessing.mean, description.preprocessing.std
    chosen = settings.pixel if settings else None
    drawn = {
        "attention": pixel.panel(model, images, mean, std, captions=captions, pixel=chosen),
        "windows": windows.panel(model, images[0], mean, std),
    }
    if backbone_of(model).config.positions not in WITHOUT_BIAS:
        drawn["bias"] = offsets.panel(model, layers=settings.layers or None if settings else None)
    return drawn


def draw_simmim(
    model: SimMIM,
    description: Description,
    images: Tensor,
    captions: Sequence[str],
    settings: LookSettings | None = None,
) -> dict[str, Image.Image]:
    """Draw what a model fills in, at the ratios and from the seeds that are asked for."""
    mean, std = description.preprocessing.mean, description.preprocessing.std
    ratios = (settings.mask_ratio if settings else ()) or (model.config.mask_ratio,)
    seeds = settings.seeds if settings else (0,)
    hidden = hidings(model.grid(images), len(images), ratios=ratios, seeds=seeds)
    return {"reconstruction": hidden_squares.panel(model, images, mean, std, hidden=hidden, captions=captions)}
