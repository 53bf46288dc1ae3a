"""The Vision Transformer (Dosovitskiy et al. 2021, An Image is Worth 16x16 Words), without a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.block import NORM_EPS, Block, drop_path_rates, initialise
from vitrail.layers.patches import PatchEmbedding, take
from vitrail.layers.positions import resize_positions, sincos_2d


@dataclass(frozen=True)
class ViTConfig:
    """The shape of a ViT (paper, table 1) and its regularisation."""

    image_size: tuple[int, int] = (224, 224)
    """Height and width the positions are made for; any other size works too, and resizes them."""
    patch_size: int = 16
    channels: int = 3
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    pool: Literal["class", "mean"] = "class"
    """class: the normalised class token; mean: the mean of the patch tokens, then a norm (`fc_norm`)."""
    class_token: bool = True
    positions: Literal["learned", "sincos_2d", "none"] = "learned"
    """learned: 1-D, trained; sincos_2d: fixed sines and cosines, as in MAE; none."""
    dropout: float = 0.0
    """On embeddings, attention output and MLP."""
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    """Rate of the last block; it rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        if self.pool == "class" and not self.class_token:
            raise ConfigError('pool "class" needs class_token=True; use pool "mean" without one')
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if min(self.image_size) < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size[0]}x{self.image_size[1]} is smaller than one patch of {self.patch_size}"
            )


# ViT, table 1; Ti and S are DeiT's (Touvron et al. 2021, table 1).
SIZES: dict[str, ViTConfig] = {
    "vit_ti16": ViTConfig(width=192, depth=12, num_heads=3),
    "vit_s16": ViTConfig(width=384, depth=12, num_heads=6),
    "vit_b16": ViTConfig(width=768, depth=12, num_heads=12),
    "vit_b32": ViTConfig(width=768, depth=12, num_heads=12, patch_size=32),
    "vit_l16": ViTConfig(width=1024, depth=24, num_heads=16),
    "vit_l32": ViTConfig(width=1024, depth=24, num_heads=16, patch_size=32),
    "vit_h14": ViTConfig(width=1280, depth=32, num_heads=16, patch_size=14),
}


class ViT(nn.Module):
    """A backbone: pictures to tokens, feature maps or one vector each.

    Parameter names are those of DeiT, timm and MAE (`blocks.0.attn.qkv.weight`), so their files load as they are.

    Attributes:
        config: the shape.
        channels: width of each map of `feature_maps`.
        strides: pixels between two neighbouring places of each of those maps.
        prefix: how many tokens come before the grid (1 with a class token).
        depth: number of blocks, L.
        width: D, length of the vector that `embed` gives.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        self.width = config.width
        self.prefix = int(config.class_token)
        self.patch_embed = PatchEmbedding(config.patch_size, config.channels, config.width)
        self.channels = (config.width,)
        self.strides = (self.patch_embed.stride,)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width)) if config.class_token else None
        self.pos_embed = self._new_positions()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.mlp_ratio, config.dropout, config.attention_dropout, rate)
            for rate in drop_path_rates(config.drop_path, config.depth)
        )
        # Mean pooling is normalised after the pooling, as published for MAE's fine-tuning; one norm is enough.
        pools_class = config.pool == "class"
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS) if pools_class else nn.Identity()
        self.fc_norm = nn.Identity() if pools_class else nn.LayerNorm(config.width, eps=NORM_EPS)
        self.blocks.apply(initialise)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)

    def _new_positions(self) -> nn.Parameter | None:
        config = self.config
        grid = self.patch_embed.grid(*config.image_size)
        if config.positions == "none":
            return None
        if config.positions == "learned":
            return nn.Parameter(torch.randn(1, self.prefix + grid[0] * grid[1], config.width) * 0.02)
        fixed = torch.cat([torch.zeros(self.prefix, config.width), sincos_2d(grid, config.width)])
        return nn.Parameter(fixed.unsqueeze(0), requires_grad=False)

    def positions(self, grid: tuple[int, int]) -> Tensor | None:
        """Return the positions for a grid, ``(1, prefix + h * w, D)``, resized where it is not the model's own."""
        if self.pos_embed is None:
            return None
        own = self.patch_embed.grid(*self.config.image_size)
        return resize_positions(self.pos_embed, own, grid, self.prefix)

    def tokens(self, images: Tensor, visible: Tensor | None = None) -> Tensor:
        """Embed pictures: patch tokens with positions, after the class token (equation 1).

        Args:
            images: ``(B, C, H, W)``, normalised.
            visible: ``(B, V)`` indices of the only patches to embed; all when absent.

        Returns:
            ``(B, prefix + N, D)``, or ``(B, prefix + V, D)``.
        """
        self._check(images)
        tokens = self.patch_embed(images, visible)
        positions = self.positions(self.patch_embed.grid(*images.shape[-2:]))
        if positions is not None:
            places = positions[:, self.prefix :]
            tokens = tokens + (
                places if visible is None else take(places.expand(len(images), -1, -1), visible)
            )
        if self.cls_token is not None:
            first = self.cls_token if positions is None else self.cls_token + positions[:, :1]
            tokens = torch.cat([first.expand(len(images), -1, -1).to(tokens.dtype), tokens], dim=1)
        return self.dropout(tokens)

    def forward_features(self, images: Tensor, visible: Tensor | None = None) -> Tensor:
        """Run the encoder (equations 2 to 4): ``(B, C, H, W)`` to ``(B, prefix + N, D)``.

        With ``visible`` ``(B, V)`` only those patches are seen, giving ``(B, prefix + V, D)``. The tokens are
        normalised when the class token is pooled; with mean pooling the norm comes after the mean.
        """
        tokens = self.tokens(images, visible)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Return the patch tokens as one map: ``[(B, D, h, w)]``."""
        h, w = self.patch_embed.grid(*images.shape[-2:])
        patches = self.forward_features(images)[:, self.prefix :]
        return [patches.transpose(1, 2).reshape(len(images), -1, h, w)]

    def pool(self, tokens: Tensor) -> Tensor:
        """Make one vector of tokens: ``(B, prefix + N, D)`` to ``(B, D)``."""
        pooled = tokens[:, 0] if self.config.pool == "class" else tokens[:, self.prefix :].mean(dim=1)
        return self.fc_norm(pooled)

    def embed(self, images: Tensor) -> Tensor:
        """Describe each picture by one vector: ``(B, C, H, W)`` to ``(B, D)``."""
        return self.pool(self.forward_features(images))

    forward = embed

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after."""
        if name.startswith("blocks."):
            return int(name.split(".")[1]) + 1
        return 0 if name.startswith(("patch_embed.", "cls_token", "pos_embed")) else self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        return {"cls_token", "pos_embed"}

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.config.channels:
            raise ValueError(
                f"expected pictures (B, {self.config.channels}, H, W), got a tensor of shape {tuple(images.shape)}"
            )
