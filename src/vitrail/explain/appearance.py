"""What the cells of an image look like: colour, contrast and edges in a few numbers, and groups of like cells.

Nothing here knows a model, so a group is something that a person can see too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.explain.cells import Cells

STARTS: Any = 4  # sklearn types this as text alone
REACH = 0.95
"""Share of a group's own cells that lie as near to its centre as a cell must to belong to it in another image."""

D65 = (0.95047, 1.0, 1.08883)
"""The white of sRGB, in XYZ (IEC 61966-2-1)."""

XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
"""From linear sRGB (IEC 61966-2-1)."""

NAMES = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (190, 190, 190),
    "white": (255, 255, 255),
    "red": (214, 30, 30),
    "dark red": (110, 20, 25),
    "orange": (240, 140, 30),
    "brown": (110, 70, 40),
    "beige": (215, 190, 155),
    "yellow": (240, 220, 50),
    "olive": (120, 120, 50),
    "green": (40, 160, 60),
    "dark green": (25, 75, 40),
    "turquoise": (50, 190, 190),
    "light blue": (150, 190, 230),
    "blue": (40, 80, 210),
    "dark blue": (30, 40, 90),
    "violet": (130, 60, 180),
    "magenta": (225, 40, 200),
    "pink": (245, 165, 190),
}
"""Colours that people name, in sRGB; a cell is called by the nearest one in CIELAB."""

FLAT, ROUGH = 4.0, 14.0
"""Deviations of the lightness L* within a cell, below which it looks flat and above which it looks patterned."""

MANY = 25.0
"""Deviation of a* and b* within a cell above which it has no colour of its own."""


def to_lab(pixels: Tensor) -> Tensor:
    """Convert sRGB in [0, 1], ``(B, 3, H, W)``, to CIELAB: L* in [0, 100], a* and b* about [-100, 100]."""
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("xc,bchw->bxhw", torch.tensor(XYZ, dtype=pixels.dtype), linear)
    xyz = xyz / torch.tensor(D65, dtype=pixels.dtype).view(1, 3, 1, 1)
    root = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-12) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def descriptors(pixels: Tensor, cells: Cells) -> Tensor:
    """Describe what each cell looks like.

    Args:
        pixels: ``(B, C, H, W)`` in [0, 1]; of one or two channels the first is taken as grey, of more the first three
            as sRGB.
        cells: of the images.

    Returns:
        ``(B, N, 7)``: the mean of L*, a*, b* over the pixels of a cell, their standard deviations, and the mean
        absolute difference of L* between neighbouring pixels.
    """
    colours = pixels[:, :3] if pixels.shape[1] >= 3 else pixels[:, :1].expand(-1, 3, -1, -1)
    lab = to_lab(colours.double().clamp(0, 1))
    mean = _means(lab, cells)
    deviation = (_means(lab * lab, cells) - mean * mean).clamp(min=0).sqrt()
    light = F.pad(lab[:, :1], (0, 1, 0, 1), mode="replicate")
    steps = (light[..., 1:, :-1] - light[..., :-1, :-1]).abs() + (light[..., :-1, 1:] - light[..., :-1, :-1]).abs()
    return torch.cat([mean, deviation, _means(steps / 2, cells)], dim=1).transpose(1, 2).float()


def _means(values: Tensor, cells: Cells) -> Tensor:
    """Average ``(B, C, H, W)`` over the pixels of each cell: ``(B, C, N)``."""
    flat = values.flatten(0, 1)
    counts = cells.sums(torch.ones_like(flat[:1]))
    return (cells.sums(flat) / counts).flatten(1).unflatten(0, values.shape[:2])


@dataclass(frozen=True)
class Groups:
    """Cells of some images, parted into groups that look alike.

    Attributes:
        labels: ``(B, N)`` int64, the group of each cell.
        centres: ``(K, D)``, the mean description of each group.
        radii: ``(K,)``, the distance from its centre within which `REACH` of a group's cells lie.
    """

    labels: Tensor
    centres: Tensor
    radii: Tensor

    def belongs(self, described: Tensor, group: int) -> Tensor:
        """Return which cells of other images ``(B, N, D)`` would belong to a group: ``(B, N)`` bool."""
        distances = torch.cdist(described, self.centres.expand(len(described), -1, -1))
        nearest = distances.argmin(dim=-1) == group
        return nearest & (distances[..., group] <= self.radii[group])


def group_cells(described: Tensor, count: int, seed: int) -> Groups:
    """Part cells ``(B, N, D)`` into at most ``count`` groups that look alike, by k-means over their descriptions."""
    from sklearn.cluster import KMeans

    rows = described.flatten(0, 1)
    count = min(count, len(torch.unique(rows, dim=0)))
    fitted = KMeans(count, n_init=STARTS, random_state=seed).fit(rows.double().numpy())
    labels, centres = torch.from_numpy(fitted.labels_).long(), torch.from_numpy(fitted.cluster_centers_).float()
    distances = (rows - centres[labels]).norm(dim=1)
    radii = torch.stack([distances[labels == group].quantile(REACH) for group in range(count)])
    return Groups(labels.view(described.shape[:2]), centres, radii)


def grown(hidden: Tensor, cells: Cells) -> Tensor:
    """Add to regions ``(..., N)`` the cells around each of theirs, so that nothing looks out at their edges."""
    rows = hidden.reshape(-1, 1, *cells.grid).float()
    return (F.max_pool2d(rows, 3, stride=1, padding=1) > 0).view(hidden.shape)


def in_words(described: Tensor) -> str:
    """Say what a cell ``(D,)`` looks like: its colour, and whether it is flat or patterned."""
    if float(described[4:6].norm()) > MANY:
        return "many-coloured"
    names = list(NAMES)
    colours = torch.tensor([NAMES[name] for name in names], dtype=torch.float64).view(-1, 3, 1, 1) / 255
    nearest = int((to_lab(colours).flatten(1) - described[:3].double()).norm(dim=1).argmin())
    deviation = float(described[3])
    texture = "flat " if deviation < FLAT else "patterned " if deviation > ROUGH else ""
    return f"{texture}{names[nearest]}"


__all__ = ["Groups", "descriptors", "group_cells", "grown", "in_words", "to_lab"]
