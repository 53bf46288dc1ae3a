"""What a masked autoencoder sees, and what it makes of it.

A model trained on normalised targets predicts each patch without its mean and contrast. To show such a prediction
both must come from somewhere: `estimated`, from the visible patches and from how predictions meet (`statistics`),
is what could be known; `true`, from the hidden patch itself, shows how well the pattern alone was predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.layers.patches import pad_to_patches, patchify, unpatchify
from vitrail.models.mae import MAE
from vitrail.models.targets import patch_statistics
from vitrail.visualize.draw import HIDDEN, Tile, enlarge, sheet, to_image
from vitrail.visualize.mask_variants import MaskVariant, mask_variants
from vitrail.visualize.statistics import estimate_statistics

Statistics = Literal["estimated", "true"]

UNTRAINED = "Where a patch was visible the model is not trained to predict anything, and the reconstruction is noise."


@dataclass(frozen=True)
class Reconstruction:
    """Images with patches hidden and predicted, all on the CPU and normalised as the originals are.

    Attributes:
        original: ``(B, C, H, W)``.
        predicted: ``(B, C, H, W)``, every patch as the model predicts it.
        pasted: ``(B, C, H, W)``, the original where it was visible, the prediction where it was hidden.
        hidden: ``(B, H, W)`` bool, which pixels were hidden.
        mask: ``(B, N)`` bool, which patches were hidden.
        label: one sentence saying what is predicted, and where the rest comes from.
        sayable: ``(B, C, H, W)``, the original as far as the model's target can describe it; None where that is all.
    """

    original: Tensor
    predicted: Tensor
    pasted: Tensor
    hidden: Tensor
    mask: Tensor
    label: str
    sayable: Tensor | None = None


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
    """Hide patches of images and let a masked autoencoder fill them in.

    Args:
        mae: the model; what its targets are, `MAEConfig.target` says.
        images: ``(B, C, H, W)``, normalised, of any size and on any device.
        mask: ``(B, N)``, 1 = hidden, the same number in every row.
        statistics: whose mean and contrast hidden patches get; without effect on other targets.

    Raises:
        ConfigError: unknown statistics, the mask does not fit the images, or the model's tokens cannot be drawn.
    """
    if statistics not in ("estimated", "true"):
        raise ConfigError(f"statistics are 'estimated' or 'true', not {statistics!r}")
    grid, size = mae.grid(images), mae.patch_size
    device = device_of(mae)
    target = mae.decoder.target
    with evaluating(mae):
        predicted = target.to_patches(mae(images.to(device), mask.to(device)).predicted.float()).cpu()
        sayable = None if target.is_pixels else target.shown(mae.target(images.to(device))).cpu()
    images, mask = images.detach().float().cpu(), mask.cpu().bool()
    patches = patchify(pad_to_patches(images, size), size)
    if mae.config.target == "normalized":
        predicted = to_pixels(predicted, patches, mask, grid, size, statistics)
    pasted = torch.where(mask.unsqueeze(-1), predicted, patches)

    def image(patches: Tensor) -> Tensor:
        return unpatchify(patches, size, grid)[..., : images.shape[-2], : images.shape[-1]]

    hidden = image(mask.unsqueeze(-1).expand(-1, -1, size * size))[:, 0]
    return Reconstruction(
        images,
        image(predicted),
        image(pasted),
        hidden,
        mask,
        describe(mae, statistics),
        None if sayable is None else image(sayable),
    )


def describe(mae: MAE, statistics: Statistics) -> str:
    """Say in a sentence what the model predicts, and where the rest of the image comes from."""
    config = mae.config
    if config.target == "pixels":
        return "The model predicts pixels as they are."
    if config.target == "pca":
        return (
            f"The model predicts {mae.decoder.target.size} coefficients in the principal components of patches, and "
            "this is what they add up to."
        )
    if config.target == "tokens":
        return f"The model chooses one of {config.vocabulary} tokens for each patch, and this is what it stands for."
    if statistics == "true":
        return (
            "The model predicts patterns without brightness and contrast; this image uses the hidden patch's true "
            "mean and contrast, which the model does not know."
        )
    return (
        "The model predicts patterns without brightness and contrast; this image uses estimates, made "
        "from the visible patches and from how predictions meet, without looking at what is hidden."
    )


def panel(
    mae: MAE,
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    hidden: Sequence[MaskVariant] = (),
    statistics: Statistics = "estimated",
    captions: Sequence[str] = (),
    title: str = "What the masked autoencoder fills in",
) -> Image.Image:
    """Draw images, what is left of them, and what a masked autoencoder makes of that.

    Args:
        mae, images, statistics: as in `reconstruct`.
        mean, std: per channel, with which the images were normalised.
        hidden: ways to hide patches, a row for each; by default one at the model's own ratio.
        captions: a line for each image.
        title: a line on top, or none.

    Returns:
        One image: original, visible patches, reconstruction, and the reconstruction with the visible patches
        pasted in; of principal components and tokens also the most they could say of the original. Where the
        reconstruction comes from is written below.

    Raises:
        ConfigError: a mask does not fit the images.
    """
    hidden = hidden or mask_variants(
        mae.grid(images), len(images), maskings=(mae.config.masking,), ratios=(mae.config.mask_ratio,)
    )
    made = [reconstruct(mae, images, one.mask, statistics) for one in hidden]
    return draw_made(made, hidden, mean, std, captions=captions, title=title)


def draw_made(
    made: Sequence[Reconstruction],
    ways: Sequence[MaskVariant],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    captions: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Draw what a masked autoencoder made of images, as `panel` does.

    Args:
        made: the reconstructions by each way to hide patches.
        ways: these ways, in the same order.
        mean, std, captions, title: as in `panel`.
    """
    rows: list[list[Tile | None]] = []
    for index, image in enumerate(made[0].original):
        original = to_image(image, mean, std)
        for way, result in zip(ways, made, strict=True):
            first = result is made[0]
            parts = (result.predicted, result.pasted, *(() if result.sayable is None else (result.sayable,)))
            shown = [without_hidden(original, result.hidden[index]), *(to_image(p[index], mean, std) for p in parts)]
            texts = [way.caption, *[""] * len(parts)]
            before = Tile(enlarge(original), captions[index] if captions else "") if first else None
            rows.append([before, *(Tile(enlarge(p), text) for p, text in zip(shown, texts, strict=True))])
    columns = ["original", "visible", "reconstruction", "with visible pasted"]
    return sheet(
        rows,
        title=title,
        columns=[*columns, *(["the most it could say"] if made[0].sayable is not None else [])],
        note=f"{made[0].label} {UNTRAINED}",
    )


def filled_data(
    original: Tensor,
    predicted: Sequence[Tensor],
    hidden: Sequence[Tensor],
    ways: Sequence[MaskVariant],
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Return what is drawn of reconstructions as numbers.

    Args:
        original: ``(B, C, H, W)``, normalised.
        predicted: the same as predicted, by each way to hide patches.
        hidden: ``(B, H, W)`` bool, the hidden pixels, likewise.
        ways: these ways, in the same order.
        mean, std: per channel, with which the images were normalised.

    Returns:
        ``image`` (B, C, H, W) and ``predicted`` (V, B, C, H, W), both from 0, black, to 1, white, where the prediction
        may lie beyond; ``mask`` (V, B, N), 1 = hidden; ``way`` (V,), how patches were hidden; ``error`` (V, B), the
        mean squared error over the hidden pixels, in the same scale.
    """
    scale, shift = (torch.tensor(part).view(-1, 1, 1) for part in (std, mean))
    images, made = original * scale + shift, torch.stack(list(predicted)) * scale + shift
    gone = torch.stack(list(hidden)).unsqueeze(2).expand_as(made)
    squares = torch.where(gone, (made - images).square(), torch.zeros(())).sum(dim=(2, 3, 4))
    return {
        "image": images,
        "predicted": made,
        "mask": torch.stack([way.mask.cpu() for way in ways]),
        "way": [way.caption for way in ways],
        "error": squares / gone.sum(dim=(2, 3, 4)).clamp(min=1),
    }


def without_hidden(image: Image.Image, hidden: Tensor) -> Image.Image:
    """Paint the hidden pixels ``(H, W)`` of an image in one flat grey; the result is RGB."""
    pixels = np.array(image.convert("RGB"))
    pixels[hidden.numpy()] = HIDDEN
    return Image.fromarray(pixels)
