"""What a SimMIM fills in, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.models.simmim import SimMIM
from vitrail.settings import LookSettings
from vitrail.visualize.figure import Figure
from vitrail.visualize.mask_variants import mask_variants
from vitrail.visualize.reconstruction import filled_data
from vitrail.visualize.simmim_reconstruction import draw_made, fill_in


def draw_reconstruction(
    model: SimMIM,
    images: Tensor,
    captions: Sequence[str],
    preprocessing: Preprocessing,
    settings: LookSettings | None = None,
) -> dict[str, Figure]:
    """Draw what a model fills in, at the ratios and from the seeds that are asked for."""
    mean, std = preprocessing.mean, preprocessing.std
    ratios = (settings.mask_ratio if settings else ()) or (model.config.mask_ratio,)
    seeds = settings.seeds if settings else (0,)
    hidden = mask_variants(model.grid(images), len(images), ratios=ratios, seeds=seeds)
    made = [fill_in(model, images, way.mask) for way in hidden]
    predicted, gone = [one[0] for one in made], [one[2][:, 0] for one in made]
    data = filled_data(images.detach().float().cpu(), predicted, gone, hidden, mean, std)
    return {"reconstruction": Figure(draw_made(images, made, hidden, mean, std, captions=captions), data=data)}
