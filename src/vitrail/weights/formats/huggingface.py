"""Hugging Face's ViT and ViTMAE, under the names of before and after the renaming of 2026.

Both generations of transformers read the names of before, so those are what is written by default. Queries, keys
and values are separate maps.
"""

from __future__ import annotations

from vitrail.weights.formats.rename import Row, Table, from_plain_names, fuse, split, to_plain_names
from vitrail.weights.reader import State


def _blocks(layer: str, plain: str, parts: dict[str, str]) -> list[Row]:
    rows = [Row(f"{layer}.{foreign}.*", f"{plain}.{own}.*") for foreign, own in parts.items()]
    return [
        *rows,
        Row(f"{layer}.layernorm_before.*", f"{plain}.norm1.*"),
        Row(f"{layer}.layernorm_after.*", f"{plain}.norm2.*"),
    ]


OLD = {
    "attention.attention.query": "attn.q",
    "attention.attention.key": "attn.k",
    "attention.attention.value": "attn.v",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
NEW = {
    "attention.q_proj": "attn.q",
    "attention.k_proj": "attn.k",
    "attention.v_proj": "attn.v",
    "attention.o_proj": "attn.proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def _table(layers: str, parts: dict[str, str]) -> Table:
    return (
        Row("vit.embeddings.cls_token", "cls_token"),
        Row("vit.embeddings.position_embeddings", "pos_embed"),
        Row("vit.embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        *_blocks(f"vit.{layers}.{{}}", "blocks.{}", parts),
        Row("vit.layernorm.*", "norm.*"),
        Row("vit.pooler.dense.*", "pre_logits.*"),
        Row("classifier.*", "head.*"),
        Row("decoder.mask_token", "decoder.mask_token"),
        Row("decoder.decoder_pos_embed", "decoder.pos_embed"),
        Row("decoder.decoder_embed.*", "decoder.embed.*"),
        *_blocks("decoder.decoder_layers.{}", "decoder.blocks.{}", parts),
        # What transformers 5 writes when it saves a ViTMAE under the names of before.
        *_blocks("decoder.decoder_encoder.layer.{}", "decoder.blocks.{}", parts),
        Row("decoder.decoder_norm.*", "decoder.norm.*"),
        Row("decoder.decoder_pred.*", "decoder.predict.*"),
    )


BEFORE_2026 = _table("encoder.layer", OLD)
SINCE_2026 = _table("layers", NEW)


def old_to_plain(state: State) -> State:
    """Translate the names of before 2026 into plain ones."""
    return _to_plain(state, BEFORE_2026)


def new_to_plain(state: State) -> State:
    """Translate the names since 2026 into plain ones."""
    return _to_plain(state, SINCE_2026)


def old_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of before 2026; the inverse of `old_to_plain`."""
    return from_plain_names(split(state, "qkv", "qkv"), BEFORE_2026, "huggingface")


def new_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those since 2026; the inverse of `new_to_plain`."""
    return from_plain_names(split(state, "qkv", "qkv"), SINCE_2026, "huggingface_2026")


def _to_plain(state: State, table: Table) -> State:
    # A bare ViTModel has no prefix; the mask token is for images with holes, and used nowhere else.
    bare = any(name.startswith("embeddings.") for name in state)
    named = {f"vit.{name}" if bare else name: tensor for name, tensor in state.items()}
    named.pop("vit.embeddings.mask_token", None)
    return fuse(to_plain_names(named, table), "qkv", "qkv")
