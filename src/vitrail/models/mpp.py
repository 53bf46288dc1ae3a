"""Masked patch prediction, the ViT paper's own way to learn without labels (section 4.6, appendix B.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.coerce import from_json
from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.patches import pad_to_patches, patchify, take
from vitrail.models.vit import ViT

LEVELS = 8
"""Three bits of each channel: 512 colours of three."""

DOWNSIZED = 4
"""Side of the small copy of a patch that is predicted colour by colour."""

MASKED = -1
"""In the place of the patch that stands there: none, the mask token does."""


@dataclass(frozen=True)
class MPPConfig:
    """How much of an encoder's input is corrupted, and what is predicted (paper, appendix B.1.2)."""

    mask_ratio: float = 0.5
    """Share of the patches that is corrupted and to be predicted, in (0, 1)."""
    target: Literal["color", "downsized", "full"] = "color"
    """color: the patch's mean colour, three bits a channel; downsized: the colours of a 4x4 copy of the patch; full:
    every pixel, by squared error."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0.0 < self.mask_ratio < 1.0:
            raise ConfigError(f"mask_ratio must lie between 0 and 1, not {self.mask_ratio}")


class PatchPredictor(nn.Module):
    """What is put on an encoder: the token that stands for a hidden patch, and a linear map to the target."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.head = nn.Linear(width, outputs)
        nn.init.normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)


class MPP(nn.Module):
    """A ViT that sees all places, some of them corrupted, and says what was there.

    ``mpp.encoder`` is an ordinary ViT: it corrupts nothing by itself, and is what is fine-tuned afterwards.

    Raises:
        ConfigError: its patches cannot be downsized evenly, and they are the target.
    """

    def __init__(self, encoder: ViT, config: MPPConfig) -> None:
        super().__init__()
        if config.target == "downsized" and encoder.config.patch_size % DOWNSIZED:
            raise ConfigError(f"target downsized needs a patch_size that {DOWNSIZED} divides")
        self.config = config
        self.encoder = encoder
        self.predictor = PatchPredictor(encoder.width, self.cells * self.outputs)

    @property
    def patch_size(self) -> int:
        """P, in pixels."""
        return self.encoder.config.patch_size

    @property
    def colours(self) -> int:
        """Number of colours that are told apart: 512 of three channels."""
        return LEVELS**self.encoder.config.channels

    @property
    def cells(self) -> int:
        """Number of colours, or of pixels, that are predicted for a patch."""
        return {"color": 1, "downsized": DOWNSIZED**2, "full": self.patch_size**2}[self.config.target]

    @property
    def outputs(self) -> int:
        """Numbers predicted for each cell: a score for every colour, or the pixel's channels."""
        return self.encoder.config.channels if self.config.target == "full" else self.colours

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of a batch of images."""
        return self.encoder.patch_embed.grid(*images.shape[-2:])

    def forward(self, images: Tensor, source: Tensor | None = None) -> Tensor:
        """Predict every patch from corrupted images.

        Args:
            images: ``(B, C, H, W)``, normalised.
            source: ``(B, N)`` int64, which patch's embedding stands at each place, `MASKED` for the mask token;
                nothing is corrupted when absent.

        Returns:
            ``(B, N, cells, outputs)``: scores of colours, or pixels in [0, 1].
        """
        corrupt = None if source is None else lambda tokens: self._corrupted(tokens, source)
        tokens = self.encoder.forward_features(images, corrupt=corrupt)[:, self.encoder.prefix_tokens :]
        return self.predictor.head(tokens).unflatten(-1, (self.cells, self.outputs))

    def _corrupted(self, tokens: Tensor, source: Tensor) -> Tensor:
        """Put other patches' embeddings and the mask token in the place of some: ``(B, N, D)`` to ``(B, N, D)``."""
        moved = take(tokens, source.clamp(min=0))
        return torch.where((source == MASKED).unsqueeze(-1), self.predictor.mask_token.to(tokens.dtype), moved)

    def target(self, pixels: Tensor) -> Tensor:
        """Return what is to be predicted.

        Args:
            pixels: ``(B, C, H, W)`` in [0, 1], not normalised.

        Returns:
            ``(B, N, cells)`` int64 colours, or ``(B, N, cells, C)`` pixels in [0, 1] with the target "full".
        """
        channels = pixels.shape[1]
        patches = patchify(pad_to_patches(pixels, self.patch_size), self.patch_size)
        patches = patches.unflatten(-1, (self.patch_size, self.patch_size, channels))  # (B, N, P, P, C)
        if self.config.target == "full":
            return patches.flatten(2, 3)
        side = 1 if self.config.target == "color" else DOWNSIZED
        small = patches.unflatten(3, (side, -1)).unflatten(2, (side, -1)).mean(dim=(3, 5))
        return colour_of(small.flatten(2, 3))

    def loss(self, images: Tensor, pixels: Tensor, mask: Tensor, source: Tensor) -> Tensor:
        """Return cross-entropy of the colours, or squared error of the pixels, over the corrupted patches.

        Args:
            images: ``(B, C, H, W)``, normalised.
            pixels: the same images in [0, 1].
            mask: ``(B, N)`` bool, 1 = corrupted.
            source: as for `forward`.
        """
        predicted, target = self(images, source)[mask].float(), self.target(pixels)[mask]
        if self.config.target == "full":
            return F.mse_loss(predicted, target)
        return F.cross_entropy(predicted.flatten(0, 1), target.flatten())


def build(encoder: ViT, options: dict[str, Any]) -> MPP:
    """Put a mask token and a predictor of patches on an encoder.

    Args:
        encoder: the backbone.
        options: fields of `MPPConfig`.

    Raises:
        ConfigError: an option is unknown, of another type, or does not fit the encoder.
    """
    return MPP(encoder, from_json(MPPConfig, options))


def colour_of(colours: Tensor) -> Tensor:
    """Number colours by the three highest bits of each channel, the first channel's being the most significant.

    Args:
        colours: ``(..., C)`` in [0, 1].

    Returns:
        ``(...)`` int64 in [0, 8 ** C).
    """
    # A value k / 8 that a mean over pixels misses by rounding still belongs to k.
    levels = (colours * LEVELS + 1e-4).long().clamp(max=LEVELS - 1)
    weights = LEVELS ** torch.arange(colours.shape[-1] - 1, -1, -1, device=colours.device)
    return (levels * weights).sum(dim=-1)
