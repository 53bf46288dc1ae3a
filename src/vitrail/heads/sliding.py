"""Scores of every pixel of pictures of any size: whole or part by part, at several scales, mirrored too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.heads.convolution import resize_to

Score = Callable[[Tensor], Tensor]
"""Pictures ``(B, C, H, W)`` to scores ``(B, K, H, W)``."""


def shares(
    score: Score,
    images: Tensor,
    size: tuple[int, int] | None = None,
    *,
    part: tuple[int, int] | None = None,
    overlap: float = 1 / 3,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """Return the probability of every class at every pixel, the mean over all scales and mirrorings.

    Args:
        score: what scores pictures.
        images: ``(B, C, H, W)``, normalised.
        size: height and width of what comes out; the pictures' own when absent.
        part: height and width of the parts that are scored one by one; None scores the whole picture at once.
        overlap: share of a part that its neighbour covers too, at least; the scores of both are averaged.
        scales: factors by which the pictures are scaled; each counts as much.
        flip: whether the mirrored pictures are scored as well.

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
            scores = score(shown) if part is None else sliding(score, shown, part, overlap)
            found = resize_to(scores.float(), size).softmax(dim=1)
            found = found.flip(-1) if mirrored else found
            total = found if total is None else total + found
    assert total is not None
    return total / (len(scales) * (2 if flip else 1))


def sliding(score: Score, images: Tensor, part: tuple[int, int], overlap: float = 1 / 3) -> Tensor:
    """Score pictures part by part: ``(B, C, H, W)`` to ``(B, K, H, W)``, the mean where parts overlap."""
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
    return total / counts


def starts(side: int, part: int, overlap: float) -> list[int]:
    """Return where the parts begin that cover a side, evenly spaced and overlapping by ``overlap`` at least."""
    if side <= part:
        return [0]
    stride = max(1, int(part * (1 - overlap)))
    count = -(-(side - part) // stride)
    return [(side - part) * number // count for number in range(count + 1)]


def check_test(part: tuple[int, int] | None, overlap: float, scales: Sequence[float]) -> None:
    """Check how pictures are to be scored.

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
