"""Learning to see by filling in hidden patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitrail.config import Preprocessing
from vitrail.layers.masking import random_mask
from vitrail.layers.patches import grid_of
from vitrail.models.mae import MAE, mean_squared_error
from vitrail.tasks.inputs import Normalise


class Reconstruction(nn.Module):
    """Masked autoencoding: mean squared error over the hidden patches.

    Args:
        model: the masked autoencoder.
        preprocessing: how its pictures are normalised.
    """

    def __init__(self, model: MAE, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.normalise = Normalise(preprocessing.mean, preprocessing.std)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``image`` (B, C, H, W) uint8 and ``mask`` (B, N), 1 = hidden."""
        return {"loss": self.model.loss(self.normalise(batch["image"]), batch["mask"])}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``loss``, and of ``neighbour_loss``: what `neighbour_mean` would score."""
        images, mask = self.normalise(batch["image"]), batch["mask"]
        target = self.model.target(images)
        guess = neighbour_mean(target, mask, self.model.grid(images), images.shape[1])
        count = torch.tensor(len(images), device=images.device)
        losses = {
            "loss": self.model.loss(images, mask),
            "neighbour_loss": mean_squared_error(guess[mask], target[mask]),
        }
        return {name: (loss.double() * count, count) for name, loss in losses.items()}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        encoder = {f"model.encoder.{name}" for name in self.model.encoder.no_weight_decay()}
        return encoder | {"model.decoder.mask_token", "model.decoder.pos_embed"}

    def export_state(self) -> dict[str, Tensor]:
        """Return the model's weights under its own names: what a checkpoint holds."""
        return self.model.state_dict()


class MaskDrawer:
    """Draws the mask of one picture in the loader, so that it belongs to the picture and not to the process.

    Args:
        patch_size: P, in pixels.
        mask_ratio: share hidden, in (0, 1).
    """

    def __init__(self, patch_size: int, mask_ratio: float) -> None:
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``mask`` ``(N,)`` for a picture ``(C, H, W)``."""
        height, width = image.shape[-2:]
        h, w = grid_of(height, width, self.patch_size)
        return {"mask": random_mask(h * w, self.mask_ratio)}


def neighbour_mean(target: Tensor, mask: Tensor, grid: tuple[int, int], channels: int) -> Tensor:
    """Guess each patch from the visible ones around it: the yardstick a trained model has to beat.

    Every pixel of a patch gets the mean colour, in the target's scale, of the visible patches among its eight
    neighbours; where none is visible, of all visible patches.

    Args:
        target: ``(B, N, P * P * C)``.
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.
        channels: C.

    Returns:
        ``(B, N, P * P * C)``.
    """
    colour = target.unflatten(-1, (-1, channels)).mean(dim=2)  # (B, N, C)
    y, x = torch.meshgrid(*(torch.arange(n, device=target.device) for n in grid), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], dim=1)
    near = ((places[:, None] - places[None]).abs().amax(dim=-1) == 1).float()  # (N, N)
    visible = (~mask).float()
    weights = near.unsqueeze(0) * visible.unsqueeze(1)  # (B, N, N)
    lonely = weights.sum(dim=-1, keepdim=True) == 0
    weights = torch.where(lonely, visible.unsqueeze(1), weights)
    guess = (weights / weights.sum(dim=-1, keepdim=True)) @ colour
    return guess.repeat(1, 1, target.shape[-1] // channels)
