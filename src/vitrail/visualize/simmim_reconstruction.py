"""What SimMIM hides from its encoder, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from vitrail.explain.record import device_of, evaluating
from vitrail.models.simmim import SimMIM
from vitrail.visualize.draw import Tile, enlarge, sheet, to_image
from vitrail.visualize.mask_variants import MaskVariant, mask_variants
from vitrail.visualize.reconstruction import without_hidden

COLUMNS = ("original", "visible", "reconstruction", "with visible pasted")

NOTE = (
    "The model predicts pixels as they are, by their absolute error, which prefers what is blurred to what is in the "
    "wrong place. Where a square was visible it is not trained to predict anything."
)


def panel(
    model: SimMIM,
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    hidden: Sequence[MaskVariant] = (),
    captions: Sequence[str] = (),
    title: str = "What the encoder fills in",
) -> Image.Image:
    """Draw images, what is left of them, and what the model predicts.

    Args:
        model: encoder and predictor.
        images: ``(B, C, H, W)``, normalised.
        mean, std: per channel, with which the images were normalised.
        hidden: ways to hide squares, a row for each; by default one at the model's own ratio.
        captions: a line for each image.
        title: a line on top, or none.

    Raises:
        ConfigError: a mask does not fit the images.
    """
    hidden = hidden or mask_variants(model.grid(images), len(images), ratios=(model.config.mask_ratio,))
    made = [fill_in(model, images, way.mask) for way in hidden]
    return draw_made(images, made, hidden, mean, std, captions=captions, title=title)


Made = tuple[Tensor, Tensor, Tensor]
"""What `fill_in` returns."""


def draw_made(
    images: Tensor,
    made: Sequence[Made],
    ways: Sequence[MaskVariant],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    captions: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Draw what a model made of images, as `panel` does.

    Args:
        images, mean, std, captions, title: as in `panel`.
        made: what `fill_in` returned by each way to hide squares.
        ways: these ways, in the same order.
    """
    rows: list[list[Tile | None]] = []
    for index, image in enumerate(images):
        original = to_image(image, mean, std)
        caption = captions[index] if captions else ""
        for way, (predicted, pasted, gone) in zip(ways, made, strict=True):
            shown = [without_hidden(original, gone[index, 0])]
            shown += [to_image(drawn[index], mean, std) for drawn in (predicted, pasted)]
            before = Tile(enlarge(original), caption) if way is ways[0] else None
            texts = (way.caption, "", "")
            rows.append([before, *(Tile(enlarge(one), text) for one, text in zip(shown, texts, strict=True))])
    return sheet(rows, title=title, columns=COLUMNS, note=NOTE)


def fill_in(model: SimMIM, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hide squares of images and predict them.

    Args:
        model: encoder and predictor.
        images: ``(B, C, H, W)``, normalised, on any device.
        mask: ``(B, N)`` bool, 1 = hidden.

    Returns:
        On the CPU: the prediction ``(B, C, H, W)``, the same with the visible squares of the original pasted in, and
        which pixels were hidden ``(B, 1, H, W)``.
    """
    device = device_of(model)
    with evaluating(model):
        predicted = model(images.to(device), mask.to(device)).float().cpu()
    images = images.detach().float().cpu()
    hidden = model.hidden_pixels(images, mask.cpu())
    return predicted, torch.where(hidden, predicted, images), hidden
