"""What patches mean to a model: their tokens as colours, their nearest ones in other images, and in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.models.backbone import backbone_of

IMAGES_AT_ONCE = 32
STARTS: Any = 4  # sklearn types this as text alone
"""Times that k-means begins anew; the best result counts."""

TAIL = 0.02
"""Share of the values at both ends of a component that are drawn as its darkest and brightest colour."""


def patch_tokens(model: nn.Module, images: Tensor) -> Tensor:
    """Return what a model makes of each place: its last map, ``(B, D, h, w)`` float32 on the CPU."""
    backbone, maps = backbone_of(model), []
    with evaluating(backbone):
        for some in images.split(IMAGES_AT_ONCE):
            maps.append(backbone.feature_maps(some.to(device_of(backbone)))[-1].float().cpu())
    return torch.cat(maps)


@dataclass(frozen=True)
class TokenColours:
    """Tokens as colours that mean the same in every image.

    Attributes:
        colours: ``(B, h, w, 3)`` in [0, 1], the first three principal components of the foreground's tokens; black in
            the background.
        foreground: ``(B, h, w)`` bool.
        shares: ``(3,)``, of the variance of the foreground's tokens.
    """

    colours: Tensor
    foreground: Tensor
    shares: Tensor


def token_colours(tokens: Tensor) -> TokenColours:
    """Colour patches by the principal components of their tokens, common to all images (Oquab et al. 2023, DINOv2).

    The first component of all tokens parts foreground from background at its mean; the foreground is the side that is
    rarer at the images' borders. The next components are those of the foreground's tokens alone.

    Args:
        tokens: ``(B, D, h, w)``.

    Raises:
        ConfigError: there are too few places or channels for three components.
    """
    batch, width, h, w = tokens.shape
    rows = tokens.permute(0, 2, 3, 1).reshape(-1, width).double()
    if min(len(rows), width) < 4:
        raise ConfigError(f"{len(rows)} patches with {width} channels have no three components; show more images")
    first = (_components(rows, 1)[0][:, 0] > 0).view(batch, h, w)
    border = torch.ones(h, w, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    at_border, within = first[:, border].double().mean(), first.double().mean()
    foreground = first if at_border <= within else ~first
    chosen = rows[foreground.flatten()]
    if len(chosen) < 4:
        foreground, chosen = torch.ones_like(foreground), rows
    found, shares = _components(chosen, 3)
    low, high = (found.quantile(share, dim=0) for share in (TAIL, 1 - TAIL))
    colours = torch.zeros(batch, h, w, 3, dtype=torch.float64)
    colours[foreground] = ((found - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return TokenColours(colours.float(), foreground, shares)


def _components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the first principal components of rows ``(N, D)``: values ``(N, count)`` and shares of the variance.

    The sign of each is chosen so that its largest weight is positive.
    """
    centred = rows - rows.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)
    kept = directions[:, -count:].flip(1)
    kept = kept * kept.gather(0, kept.abs().argmax(dim=0, keepdim=True)).sign()
    return centred @ kept, variances[-count:].flip(0) / variances.sum().clamp(min=1e-300)


@dataclass(frozen=True)
class Neighbour:
    """A patch that is like another.

    Attributes:
        image: its number, from 0.
        row, column: its place on the grid.
        similarity: cosine, in [-1, 1].
    """

    image: int
    row: int
    column: int
    similarity: float


def nearest_patches(tokens: Tensor, place: tuple[int, int, int], count: int = 8) -> list[Neighbour]:
    """Find the patches whose tokens are most like that of one patch: of every other image the nearest one.

    Args:
        tokens: ``(B, D, h, w)``.
        place: image, row and column of the patch.
        count: how many images at most, the nearest first.

    Raises:
        ConfigError: there is no such patch.
    """
    batch, _, h, w = tokens.shape
    if not all(0 <= number < size for number, size in zip(place, (batch, h, w), strict=True)):
        raise ConfigError(
            f"there is no patch {place}: images go from 0 to {batch - 1}, rows from 0 to {h - 1}, columns from 0 to "
            f"{w - 1}"
        )
    unit = F.normalize(tokens.double(), dim=1)
    similarity = torch.einsum("bdhw,d->bhw", unit, unit[place[0], :, place[1], place[2]])
    nearest = similarity.flatten(1).max(dim=1)
    order = [n for n in nearest.values.argsort(descending=True).tolist() if n != place[0]][:count]
    places = nearest.indices.tolist()
    return [Neighbour(n, places[n] // w, places[n] % w, float(nearest.values[n])) for n in order]


def token_groups(tokens: Tensor, count: int, seed: int) -> Tensor:
    """Part the patches of all images into groups of like tokens by k-means over their directions.

    Args:
        tokens: ``(B, D, h, w)``.
        count: how many groups.
        seed: of the first centres.

    Returns:
        ``(B, h, w)`` int64, from 0; the largest group first.

    Raises:
        ConfigError: there are fewer patches than groups.
    """
    from sklearn.cluster import KMeans

    batch, width, h, w = tokens.shape
    rows = F.normalize(tokens, dim=1).permute(0, 2, 3, 1).reshape(-1, width)
    if not 1 <= count <= len(rows):
        raise ConfigError(f"{len(rows)} patches cannot be parted into {count} groups; choose 1 to {len(rows)}")
    found = torch.from_numpy(KMeans(count, n_init=STARTS, random_state=seed).fit_predict(rows.numpy())).long()
    rank = found.bincount(minlength=count).argsort(descending=True, stable=True).argsort()
    return rank[found].view(batch, h, w)
