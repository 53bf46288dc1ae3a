"""The shape of a ViT of after 2021, and the published ones by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.feed_forward import MlpKind
from vitrail.layers.modern_attention import QkvBias
from vitrail.layers.positions import PositionResize
from vitrail.models.backbone import Family


@dataclass(frozen=True)
class ModernViTConfig:
    """The shape of a ViT of after 2021 and its regularisation; by default that of DeiT III."""

    family: ClassVar[Family] = "modern_vit"

    image_size: tuple[int, int] = (224, 224)
    """Height and width the positions are made for; any other size works too, and resizes them."""
    patch_size: int = 16
    channels: int = 3
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    """Hidden channels of an MLP for each of the width; of a gated one those after the gate."""
    mlp: MlpKind = "gelu"
    norm_eps: float = 1e-6
    """Added to the variance in every LayerNorm."""
    layer_scale: float = 0.0
    """What the factors on each channel of a residual branch start at; 0 for none."""
    class_token: bool = True
    distillation_token: bool = False
    """A second class token, with a head of its own, that learns from a teacher's labels (DeiT)."""
    registers: int = 0
    """Tokens that stand for nothing, between the class token and the patches (Darcet et al. 2024)."""
    positions: Literal["learned", "rotary", "none"] = "learned"
    """learned: added to the patches; rotary: queries and keys are turned by them (DINOv3)."""
    prefix_positions: bool = True
    """Whether class and distillation token have learned positions as well."""
    position_resize: PositionResize = "bicubic"
    rotary_base: float = 100.0
    relative_bias: Literal["none", "shared", "each_block"] = "none"
    """A table of biases on the scores by relative position (BEiT): one for all blocks, or one for each."""
    qkv_bias: QkvBias = "all"
    qk_norm: bool = False
    """LayerNorm over the channels of each head of queries and keys."""
    patch_bias: bool = True
    """Whether the patch embedding has a bias; CLIP's has none."""
    pre_norm: bool = False
    """A norm before the first block (CLIP)."""
    pool: Literal["class", "mean", "norm_mean", "class_mean", "attention"] = "class"
    """class: the normalised class token, with a distillation token the mean of both; mean: the mean of the patch
    tokens, then a norm (BEiT); norm_mean: the mean of the normalised patch tokens; class_mean: the normalised class
    token, then the mean of the normalised patch tokens, twice the width (DINOv2's linear heads); attention: a learned
    query over the normalised patch tokens (SigLIP)."""
    dropout: float = 0.0
    """On embeddings, attention output and MLP."""
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    """Rate of the last block; it rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        check_choices(self)
        if "class" in self.pool and not self.class_token:
            raise ConfigError(f'pool "{self.pool}" needs class_token=True; use pool "mean" without one')
        if self.distillation_token and self.pool != "class":
            raise ConfigError('a distillation token stands beside the class token; use pool "class"')
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if self.positions == "rotary" and self.width // self.num_heads % 4:
            raise ConfigError(f"rotary positions need a head width divisible by 4, not {self.width // self.num_heads}")
        if self.relative_bias != "none" and self.prefix_tokens > 1:
            raise ConfigError("a relative_bias knows one class token; use registers=0 and no distillation token")
        if self.registers < 0:
            raise ConfigError(f"registers must be 0 or more, not {self.registers}")
        if min(self.image_size) < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size[0]}x{self.image_size[1]} is smaller than one patch of {self.patch_size}"
            )

    @property
    def prefix_tokens(self) -> int:
        """How many tokens come before the grid."""
        return int(self.class_token) + int(self.distillation_token) + self.registers

    @property
    def placed_tokens(self) -> int:
        """How many of them have learned positions."""
        return self.prefix_tokens - self.registers if self.prefix_positions else 0

    @property
    def hidden(self) -> int:
        """Hidden channels of an MLP."""
        return round(self.width * self.mlp_ratio)


def _shaped(base: ModernViTConfig, width: int, depth: int, heads: int, **more: object) -> ModernViTConfig:
    return dataclasses.replace(base, width=width, depth=depth, num_heads=heads, **more)  # type: ignore[arg-type]


# DeiT (Touvron et al. 2021, table 1 and section 4).
_DEIT = ModernViTConfig(distillation_token=True)
# DeiT III (Touvron et al. 2022, table 1): layer scale from 1e-6 (facebookresearch/deit, models_v2.py), whose positions
# are for patches alone.
_DEIT3 = ModernViTConfig(layer_scale=1e-6, prefix_positions=False)
# BEiT (Bao et al. 2022), as fine-tuned (microsoft/unilm, beit/modeling_finetune.py); BEiT v2 has the same shape.
_BEIT = ModernViTConfig(
    layer_scale=0.1, positions="none", relative_bias="each_block", qkv_bias="query_value", pool="mean"
)
# DINOv2 (Oquab et al. 2024, table 17), trained at last with images of 518 pixels; its registers: Darcet et al. 2024.
_DINOV2 = ModernViTConfig((518, 518), 14, layer_scale=1e-5, position_resize="dinov2")
_REGISTERS = dataclasses.replace(_DINOV2, registers=4, position_resize="bicubic")
_SWIGLU = {"mlp": "swiglu", "mlp_ratio": 4096 / 1536}  # two thirds of four times the width, in eights
# DINOv3 (Siméoni et al. 2025, table 2; facebookresearch/dinov3, hub/backbones.py).
_DINOV3 = ModernViTConfig(norm_eps=1e-5, layer_scale=1e-5, registers=4, positions="rotary", qkv_bias="query_value")
# CLIP (Radford et al. 2021, table 20; openai/CLIP, model.py).
_CLIP = ModernViTConfig(norm_eps=1e-5, mlp="quick_gelu", patch_bias=False, pre_norm=True)
# SigLIP (Zhai et al. 2023) and the fixed sizes of SigLIP 2 (Tschannen et al. 2025), as in google-research/big_vision;
# So400m is from Getting ViT in Shape (Alabdulmohsin et al. 2023).
_SIGLIP = ModernViTConfig(class_token=False, mlp="gelu_tanh", pool="attention")
_SO400M = {"mlp_ratio": 4304 / 1152}

SIZES: dict[str, ModernViTConfig] = {
    "deit_ti16_distilled": _shaped(_DEIT, 192, 12, 3),
    "deit_s16_distilled": _shaped(_DEIT, 384, 12, 6),
    "deit_b16_distilled": _shaped(_DEIT, 768, 12, 12),
    "deit3_s16": _shaped(_DEIT3, 384, 12, 6),
    "deit3_m16": _shaped(_DEIT3, 512, 12, 8),
    "deit3_b16": _shaped(_DEIT3, 768, 12, 12),
    "deit3_l16": _shaped(_DEIT3, 1024, 24, 16),
    "deit3_h14": _shaped(_DEIT3, 1280, 32, 16, patch_size=14),
    "beit_b16": _shaped(_BEIT, 768, 12, 12),
    "beit_l16": _shaped(_BEIT, 1024, 24, 16, layer_scale=1e-5),
    "dinov2_vit_s14": _shaped(_DINOV2, 384, 12, 6),
    "dinov2_vit_b14": _shaped(_DINOV2, 768, 12, 12),
    "dinov2_vit_l14": _shaped(_DINOV2, 1024, 24, 16),
    "dinov2_vit_giant14": _shaped(_DINOV2, 1536, 40, 24, **_SWIGLU),
    "dinov2_vit_s14_reg": _shaped(_REGISTERS, 384, 12, 6),
    "dinov2_vit_b14_reg": _shaped(_REGISTERS, 768, 12, 12),
    "dinov2_vit_l14_reg": _shaped(_REGISTERS, 1024, 24, 16),
    "dinov2_vit_giant14_reg": _shaped(_REGISTERS, 1536, 40, 24, **_SWIGLU),
    "dinov3_vit_s16": _shaped(_DINOV3, 384, 12, 6),
    "dinov3_vit_s16_plus": _shaped(_DINOV3, 384, 12, 6, mlp="swiglu"),
    "dinov3_vit_b16": _shaped(_DINOV3, 768, 12, 12),
    "dinov3_vit_l16": _shaped(_DINOV3, 1024, 24, 16),
    "dinov3_vit_h16_plus": _shaped(_DINOV3, 1280, 32, 20, mlp="swiglu"),
    "dinov3_vit_7b16": _shaped(_DINOV3, 4096, 40, 32, mlp="swiglu", mlp_ratio=2.0, qkv_bias="none"),
    "clip_vit_b32": _shaped(_CLIP, 768, 12, 12, patch_size=32),
    "clip_vit_b16": _shaped(_CLIP, 768, 12, 12),
    "clip_vit_l14": _shaped(_CLIP, 1024, 24, 16, patch_size=14),
    "siglip_vit_b16": _shaped(_SIGLIP, 768, 12, 12),
    "siglip_vit_l16": _shaped(_SIGLIP, 1024, 24, 16, image_size=(256, 256)),
    "siglip_vit_so400m14": _shaped(_SIGLIP, 1152, 27, 16, patch_size=14, **_SO400M),
    "siglip_vit_so400m16": _shaped(_SIGLIP, 1152, 27, 16, image_size=(256, 256), **_SO400M),
    "siglip_vit_giantopt16": _shaped(_SIGLIP, 1536, 40, 16, image_size=(256, 256)),
}

# timm's names; what ends in _224 may end in any other size.
ALIASES: dict[str, str] = {
    "deit_tiny_distilled_patch16_224": "deit_ti16_distilled",
    "deit_small_distilled_patch16_224": "deit_s16_distilled",
    "deit_base_distilled_patch16_224": "deit_b16_distilled",
    "deit3_small_patch16_224": "deit3_s16",
    "deit3_medium_patch16_224": "deit3_m16",
    "deit3_base_patch16_224": "deit3_b16",
    "deit3_large_patch16_224": "deit3_l16",
    "deit3_huge_patch14_224": "deit3_h14",
    "beit_base_patch16_224": "beit_b16",
    "beit_large_patch16_224": "beit_l16",
    "beitv2_base_patch16_224": "beit_b16",
    "beitv2_large_patch16_224": "beit_l16",
    "vit_small_patch14_dinov2": "dinov2_vit_s14",
    "vit_base_patch14_dinov2": "dinov2_vit_b14",
    "vit_large_patch14_dinov2": "dinov2_vit_l14",
    "vit_giant_patch14_dinov2": "dinov2_vit_giant14",
    "vit_small_patch14_reg4_dinov2": "dinov2_vit_s14_reg",
    "vit_base_patch14_reg4_dinov2": "dinov2_vit_b14_reg",
    "vit_large_patch14_reg4_dinov2": "dinov2_vit_l14_reg",
    "vit_giant_patch14_reg4_dinov2": "dinov2_vit_giant14_reg",
    "vit_small_patch16_dinov3": "dinov3_vit_s16",
    "vit_small_plus_patch16_dinov3": "dinov3_vit_s16_plus",
    "vit_base_patch16_dinov3": "dinov3_vit_b16",
    "vit_large_patch16_dinov3": "dinov3_vit_l16",
    "vit_huge_plus_patch16_dinov3": "dinov3_vit_h16_plus",
    "vit_7b_patch16_dinov3": "dinov3_vit_7b16",
    "vit_base_patch32_clip_quickgelu_224": "clip_vit_b32",
    "vit_base_patch16_clip_quickgelu_224": "clip_vit_b16",
    "vit_large_patch14_clip_quickgelu_224": "clip_vit_l14",
    "vit_base_patch32_clip_224": "clip_vit_b32",
    "vit_base_patch16_clip_224": "clip_vit_b16",
    "vit_large_patch14_clip_224": "clip_vit_l14",
    "vit_base_patch16_siglip_224": "siglip_vit_b16",
    "vit_large_patch16_siglip_224": "siglip_vit_l16",
    "vit_so400m_patch14_siglip_224": "siglip_vit_so400m14",
    "vit_so400m_patch16_siglip_224": "siglip_vit_so400m16",
    "vit_giantopt_patch16_siglip_224": "siglip_vit_giantopt16",
}

# What timm's name says beside the shape: its CLIPs are open_clip's own, unless the name says otherwise.
ALIAS_OPTIONS: dict[str, dict[str, object]] = {
    name: {"mlp": "gelu"} for name in ALIASES if "_clip_" in name and "quickgelu" not in name
}
