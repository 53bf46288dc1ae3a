"""A second look at two images: can one be laid over the other, mirrored or cut or stretched, and do details agree?

A pair is aligned by a scale and a shift along each axis, found by a coarse search and refined by Gauss-Newton steps
(Lucas & Kanade 1981, in the form with gain and offset of brightness taken out). What is then compared is the fine
structure alone: two shirts on a white wall agree in their coarse one, and only copies agree in folds and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 96
"""Pixels of an image's sides for the second look, whatever its aspect."""

COARSE = 32
"""Pixels of the sides for the coarse search."""

SCALES = (1.0, 0.95, 0.9, 0.85)
"""Shares of the sides that one image may be of the other: cut by up to 15 %."""

HOPELESS = 0.9
"""Correlation of the small versions below which a pair is not looked at more closely."""

REFINED, MIDDLE, STEPS = 3, 48, 8
"""Starts that are refined, at so many pixels a side, and Gauss-Newton steps for each; half as many follow at `SIDE`."""

SURE = 0.95
"""Agreement beyond which no other start is tried."""

LEAST_OVERLAP = 0.6
"""Share of the area that both images must show."""

FLAT = 1.5
"""Standard deviation, in grey levels, below which an image has no detail to compare."""

SAME_FLAT = 3.0
"""Mean difference, in grey levels, up to which two images without detail are the same."""


@dataclass(frozen=True)
class Aligned:
    """How well pairs of images agree once aligned.

    Attributes:
        agreement: ``(P,)`` correlation of the fine structure in [-1, 1] where both overlap.
        mirrored: ``(P,)`` bool: the second image is the mirror image of the first.
        overlap: ``(P,)`` share of the first image's area that the second shows, in [0, 1].
    """

    agreement: Tensor
    mirrored: Tensor
    overlap: Tensor


def align(first: Tensor, second: Tensor) -> Aligned:
    """Align pairs of grey images.

    Args:
        first: float32 ``(P, SIDE, SIDE)`` in grey levels, 0 to 255.
        second: likewise.
    """
    a, b = first[:, None], second[:, None]
    starts = _starts()
    scores = _coarse_scores(a, b, starts)
    agreement, mirrored, overlap = (
        torch.full((len(a),), -1.0),
        torch.zeros(len(a), dtype=torch.bool),
        torch.zeros(len(a)),
    )
    score, start = scores.topk(REFINED, dim=1)
    for place in range(REFINED):
        rows = ((score[:, place] >= HOPELESS) & (agreement < SURE)).nonzero().flatten()
        if not len(rows):
            continue
        flipped = start[rows, place] >= len(starts)
        turned = torch.where(flipped[:, None, None, None], b[rows].flip(-1), b[rows])
        value, shown = _agreement(a[rows], turned, _refined(a[rows], turned, starts[start[rows, place] % len(starts)]))
        better = value > agreement[rows]
        agreement[rows] = torch.where(better, value, agreement[rows])
        mirrored[rows] = torch.where(better, flipped, mirrored[rows])
        overlap[rows] = torch.where(better, shown, overlap[rows])
    return Aligned(_where_flat(agreement, a, b), mirrored, overlap)


def _starts() -> Tensor:
    """Return scales and shifts ``(x scale, y scale, x shift, y shift)`` of the coarse search.

    With coordinates from -1 to 1, a place x of the first image lies at ``scale * x + shift`` in the second.
    """
    starts = []
    for scale in SCALES:
        room = 1 - scale
        shifts = (-room, 0.0, room) if room else (0.0,)
        for dx in shifts:
            for dy in shifts:
                starts.append((scale, scale, dx, dy))  # the first is a part of the second
                if room:
                    starts.append((1 / scale, 1 / scale, dx / scale, dy / scale))  # and the other way round
    return torch.tensor(starts)


def _coarse_scores(a: Tensor, b: Tensor, starts: Tensor) -> Tensor:
    """Return the correlation of small versions at every start, mirrored ones behind: ``(P, 2 S)``."""
    small_a, small_b = (F.interpolate(x, (COARSE, COARSE), mode="area") for x in (a, b))
    scores = []
    for turned in (small_b, small_b.flip(-1)):
        for start in starts:
            warped, inside = _warped(turned, start.expand(len(a), 4))
            scores.append(_correlation(small_a, warped, inside))
    return torch.stack(scores, dim=1)


def _refined(a: Tensor, b: Tensor, way: Tensor) -> Tensor:
    """Improve scales and shifts ``(P, 4)``, first of smaller versions."""
    middle_a, middle_b = (F.interpolate(x, (MIDDLE, MIDDLE), mode="area") for x in (a, b))
    return _stepped(a, b, _stepped(middle_a, middle_b, way, STEPS), STEPS // 2)


def _stepped(a: Tensor, b: Tensor, way: Tensor, steps: int) -> Tensor:
    """Take Gauss-Newton steps on the difference of standardised images, and return the best place on the way."""
    side = a.shape[-1]
    a, b = _blurred(a, 1.0), _blurred(b, 1.0)
    slopes = [slope[:, None] * (side - 1) / 2 for slope in torch.gradient(b[:, 0], dim=(2, 1))]
    places = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(places, places, indexing="ij")
    best, best_score = way, torch.full((len(a),), -2.0)
    for step in range(steps + 1):
        warped, inside = _warped(b, way)
        score = _correlation(a, warped, inside)
        better = score > best_score
        best, best_score = torch.where(better[:, None], way, best), torch.where(better, score, best_score)
        if step < steps:
            gx, gy = (_warped(slope, way)[0][:, 0] for slope in slopes)
            target, moved, deviation = _standardised(a, warped, inside)
            error = ((target - moved) * inside).flatten(1)
            jacobian = torch.stack([gx * x, gy * y, gx, gy], dim=-1) / deviation[..., None] * inside[:, 0, :, :, None]
            way = way + _solved(jacobian.flatten(1, 2), error)
    return best


def _solved(jacobian: Tensor, error: Tensor) -> Tensor:
    """Solve the damped normal equations: ``(P, M, 4)`` and ``(P, M)`` to steps ``(P, 4)``, none of them long."""
    normal = jacobian.transpose(1, 2) @ jacobian
    damping = 1e-3 * normal.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-6
    wanted = jacobian.transpose(1, 2) @ error[..., None]
    return torch.linalg.solve(normal + damping[:, None, None] * torch.eye(4), wanted)[..., 0].clamp(-0.05, 0.05)


def _agreement(a: Tensor, b: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Return the correlation of fine structure under an alignment, and how much both show of one another."""
    warped, inside = _warped(b, way)
    fine = _correlation(a - _blurred(a, 4.0), warped - _blurred(warped, 4.0), inside)
    overlap = inside.mean(dim=(1, 2, 3))
    # The part of the second image that the first shows is the smaller where the second is the larger.
    shown = overlap * way[:, 0].abs() * way[:, 1].abs()
    enough = torch.maximum(overlap, shown) * torch.minimum(overlap, shown).clamp(max=1) >= LEAST_OVERLAP**2
    upright = (way[:, :2] > 0.6).all(dim=1) & (way[:, :2] < 1.7).all(dim=1)
    return torch.where(enough & upright, fine, torch.full_like(fine, -1.0)), overlap


def _warped(images: Tensor, way: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images ``(P, 1, H, W)`` at ``scale * x + shift``; return them and where that lies inside, 0 or 1."""
    matrix = torch.zeros(len(way), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2] = way.unbind(1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=True)
    inside = (grid.abs() <= 1 + 1e-4).all(dim=-1)[:, None].float()
    return F.grid_sample(images, grid, align_corners=True, padding_mode="border"), inside


def _correlation(a: Tensor, b: Tensor, inside: Tensor) -> Tensor:
    """Return Pearson's correlation of two images over the places inside: ``(P,)``; 0 where one is flat."""
    count = inside.sum(dim=(1, 2, 3)).clamp(min=1)[:, None, None, None]
    a, b = ((x - (x * inside).sum(dim=(1, 2, 3), keepdim=True) / count) * inside for x in (a, b))
    product = (a * b).sum(dim=(1, 2, 3))
    return product / ((a * a).sum(dim=(1, 2, 3)) * (b * b).sum(dim=(1, 2, 3))).sqrt().clamp(min=1e-6)


def _standardised(a: Tensor, b: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both images of mean 0 and deviation 1 over the places inside, and the deviation of the second."""
    count = inside.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    a, b = (x - (x * inside).sum(dim=(1, 2, 3), keepdim=True) / count for x in (a, b))
    stds = [((x * x * inside).sum(dim=(1, 2, 3), keepdim=True) / count).sqrt().clamp(min=1e-3) for x in (a, b)]
    return a / stds[0], b / stds[1], stds[1][:, 0]


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, its edges continued."""
    radius = int(3 * sigma)
    kernel = torch.exp(-(torch.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None, :])


def _where_flat(agreement: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Where there is no detail, let the grey itself decide: 1 where it is the same, else -1."""
    flat = torch.minimum(*(x.flatten(1).std(dim=1) for x in (a, b))) < FLAT
    same = (a - b).abs().mean(dim=(1, 2, 3)) <= SAME_FLAT
    return torch.where(flat, torch.where(same, 1.0, -1.0), agreement)


__all__ = ["SIDE", "Aligned", "align"]
