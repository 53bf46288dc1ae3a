"""What stands in the place of hidden cells: by name, or a masked autoencoder's reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.errors import ConfigError, nearest
from vitrail.explain.cells import Cells
from vitrail.explain.fill import FILLS, Fill
from vitrail.paths import user_path
from vitrail.visualize.reconstruction import reconstruct
from vitrail.weights.open_any import open_any

MEAN = "filled with the mean colour of the image"

AT_ONCE = 16
"""Images in a forward pass of the autoencoder."""


@dataclass(frozen=True)
class NamedFill:
    """A fill and what belongs to it.

    Attributes:
        fill: what stands in the place of hidden cells.
        side: of the cells in pixels that it can fill; None where any.
        what: what it is, as the end of a sentence.
    """

    fill: Fill
    side: int | None
    what: str


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
        return NamedFill(FILLS[name], None, MEAN)
    if name == "blur":
        return NamedFill(FILLS[name], None, "blurred")
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
    return NamedFill(fill, mae.patch_size, f"filled in by the masked autoencoder {name}")


class MAEFill:
    """Fill hidden cells with what a masked autoencoder makes of the visible ones.

    Args:
        mae: the model; its patches are the cells.
        own: how its images were normalised.
        given: how the images that are filled were normalised.
    """

    def __init__(self, mae: Any, own: Preprocessing, given: Preprocessing) -> None:
        self._mae = mae
        shape = (1, -1, 1, 1)
        own_mean, own_std = torch.tensor(own.mean).view(shape), torch.tensor(own.std).view(shape)
        mean, std = torch.tensor(given.mean).view(shape), torch.tensor(given.std).view(shape)
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std

    def __call__(self, images: Tensor, hidden: Tensor, cells: Cells) -> Tensor:
        """Fill cells; an image of which nothing is left becomes the mean colour, as the model knows nothing of it.

        Raises:
            ConfigError: the cells are not the autoencoder's patches.
        """
        if cells.side != self._mae.patch_size:
            raise ConfigError(f"the autoencoder fills patches of {self._mae.patch_size} pixels, not of {cells.side}")
        variants = hidden.shape[1]
        masks, device = hidden.flatten(0, 1).cpu(), images.device
        given = (images.cpu() * self._scale + self._shift).repeat_interleave(variants, dim=0)
        filled, counts = given.clone(), masks.sum(dim=1)
        filled[counts == cells.count] = 0.0
        for count in counts.unique().tolist():
            if 0 < count < cells.count:
                for some in (counts == count).nonzero().flatten().split(AT_ONCE):
                    filled[some] = reconstruct(self._mae, given[some], masks[some]).pasted
        back = (filled - self._shift) / self._scale
        # What is visible stays to the bit as it was given.
        covered = cells.over_pixels(hidden.cpu()).flatten(0, 1).unsqueeze(1)
        kept = images.cpu().repeat_interleave(variants, dim=0)
        return torch.where(covered, back, kept).unflatten(0, hidden.shape[:2]).to(device)
