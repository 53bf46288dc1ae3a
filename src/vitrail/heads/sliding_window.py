"""Scores of every pixel of images of any size: whole or part by part, at several scales, mirrored too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.heads.convolution import resize_to

LARGEST_WHOLE = 2048 * 2048
"""Images of more pixels are scored part by part, whatever is asked."""
MOST_TOKENS = 128 * 128
"""Likewise images of more tokens of a ViT, whose attention costs the square of their number."""
USUAL_PART, PART_TOKENS = 1024, 64
"""The side of such a part, in pixels and in tokens of a ViT; or the side a model was trained at, where that is more."""
MANY_SCORES, SOFTMAX_AT_ONCE = 2**27, 2**24
"""So many scores become probabilities in place, so many at once: a copy of all would double the memory."""

Score = Callable[[Tensor], Tensor]
"""Images ``(B, C, H, W)`` to scores ``(B, K, H, W)``."""


@dataclass(frozen=True)
class Limit:
    """Above which size an image is scored part by part even where nobody asked for it.

    Attributes:
        pixels: images of more are.
        part: height and width of such a part, in pixels.
    """

    pixels: int
    part: tuple[int, int]

    @classmethod
    def of(cls, strides: Sequence[int], trained_at: tuple[int, int]) -> Limit:
        """Return the limit of a backbone with maps of these strides; one stride alone is a ViT's patch."""
        if len(strides) > 1:
            pixels, side = LARGEST_WHOLE, USUAL_PART
        else:
            pixels, side = min(LARGEST_WHOLE, MOST_TOKENS * strides[0] ** 2), min(USUAL_PART, PART_TOKENS * strides[0])
        height, width = (max(side, trained) for trained in trained_at)
        return cls(max(pixels, height * width), (height, width))

    def part_of(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the part by which an image of this height and width is scored; None scores it whole."""
        return self.part if height * width > self.pixels else None


def shares(
    score: Score,
    images: Tensor,
    size: tuple[int, int] | None = None,
    *,
    part: tuple[int, int] | None = None,
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
        part: height and width of the parts that are scored one by one; None scores the whole image at once.
        overlap: share of a part that its neighbour covers too, at least; the scores of both are averaged.
        scales: factors by which the images are scaled; each counts as much.
        flip: whether the mirrored images are scored as well.
        limit: above which size images are scored part by part without being asked.

    Returns:
        ``(B, K, *size)`` float32.
    """
    check_test(part, overlap, scales)
    height, width = images.shape[-2:]
    size = size or (height, width)
    total: Tensor | None = None
    for scale in scales:
        scaled = resize_to(images, (max(1, round(height * scale)), max(1, round(width * scale))))
        for mirrored in (False, True) if flip else (False,):
            shown = scaled.flip(-1) if mirrored else scaled
            window = part or (limit.part_of(shown.shape[-2], shown.shape[-1]) if limit else None)
            scores = score(shown) if window is None else sliding(score, shown, window, overlap)
            found = to_probabilities(resize_to(scores.float(), size))
            found = found.flip(-1) if mirrored else found
            total = found if total is None else total + found
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


def sliding(score: Score, images: Tensor, part: tuple[int, int], overlap: float = 1 / 3) -> Tensor:
    """Score images part by part: ``(B, C, H, W)`` to ``(B, K, H, W)``, the mean where parts overlap."""
    height, width = images.shape[-2:]
    total: Tensor | None = None
    counts = images.new_zeros(1, 1, height, width)
    for top in starts(height, part[0], overlap):
        for left in starts(width, part[1], overlap):
            place = (..., slice(top, top + part[0]), slice(left, left + part[1]))
            scores = score(images[place]).float()
            if total is None:
                total = scores.new_zeros(images.shape[0], scores.shape[1], height, width)
            total[place] += scores
            counts[place] += 1
    assert total is not None
    return total.div_(counts)


def starts(side: int, part: int, overlap: float) -> list[int]:
    """Return where the parts begin that cover a side, evenly spaced and overlapping by ``overlap`` at least."""
    if side <= part:
        return [0]
    stride = max(1, int(part * (1 - overlap)))
    count = -(-(side - part) // stride)
    return [(side - part) * number // count for number in range(count + 1)]


def check_test(part: tuple[int, int] | None, overlap: float, scales: Sequence[float]) -> None:
    """Check how images are to be scored.

    Raises:
        ConfigError: a value cannot work.
    """
    if part is not None and min(part) < 1:
        raise ConfigError(f"a part is at least one pixel high and wide, not {part[0]}x{part[1]}")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap is a share of a part, at least 0 and below 1, not {overlap}")
    if not scales or min(scales) <= 0:
        raise ConfigError(f"scales must be factors above 0, not {tuple(scales)}")


@torch.no_grad()
def classes_of(probabilities: Tensor) -> Tensor:
    """Return the best class at every pixel: ``(B, K, H, W)`` to uint8 ``(B, H, W)``."""
    return probabilities.argmax(dim=1).to(torch.uint8)
