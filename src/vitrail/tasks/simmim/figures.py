"""What a SimMIM fills in, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.models.simmim import SimMIM
from vitrail.settings import LookSettings
from vitrail.visualize import simmim_reconstruction
from vitrail.visualize.mask_variants import mask_variants


def draw_reconstruction(
    model: SimMIM,
    images: Tensor,
    captions: Sequence[str],
    preprocessing: Preprocessing,
    settings: LookSettings | None = None,
) -> dict[str, Image.Image]:
    """Draw what a model fills in, at the ratios and from the seeds that are asked for."""
    mean, std = preprocessing.mean, preprocessing.std
    ratios = (settings.mask_ratio if settings else ()) or (model.config.mask_ratio,)
    seeds = settings.seeds if settings else (0,)
    hidden = mask_variants(model.grid(images), len(images), ratios=ratios, seeds=seeds)
    return {"reconstruction": simmim_reconstruction.panel(model, images, mean, std, hidden=hidden, captions=captions)}
