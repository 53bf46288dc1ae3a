"""SimMIM (Xie et al. 2022, SimMIM: A Simple Framework for Masked Image Modeling) over a Swin or a ViT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.coerce import from_json
from vitrail.errors import ConfigError
from vitrail.layers.masking import random_mask
from vitrail.layers.patches import grid_of, unpatchify
from vitrail.models.swin import Swin
from vitrail.models.vit import Corrupt, ViT

FEWEST_UNITS = 4


def whole_patches(patch_size: int) -> int:
    """Return the side of squares of whole patches that is nearest to the paper's 32 pixels: 28 for patches of 14."""
    return patch_size * max(1, round(32 / patch_size))


@dataclass(frozen=True)
class SimMIMConfig:
    """What is hidden from an encoder (paper, section 3)."""

    mask_ratio: float = 0.6
    """Share of the squares that is hidden, in (0, 1)."""
    mask_unit: int | None = None
    """Side of the squares that are hidden as one, in pixels: whole patches of the encoder (paper, section 3.2), by
    default those nearest to 32 pixels."""

    def __post_init__(self) -> None:
        if not 0.0 < self.mask_ratio < 1.0:
            raise ConfigError(f"mask_ratio must lie between 0 and 1, not {self.mask_ratio}")


class PixelPredictor(nn.Module):
    """What is put on an encoder: the token that stands for a hidden patch, and a linear map to pixels."""

    def __init__(self, patch_width: int, width: int, outputs: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, patch_width))
        self.head = nn.Linear(width, outputs)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)


class SimMIM(nn.Module):
    """An encoder that sees all places, a mask token at the hidden ones, and a linear map to the pixels.

    ``simmim.encoder`` is an ordinary Swin or ViT: it hides nothing by itself, and is what is fine-tuned afterwards.

    Attributes:
        mask_unit: side of a square that is hidden as one, in pixels.

    Raises:
        ConfigError: squares of this side are not made of whole patches, or an image has too few of them.
    """

    def __init__(self, encoder: Swin | ViT, config: SimMIMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        patch_size, channels = encoder.config.patch_size, encoder.config.channels
        self.mask_unit = whole_patches(patch_size) if config.mask_unit is None else config.mask_unit
        _check_squares(self.mask_unit, patch_size, encoder.config.image_size)
        patch_width = encoder.patch_embed.proj.out_channels
        self.predictor = PixelPredictor(patch_width, encoder.width, self.stride**2 * channels)

    @property
    def stride(self) -> int:
        """Side of the square of pixels that one place of the encoder's last map predicts."""
        return self.encoder.strides[-1]

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return how many squares there are to hide in a batch of images, ``(h, w)``."""
        return grid_of(images.shape[-2], images.shape[-1], self.mask_unit)

    def new_mask(self, images: Tensor) -> Tensor:
        """Draw a random mask ``(B, N)`` for images, from torch's global random numbers."""
        h, w = self.grid(images)
        return random_mask(h * w, self.config.mask_ratio, images.shape[0], images.device)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hide squares and predict all pixels.

        Args:
            images: ``(B, C, H, W)``, normalised.
            mask: ``(B, N)`` bool, 1 = hidden, a value for each square of `grid`; nothing is hidden when absent.

        Returns:
            ``(B, C, H, W)``, in the scale of ``images``.

        Raises:
            ConfigError: the mask does not fit the images.
        """
        corrupt = None if mask is None else self._hiding(images, mask)
        tokens = self.encoder.forward_features(images, corrupt=corrupt).flatten(1, -2)[:, self.encoder.prefix_tokens :]
        height, width = images.shape[-2:]
        pixels = unpatchify(self.predictor.head(tokens), self.stride, grid_of(height, width, self.stride))
        return pixels[..., :height, :width]

    def _hiding(self, images: Tensor, mask: Tensor) -> Corrupt:
        """Return what puts the mask token in the place of hidden patches' embeddings, ``(B, N, D)``."""
        patch_size = self.encoder.config.patch_size
        h, w = grid_of(images.shape[-2], images.shape[-1], patch_size)
        patches = self._spread(images, mask, self.mask_unit // patch_size)[:, :h, :w].flatten(1).unsqueeze(-1)
        token = self.predictor.mask_token
        return lambda tokens: torch.where(patches, token.to(tokens.dtype), tokens)

    def _spread(self, images: Tensor, mask: Tensor, times: int) -> Tensor:
        """Lay a mask out over the image, each square ``times`` places wide: ``(B, N)`` to ``(B, h, w)``."""
        h, w = self.grid(images)
        if mask.shape != (images.shape[0], h * w):
            raise ConfigError(
                f"a mask for these images has shape ({images.shape[0]}, {h * w}), one value for each square of "
                f"{self.mask_unit} pixels; this one has {tuple(mask.shape)}"
            )
        squares = mask.to(images.device).bool().view(images.shape[0], h, w)
        return squares.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)

    def hidden_pixels(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return which pixels a mask hides: ``(B, N)`` to ``(B, 1, H, W)`` bool."""
        height, width = images.shape[-2:]
        return self._spread(images, mask, self.mask_unit)[:, None, :height, :width]

    def loss(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the mean absolute error over the hidden pixels (paper, section 3.4).

        Arguments as in `forward`; a mask is drawn at random when absent.
        """
        mask = self.new_mask(images) if mask is None else mask
        error, count = absolute_error(self(images, mask), images, self.hidden_pixels(images, mask))
        return error / count


def _check_squares(side: int, patch_size: int, image_size: tuple[int, int]) -> None:
    if side < 1 or side % patch_size:
        raise ConfigError(f"mask_unit {side} is not made of whole patches of {patch_size}")
    h, w = grid_of(*image_size, side)
    if h * w < FEWEST_UNITS:
        raise ConfigError(
            f"images of {image_size[0]}x{image_size[1]} pixels have only {h}x{w} squares of mask_unit {side} to hide; "
            "choose a smaller one"
        )


def build(encoder: Swin | ViT, options: dict[str, Any]) -> SimMIM:
    """Put a mask token and a predictor of pixels on an encoder.

    Args:
        encoder: the backbone.
        options: fields of `SimMIMConfig`.

    Raises:
        ConfigError: an option is unknown, of another type, or does not fit the encoder.
    """
    return SimMIM(encoder, from_json(SimMIMConfig, options))


def absolute_error(predicted: Tensor, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of absolute errors over hidden pixels, in float32, and how many numbers were summed.

    Args:
        predicted, images: ``(B, C, H, W)``.
        hidden: ``(B, 1, H, W)`` bool.
    """
    error = (predicted.float() - images.float()).abs() * hidden
    return error.sum(), hidden.sum() * images.shape[1]
