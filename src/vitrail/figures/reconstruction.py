"""What a masked autoencoder sees, and what it makes of it.

A model trained on normalised targets predicts each patch without its mean and contrast. To show such a prediction
both must come from somewhere: `estimated`, from the visible patches and from how predictions meet (`statistics`),
is what could be known; `true`, from the hidden patch itself, shows how well the pattern alone was predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.figures.draw import HIDDEN, Tile, enlarge, sheet, to_picture
from vitrail.figures.record import device_of, evaluating
from vitrail.figures.statistics import estimate_statistics
from vitrail.layers.masking import random_mask
from vitrail.layers.patches import pad_to_patches, patchify, unpatchify
from vitrail.models.mae import MAE, patch_statistics

Statistics = Literal["estimated", "true"]

UNTRAINED = "Where a patch was visible the model is not trained to predict anything, and the reconstruction is noise."


@dataclass(frozen=True)
class Reconstruction:
    """Pictures with patches hidden and predicted, all on the CPU and normalised as the originals are.

    Attributes:
        original: ``(B, C, H, W)``.
        predicted: ``(B, C, H, W)``, every patch as the model predicts it.
        pasted: ``(B, C, H, W)``, the original where it was visible, the prediction where it was hidden.
        hidden: ``(B, H, W)`` bool, which pixels were hidden.
        mask: ``(B, N)`` bool, which patches were hidden.
        label: one sentence saying where brightness and contrast of the prediction come from.
    """

    original: Tensor
    predicted: Tensor
    pasted: Tensor
    hidden: Tensor
    mask: Tensor
    label: str


def seeded_mask(patches: int, ratio: float, batch: int, seed: int) -> Tensor:
    """Draw a mask ``(B, N)``, 1 = hidden, from a seed alone; torch's random numbers go on as if nothing was drawn.

    Raises:
        ConfigError: the ratio hides nothing or everything.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return random_mask(patches, ratio, batch)


def to_pixels(
    predicted: Tensor,
    patches: Tensor,
    mask: Tensor,
    grid: tuple[int, int],
    patch_size: int,
    statistics: Statistics = "estimated",
) -> Tensor:
    """Turn predictions of normalised targets into pixels; the inverse of `MAE.target` where it can be.

    Args:
        predicted: ``(B, N, P * P * C)``, each patch without its mean and contrast.
        patches: the original's, ``(B, N, P * P * C)``.
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.
        patch_size: P.
        statistics: ``estimated`` without looking at hidden patches, or ``true``, the hidden patches' own.

    Returns:
        ``(B, N, P * P * C)`` in the scale of ``patches``.
    """
    if statistics == "true":
        mean, deviation = patch_statistics(patches)
    else:
        mean, deviation = estimate_statistics(predicted, patches, mask, grid, patch_size)
    return predicted * deviation + mean


def reconstruct(mae: MAE, images: Tensor, mask: Tensor, statistics: Statistics = "estimated") -> Reconstruction:
    """Hide patches of pictures and let a masked autoencoder fill them in.

    Args:
        mae: the model; what its targets are, `MAEConfig.normalize_target` says.
        images: ``(B, C, H, W)``, normalised, of any size and on any device.
        mask: ``(B, N)``, 1 = hidden, the same number in every row.
        statistics: whose mean and contrast hidden patches get; without effect on raw targets.

    Raises:
        ConfigError: unknown statistics, or the mask does not fit the pictures.
    """
    if statistics not in ("estimated", "true"):
        raise ConfigError(f"statistics are 'estimated' or 'true', not {statistics!r}")
    grid, size = mae.grid(images), mae.patch_size
    device = device_of(mae)
    with evaluating(mae):
        predicted = mae(images.to(device), mask.to(device)).predicted.float().cpu()
    images, mask = images.detach().float().cpu(), mask.cpu().bool()
    patches = patchify(pad_to_patches(images, size), size)
    if mae.config.normalize_target:
        predicted = to_pixels(predicted, patches, mask, grid, size, statistics)
    pasted = torch.where(mask.unsqueeze(-1), predicted, patches)

    def picture(patches: Tensor) -> Tensor:
        return unpatchify(patches, size, grid)[..., : images.shape[-2], : images.shape[-1]]

    hidden = picture(mask.unsqueeze(-1).expand(-1, -1, size * size))[:, 0]
    label = describe(statistics) if mae.config.normalize_target else "The model predicts pixels as they are."
    return Reconstruction(images, picture(predicted), picture(pasted), hidden, mask, label)


def describe(statistics: Statistics) -> str:
    """Say in a sentence where brightness and contrast of hidden patches come from."""
    if statistics == "true":
        return (
            "The model predicts patterns without brightness and contrast; this picture uses the hidden patch's true "
            "mean and contrast, which the model does not know."
        )
    return (
        "The model predicts patterns without brightness and contrast; this picture uses estimates, made "
        "from the visible patches and from how predictions meet, without looking at what is hidden."
    )


def panel(
    mae: MAE,
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    ratios: Sequence[float] = (0.75,),
    seeds: Sequence[int] = (0,),
    statistics: Statistics = "estimated",
    captions: Sequence[str] = (),
    title: str = "What the masked autoencoder fills in",
) -> Image.Image:
    """Draw pictures, what is left of them, and what a masked autoencoder makes of that.

    Args:
        mae, images, statistics: as in `reconstruct`.
        mean, std: per channel, with which the pictures were normalised.
        ratios: shares of the patches to hide, a row for each.
        seeds: of the masks, a row for each; the same seed hides the same patches.
        captions: a line for each picture.
        title: a line on top, or none.

    Returns:
        One picture: original, visible patches, reconstruction, and the reconstruction with the visible patches
        pasted in; where it comes from is written below.

    Raises:
        ConfigError: a ratio hides nothing or everything.
    """
    h, w = mae.grid(images)
    settings = [(ratio, seed) for ratio in ratios for seed in seeds]
    made = [
        reconstruct(mae, images, seeded_mask(h * w, ratio, len(images), seed), statistics) for ratio, seed in settings
    ]
    rows: list[list[Tile | None]] = []
    for index, image in enumerate(images):
        for (ratio, seed), result in zip(settings, made, strict=True):
            first = result is made[0]
            original = to_picture(image, mean, std)
            setting = f"{ratio:.0%} hidden" + (f", mask {seed}" if len(seeds) > 1 else "")
            shown = [
                without_hidden(original, result.hidden[index]),
                to_picture(result.predicted[index], mean, std),
                to_picture(result.pasted[index], mean, std),
            ]
            caption = captions[index] if captions else ""
            rows.append(
                [
                    Tile(enlarge(original), caption) if first else None,
                    *(Tile(enlarge(picture), text) for picture, text in zip(shown, (setting, "", ""), strict=True)),
                ]
            )
    return sheet(
        rows,
        title=title,
        columns=("original", "visible", "reconstruction", "with visible pasted"),
        note=f"{made[0].label} {UNTRAINED}" if made else "",
    )


def without_hidden(picture: Image.Image, hidden: Tensor) -> Image.Image:
    """Paint the hidden pixels ``(H, W)`` of a picture in one flat grey; the result is RGB."""
    pixels = np.array(picture.convert("RGB"))
    pixels[hidden.numpy()] = HIDDEN
    return Image.fromarray(pixels)
