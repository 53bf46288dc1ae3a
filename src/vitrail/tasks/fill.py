"""What stands in the place of hidden cells: by name, or a masked autoencoder's reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.errors import ConfigError, nearest
from vitrail.explain.cells import Cells
from vitrail.explain.fill import FILLS, Fill
from vitrail.layers.masking import visible_count
from vitrail.layers.patches import grid_of
from vitrail.paths import user_path
from vitrail.visualize.reconstruction import reconstruct
from vitrail.weights.open_any import open_any

MEAN = "filled with the mean colour of the image"

AT_ONCE = 16
"""Images in a forward pass of the autoencoder."""

MOST_SHOWN = 0.75
"""Share of the patches outside of a gap that is shown at most where fillings are to differ."""


@dataclass(frozen=True)
class NamedFill:
    """A fill and what belongs to it.

    Attributes:
        fill: what stands in the place of hidden cells.
        what: what it is, as the end of a sentence.
        again: gives another filling for a seed; None where there is only one.
    """

    fill: Fill
    what: str
    again: Callable[[int], Fill] | None = None

    def fillings(self, count: int) -> list[Fill]:
        """Return so many fills that differ, or the only one there is."""
        return [self.fill] if self.again is None else [self.again(seed) for seed in range(count)]


def open_fill(name: str, preprocessing: Preprocessing) -> NamedFill:
    """Return the fill of a name: ``mean``, ``blur``, or a masked autoencoder's run or checkpoint.

    Args:
        name: what the user asked for.
        preprocessing: how the images that are filled were normalised.

    Raises:
        ConfigError: there is no such fill, or the model predicts no pixels.
        WeightsError: the autoencoder cannot be read.
    """
    if name == "mean":
        return NamedFill(FILLS[name], MEAN)
    if name == "blur":
        return NamedFill(FILLS[name], "blurred")
    if not name.startswith("hf:") and not user_path(name).exists():
        raise ConfigError(f"--fill takes mean, blur or a masked autoencoder's run, not {name!r}{nearest(name, FILLS)}")
    opened = open_any(name)
    mae: Any = opened.model
    if opened.description.task != "mae" or mae.config.target not in ("pixels", "normalized"):
        raise ConfigError(
            f"--fill {name} is a {opened.description.name}, which fills in no pixels; give a "
            "masked autoencoder that predicts pixels (vitrail pretrain --objective mae)"
        )
    if mae.encoder.config.channels != preprocessing.channels:
        raise ConfigError(
            f"--fill {name} takes {mae.encoder.config.channels} channels, the model {preprocessing.channels}"
        )
    fill = MAEFill(mae, opened.description.preprocessing, preprocessing)
    return NamedFill(fill, f"filled in by the masked autoencoder {name}", fill.again)


class MAEFill:
    """Fill hidden cells with what a masked autoencoder makes of the visible ones.

    The autoencoder sees images at the size it was trained at, their aspect kept, and a patch of its own is hidden from
    it wherever a hidden cell touches it; what it makes of them is put into the hidden cells alone.

    Args:
        mae: the model.
        own: how its images were normalised.
        given: how the images that are filled were normalised.
        seed: of the patches it is shown: no more than in its training, and at most `MOST_SHOWN` of those that could be;
            None shows it all of them.
    """

    def __init__(self, mae: Any, own: Preprocessing, given: Preprocessing, seed: int | None = None) -> None:
        self._mae, self._own, self._given, self._seed = mae, own, given, seed
        shape = (1, -1, 1, 1)
        own_mean, own_std = torch.tensor(own.mean).view(shape), torch.tensor(own.std).view(shape)
        mean, std = torch.tensor(given.mean).view(shape), torch.tensor(given.std).view(shape)
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std

    def again(self, seed: int) -> MAEFill:
        """Return a fill that shows the autoencoder other visible patches, drawn by a seed."""
        return MAEFill(self._mae, self._own, self._given, seed)

    def __call__(self, images: Tensor, hidden: Tensor, cells: Cells) -> Tensor:
        """Fill cells; an image of which nothing is left becomes the mean colour, as the model knows nothing of it."""
        variants, device = hidden.shape[1], images.device
        covered = cells.over_pixels(hidden.cpu()).flatten(0, 1).unsqueeze(1)
        size = self._size(cells.height, cells.width)
        masks = hides(covered.squeeze(1), grid_of(*size, self._mae.patch_size))
        shown = masks if self._seed is None else self._some_shown(masks)
        given = resized(images.cpu() * self._scale + self._shift, size).repeat_interleave(variants, dim=0)
        filled = resized(self._filled(given, shown), (cells.height, cells.width))
        back = (filled - self._shift) / self._scale
        # What is visible stays to the bit as it was given.
        kept = images.cpu().repeat_interleave(variants, dim=0)
        return torch.where(covered, back, kept).unflatten(0, hidden.shape[:2]).to(device)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width at which the autoencoder sees images: whole patches, its own shorter side."""
        own, side = self._mae.encoder.config.image_size, self._mae.patch_size
        if (height, width) == tuple(own):
            return height, width
        scale = min(own) / min(height, width) / side
        return max(1, round(height * scale)) * side, max(1, round(width * scale)) * side

    def _some_shown(self, masks: Tensor) -> Tensor:
        """Hide more patches ``(V, N)``, drawn at random, so that only some of the others are shown."""
        assert self._seed is not None
        most = visible_count(masks.shape[1], self._mae.config.mask_ratio)
        visible = masks.shape[1] - masks.sum(dim=1)
        shown = torch.minimum((visible * MOST_SHOWN).ceil().long(), torch.tensor(most))
        # One order for all, so that a filling is the same whatever else is filled beside it.
        draws = torch.rand(masks.shape[1], generator=torch.Generator().manual_seed(self._seed)).expand_as(masks)
        rank = draws.masked_fill(masks, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
        return rank >= shown.unsqueeze(1)

    def _filled(self, images: Tensor, masks: Tensor) -> Tensor:
        """Fill patches ``(V, N)`` of images ``(V, C, H, W)``, as many hidden ones at a time."""
        filled, counts = images.clone(), masks.sum(dim=1)
        filled[counts == masks.shape[1]] = 0.0
        for count in counts.unique().tolist():
            if 0 < count < masks.shape[1]:
                for some in (counts == count).nonzero().flatten().split(AT_ONCE):
                    filled[some] = reconstruct(self._mae, images[some], masks[some]).pasted
        return filled


def hides(covered: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return which patches of a grid hidden pixels ``(V, H, W)`` touch: ``(V, h * w)`` bool."""
    return F.adaptive_max_pool2d(covered.float(), grid).flatten(1) > 0


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring images ``(V, C, H, W)`` to a height and width, without aliasing."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
