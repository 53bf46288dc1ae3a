"""The masked autoencoder (He et al. 2022, Masked Autoencoders Are Scalable Vision Learners) over any ViT."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.block import NORM_EPS, Block, initialise
from vitrail.layers.masking import Split, random_mask, split
from vitrail.layers.patches import pad_to_patches, patchify, take
from vitrail.layers.positions import resize_positions, sincos_2d
from vitrail.models.vit import ViT, ViTConfig


@dataclass(frozen=True)
class MAEConfig:
    """An encoder, the light decoder on top, and what is hidden and predicted (paper, section 3)."""

    encoder: ViTConfig = field(default_factory=lambda: ViTConfig(positions="sincos_2d"))
    mask_ratio: float = 0.75
    """Share of the patches that is hidden, in (0, 1)."""
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalize_target: bool = True
    """Predict each patch with its own mean taken off and divided by its own standard deviation."""

    def __post_init__(self) -> None:
        if not 0.0 < self.mask_ratio < 1.0:
            raise ConfigError(f"mask_ratio must lie between 0 and 1, not {self.mask_ratio}")
        if self.decoder_width % self.decoder_heads:
            raise ConfigError(
                f"decoder_width {self.decoder_width} is not divisible by decoder_heads {self.decoder_heads}"
            )


@dataclass(frozen=True)
class MAEOutput:
    """What a masked autoencoder makes of a batch.

    Attributes:
        loss: scalar, mean squared error over the hidden patches.
        predicted: ``(B, N, P * P * C)`` in the target's scale, inside a patch row, column, channel.
        mask: ``(B, N)`` bool, 1 = hidden.
    """

    loss: Tensor
    predicted: Tensor
    mask: Tensor


class Decoder(nn.Module):
    """Narrow transformer that sees the visible tokens and, at every hidden place, one shared mask token."""

    def __init__(self, config: MAEConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        width, encoder = config.decoder_width, config.encoder
        self.grid = grid
        self.prefix = int(encoder.class_token)
        self.embed = nn.Linear(encoder.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        fixed = torch.cat([torch.zeros(self.prefix, width), sincos_2d(grid, width)])
        self.pos_embed = nn.Parameter(fixed.unsqueeze(0), requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, config.decoder_heads) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.predict = nn.Linear(width, encoder.patch_size**2 * encoder.channels)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor, parts: Split, grid: tuple[int, int]) -> Tensor:
        """Fill the hidden places and decode.

        Args:
            tokens: ``(B, prefix + V, D)`` from the encoder.
            parts: which patches those are.
            grid: ``(h, w)`` of the whole picture.

        Returns:
            ``(B, prefix + N, decoder_width)``: prefix, visible patches, then hidden ones. Attention does not
            mind the order, so nothing is sorted back before it must be.
        """
        tokens = self.embed(tokens)
        positions = resize_positions(self.pos_embed, self.grid, grid, self.prefix)
        places = positions[:, self.prefix :].expand(tokens.shape[0], -1, -1)
        visible = tokens[:, self.prefix :] + take(places, parts.visible)
        hidden = self.mask_token + take(places, parts.hidden)
        prefix = tokens[:, : self.prefix] + positions[:, : self.prefix]
        tokens = torch.cat([prefix, visible, hidden.to(tokens.dtype)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class MAE(nn.Module):
    """Encoder over the visible patches, decoder over all places, loss on the hidden ones.

    ``mae.encoder`` is an ordinary ViT: it never hides anything, and is what is fine-tuned afterwards.
    """

    def __init__(self, config: MAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ViT(config.encoder)
        self.decoder = Decoder(config, self.encoder.patch_embed.grid(*config.encoder.image_size))

    @property
    def patch_size(self) -> int:
        """P, in pixels."""
        return self.config.encoder.patch_size

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of a batch of pictures."""
        return self.encoder.patch_embed.grid(*images.shape[-2:])

    def target(self, images: Tensor) -> Tensor:
        """Return what is to be predicted, ``(B, N, P * P * C)``, as `MAEConfig.normalize_target` says.

        Normalisation uses the unbiased variance plus 1e-6, as the published weights were trained.
        """
        patches = patchify(pad_to_patches(images, self.patch_size), self.patch_size)
        if not self.config.normalize_target:
            return patches
        mean, deviation = patch_statistics(patches)
        return (patches - mean) / deviation

    def new_mask(self, images: Tensor) -> Tensor:
        """Draw a random mask ``(B, N)`` for pictures, from torch's global random numbers."""
        h, w = self.grid(images)
        return random_mask(h * w, self.config.mask_ratio, images.shape[0], images.device)

    def loss(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss alone; the prediction is computed at the hidden places only.

        Arguments as in `forward`.
        """
        parts = self._parts(images, mask)
        predicted = self._predict(self._decode(images, parts)[:, -parts.hidden.shape[1] :])
        return mean_squared_error(predicted, take(self.target(images), parts.hidden))

    def forward(self, images: Tensor, mask: Tensor | None = None) -> MAEOutput:
        """Hide patches and predict them.

        Args:
            images: ``(B, C, H, W)``, normalised.
            mask: ``(B, N)``, 1 = hidden, the same number hidden in every row; drawn at random when absent.

        Raises:
            ConfigError: the mask does not fit the pictures, or its rows hide different numbers of patches.
        """
        if mask is None:
            mask = self.new_mask(images)
        parts = self._parts(images, mask)
        shuffled = self._predict(self._decode(images, parts)[:, self.encoder.prefix :])
        loss = mean_squared_error(shuffled[:, -parts.hidden.shape[1] :], take(self.target(images), parts.hidden))
        return MAEOutput(loss, take(shuffled, parts.restore), mask.bool())

    def _parts(self, images: Tensor, mask: Tensor | None) -> Split:
        h, w = self.grid(images)
        if mask is None:
            mask = self.new_mask(images)
        if mask.shape != (images.shape[0], h * w):
            raise ConfigError(
                f"a mask for these pictures has shape ({images.shape[0]}, {h * w}), one value for each patch of a "
                f"{h}x{w} grid; this one has {tuple(mask.shape)}"
            )
        return split(mask.to(images.device).bool())

    def _decode(self, images: Tensor, parts: Split) -> Tensor:
        seen = self.encoder.forward_features(images, parts.visible)
        return self.decoder(seen, parts, self.grid(images))

    def _predict(self, tokens: Tensor) -> Tensor:
        return self.decoder.predict(self.decoder.norm(tokens))


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each patch, ``(B, N, 1)`` each, as normalised targets use them."""
    mean = patches.mean(dim=-1, keepdim=True)
    return mean, (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()


def mean_squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over everything of the squared difference, in float32."""
    return (predicted.float() - target.float()).square().mean()
