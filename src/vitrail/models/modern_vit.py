"""ViTs of after 2021, without a head: DeiT's and DeiT III's, BEiT, DINOv2 and DINOv3, the image towers of CLIP, SigLIP.

One block serves them all; what their papers change in it is a field of `ModernViTConfig` each. The plain ViT of 2021
has a file of its own, `vitrail.models.vit`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.attention import Attention
from vitrail.layers.block import drop_path, drop_path_rates, initialise
from vitrail.layers.feed_forward import ACTIVATIONS, LayerScale, new_mlp
from vitrail.layers.modern_attention import ModernAttention
from vitrail.layers.patches import PatchEmbedding, check_images, take
from vitrail.layers.pooling import AttentionPool
from vitrail.layers.positions import resize_positions
from vitrail.layers.relative_position import RelativeBias
from vitrail.layers.rope import Rotation, frequencies, rotation
from vitrail.models.backbone import Backbone, Step, VisiblePass, run_blocks
from vitrail.models.modern_sizes import ModernViTConfig

TOKENS = ("cls_token", "dist_token", "reg_token")
"""Names of what comes before the grid, in their order."""


class ModernBlock(nn.Module):
    """Attention and MLP, each with LayerNorm before, perhaps a factor on each channel after, and a residual around."""

    def __init__(self, config: ModernViTConfig, rate: float) -> None:
        super().__init__()
        width, eps = config.width, config.norm_eps
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = ModernAttention(
            width,
            config.num_heads,
            config.qkv_bias,
            config.qk_norm,
            eps,
            config.attention_dropout,
            config.dropout,
        )
        self.ls1 = _layer_scale(config)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = new_mlp(config.mlp, width, config.hidden, config.dropout)
        self.ls2 = _layer_scale(config)
        self.drop_path = rate

    def forward(self, tokens: Tensor, bias: Tensor | None = None, turned: Rotation | None = None) -> Tensor:
        """``(B, N, D)`` to ``(B, N, D)``; ``bias`` and ``turned`` as in `ModernAttention`."""
        mixed = self.ls1(self.attn(self.norm1(tokens), bias, turned))
        tokens = tokens + drop_path(mixed, self.drop_path, self.training)
        return tokens + drop_path(self.ls2(self.mlp(self.norm2(tokens))), self.drop_path, self.training)


class ModernViT(Backbone):
    """A backbone: images to tokens, feature maps or one vector each.

    Parameter names are timm's (`blocks.0.ls1.gamma`, `reg_token`, `norm_pre.weight`), but for biases by relative
    position, which are `relative.0.relative_position_bias_table`.
    """

    def __init__(self, config: ModernViTConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = config.depth
        self.width = config.width * (2 if config.pool == "class_mean" else 1)
        self.prefix_tokens = config.prefix_tokens
        self.patch_embed = PatchEmbedding(config.patch_size, config.channels, config.width, config.patch_bias)
        self.channels = (config.width,)
        self.strides = (self.patch_embed.stride,)
        self.own_grid = self.patch_embed.grid(*config.image_size)
        counts = (int(config.class_token), int(config.distillation_token), config.registers)
        for name, count in zip(TOKENS, counts, strict=True):
            self.register_parameter(name, _new_tokens(count, config.width))
        places = config.placed_tokens + self.own_grid[0] * self.own_grid[1]
        self.pos_embed = _new_tokens(places if config.positions == "learned" else 0, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.norm_pre = self._norm() if config.pre_norm else nn.Identity()
        self.relative = self._new_relative()
        self.blocks = nn.ModuleList(
            ModernBlock(config, rate) for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.Identity() if config.pool == "mean" else self._norm()
        self.fc_norm = self._norm() if config.pool == "mean" else nn.Identity()
        self.attn_pool = self._new_pool()
        self.blocks.apply(initialise)

    def _norm(self) -> nn.LayerNorm:
        return nn.LayerNorm(self.config.width, eps=self.config.norm_eps)

    def _new_relative(self) -> nn.ModuleList:
        """Make the tables of relative positions, from zero as BEiT's: one for each block, one for all, or none."""
        config = self.config
        copies = {"none": 0, "shared": 1, "each_block": config.depth}[config.relative_bias]
        tables = nn.ModuleList(
            RelativeBias(self.own_grid, config.prefix_tokens, config.num_heads, "geometric") for _ in range(copies)
        )
        for parameter in tables.parameters():
            nn.init.zeros_(parameter)
        return tables

    def _new_pool(self) -> AttentionPool | None:
        config = self.config
        if config.pool != "attention":
            return None
        activation = ACTIVATIONS.get(config.mlp, ACTIVATIONS["gelu"])
        return AttentionPool(config.width, config.num_heads, config.mlp_ratio, activation, config.norm_eps)

    def tokens(self, images: Tensor) -> Tensor:
        """Embed images ``(B, C, H, W)``: class token, distillation token, registers, patches; ``(B, prefix + N, D)``.

        Learned positions are added to patches and, where they have some, to class and distillation token.
        """
        check_images(images, self.config.channels)
        patches = self.patch_embed(images).to(self.patch_embed.proj.weight.dtype)
        front = [token for name in TOKENS if (token := getattr(self, name)) is not None]
        prefix = torch.cat(front, dim=1) if front else patches.new_empty(1, 0, self.config.width)
        if self.pos_embed is not None:
            placed, grid = self.config.placed_tokens, self.token_grid(*images.shape[-2:])
            mode = self.config.position_resize
            positions = resize_positions(self.pos_embed, self.own_grid, grid, placed, mode)
            patches = patches + positions[:, placed:]
            prefix = torch.cat([prefix[:, :placed] + positions[:, :placed], prefix[:, placed:]], dim=1)
        tokens = torch.cat([prefix.expand(len(images), -1, -1).to(patches.dtype), patches], dim=1)
        return self.norm_pre(self.dropout(tokens))

    def block_steps(self, tokens: Tensor, grid: tuple[int, int], visible: Tensor | None = None) -> list[Step]:
        """Return each block as a function of its tokens alone.

        Args:
            tokens: what goes into the first, for device and precision.
            grid: ``(h, w)`` of the image.
            visible: ``(B, V)`` indices of the only patches there are; all when absent.
        """
        config = self.config
        turned = None
        if config.positions == "rotary":
            turned = rotation(grid, config.width // config.num_heads, config.rotary_base, like=tokens)
            turned = turned if visible is None else turned.of(visible)
        biases = [table(tokens, grid, visible) for table in self.relative] or [None]
        if len(biases) < self.depth:
            biases = biases * self.depth
        return [_step(block, bias, turned) for block, bias in zip(self.blocks, biases, strict=True)]

    def _encode(self, images: Tensor, keep: Sequence[int] = ()) -> tuple[Tensor, list[Tensor]]:
        """Return the tokens after the last block, and those after the blocks of ``keep``."""
        tokens = self.tokens(images)
        return run_blocks(self.block_steps(tokens, self.token_grid(*images.shape[-2:])), tokens, keep)

    def forward_features(self, images: Tensor) -> Tensor:
        """Run the encoder: ``(B, C, H, W)`` to ``(B, prefix + N, D)``.

        The tokens are normalised, but with pool "mean", whose norm comes after the mean.
        """
        return self.norm(self._encode(images)[0])

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return the patch tokens as one map, ``[(B, D, h, w)]``, normalised as `forward_features` does.

        With ``after``, blocks numbered from 0 in rising order: a map after each of them, without a norm.
        """
        encoded = self._encode(images, after)[1] if after else [self.forward_features(images)]
        h, w = self.token_grid(*images.shape[-2:])
        maps = [tokens[:, self.prefix_tokens :].transpose(1, 2) for tokens in encoded]
        return [tokens.reshape(images.shape[0], self.config.width, h, w) for tokens in maps]

    def pool(self, tokens: Tensor) -> Tensor:
        """Make one vector of tokens, ``(B, prefix + N, D)`` to ``(B, width)``; see `ModernViTConfig`."""
        patches, pool = tokens[:, self.prefix_tokens :], self.config.pool
        if self.attn_pool is not None:
            return self.attn_pool(patches)
        if pool in ("mean", "norm_mean"):
            return self.fc_norm(patches.mean(dim=1))
        if pool == "class_mean":
            return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=-1)
        return tokens[:, :2].mean(dim=1) if self.config.distillation_token else tokens[:, 0]

    def embed(self, images: Tensor) -> Tensor:
        """Describe each image by one vector: ``(B, C, H, W)`` to ``(B, width)``."""
        return self.pool(self.forward_features(images))

    def head_input(self, images: Tensor) -> Tensor:
        """Return what a classifier scores; with a distillation token both tokens, ``(B, 2, D)``, each for its head."""
        return self._scored(self.forward_features(images))

    def _scored(self, tokens: Tensor) -> Tensor:
        """Take what a classifier scores from the last tokens ``(B, prefix + N, D)``."""
        return tokens[:, :2] if self.config.distillation_token else self.pool(tokens)

    @property
    def head_inputs(self) -> int:
        """How many vectors a classifier scores, each by a head of its own."""
        return 2 if self.config.distillation_token else 1

    @property
    def placed_tokens(self) -> int:
        """How many of the tokens before the grid have learned positions: not the registers."""
        return self.config.placed_tokens

    def pooled_shares(self, patches: int) -> Tensor | None:
        """Return the share of each token in what is scored; see `Backbone.pooled_shares`."""
        shares = None if self.attn_pool is not None else super().pooled_shares(patches)
        if shares is not None and self.config.distillation_token:
            shares[:2] = 0.5
        if shares is not None and self.config.pool == "class_mean":
            shares *= 0.5
            shares[0] = 0.5
        return shares

    @property
    def can_leave_patches_out(self) -> bool:
        """Whether a token has seen its own patch alone: it has."""
        return True

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the patch tokens before the last block where the class token is pooled, else those after it."""
        tokens, grid = self.tokens(images), self.token_grid(*images.shape[-2:])
        steps = self.block_steps(tokens, grid)
        before = steps[:-1] if self.pools_class_token else steps
        tokens, _ = run_blocks(before, tokens)
        prefix = tokens[:, : self.prefix_tokens]

        def rest(places: Tensor) -> Tensor:
            joined = torch.cat([prefix, places.flatten(2).transpose(1, 2)], dim=1)
            return self._scored(self.norm(run_blocks(steps[len(before) :], joined)[0]))

        return tokens[:, self.prefix_tokens :].transpose(1, 2).unflatten(2, grid), rest

    def visible_pass(self, images: Tensor, visible: Tensor) -> VisiblePass:
        """Return the steps of images of which only some patches are there; see `Backbone.visible_pass`."""
        tokens = self.tokens(images)
        kept = torch.cat([tokens[:, : self.prefix_tokens], take(tokens[:, self.prefix_tokens :], visible)], dim=1)
        steps = self.block_steps(kept, self.token_grid(*images.shape[-2:]), visible)
        return VisiblePass(kept, steps, self.norm, self._scored)

    def head_input_visible(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return what a classifier scores of images of which only some patches are there; see `Backbone`."""
        if not visible.shape[-1] and not self.pools_class_token:
            raise ConfigError("a model that pools its patches has no answer when all of them are taken out")
        variants = visible.flatten(0, 1)
        tokens = self.tokens(images).repeat_interleave(visible.shape[1], dim=0)
        kept = torch.cat([tokens[:, : self.prefix_tokens], take(tokens[:, self.prefix_tokens :], variants)], dim=1)
        steps = self.block_steps(kept, self.token_grid(*images.shape[-2:]), variants)
        return self._scored(self.norm(run_blocks(steps, kept)[0])).unflatten(0, visible.shape[:2])

    def input_filters(self) -> Tensor:
        """Return the filters that make tokens of patches."""
        return self.patch_embed.input_filters()

    def position_table(self, height: int, width: int) -> Tensor | None:
        """Return the learned positions of the patches, fitted to images of this size; see `Backbone`."""
        if self.pos_embed is None:
            return None
        placed, grid, mode = self.config.placed_tokens, self.token_grid(height, width), self.config.position_resize
        return resize_positions(self.pos_embed, self.own_grid, grid, placed, mode)[:, placed:]

    def position_biases(self) -> list[Tensor]:
        """Return the table of every block, or the one of all."""
        return [table.by_offset() for table in self.relative]  # type: ignore[operator]

    def rotary_turns(self) -> Tensor | None:
        """Return how often each pair of channels is turned; see `Backbone.rotary_turns`."""
        config = self.config
        return (
            frequencies(config.width // config.num_heads, config.rotary_base) if config.positions == "rotary" else None
        )

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after.

        A table of relative positions that all blocks share comes last, as BEiT is fine-tuned with layer decay.
        """
        if name.startswith("relative.") and self.config.relative_bias == "shared":
            return self.depth + 1
        if name.startswith(("blocks.", "relative.")):
            return int(name.split(".")[1]) + 1
        return 0 if name.startswith(("patch_embed.", "pos_embed", "norm_pre.", *TOKENS)) else self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        names = (*TOKENS, "pos_embed", "relative.", "attn_pool.latent")
        return {name for name, _ in self.named_parameters() if name.startswith(names)}

    def without_part_in_maps(self, after: Sequence[int] = ()) -> list[str]:
        """Return the names of what only makes a vector of tokens, and of the norm, which is not for inner blocks."""
        kinds = ("fc_norm.", "attn_pool.", *(("norm.",) if after else ()))
        return [name for name, _ in self.named_parameters() if name.startswith(kinds)]

    @property
    def pools_class_token(self) -> bool:
        """Whether `embed` is made of the class token alone."""
        return self.config.pool == "class"

    def attention_layers(self) -> list[Attention]:
        """Return the attention of every block."""
        return [block.attn for block in self.blocks]  # type: ignore[misc]

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of an image of this size in pixels."""
        return self.patch_embed.grid(height, width)


def _layer_scale(config: ModernViTConfig) -> nn.Module:
    return LayerScale(config.width, config.layer_scale) if config.layer_scale else nn.Identity()


def _new_tokens(count: int, width: int) -> nn.Parameter | None:
    """Make so many learned vectors, ``(1, count, D)``; None of none."""
    return nn.Parameter(torch.randn(1, count, width) * 0.02) if count else None


def _step(block: nn.Module, bias: Tensor | None, turned: Rotation | None) -> Step:
    return lambda tokens: block(tokens, bias, turned)
