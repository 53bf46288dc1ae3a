"""The windows of a Swin drawn on an image, stage by stage: how they lie, how they shift, and who may see whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from vitrail.explain.record import windowed_encoder_of
from vitrail.layers.window_layout import Partition, regions
from vitrail.visualize.draw import HIDDEN, Tile, sheet, to_image

SIDE = 336  # of a tile, in pixels
LINE = (255, 255, 255)
EDGE = (24, 26, 34)

# Regions 1 to 3: carried over sideways, downwards, and both; colours that the colour-blind tell apart (Okabe & Ito).
TINTS = {1: (86, 180, 233), 2: (230, 159, 0), 3: (204, 121, 167)}
OPACITY = 0.45

NOTE = (
    "White lines are windows; attention stays inside them. Shifted windows begin half a window further down and right; "
    "what then lies before the first window is carried to the other end, as if the image were rolled up, and is "
    "tinted: it shares a window with new neighbours, but colours never attend to each other. Grey is padding, which "
    "nobody attends to. The last column is the mask of the window in the lower right corner: who (down) may attend to "
    "whom (across) is white, or has the colour both lie in."
)


def panel(
    model: nn.Module, image: Tensor, mean: Sequence[float], std: Sequence[float], *, title: str = "Windows"
) -> Image.Image:
    """Draw the partition of one image, a row for each stage.

    Args:
        model: an `ImageClassifier` with a `Swin`, a bare one, or what pretrains it.
        image: ``(C, H, W)``, normalised.
        mean, std: per channel, with which the image was normalised.
        title: a line on top, or none.

    Returns:
        One image with a row for each stage: the windows, the shifted ones, the same after the cyclic shift, and the
        mask of the window that joins most regions.

    Raises:
        ConfigError: the model has no windows.
    """
    swin = windowed_encoder_of(model)
    pixels = np.asarray(to_image(image, mean, std).convert("RGB"))
    rows: list[list[Tile | None]] = []
    for number, stage in enumerate(swin.windows(image.shape[-2], image.shape[-1])):
        regular, shifted, stride = stage[0], stage[-1], swin.strides[number]
        moved = (shifted.shift_h, shifted.shift_w) != (0, 0)
        rows.append(
            [
                Tile(in_place(pixels, regular, stride), _about(regular, number, stride)),
                Tile(in_place(pixels, shifted, stride), about_shift(shifted)),
                Tile(rolled(pixels, shifted, stride), "as it is computed") if moved else None,
                Tile(mask_image(shifted), f"mask, {shifted.area}x{shifted.area}"),
            ]
        )
    columns = ("windows", "shifted windows", "after the cyclic shift", "last window")
    return sheet(rows, title=title, columns=columns, note=NOTE)


def windows_data(model: nn.Module, image: Tensor) -> dict[str, Any]:
    """Return how the windows of each stage lie, for an image ``(C, H, W)``, as plain numbers.

    Raises:
        ConfigError: the model has no windows.
    """
    swin = windowed_encoder_of(model)
    stages = []
    for number, stage in enumerate(swin.windows(image.shape[-2], image.shape[-1])):
        regular, shifted = stage[0], stage[-1]
        stages.append(
            {
                "stage": number + 1,
                "pixels_of_a_token": swin.strides[number],
                "tokens": [regular.h, regular.w],
                "window": [regular.window_h, regular.window_w],
                "windows": regular.windows,
                "shift": [shifted.shift_h, shifted.shift_w],
                "regions_after_the_shift": region_map(shifted).tolist(),
            }
        )
    return {"stages": stages}


def in_place(pixels: NDArray[np.uint8], partition: Partition, stride: int) -> Image.Image:
    """Draw windows where they lie on an image ``(H, W, 3)``; ``stride`` is a token's size in pixels."""
    tinted = _tinted(_padded(pixels, partition, stride), _unrolled(region_map(partition), partition), stride)
    shift = (partition.shift_h, partition.shift_w)
    return _ruled(tinted, partition, stride, shift)


def rolled(pixels: NDArray[np.uint8], partition: Partition, stride: int) -> Image.Image:
    """Draw an image ``(H, W, 3)`` after the cyclic shift, in which windows lie side by side."""
    shift = (-partition.shift_h * stride, -partition.shift_w * stride)
    moved = np.roll(_padded(pixels, partition, stride), shift, axis=(0, 1))
    return _ruled(_tinted(moved, region_map(partition), stride), partition, stride, (0, 0))


def region_map(partition: Partition) -> NDArray[np.int64]:
    """Lay `vitrail.layers.window_layout.regions` out as windows lie side by side: ``(H, W)`` of the covered size."""
    (count_h, count_w), (_, _, window_h, window_w, *_) = partition.counts, partition
    cut = regions(partition).reshape(count_h, count_w, window_h, window_w)
    return cut.transpose(0, 2, 1, 3).reshape(partition.covered)


def mask_image(partition: Partition) -> Image.Image:
    """Draw who may attend to whom in the last window: queries down, keys across, white where it is allowed."""
    region = regions(partition)[-1]
    allowed = (region[:, None] == region[None, :]) & (region[:, None] >= 0)
    shown = np.where(allowed[..., None], np.uint8(255), np.array(EDGE, np.uint8))
    for number, tint in TINTS.items():
        shown[allowed & (region[:, None] == number)] = tint
    image = Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    ImageDraw.Draw(image).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=EDGE)
    return image


def about_shift(partition: Partition) -> str:
    """Say how far windows are shifted, or why they are not."""
    if partition.shift_h or partition.shift_w:
        return f"by {partition.shift_h}, {partition.shift_w} tokens"
    return "no shift: one window covers the map" if partition.windows == 1 else "no shift in this model"


def _about(partition: Partition, number: int, stride: int) -> str:
    count = "1 window" if partition.windows == 1 else f"{partition.windows} windows"
    return (
        f"stage {number + 1}: {partition.h}x{partition.w} tokens of {stride} pixels\n"
        f"{count} of {partition.window_h}x{partition.window_w}"
    )


def _padded(pixels: NDArray[np.uint8], partition: Partition, stride: int) -> NDArray[np.uint8]:
    """Put an image into the upper left corner of all that the windows cover."""
    height, width = (side * stride for side in partition.covered)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = HIDDEN
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels[:height, :width]
    return canvas


def _unrolled(region: NDArray[np.int64], partition: Partition) -> NDArray[np.int64]:
    return np.roll(region, (partition.shift_h, partition.shift_w), axis=(0, 1))


def _tinted(pixels: NDArray[np.uint8], region: NDArray[np.int64], stride: int) -> Image.Image:
    fine = region.repeat(stride, axis=0).repeat(stride, axis=1)[..., None]
    mixed = pixels.astype(np.float32)
    for number, tint in TINTS.items():
        mixed = np.where(fine == number, (1 - OPACITY) * mixed + OPACITY * np.array(tint, np.float32), mixed)
    image = Image.fromarray(mixed.round().astype(np.uint8))
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)


def _ruled(image: Image.Image, partition: Partition, stride: int, shift: tuple[int, int]) -> Image.Image:
    """Rule the borders of windows that begin at ``shift``, in tokens; a border where the image ends is its edge."""
    pen = ImageDraw.Draw(image)
    scale = image.height / (partition.covered[0] * stride)
    steps = (partition.window_h, partition.window_w)
    for axis, (side, step, first) in enumerate(zip(partition.covered, steps, shift, strict=True)):
        for border in range(first % step, side + 1, step):
            at = min(round(border * stride * scale), image.size[1 - axis] - 1)
            ends = ((0, at), (image.width, at)) if axis == 0 else ((at, 0), (at, image.height))
            pen.line(ends, fill=EDGE, width=4)
            pen.line(ends, fill=LINE, width=2)
    return image
