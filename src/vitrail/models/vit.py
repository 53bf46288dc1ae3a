"""The Vision Transformer (Dosovitskiy et al. 2021, An Image is Worth 16x16 Words), without a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.attention import Attention, Bias
from vitrail.layers.block import NORM_EPS, Block, drop_path_rates, initialise
from vitrail.layers.patches import PatchEmbedding, check_images, take
from vitrail.layers.pooling import AttentionPool
from vitrail.models.backbone import Backbone, Family, Step, VisiblePass, run_blocks
from vitrail.models.vit_positions import PositionKind, PositionPlace, PositionScheme

Corrupt = Callable[[Tensor], Tensor]
"""Takes the embeddings of patches, ``(B, N, D)``, and returns others in their place."""


@dataclass(frozen=True)
class ViTConfig:
    """The shape of a ViT (paper, table 1) and its regularisation."""

    family: ClassVar[Family] = "vit"

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
    positions: PositionKind = "learned"
    """The paper's are learned, and those of MAE sincos_2d; the others are ablations (see `PositionKind`)."""
    positions_at: PositionPlace = "stem"
    """Where positions come in: in the stem, or as an ablation before every block (see `PositionPlace`)."""
    position_resize: Literal["bicubic", "bilinear"] = "bicubic"
    """How positions are fitted to an image of another size: see `resize_positions`."""
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


class ViT(Backbone):
    """A backbone: images to tokens, feature maps or one vector each.

    Parameter names are those of DeiT, timm and MAE (`blocks.0.attn.qkv.weight`), so their files load as they are.

    Args:
        config: the shape.
        patch_embed: what makes tokens of images; patches of pixels when absent. A hybrid gives its own.
    """

    def __init__(self, config: ViTConfig, patch_embed: PatchEmbedding | None = None) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        self.width = config.width
        self.prefix_tokens = int(config.class_token)
        if patch_embed is None:
            patch_embed = PatchEmbedding(config.patch_size, config.channels, config.width)
        self.patch_embed = patch_embed
        self.channels = (config.width,)
        self.strides = (self.patch_embed.stride,)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width)) if config.class_token else None
        self.positions = PositionScheme(
            config.positions,
            config.positions_at,
            self.patch_embed.grid(*config.image_size),
            self.prefix_tokens,
            config.width,
            config.depth,
            config.num_heads,
            config.position_resize,
        )
        self.pos_embed = self.positions.new_table()
        self.relative = self.positions.new_relative()
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

    def tokens(self, images: Tensor, visible: Tensor | None = None, corrupt: Corrupt | None = None) -> Tensor:
        """Embed images: patch tokens with positions, after the class token (equation 1).

        Positions that come in before every block are not added here.

        Args:
            images: ``(B, C, H, W)``, normalised.
            visible: ``(B, V)`` indices of the only patches to embed; all when absent.
            corrupt: changes the patches' embeddings before they get their positions; for pretraining.

        Returns:
            ``(B, prefix + N, D)``, or ``(B, prefix + V, D)``.
        """
        check_images(images, self.config.channels)
        tokens = self.patch_embed(images, visible)
        if corrupt is not None:
            tokens = corrupt(tokens)
        positions = self.positions.at_stem(self.pos_embed, self.patch_embed.grid(*images.shape[-2:]))
        if positions is None:
            # With positions the sum has the parameters' precision under autocast; without them it should too.
            tokens = tokens.to(self.patch_embed.proj.weight.dtype)
        else:
            own = positions[:, self.prefix_tokens :]
            tokens = tokens + (own if visible is None else take(own.expand(images.shape[0], -1, -1), visible))
        if self.cls_token is not None:
            first = self.cls_token if positions is None else self.cls_token + positions[:, :1]
            tokens = torch.cat([first.expand(images.shape[0], -1, -1).to(tokens.dtype), tokens], dim=1)
        return self.dropout(tokens)

    def block_steps(self, height: int, width: int, visible: Tensor | None = None) -> list[Step]:
        """Return each block as a function of its tokens (equations 2 and 3), for images of this size in pixels."""
        if not self.positions.act_in_blocks:
            return list(self.blocks)
        grid = self.patch_embed.grid(height, width)
        given = self.positions.in_blocks(self.pos_embed, self.relative, grid, visible)
        return [_step(block, *beside) for block, beside in zip(self.blocks, given, strict=True)]

    def half_steps(self, number: int, height: int, width: int) -> tuple[Step, Step]:
        """Return both halves of a block: that in which tokens see one another, and that which maps each by itself."""
        block: Any = self.blocks[number]
        grid = self.patch_embed.grid(height, width)
        added, bias = self.positions.in_blocks(self.pos_embed, self.relative, grid, None)[number]
        return _step(block.attend, added, bias), block.transform

    def forward_features(self, images: Tensor, visible: Tensor | None = None, corrupt: Corrupt | None = None) -> Tensor:
        """Run the encoder (equations 1 to 4): ``(B, C, H, W)`` to ``(B, prefix + N, D)``.

        With ``visible`` ``(B, V)`` only those patches are seen, giving ``(B, prefix + V, D)``; ``corrupt`` is that
        of `tokens`. The tokens are normalised when the class token is pooled; with mean pooling the norm comes
        after the mean.
        """
        steps = self.block_steps(images.shape[-2], images.shape[-1], visible)
        return self.norm(run_blocks(steps, self.tokens(images, visible, corrupt))[0])

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return the patch tokens as one map, ``[(B, D, h, w)]``, normalised as `forward_features` does.

        With ``after``, blocks numbered from 0 in rising order: a map after each of them, without a norm.
        """
        if after:
            steps = self.block_steps(images.shape[-2], images.shape[-1])
            _, encoded = run_blocks(steps, self.tokens(images), keep=after)
        else:
            encoded = [self.forward_features(images)]
        h, w = self.patch_embed.grid(*images.shape[-2:])
        maps = [tokens[:, self.prefix_tokens :].transpose(1, 2) for tokens in encoded]
        return [tokens.reshape(images.shape[0], self.width, h, w) for tokens in maps]

    def pool(self, tokens: Tensor) -> Tensor:
        """Make one vector of tokens: ``(B, prefix + N, D)`` to ``(B, D)``."""
        if self.config.pool == "class":
            return self.fc_norm(tokens[:, 0])
        patches = tokens[:, self.prefix_tokens :]
        return self.fc_norm(patches.mean(dim=1) if self.attn_pool is None else self.attn_pool(patches))

    def embed(self, images: Tensor) -> Tensor:
        """Describe each image by one vector: ``(B, C, H, W)`` to ``(B, D)``."""
        return self.pool(self.forward_features(images))

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after."""
        if name.startswith(("blocks.", "relative.")):
            return int(name.split(".")[1]) + 1
        return 0 if name.startswith(("patch_embed.", "cls_token", "pos_embed")) else self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        names = ("cls_token", "pos_embed", "relative.", "attn_pool.latent")
        return {name for name, _ in self.named_parameters() if name.startswith(names)}

    def without_part_in_maps(self, after: Sequence[int] = ()) -> list[str]:
        """Return the names of what only makes a vector of tokens, and of the norm, which is not for inner blocks."""
        kinds = ("fc_norm.", "attn_pool.", *(("norm.",) if after else ()))
        return [name for name, _ in self.named_parameters() if name.startswith(kinds)]

    @property
    def pools_class_token(self) -> bool:
        """Whether `embed` is made of the class token alone."""
        return self.config.pool == "class"

    def pooled_shares(self, patches: int) -> Tensor | None:
        """Return the share of each token in the pooled vector; see `Backbone.pooled_shares`."""
        return None if self.attn_pool is not None else super().pooled_shares(patches)

    @property
    def can_leave_patches_out(self) -> bool:
        """Whether a token has seen its own patch alone; in a hybrid it has not."""
        return self.patch_embed.sees_only_its_patch

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the patch tokens before the last block where the class token is pooled, else those after it.

        After the last block nothing depends on the patch tokens of a model that pools its class token.
        """
        steps = self.block_steps(images.shape[-2], images.shape[-1])
        before = steps[:-1] if self.pools_class_token else steps
        tokens, _ = run_blocks(before, self.tokens(images))
        prefix, grid = tokens[:, : self.prefix_tokens], self.patch_embed.grid(*images.shape[-2:])

        def rest(places: Tensor) -> Tensor:
            joined = torch.cat([prefix, places.flatten(2).transpose(1, 2)], dim=1)
            return self.pool(self.norm(run_blocks(steps[len(before) :], joined)[0]))

        return tokens[:, self.prefix_tokens :].transpose(1, 2).unflatten(2, grid), rest

    def head_input_visible(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return what a classifier scores of images of which only some patches are there; see `Backbone`."""
        if not self.can_leave_patches_out:
            raise ConfigError("each token of a hybrid has seen more than its patch; fill patches, do not take them out")
        if not visible.shape[-1] and not self.pools_class_token:
            raise ConfigError("a model that pools its patches has no answer when all of them are taken out")
        variants = visible.flatten(0, 1)
        tokens = self.tokens(images).repeat_interleave(visible.shape[1], dim=0)
        kept = torch.cat([tokens[:, : self.prefix_tokens], take(tokens[:, self.prefix_tokens :], variants)], dim=1)
        if self.pools_class_token and not self.positions.act_in_blocks:
            return self.pool(self.norm(self._class_token_of(kept))).unflatten(0, visible.shape[:2])
        steps = self.block_steps(images.shape[-2], images.shape[-1], variants)
        return self.pool(self.norm(run_blocks(steps, kept)[0])).unflatten(0, visible.shape[:2])

    def visible_pass(self, images: Tensor, visible: Tensor) -> VisiblePass:
        """Return the steps of images of which only some patches are there; see `Backbone.visible_pass`."""
        if not self.can_leave_patches_out:
            raise ConfigError("each token of a hybrid has seen more than its patch; fill patches, do not take them out")
        steps = self.block_steps(images.shape[-2], images.shape[-1], visible)
        return VisiblePass(self.tokens(images, visible), steps, self.norm, self.pool)

    def _class_token_of(self, tokens: Tensor) -> Tensor:
        """Run the blocks, of the last one only what becomes of the class token: ``(B, T, D)`` to ``(B, 1, D)``."""
        *blocks, last = self.blocks
        tokens, _ = run_blocks(blocks, tokens)
        return last(tokens.roll(-1, dims=1), None, 1)

    def input_filters(self) -> Tensor:
        """Return the filters that make tokens of patches; of a hybrid, those of its ResNet's first convolution."""
        return self.patch_embed.input_filters()

    def position_table(self, height: int, width: int) -> Tensor | None:
        """Return the positions of the patches, fitted to images of this size; see `Backbone.position_table`."""
        table = self.positions.fitted(self.pos_embed, self.patch_embed.grid(height, width))
        return None if table is None else table[:, self.prefix_tokens :]

    def position_biases(self) -> list[Tensor]:
        """Return the tables of 2-D offsets; keys of 1-D offsets have none."""
        return [table for module in self.relative if (table := module.by_offset()) is not None]  # type: ignore[operator]

    @property
    def splits_between_blocks(self) -> bool:
        """Whether it can be cut in two between blocks: it can."""
        return True

    def attention_layers(self) -> list[Attention]:
        """Return the attention of every block."""
        return [block.attn for block in self.blocks]  # type: ignore[misc]

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of an image of this size in pixels."""
        return self.patch_embed.grid(height, width)


def _step(block: Callable[..., Tensor], added: Tensor | None, bias: Bias | None) -> Step:
    """Return a block that gets positions of its own; nothing but in ablations."""
    return lambda tokens: block(tokens if added is None else tokens + added, bias)
