"""torchvision's ViT."""

from __future__ import annotations

from vitrail.weights.formats.rename import Row, from_plain_names, to_plain_names
from vitrail.weights.reader import State

LAYER = "encoder.layers.encoder_layer_{}"

TABLE = (
    Row("class_token", "cls_token"),
    Row("conv_proj.*", "patch_embed.proj.*"),
    Row("encoder.pos_embedding", "pos_embed"),
    Row(f"{LAYER}.ln_1.*", "blocks.{}.norm1.*"),
    Row(f"{LAYER}.self_attention.in_proj_weight", "blocks.{}.attn.qkv.weight"),
    Row(f"{LAYER}.self_attention.in_proj_bias", "blocks.{}.attn.qkv.bias"),
    Row(f"{LAYER}.self_attention.out_proj.*", "blocks.{}.attn.proj.*"),
    Row(f"{LAYER}.ln_2.*", "blocks.{}.norm2.*"),
    Row(f"{LAYER}.mlp.0.*", "blocks.{}.mlp.fc1.*"),
    Row(f"{LAYER}.mlp.3.*", "blocks.{}.mlp.fc2.*"),
    # The names in the published files; torchvision renames them while loading.
    Row(f"{LAYER}.mlp.linear_1.*", "blocks.{}.mlp.fc1.*"),
    Row(f"{LAYER}.mlp.linear_2.*", "blocks.{}.mlp.fc2.*"),
    Row("encoder.ln.*", "norm.*"),
    Row("heads.pre_logits.*", "pre_logits.*"),
    Row("heads.head.*", "head.*"),
)


def to_plain(state: State) -> State:
    """Translate torchvision's names into plain ones."""
    return to_plain_names(state, TABLE)


def from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into torchvision's; the inverse of `to_plain`."""
    return from_plain_names(state, TABLE, "torchvision")
