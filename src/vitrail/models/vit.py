"""The Vision Transformer (Dosovitskiy et al. 2021, An Image is Worth 16x16 Words), without a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.attention import Bias
from vitrail.layers.block import NORM_EPS, Block, drop_path_rates, initialise
from vitrail.layers.patches import PatchEmbedding, check_images, take
from vitrail.layers.pooling import AttentionPool
from vitrail.layers.positions import Learned2d, resize_positions, sincos_2d
from vitrail.layers.relative_position import RelativeBias, RelativeKeys

Corrupt = Callable[[Tensor], Tensor]
"""Takes the embeddings of patches, ``(B, N, D)``, and returns others in their place."""


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
    pool: Literal["class", "mean", "attention"] = "class"
    """class: the normalised class token; mean: the mean of the patch tokens, then a norm (`fc_norm`);
    attention: a learned query over the normalised patch tokens (`AttentionPool`)."""
    class_token: bool = True
    positions: Literal["learned", "learned_2d", "sincos_2d", "relative", "relative_bias", "none"] = "learned"
    """learned: 1-D, trained; learned_2d: rows and columns, trained; sincos_2d: fixed sines and cosines, as in
    MAE; relative: the paper's keys for 1-D offsets; relative_bias: a table of 2-D offsets; none."""
    positions_at: Literal["stem", "layers", "layers_shared"] = "stem"
    """Where positions come in (paper, appendix D.4): once before the first block; before every block, each with
    its own; before every block, the same. Relative ones act in every block, and are each block's own unless
    shared."""
    position_resize: Literal["bicubic", "bilinear"] = "bicubic"
    """How positions are fitted to a picture of another size: see `resize_positions`."""
    dropout: float = 0.0
    """On embeddings, attention output and MLP."""
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    """Rate of the last block; it rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.pool == "class" and not self.class_token:
            raise ConfigError('pool "class" needs class_token=True; use pool "mean" without one')
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if min(self.image_size) < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size[0]}x{self.image_size[1]} is smaller than one patch of {self.patch_size}"
            )


# ViT, table 1; Ti and S are DeiT's (Touvron et al. 2021, table 1), giant and G those of Scaling Vision Transformers
# (Zhai et al. 2022), there called g/14 and G/14. S/8 is from DINO (Caron et al. 2021), S/32 and B/8 are from How to
# train your ViT (Steiner et al. 2022), L/14 is from CLIP (Radford et al. 2021).
SIZES: dict[str, ViTConfig] = {
    "vit_ti16": ViTConfig(width=192, depth=12, num_heads=3),
    "vit_s8": ViTConfig(width=384, depth=12, num_heads=6, patch_size=8),
    "vit_s16": ViTConfig(width=384, depth=12, num_heads=6),
    "vit_s32": ViTConfig(width=384, depth=12, num_heads=6, patch_size=32),
    "vit_b8": ViTConfig(width=768, depth=12, num_heads=12, patch_size=8),
    "vit_b16": ViTConfig(width=768, depth=12, num_heads=12),
    "vit_b32": ViTConfig(width=768, depth=12, num_heads=12, patch_size=32),
    "vit_l14": ViTConfig(width=1024, depth=24, num_heads=16, patch_size=14),
    "vit_l16": ViTConfig(width=1024, depth=24, num_heads=16),
    "vit_l32": ViTConfig(width=1024, depth=24, num_heads=16, patch_size=32),
    "vit_h14": ViTConfig(width=1280, depth=32, num_heads=16, patch_size=14),
    "vit_giant14": ViTConfig(width=1408, depth=40, num_heads=16, patch_size=14, mlp_ratio=6144 / 1408),
    "vit_g14": ViTConfig(width=1664, depth=48, num_heads=16, patch_size=14, mlp_ratio=8192 / 1664),
}


class ViT(nn.Module):
    """A backbone: pictures to tokens, feature maps or one vector each.

    Parameter names are those of DeiT, timm and MAE (`blocks.0.attn.qkv.weight`), so their files load as they are.

    Args:
        config: the shape.
        patch_embed: what makes tokens of pictures; patches of pixels when absent. A hybrid gives its own.

    Attributes:
        config: the shape.
        channels: width of each map of `feature_maps`.
        strides: pixels between two neighbouring places of each of those maps.
        prefix: how many tokens come before the grid (1 with a class token).
        depth: number of blocks, L.
        width: D, length of the vector that `embed` gives.
    """

    def __init__(self, config: ViTConfig, patch_embed: PatchEmbedding | None = None) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        self.width = config.width
        self.prefix = int(config.class_token)
        if patch_embed is None:
            patch_embed = PatchEmbedding(config.patch_size, config.channels, config.width)
        self.patch_embed = patch_embed
        self.channels = (config.width,)
        self.strides = (self.patch_embed.stride,)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width)) if config.class_token else None
        self.pos_embed = self._new_positions()
        self.relative = self._new_relative()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.mlp_ratio, config.dropout, config.attention_dropout, rate)
            for rate in drop_path_rates(config.drop_path, config.depth)
        )
        # Mean pooling is normalised after the pooling, as published for MAE's fine-tuning; one norm is enough.
        pools_mean = config.pool == "mean"
        self.norm = nn.Identity() if pools_mean else nn.LayerNorm(config.width, eps=NORM_EPS)
        self.fc_norm = nn.LayerNorm(config.width, eps=NORM_EPS) if pools_mean else nn.Identity()
        pools_by_attention = config.pool == "attention"
        self.attn_pool = AttentionPool(config.width, config.num_heads, config.mlp_ratio) if pools_by_attention else None
        self.blocks.apply(initialise)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)

    def _new_positions(self) -> nn.Parameter | Learned2d | None:
        config = self.config
        grid = self.patch_embed.grid(*config.image_size)
        copies = config.depth if config.positions_at == "layers" else 1
        if config.positions == "learned":
            return nn.Parameter(torch.randn(copies, self.prefix + grid[0] * grid[1], config.width) * 0.02)
        if config.positions == "learned_2d":
            return Learned2d(grid, config.width, self.prefix, copies)
        if config.positions == "sincos_2d":
            fixed = torch.cat([torch.zeros(self.prefix, config.width), sincos_2d(grid, config.width)])
            return nn.Parameter(fixed.unsqueeze(0), requires_grad=False)
        return None

    def _new_relative(self) -> nn.ModuleList:
        config = self.config
        grid = self.patch_embed.grid(*config.image_size)
        copies = range(1 if config.positions_at == "layers_shared" else config.depth)
        heads = config.num_heads
        if config.positions == "relative":
            return nn.ModuleList(RelativeKeys(grid, self.prefix, heads, config.width // heads) for _ in copies)
        if config.positions == "relative_bias":
            return nn.ModuleList(RelativeBias(grid, self.prefix, heads) for _ in copies)
        return nn.ModuleList()

    def positions(self, grid: tuple[int, int]) -> Tensor | None:
        """Return the positions for a grid, resized where it is not the model's own.

        Returns:
            ``(1, prefix + h * w, D)``; ``(L, prefix + h * w, D)`` where every block has its own; None where
            there are none, or only relative ones.
        """
        if self.pos_embed is None:
            return None
        table = self.pos_embed() if isinstance(self.pos_embed, Learned2d) else self.pos_embed
        own = self.patch_embed.grid(*self.config.image_size)
        return resize_positions(table, own, grid, self.prefix, self.config.position_resize)

    def tokens(self, images: Tensor, visible: Tensor | None = None, corrupt: Corrupt | None = None) -> Tensor:
        """Embed pictures: patch tokens with positions, after the class token (equation 1).

        Positions that come in before every block are not added here.

        Args:
            images: ``(B, C, H, W)``, normalised.
            visible: ``(B, V)`` indices of the only patches to embed; all when absent.
            corrupt: changes the patches' embeddings before they get their positions; for pretraining.

        Returns:
            ``(B, prefix + N, D)``, or ``(B, prefix + V, D)``.
        """
        self._check(images)
        tokens = self.patch_embed(images, visible)
        if corrupt is not None:
            tokens = corrupt(tokens)
        at_stem = self.config.positions_at == "stem"
        positions = self.positions(self.patch_embed.grid(*images.shape[-2:])) if at_stem else None
        if positions is None:
            # With positions the sum has the parameters' precision under autocast; without them it should too.
            tokens = tokens.to(self.patch_embed.proj.weight.dtype)
        else:
            places = positions[:, self.prefix :]
            tokens = tokens + (places if visible is None else take(places.expand(images.shape[0], -1, -1), visible))
        if self.cls_token is not None:
            first = self.cls_token if positions is None else self.cls_token + positions[:, :1]
            tokens = torch.cat([first.expand(images.shape[0], -1, -1).to(tokens.dtype), tokens], dim=1)
        return self.dropout(tokens)

    def forward_features(self, images: Tensor, visible: Tensor | None = None, corrupt: Corrupt | None = None) -> Tensor:
        """Run the encoder (equations 2 to 4): ``(B, C, H, W)`` to ``(B, prefix + N, D)``.

        With ``visible`` ``(B, V)`` only those patches are seen, giving ``(B, prefix + V, D)``; ``corrupt`` is that
        of `tokens`. The tokens are normalised when the class token is pooled; with mean pooling the norm comes
        after the mean.
        """
        return self.norm(self._encode(images, visible, corrupt)[-1])

    def _encode(
        self,
        images: Tensor,
        visible: Tensor | None = None,
        corrupt: Corrupt | None = None,
        after: Sequence[int] = (),
    ) -> list[Tensor]:
        """Run all blocks: the tokens after each block of ``after``, and then those after the last one."""
        tokens = self.tokens(images, visible, corrupt)
        places = self._places(images, visible)
        biases = self._biases(images, visible)
        kept = []
        for number, (block, place, bias) in enumerate(zip(self.blocks, places, biases, strict=True)):
            tokens = block(tokens if place is None else tokens + place, bias)
            if number in after:
                kept.append(tokens)
        return [*kept, tokens]

    def _places(self, images: Tensor, visible: Tensor | None) -> list[Tensor | None]:
        """Return what is added before each block, ``(1, T, D)`` or ``(B, T, D)``: nothing but in ablations."""
        at_stem = self.config.positions_at == "stem"
        positions = None if at_stem else self.positions(self.patch_embed.grid(*images.shape[-2:]))
        if positions is None:
            return [None] * self.depth
        layers = positions.expand(self.depth, -1, -1).unsqueeze(1)
        if visible is None:
            return list(layers)
        front = torch.arange(self.prefix, device=visible.device).expand(len(visible), -1)
        seen = torch.cat([front, visible + self.prefix], dim=1)
        return [take(layer.expand(images.shape[0], -1, -1), seen) for layer in layers]

    def _biases(self, images: Tensor, visible: Tensor | None) -> list[Bias | None]:
        """Return what each block's attention adds to its scores: nothing without relative positions."""
        if not len(self.relative):
            return [None] * self.depth
        grid = self.patch_embed.grid(*images.shape[-2:])
        modules = list(self.relative) * (self.depth // len(self.relative))
        return [lambda queries, module=module: module(queries, grid, visible) for module in modules]

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return the patch tokens as one map, ``[(B, D, h, w)]``, normalised as `forward_features` does.

        With ``after``, blocks numbered from 0 in rising order: a map after each of them, without a norm.
        """
        h, w = self.patch_embed.grid(*images.shape[-2:])
        encoded = self._encode(images, after=after)[:-1] if after else [self.forward_features(images)]
        maps = [tokens[:, self.prefix :].transpose(1, 2) for tokens in encoded]
        return [tokens.reshape(images.shape[0], self.width, h, w) for tokens in maps]

    def pool(self, tokens: Tensor) -> Tensor:
        """Make one vector of tokens: ``(B, prefix + N, D)`` to ``(B, D)``."""
        if self.config.pool == "class":
            return self.fc_norm(tokens[:, 0])
        patches = tokens[:, self.prefix :]
        return self.fc_norm(patches.mean(dim=1) if self.attn_pool is None else self.attn_pool(patches))

    def embed(self, images: Tensor) -> Tensor:
        """Describe each picture by one vector: ``(B, C, H, W)`` to ``(B, D)``."""
        return self.pool(self.forward_features(images))

    forward = embed

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after."""
        if name.startswith(("blocks.", "relative.")):
            return int(name.split(".")[1]) + 1
        return 0 if name.startswith(("patch_embed.", "cls_token", "pos_embed")) else self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        names = ("cls_token", "pos_embed", "relative.", "attn_pool.latent")
        return {name for name, _ in self.named_parameters() if name.startswith(names)}

    def _check(self, images: Tensor) -> None:
        check_images(images, self.config.channels)
