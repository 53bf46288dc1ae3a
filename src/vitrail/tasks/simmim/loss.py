"""Learning to see by predicting the pixels of hidden squares, as SimMIM does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitrail.layers.patches import pad_to_patches, patchify, unpatchify
from vitrail.models.simmim import SimMIM, absolute_error
from vitrail.tasks.baseline import neighbour_mean
from vitrail.tasks.loss import MaskedLoss


class HiddenPixels(MaskedLoss):
    """SimMIM: mean absolute error over the pixels of the hidden squares (`SimMIM.loss`).

    Args:
        model: encoder and predictor.
        preprocessing: how its images are normalised.
    """

    model: SimMIM

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``loss``, and of ``neighbour_loss``: what `neighbouring_colours` would score."""
        images, mask = self.normalise(batch["image"]), batch["mask"]
        hidden = self.model.hidden_pixels(images, mask)
        guesses = {"loss": self.model(images, mask), "neighbour_loss": neighbouring_colours(self.model, images, mask)}
        return {name: absolute_error(guess, images, hidden) for name, guess in guesses.items()}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        encoder = {f"model.encoder.{name}" for name in self.model.encoder.no_weight_decay()}
        return encoder | {"model.predictor.mask_token"}


def neighbouring_colours(model: SimMIM, images: Tensor, mask: Tensor) -> Tensor:
    """Guess every square by the mean colour of the visible ones around it: the baseline a model has to beat.

    See `neighbour_mean`.

    Args:
        model: says which squares there are.
        images: ``(B, C, H, W)``, normalised.
        mask: ``(B, N)`` bool, 1 = hidden.

    Returns:
        ``(B, C, H, W)``.
    """
    unit, grid = model.mask_unit, model.grid(images)
    squares = patchify(pad_to_patches(images, unit), unit)
    guess = unpatchify(neighbour_mean(squares, mask.bool(), grid, images.shape[1]), unit, grid)
    return guess[..., : images.shape[-2], : images.shape[-1]]
