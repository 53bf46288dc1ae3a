"""Learning to see by filling in hidden patches; each target's own loss is in `vitrail.models.targets`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitrail.layers.patches import unpatchify
from vitrail.models.mae import MAE
from vitrail.models.targets import patches_of
from vitrail.tasks.baseline import neighbour_mean
from vitrail.tasks.loss import MaskedLoss


class Reconstruction(MaskedLoss):
    """Masked autoencoding: squared error, or of tokens cross-entropy, over the hidden patches.

    `MAE.loss_of` hides, encodes, decodes and predicts; the ``loss`` of `vitrail.models.targets` compares.

    Args:
        model: the masked autoencoder.
        preprocessing: how its images are normalised.
    """

    model: MAE

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``loss``, and of what the baseline reaches that knows nothing of images.

        It fills hidden patches with `neighbour_mean`: ``neighbour_loss`` is the loss it would have. Of tokens, which
        have no mean, the shares that are right are measured instead: ``accuracy``, and ``neighbour_accuracy``.
        """
        images, mask = self.normalise(batch["image"]), batch["mask"]
        parts = self.model.split(images, mask)
        target, guess = self.model.target(images, parts.hidden), self._guess(images, mask)
        count = torch.tensor(len(images), device=images.device)
        sums = {"loss": (self.model.loss_of(images, parts).double() * count, count)}
        if self.model.decoder.target.classifies:
            best = self.model(images, mask).predicted.argmax(dim=-1, keepdim=True)
            right = {
                "accuracy": best[mask] == target.flatten(0, 1),
                "neighbour_accuracy": guess[mask] == target.flatten(0, 1),
            }
            hidden = mask.sum()
            return sums | {name: (value.double().sum(), hidden) for name, value in right.items()}
        loss = self.model.decoder.target.loss(guess[mask], target.flatten(0, 1))
        return sums | {"neighbour_loss": (loss.double() * count, count)}

    def _guess(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return what would be predicted, ``(B, N, ...)``, of images filled with the mean of visible neighbours."""
        grid, size = self.model.grid(images), self.model.patch_size
        if self.model.decoder.target.is_pixels:
            return neighbour_mean(self.model.target(images), mask, grid, images.shape[1])
        filled = neighbour_mean(patches_of(images, size), mask, grid, images.shape[1])
        return self.model.target(unpatchify(filled, size, grid))

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        encoder = {f"model.encoder.{name}" for name in self.model.encoder.no_weight_decay()}
        tokens = {"model.decoder.mask_token", "model.encoder_mask_token", "model.decoder.pos_embed"}
        return encoder | {name for name, _ in self.named_parameters() if name in tokens}
