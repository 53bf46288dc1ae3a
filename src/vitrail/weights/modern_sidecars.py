"""transformers' ``config.json`` for ViTs of after 2021 and for Swin V2."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from vitrail.models.backbone import BackboneConfig
from vitrail.models.modern_sizes import ModernViTConfig
from vitrail.models.swin import NORM_EPS as SWIN_NORM_EPS
from vitrail.models.swin_v2 import SwinV2Config

ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu", "swiglu": "silu"}

CLASSIFIERS = {
    "deit": "DeiTForImageClassificationWithTeacher",
    "beit": "BeitForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
    "swinv2": "Swinv2ForImageClassification",
}
"""transformers' classes that score as the models here do, by its type of model; the others have none."""

BACKBONES = {
    "deit": "DeiTModel",
    "beit": "BeitModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "swinv2": "Swinv2Model",
}


def modern_fields(layout: str, backbone: BackboneConfig, names: Collection[str], classes: int) -> dict[str, Any] | None:
    """Return what ``config.json`` says of a model; None where no class of transformers' computes it.

    Args:
        layout: a key of `vitrail.weights.detect.LAYOUTS` that ends in ``_huggingface``.
        backbone: the config of the backbone.
        names: plain names of the tensors.
        classes: how many the head has; 0 without a head.
    """
    fields = FIELDS[layout](backbone)
    if fields is None or (classes and fields["model_type"] not in CLASSIFIERS):
        return None
    kind = fields["model_type"]
    if classes and kind.startswith("dinov2") and getattr(backbone, "pool", "") != "class_mean":
        return None  # there a head scores the class token beside the mean of the patches
    architecture = CLASSIFIERS[kind] if classes else BACKBONES[kind]
    if "projection.weight" in names:
        architecture = "CLIPVisionModelWithProjection"
    return fields | {"architectures": [architecture]}


def _vit(backbone: ModernViTConfig, model_type: str, **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_size": backbone.width,
        "num_hidden_layers": backbone.depth,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": backbone.hidden,
        "layer_norm_eps": backbone.norm_eps,
        "hidden_act": ACTIVATIONS[backbone.mlp],
        **more,
    }


def _deit(backbone: ModernViTConfig) -> dict[str, Any]:
    return _vit(backbone, "deit")


def _beit(backbone: ModernViTConfig) -> dict[str, Any] | None:
    if backbone.pool not in ("class", "mean"):
        return None
    return _vit(
        backbone,
        "beit",
        use_relative_position_bias=backbone.relative_bias == "each_block",
        use_shared_relative_position_bias=backbone.relative_bias == "shared",
        use_absolute_position_embeddings=backbone.positions == "learned",
        use_mean_pooling=backbone.pool == "mean",
        layer_scale_init_value=backbone.layer_scale,
    )


def _dinov2(backbone: ModernViTConfig) -> dict[str, Any] | None:
    gated = backbone.mlp == "swiglu"
    ratio = next((r for r in range(1, 17) if _dinov2_hidden(backbone.width * r, gated) == backbone.hidden), 0)
    if not ratio or backbone.pool not in ("class", "class_mean"):
        return None
    fields = {"mlp_ratio": ratio, "use_swiglu_ffn": gated, "layerscale_value": backbone.layer_scale}
    fields = _vit(backbone, "dinov2", **fields) | {"hidden_act": "gelu"}
    if backbone.registers:
        fields |= {"model_type": "dinov2_with_registers", "num_register_tokens": backbone.registers}
    return fields


def _dinov2_hidden(wide: int, gated: bool) -> int:
    """Return the hidden channels of DINOv2's MLP, where they would be so many without a gate."""
    return (int(wide * 2 / 3) + 7) // 8 * 8 if gated else wide


def _dinov3(backbone: ModernViTConfig) -> dict[str, Any] | None:
    if backbone.pool != "class":
        return None
    biased = backbone.qkv_bias == "query_value"
    return _vit(
        backbone,
        "dinov3_vit",
        use_gated_mlp=backbone.mlp == "swiglu",
        query_bias=biased,
        key_bias=False,
        value_bias=biased,
        num_register_tokens=backbone.registers,
        rope_theta=backbone.rotary_base,
        layerscale_value=backbone.layer_scale,
    )


def _clip(backbone: ModernViTConfig) -> dict[str, Any] | None:
    return None if backbone.pool != "class" or backbone.layer_scale else _vit(backbone, "clip_vision_model")


def _siglip(backbone: ModernViTConfig) -> dict[str, Any] | None:
    return _vit(backbone, "siglip_vision_model") if backbone.pool == "attention" else None


def _swin_v2(backbone: SwinV2Config) -> dict[str, Any] | None:
    if backbone.window[0] != backbone.window[1] or not backbone.shift:
        return None
    stages = len(backbone.depths)
    return {
        "model_type": "swinv2",
        "hidden_act": "gelu",
        "embed_dim": backbone.embed_width,
        "depths": list(backbone.depths),
        "num_heads": [backbone.embed_width * 2**stage // backbone.head_width for stage in range(stages)],
        "window_size": backbone.window[0],
        "pretrained_window_sizes": list(backbone.pretrained_windows or (0,) * stages),
        "mlp_ratio": backbone.mlp_ratio,
        "layer_norm_eps": SWIN_NORM_EPS,
    }


FIELDS: dict[str, Callable[[Any], dict[str, Any] | None]] = {
    "deit_huggingface": _deit,
    "beit_huggingface": _beit,
    "dinov2_huggingface": _dinov2,
    "dinov3_huggingface": _dinov3,
    "clip_huggingface": _clip,
    "siglip_huggingface": _siglip,
    "swin_v2_huggingface": _swin_v2,
}
