"""Scores of every pixel of images of any size: whole or window by window, at several scales, mirrored too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.heads.convolution import resize_to

LARGEST_WHOLE = 2048 * 2048
"""Images of more pixels are scored window by window, whatever is asked."""
MOST_TOKENS = 128 * 128
"""Likewise images of more tokens of a ViT, whose attention costs the square of their number."""
USUAL_WINDOW, WINDOW_TOKENS = 1024, 64
"""The side of such a window, in pixels and in tokens of a ViT; or the side a model was trained at, if that is more."""
MANY_SCORES, SOFTMAX_AT_ONCE = 2**27, 2**24
"""So many scores become probabilities in place, so many at once: a copy of all would double the memory."""

Score = Callable[[Tensor], Tensor]
"""Images ``(B, C, H, W)`` to scores ``(B, K, H, W)``."""


@dataclass(frozen=True)
class Limit:
    """Above which size an image is scored window by window even where nobody asked for it.

    Attributes:
        pixels: images of more are.
        window: height and width of such a window, in pixels.
    """

    pixels: int
    window: tuple[int, int]

    @classmethod
    def of(cls, strides: Sequence[int], trained_at: tuple[int, int]) -> Limit:
        """Return the limit of a backbone with maps of these strides; one stride alone is a ViT's patch."""
        if len(strides) > 1:
            pixels, side = LARGEST_WHOLE, USUAL_WINDOW
        else:
            pixels = min(LARGEST_WHOLE, MOST_TOKENS * strides[0] ** 2)
            side = min(USUAL_WINDOW, WINDOW_TOKENS * strides[0])
        height, width = (max(side, trained) for trained in trained_at)
        return cls(max(pixels, height * width), (height, width))

    def window_for(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the window by which an image of this height and width is scored; None scores it whole."""
        return self.window if height * width > self.pixels else None


def class_probabilities(
    score: Score,
    images: Tensor,
    size: tuple[int, int] | None = None,
    *,
    window: tuple[int, int] | None = None,
    overlap: float = 1 / 3,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    limit: Limit | None = None,
) -> Tensor:
    """Return the probability of every class at every pixel, the mean over all scales and mirrorings.

    Args:
        score: what scores images.
        images: ``(B, C, H, W)``, normalised.
        size: height and width of what comes out; the images' own when absent.
        window: height and width of the windows that are scored one by one; None scores the whole image at once.
        overlap: share of a window that its neighbour covers too, at least; the scores of both are averaged.
        scales: factors by which the images are scaled; each counts as much.
        flip: whether the mirrored images are scored as well.
        limit: above which size images are scored window by window without being asked.

    Returns:
        ``(B, K, *size)`` float32.
    """
    check_test(window, overlap, scales)
    height, width = images.shape[-2:]
    size = size or (height, width)
    total: Tensor | None = None
    for scale in scales:
        scaled = resize_to(images, (max(1, round(height * scale)), max(1, round(width * scale))))
        for mirrored in (False, True) if flip else (False,):
            shown = scaled.flip(-1) if mirrored else scaled
            used = window or (limit.window_for(shown.shape[-2], shown.shape[-1]) if limit else None)
            scores = score(shown) if used is None else sliding(score, shown, used, overlap)
            probabilities = to_probabilities(resize_to(scores.float(), size))
            probabilities = probabilities.flip(-1) if mirrored else probabilities
            total = probabilities if total is None else total + probabilities
    assert total is not None
    passes = len(scales) * (2 if flip else 1)
    return total / passes if passes > 1 else total


def to_probabilities(scores: Tensor) -> Tensor:
    """Return the softmax over classes of scores ``(B, K, H, W)``; those of many pixels are changed in place."""
    if scores.numel() <= MANY_SCORES or scores.requires_grad:
        return scores.softmax(dim=1)
    rows = max(1, SOFTMAX_AT_ONCE * scores.shape[-2] // scores.numel())
    for strip in scores.split(rows, dim=-2):
        strip.copy_(strip.softmax(dim=1))
    return scores


def sliding(score: Score, images: Tensor, window: tuple[int, int], overlap: float = 1 / 3) -> Tensor:
    """Score images window by window: ``(B, C, H, W)`` to ``(B, K, H, W)``, the mean where windows overlap."""
    height, width = images.shape[-2:]
    total: Tensor | None = None
    counts = images.new_zeros(1, 1, height, width)
    for top in starts(height, window[0], overlap):
        for left in starts(width, window[1], overlap):
            place = (..., slice(top, top + window[0]), slice(left, left + window[1]))
            scores = score(images[place]).float()
            if total is None:
                total = scores.new_zeros(images.shape[0], scores.shape[1], height, width)
            total[place] += scores
            counts[place] += 1
    assert total is not None
    return total.div_(counts)


def starts(side: int, window: int, overlap: float) -> list[int]:
    """Return where the windows begin that cover a side, evenly spaced and overlapping by ``overlap`` at least."""
    if side <= window:
        return [0]
    stride = max(1, int(window * (1 - overlap)))
    count = -(-(side - window) // stride)
    return [(side - window) * number // count for number in range(count + 1)]


def check_test(window: tuple[int, int] | None, overlap: float, scales: Sequence[float]) -> None:
    """Check how images are to be scored.

    Raises:
        ConfigError: a value cannot work.
    """
    if window is not None and min(window) < 1:
        raise ConfigError(f"a window is at least one pixel high and wide, not {window[0]}x{window[1]}")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap is a share of a window, at least 0 and below 1, not {overlap}")
    if not scales or min(scales) <= 0:
        raise ConfigError(f"scales must be factors above 0, not {tuple(scales)}")


@torch.no_grad()
def classes_of(probabilities: Tensor) -> Tensor:
    """Return the best class at every pixel: ``(B, K, H, W)`` to uint8 ``(B, H, W)``."""
    return probabilities.argmax(dim=1).to(torch.uint8)
