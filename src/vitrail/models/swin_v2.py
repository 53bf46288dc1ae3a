"""Swin Transformer V2 (Liu et al. 2022, Scaling Up Capacity and Resolution), without a head.

It differs from the first Swin in its blocks, whose norms stand after attention and MLP, in the attention inside them
(`vitrail.layers.cosine_attention`), and in the merging between stages; all else is `vitrail.models.swin`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.block import Mlp, drop_path
from vitrail.layers.cosine_attention import CosineWindowAttention
from vitrail.layers.window_layout import Partition, merge
from vitrail.models.backbone import Family
from vitrail.models.swin import NORM_EPS, PatchMerging, Swin, SwinStage


@dataclass(frozen=True)
class SwinV2Config:
    """The shape of a Swin V2 (paper, section 3.5) and its regularisation."""

    family: ClassVar[Family] = "swin_v2"
    positions: ClassVar[str] = "relative"
    small_maps: ClassVar[str] = "shrink"

    image_size: tuple[int, int] = (256, 256)
    """Height and width by which the windows of small maps are chosen; any other size works too."""
    patch_size: int = 4
    channels: int = 3
    embed_width: int = 96
    """Width of the first stage, C; every further stage is twice as wide."""
    depths: tuple[int, ...] = (2, 2, 6, 2)
    """Blocks of each stage."""
    head_width: int = 32
    """Width of a head, in every stage."""
    window: tuple[int, int] = (8, 8)
    """Height and width of a window, M, in tokens; a stage whose map is smaller gets windows as small as that."""
    pretrained_windows: tuple[int, ...] = ()
    """Side of the window of each stage that the weights were pretrained with, where that was another one."""
    mlp_ratio: float = 4.0
    shift: bool = True
    """Shift the windows of every second block."""
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
        if self.pretrained_windows and len(self.pretrained_windows) != len(self.depths):
            raise ConfigError(
                f"pretrained_windows has {len(self.pretrained_windows)} sizes, the model {len(self.depths)} stages"
            )
        if min(self.pretrained_windows, default=1) < 1:
            raise ConfigError(f"a window is at least 1x1; pretrained_windows is {self.pretrained_windows}")


def _tuned(base: SwinV2Config, side: int, window: int) -> SwinV2Config:
    """Return the shape of weights pretrained with windows of 12 on images of 192 pixels, then tuned on larger ones."""
    windows = (12, 12, 12, 6)
    return dataclasses.replace(base, image_size=(side, side), window=(window, window), pretrained_windows=windows)


_B = SwinV2Config(embed_width=128, depths=(2, 2, 18, 2))
_L = SwinV2Config(embed_width=192, depths=(2, 2, 18, 2))

# microsoft/Swin-Transformer, configs/swinv2. Those of 256 and 384 pixels with larger windows were tuned from 192.
SIZES: dict[str, SwinV2Config] = {
    "swinv2_t": SwinV2Config(),
    "swinv2_s": SwinV2Config(depths=(2, 2, 18, 2)),
    "swinv2_b": _B,
    "swinv2_t_w16": SwinV2Config(window=(16, 16)),
    "swinv2_s_w16": SwinV2Config(depths=(2, 2, 18, 2), window=(16, 16)),
    "swinv2_b_w16": dataclasses.replace(_B, window=(16, 16)),
    "swinv2_b_192": dataclasses.replace(_B, image_size=(192, 192), window=(12, 12)),
    "swinv2_b_256": _tuned(_B, 256, 16),
    "swinv2_b_384": _tuned(_B, 384, 24),
    "swinv2_l_192": dataclasses.replace(_L, image_size=(192, 192), window=(12, 12)),
    "swinv2_l_256": _tuned(_L, 256, 16),
    "swinv2_l_384": _tuned(_L, 384, 24),
}

# timm's names.
ALIASES: dict[str, str] = {
    "swinv2_tiny_window8_256": "swinv2_t",
    "swinv2_small_window8_256": "swinv2_s",
    "swinv2_base_window8_256": "swinv2_b",
    "swinv2_tiny_window16_256": "swinv2_t_w16",
    "swinv2_small_window16_256": "swinv2_s_w16",
    "swinv2_base_window16_256": "swinv2_b_w16",
    "swinv2_base_window12_192": "swinv2_b_192",
    "swinv2_base_window12to16_192to256": "swinv2_b_256",
    "swinv2_base_window12to24_192to384": "swinv2_b_384",
    "swinv2_large_window12_192": "swinv2_l_192",
    "swinv2_large_window12to16_192to256": "swinv2_l_256",
    "swinv2_large_window12to24_192to384": "swinv2_l_384",
}


class SwinV2Block(nn.Module):
    """Attention inside windows and MLP, each with LayerNorm after and a residual around (section 3.2, figure 1)."""

    def __init__(self, config: SwinV2Config, stage: int, window: tuple[int, int], rate: float) -> None:
        super().__init__()
        width = config.embed_width * 2**stage
        side = config.pretrained_windows[stage] if config.pretrained_windows else 0
        self.attn = CosineWindowAttention(
            width,
            width // config.head_width,
            window,
            (side, side) if side else None,
            config.attention_dropout,
            config.dropout,
        )
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, int(width * config.mlp_ratio), config.dropout)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.drop_path = rate

    def forward(self, tokens: Tensor, partition: Partition) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``, both in the order of `Partition.layout`."""
        attended = self.norm1(self.attn(tokens, partition, partition.layout))
        tokens = tokens + drop_path(attended, self.drop_path, self.training)
        return tokens + drop_path(self.norm2(self.mlp(tokens)), self.drop_path, self.training)


class PatchMergingV2(PatchMerging):
    """Join each 2 x 2 square of tokens: 4 D numbers to 2 D, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.norm = nn.LayerNorm(2 * width, eps=NORM_EPS)

    def forward(self, tokens: Tensor, fine: Partition, merged: Partition) -> Tensor:
        """``(B, T, D)`` in the order of ``fine`` to ``(B, T', 2 D)`` in the order of ``merged``."""
        return self.norm(self.reduction(merge(tokens, fine, merged)))


class SwinV2Stage(SwinStage):
    """Blocks over maps of one size, and the merging that follows."""

    def __init__(self, config: SwinV2Config, stage: int, window: tuple[int, int], rates: list[float]) -> None:
        super().__init__(config, stage, window, rates)  # type: ignore[arg-type]
        # The window has shrunk already where the map is smaller, in images of the size the model is built for.
        self.shrink = False

    def new_block(self, config: SwinV2Config, stage: int, width: int, rate: float) -> nn.Module:  # type: ignore[override]
        """Make a block of the stage."""
        return SwinV2Block(config, stage, self.window, rate)

    def new_merging(self, width: int) -> PatchMerging:
        """Make the merging that follows, from D to 2 D."""
        return PatchMergingV2(width)


class SwinV2(Swin):
    """A backbone: images to a map, to one map per stage, or to one vector each.

    Images may have any height and width; windows stay those of the images it is built for, and what reaches beyond a
    map is masked. Parameter names are Microsoft's, without the tables of offsets and masks that their files carry.
    """

    config: SwinV2Config

    def __init__(self, config: SwinV2Config) -> None:
        # A SwinV2Config answers all that Swin asks of its own.
        super().__init__(config)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, SwinV2Block):
                nn.init.zeros_(module.norm1.weight)
                nn.init.zeros_(module.norm2.weight)  # every block begins as the identity, as published

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that should not decay: all that make scales and biases."""
        kinds = (".logit_scale", ".cpb_mlp.0.weight", ".cpb_mlp.2.weight")
        return {name for name, _ in self.named_parameters() if name.endswith(kinds)}

    def new_stage(self, stage: int, window: tuple[int, int], rates: list[float]) -> SwinStage:
        """Make a stage with windows of this size, and a block for each of the drop path rates."""
        return SwinV2Stage(self.config, stage, window, rates)

    def window_of(self, h: int, w: int) -> tuple[int, int]:
        """Return the window of a stage whose map has this size in the images the model is built for."""
        return min(h, self.config.window[0]), min(w, self.config.window[1])
