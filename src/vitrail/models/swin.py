"""The Swin Transformer (Liu et al. 2021, Hierarchical Vision Transformer using Shifted Windows), without a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.attention import Attention
from vitrail.layers.block import Mlp, drop_path, drop_path_rates
from vitrail.layers.patches import PatchEmbedding, check_images, grid_of
from vitrail.layers.positions import resize_positions
from vitrail.layers.window_attention import WindowAttention
from vitrail.layers.window_layout import Partition, fit_windows, merge, move, row_major
from vitrail.models.backbone import Backbone, Family, Step, run_blocks
from vitrail.models.vit import Corrupt

NORM_EPS = 1e-5  # PyTorch's default, with which all published Swin weights were trained.


@dataclass(frozen=True)
class SwinConfig:
    """The shape of a Swin (paper, section 3.3 and table 7), the switches of its ablation and its regularisation."""

    family: ClassVar[Family] = "swin"

    image_size: tuple[int, int] = (224, 224)
    """Height and width that absolute positions are made for; any other size works too."""
    patch_size: int = 4
    channels: int = 3
    embed_width: int = 96
    """Width of the first stage, C; every further stage is twice as wide."""
    depths: tuple[int, ...] = (2, 2, 6, 2)
    """Blocks of each stage."""
    head_width: int = 32
    """Width of a head, in every stage (section 3.3)."""
    window: tuple[int, int] = (7, 7)
    """Height and width of a window, M, in tokens."""
    mlp_ratio: float = 4.0
    positions: Literal["relative", "absolute", "both", "none", "relative_alone"] = "relative"
    """Table 4: a bias on the scores by relative position; learned positions added to the patches; both; none;
    scores made of the bias alone, without the product of query and key ("w/o app.")."""
    shift: bool = True
    """Shift the windows of every second block (table 4)."""
    small_maps: Literal["mask", "shrink"] = "mask"
    """A map smaller than a window: mask pads it to one, never attended to; shrink makes the window as small as
    the map's shorter side and does not shift it, as Microsoft's code does when it builds a model. Both are the
    same computation at the published sizes. With shrink the bias tables have the size that fits image_size."""
    dropout: float = 0.0
    """On embeddings, attention output and MLP."""
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    """Rate of the last block; it rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        if self.embed_width % self.head_width:
            raise ConfigError(f"embed_width {self.embed_width} is not divisible by head_width {self.head_width}")
        if not self.depths or min(self.depths) < 1:
            raise ConfigError(f"every stage needs a block; depths is {self.depths}")
        if min(self.window) < 1:
            raise ConfigError(f"a window is at least 1x1, not {self.window[0]}x{self.window[1]}")


# Paper, section 3.3; published weights at 384 pixels were trained with windows of 12 (table 1).
SIZES: dict[str, SwinConfig] = {
    "swin_t": SwinConfig(embed_width=96, depths=(2, 2, 6, 2)),
    "swin_s": SwinConfig(embed_width=96, depths=(2, 2, 18, 2)),
    "swin_b": SwinConfig(embed_width=128, depths=(2, 2, 18, 2)),
    "swin_l": SwinConfig(embed_width=192, depths=(2, 2, 18, 2)),
    "swin_b_384": SwinConfig((384, 384), embed_width=128, depths=(2, 2, 18, 2), window=(12, 12)),
    "swin_l_384": SwinConfig((384, 384), embed_width=192, depths=(2, 2, 18, 2), window=(12, 12)),
}

# Microsoft's names, which are also timm's.
ALIASES: dict[str, str] = {
    "swin_tiny_patch4_window7_224": "swin_t",
    "swin_small_patch4_window7_224": "swin_s",
    "swin_base_patch4_window7_224": "swin_b",
    "swin_large_patch4_window7_224": "swin_l",
    "swin_base_patch4_window12_384": "swin_b_384",
    "swin_large_patch4_window12_384": "swin_l_384",
}


class SwinBlock(nn.Module):
    """Attention inside windows and MLP, each with LayerNorm before and a residual around (equation 3)."""

    def __init__(self, config: SwinConfig, width: int, window: tuple[int, int], drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = WindowAttention(
            width,
            width // config.head_width,
            window,
            bias=config.positions in ("relative", "both", "relative_alone"),
            appearance=config.positions != "relative_alone",
            attention_dropout=config.attention_dropout,
            dropout=config.dropout,
        )
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, int(width * config.mlp_ratio), config.dropout)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, partition: Partition) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``, both in the order of `Partition.layout`."""
        attended = self.attn(self.norm1(tokens), partition, partition.layout)
        tokens = tokens + drop_path(attended, self.drop_path, self.training)
        return tokens + drop_path(self.mlp(self.norm2(tokens)), self.drop_path, self.training)


class PatchMerging(nn.Module):
    """Join each 2 x 2 square of tokens: 4 D numbers, normalised, to 2 D (section 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=NORM_EPS)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, tokens: Tensor, fine: Partition, merged: Partition) -> Tensor:
        """``(B, T, D)`` in the order of ``fine`` to ``(B, T', 2 D)`` in the order of ``merged``."""
        return self.reduction(self.norm(merge(tokens, fine, merged)))


class SwinStage(nn.Module):
    """Blocks over maps of one size, with regular and shifted windows in turn, and the merging that follows.

    `Swin.block_steps` runs them.
    """

    blocks: nn.ModuleList
    downsample: PatchMerging | None

    def __init__(self, config: SwinConfig, stage: int, window: tuple[int, int], rates: list[float]) -> None:
        super().__init__()
        self.window = window
        self.shift = config.shift
        self.shrink = config.small_maps == "shrink"
        width = config.embed_width * 2**stage
        self.blocks = nn.ModuleList(self.new_block(config, stage, width, rate) for rate in rates)
        self.downsample = self.new_merging(width) if stage + 1 < len(config.depths) else None

    def new_block(self, config: SwinConfig, stage: int, width: int, rate: float) -> nn.Module:
        """Make a block of the stage, D wide."""
        return SwinBlock(config, width, self.window, rate)

    def new_merging(self, width: int) -> PatchMerging:
        """Make the merging that follows, from D to 2 D."""
        return PatchMerging(width)

    def partitions(self, h: int, w: int) -> list[Partition]:
        """Return how each block cuts a map of this size, in tokens."""
        regular, shifted = fit_windows(h, w, self.window, self.shrink)
        return [shifted if i % 2 and self.shift else regular for i in range(len(self.blocks))]


class SwinPatchEmbedding(PatchEmbedding):
    """Project each patch to a token and normalise it, in the order of a partition (section 3.1)."""

    def __init__(self, patch_size: int, channels: int, width: int) -> None:
        super().__init__(patch_size, channels, width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, images: Tensor, partition: Partition) -> Tensor:  # type: ignore[override]
        """``(B, C, H, W)`` to ``(B, T, D)``; images are padded to whole patches where needed."""
        tokens = super().forward(images)
        return self.norm(move(tokens, row_major(partition.h, partition.w), partition))


class Swin(Backbone):
    """A backbone: images to a map, to one map per stage, or to one vector each.

    Images may have any height and width, from one pixel on. Parameter names are Microsoft's
    (`layers.0.blocks.0.attn.qkv.weight`), without the tables of indices and masks that their files carry.
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        stages = len(config.depths)
        self.depth = sum(config.depths)
        self.channels = tuple(config.embed_width * 2**s for s in range(stages))
        self.strides = tuple(config.patch_size * 2**s for s in range(stages))
        self.width = self.channels[-1]
        self.patch_embed = SwinPatchEmbedding(config.patch_size, config.channels, config.embed_width)
        h, w = self.patch_embed.grid(*config.image_size)
        learned = config.positions in ("absolute", "both")
        self.absolute_pos_embed = nn.Parameter(torch.empty(1, h * w, config.embed_width)) if learned else None
        self.dropout = nn.Dropout(config.dropout)
        rates = drop_path_rates(config.drop_path, self.depth)
        self.layers = nn.ModuleList()
        for s, depth in enumerate(config.depths):
            stage_rates, rates = rates[:depth], rates[depth:]
            window = self.window_of(h, w)
            self.layers.append(self.new_stage(s, window, stage_rates))
            h, w = grid_of(h, w, 2)
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.layers.apply(_initialise)
        if self.absolute_pos_embed is not None:
            nn.init.trunc_normal_(self.absolute_pos_embed, std=0.02)

    def new_stage(self, stage: int, window: tuple[int, int], rates: list[float]) -> SwinStage:
        """Make a stage with windows of this size, and a block for each of the drop path rates."""
        return SwinStage(self.config, stage, window, rates)

    def window_of(self, h: int, w: int) -> tuple[int, int]:
        """Return the window of a stage whose map has this size in the images the model is built for."""
        if self.config.small_maps == "mask":
            return self.config.window
        regular, _ = fit_windows(h, w, self.config.window, shrink=True)
        return regular.window_h, regular.window_w

    def windows(self, height: int, width: int) -> list[list[Partition]]:
        """Return how each block of each stage cuts its map, for images of this size in pixels."""
        h, w = self.patch_embed.grid(height, width)
        found = []
        for stage in self.stages():
            found.append(stage.partitions(h, w))
            h, w = grid_of(h, w, 2)
        return found

    def tokens(self, images: Tensor, corrupt: Corrupt | None = None) -> Tensor:
        """Embed the patches of images ``(B, C, H, W)``: ``(B, T, C)`` in the `layout` of the first block's windows.

        With ``corrupt``, which takes and returns embeddings row by row ``(B, N, C)``, others stand in their place.
        """
        check_images(images, self.config.channels)
        partition = self.windows(*_fixed(images))[0][0].layout
        tokens = self.patch_embed(images, partition)
        if corrupt is None:
            return tokens
        in_rows = row_major(partition.h, partition.w)
        return move(corrupt(move(tokens, partition, in_rows)), in_rows, partition)

    def stages(self) -> list[SwinStage]:
        """Return the stages, first to last."""
        return list(self.layers)  # type: ignore[arg-type]

    def block_steps(self, partitions: list[list[Partition]]) -> list[Step]:
        """Return each block as a function of its tokens; the first of a stage merges those of the stage before.

        Args:
            partitions: as `windows` gives them for the size of the images.

        Returns:
            Functions of ``(B, T, D)`` in the `layout` of the partition before to that of the block's own.
        """
        steps: list[Step] = []
        before = partitions[0][0]
        merging: PatchMerging | None = None
        for stage, own in zip(self.stages(), partitions, strict=True):
            for block, partition in zip(stage.blocks, own, strict=True):
                steps.append(_step(block, merging, before.layout, partition))
                before, merging = partition, None
            merging = stage.downsample
        return steps

    def _encode(self, images: Tensor, keep: Sequence[int] = (), corrupt: Corrupt | None = None) -> list[Tensor]:
        """Run the blocks, and return the tokens after those of ``keep``, each as a map ``(B, h, w, D)``."""
        partitions = self.windows(*_fixed(images))
        tokens = self.dropout(self._add_positions(self.tokens(images, corrupt), partitions[0][0].layout))
        _, kept = run_blocks(self.block_steps(partitions), tokens, keep)
        every = [partition for stage in partitions for partition in stage]
        return [_as_map(tokens, every[number]) for tokens, number in zip(kept, keep, strict=True)]

    def _add_positions(self, tokens: Tensor, partition: Partition) -> Tensor:
        if self.absolute_pos_embed is None:
            return tokens
        own = self.patch_embed.grid(*self.config.image_size)
        positions = resize_positions(self.absolute_pos_embed, own, (partition.h, partition.w), prefix=0)
        return tokens + move(positions, row_major(partition.h, partition.w), partition)

    def forward_features(self, images: Tensor, corrupt: Corrupt | None = None) -> Tensor:
        """Run the backbone: ``(B, C, H, W)`` to the normalised last map ``(B, h, w, D)``.

        ``corrupt`` is that of `tokens`; for pretraining.
        """
        if images.shape[0] == 0:
            return self.forward_features(_one_instead(images))[:0]
        return self.norm(self._encode(images, [self.depth - 1], corrupt)[0])

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return what each stage gives, before merging and without a norm: ``(B, D_s, H / s, W / s)`` each.

        ``s`` is the stage's stride; sizes are rounded up. With ``after``, a map after each of those blocks.
        """
        if images.shape[0] == 0:
            return [stage[:0] for stage in self.feature_maps(_one_instead(images), after)]
        return [tokens.permute(0, 3, 1, 2) for tokens in self._encode(images, after or self.stage_ends())]

    def stage_ends(self) -> list[int]:
        """Return the last block of each stage, counted from 0 through all of them."""
        return [sum(self.config.depths[: stage + 1]) - 1 for stage in range(len(self.config.depths))]

    def embed(self, images: Tensor) -> Tensor:
        """Describe each image by one vector, the mean over the last map: ``(B, C, H, W)`` to ``(B, D)``."""
        return self.forward_features(images).mean(dim=(1, 2))

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the normalised last map, and the mean over it."""
        return self.forward_features(images).permute(0, 3, 1, 2), lambda places: places.mean(dim=(2, 3))

    def input_filters(self) -> Tensor:
        """Return the filters that make tokens of patches: ``(embed_width, C, P, P)``."""
        return self.patch_embed.input_filters()

    def position_table(self, height: int, width: int) -> Tensor | None:
        """Return the absolute positions, where it has any; see `Backbone.position_table`."""
        if self.absolute_pos_embed is None:
            return None
        own, grid = self.patch_embed.grid(*self.config.image_size), self.patch_embed.grid(height, width)
        return resize_positions(self.absolute_pos_embed, own, grid, prefix=0)

    def position_biases(self) -> list[Tensor]:
        """Return the table of biases of every block, where it has any; see `Backbone.position_biases`."""
        blocks = [block.attn for stage in self.stages() for block in stage.blocks]
        return [table for attention in blocks if (table := attention.by_offset()) is not None]  # type: ignore[operator]

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after.

        A merging belongs to the block before it, as in the layer decay published with SimMIM.
        """
        parts = name.split(".")
        if parts[0] != "layers":
            return 0 if parts[0] in ("patch_embed", "absolute_pos_embed") else self.depth + 1
        stage = int(parts[1])
        if parts[2] == "downsample":
            return sum(self.config.depths[: stage + 1])
        return sum(self.config.depths[:stage]) + int(parts[3]) + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        kinds = ("relative_position_bias_table", "absolute_pos_embed")
        return {name for name, _ in self.named_parameters() if name.endswith(kinds)}

    def without_part_in_maps(self, after: Sequence[int] = ()) -> list[str]:
        """Return the names of the norm's parameters: maps are taken before it."""
        return [name for name, _ in self.named_parameters() if name.startswith("norm.")]

    def attention_layers(self) -> list[Attention]:
        """Return the attention of every block, through all stages."""
        return [block.attn for stage in self.stages() for block in stage.blocks]  # type: ignore[misc]

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of an image of this size in pixels."""
        return self.patch_embed.grid(height, width)

    @property
    def has_windows(self) -> bool:
        """Whether attention stays within windows: it does."""
        return True


def _step(block: nn.Module, merging: PatchMerging | None, before: Partition, partition: Partition) -> Step:
    """Return a block that takes tokens in the order ``before``, merging them first where a stage begins."""

    def run(tokens: Tensor) -> Tensor:
        if merging is None:
            tokens = move(tokens, before, partition.layout)
        else:
            tokens = merging(tokens, before, partition.layout)
        return block(tokens, partition)

    return run


def _one_instead(images: Tensor) -> Tensor:
    """Return one image in the place of none: windows of none cannot be counted."""
    return images.new_zeros((1, *images.shape[1:]))


def _fixed(images: Tensor) -> tuple[int, int]:
    """Return height and width as plain numbers, also while a compiler traces: each size is a graph of its own."""
    return len(range(images.shape[-2])), len(range(images.shape[-1]))


def _as_map(tokens: Tensor, partition: Partition) -> Tensor:
    """Lay tokens ``(B, T, D)``, in a partition's `layout`, out as a map ``(B, h, w, D)``."""
    h, w = partition.h, partition.w
    return move(tokens, partition.layout, row_major(h, w)).view(tokens.shape[0], h, w, -1)


def _initialise(module: nn.Module) -> None:
    """Initialise linear maps as published: normal weights of deviation 0.02, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
