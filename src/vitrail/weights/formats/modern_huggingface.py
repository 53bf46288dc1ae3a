"""ViTs of after 2021 under Hugging Face's names: DeiT, BEiT, DINOv2, DINOv3, and the image towers of CLIP and SigLIP.

The names of before and since the renaming of 2026 are read; those of before, which every version of transformers
reads, are written. Queries, keys and values are separate maps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.weights.formats.google import with_class_place
from vitrail.weights.formats.huggingface import NEW, OLD
from vitrail.weights.formats.modern import BIAS_TABLE, has_shared_table, is_gated
from vitrail.weights.formats.rename import Row, Table, TensorTransform, from_plain_names, fuse, split, to_plain_names
from vitrail.weights.reader import State

# (D,) <-> (1, 1, D), (N, D) <-> (1, N, D)
ONE = TensorTransform(lambda t: t.reshape(1, -1, t.shape[-1]), lambda t, heads: t[0, 0])
PLACES = TensorTransform(lambda t: t.unsqueeze(0), lambda t, heads: t[0])

BUFFERS = ("relative_position_index", "position_ids", "embeddings.mask_token", "rope_embeddings.inv_freq")
"""Ends of the names of what follows from the shapes, and of the token that stands for hidden patches."""


def _embeddings(model: str) -> list[Row]:
    front = f"{model}.embeddings"
    return [
        Row(f"{front}.cls_token", "cls_token"),
        Row(f"{front}.distillation_token", "dist_token"),
        Row(f"{front}.register_tokens", "reg_token"),
        Row(f"{front}.position_embeddings", "pos_embed"),
        Row(f"{front}.patch_embeddings.projection.*", "patch_embed.proj.*"),
        Row(f"{front}.patch_embeddings.*", "patch_embed.proj.*"),
    ]


def _parts(layer: str, parts: dict[str, str]) -> list[Row]:
    return [Row(f"{layer}.{theirs}.*", f"blocks.{{}}.{own}.*") for theirs, own in parts.items()]


def _query_value_biases(layer: str, query: str, value: str) -> list[Row]:
    """Biases of queries and values alone, which keys do without."""
    return [
        Row(f"{layer}.{query}.bias", "blocks.{}.attn.q_bias"),
        Row(f"{layer}.{value}.bias", "blocks.{}.attn.v_bias"),
    ]


NORMS = {"layernorm_before": "norm1", "layernorm_after": "norm2"}

DEIT: Table = (
    *_embeddings("deit"),
    *_parts("deit.encoder.layer.{}", OLD | NORMS),
    *_parts("deit.layers.{}", NEW | NORMS),
    Row("deit.layernorm.*", "norm.*"),
    Row("cls_classifier.*", "head.*"),
    Row("distillation_classifier.*", "head_dist.*"),
)


def _beit(shared: bool) -> Table:
    old, new = "beit.encoder.layer.{}", "beit.layers.{}"
    each = [
        Row(f"{old}.attention.attention.relative_position_bias.{BIAS_TABLE}", f"relative.{{}}.{BIAS_TABLE}"),
        Row(f"{new}.relative_position_bias.{BIAS_TABLE}", f"relative.{{}}.{BIAS_TABLE}"),
    ]
    for_all = [
        Row(f"beit.encoder.relative_position_bias.{BIAS_TABLE}", f"relative.0.{BIAS_TABLE}"),
        Row(f"beit.shared_position_bias.{BIAS_TABLE}", f"relative.0.{BIAS_TABLE}"),
    ]
    return (
        *_embeddings("beit"),
        *_query_value_biases(old, "attention.attention.query", "attention.attention.value"),
        *_query_value_biases(new, "attention.q_proj", "attention.v_proj"),
        *_parts(old, OLD | NORMS),
        *_parts(new, NEW | NORMS),
        *(Row(f"{layer}.lambda_{i}", f"blocks.{{}}.ls{i}.gamma") for layer in (old, new) for i in (1, 2)),
        *(for_all + each if shared else each + for_all),
        Row("beit.layernorm.*", "norm.*"),
        Row("beit.pooler.layernorm.*", "fc_norm.*"),
        Row("classifier.*", "head.*"),
    )


SCALES = {"layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"}


def _dino_block(layer: str, gated: bool, parts: dict[str, str]) -> list[Row]:
    """Return the rows of a block whose parts but attention are named as DINO's own are."""
    mlp = {"mlp.weights_in": "mlp.fc1", "mlp.weights_out": "mlp.fc2"} if gated else {}
    plain_mlp = {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    return [
        *_parts(layer, parts | {"norm1": "norm1", "norm2": "norm2"}),
        *(Row(f"{layer}.{theirs}", f"blocks.{{}}.{own}") for theirs, own in SCALES.items()),
        *_parts(layer, mlp | plain_mlp),
        Row(f"{layer}.mlp.down_proj.*", "blocks.{}.mlp.fc2.*"),
        Row(f"{layer}.mlp.up_proj.*", "blocks.{}.mlp.fc1.*"),
    ]


def _attention(parts: dict[str, str]) -> dict[str, str]:
    return {theirs: own for theirs, own in parts.items() if own.startswith("attn.")}


def _dinov2(gated: bool) -> Table:
    layer = "dinov2.encoder.layer.{}"
    return (
        *_embeddings("dinov2"),
        *_dino_block(layer, gated, _attention(OLD)),
        *_dino_block(layer, gated, _attention(NEW)),
        Row("dinov2.layernorm.*", "norm.*"),
        Row("classifier.*", "head.*"),
    )


DINOV3_LAYERS = ("dinov3.layer.{}", "dinov3.model.layer.{}")


def _dinov3(gated: bool) -> Table:
    rows = list(_embeddings("dinov3"))
    rows.reverse()  # here the convolution has no name of its own below the embeddings
    rows = [row for row in rows if "projection" not in row.foreign]
    for layer in DINOV3_LAYERS:
        rows += _query_value_biases(layer, "attention.q_proj", "attention.v_proj")
        rows += [Row(f"{layer}.mlp.down_proj.*", "blocks.{}.mlp.fc2.*")] if gated else []
        mlp = {} if gated else {"mlp.up_proj": "mlp.fc1", "mlp.down_proj": "mlp.fc2"}
        rows += _parts(layer, _attention(NEW) | {"norm1": "norm1", "norm2": "norm2"} | mlp)
        rows += [Row(f"{layer}.{theirs}", f"blocks.{{}}.{own}") for theirs, own in SCALES.items()]
    return (*rows, Row("dinov3.norm.*", "norm.*"))


def _tower(layer: str = "encoder.layers.{}") -> list[Row]:
    parts = {f"self_attn.{part}_proj": f"attn.{part}" for part in "qkv"} | {"self_attn.out_proj": "attn.proj"}
    others = {"layer_norm1": "norm1", "layer_norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    return [
        Row("embeddings.patch_embedding.*", "patch_embed.proj.*"),
        Row("embeddings.position_embedding.weight", "pos_embed", PLACES),
        *_parts(layer, parts | others),
        Row("post_layernorm.*", "norm.*"),
    ]


CLIP: Table = (
    Row("embeddings.class_embedding", "cls_token", ONE),
    Row("pre_layrnorm.*", "norm_pre.*"),
    *_tower(),
    Row("visual_projection.weight", "projection.weight"),
)

SIGLIP: Table = (
    *_tower(),
    Row("head.probe", "attn_pool.latent"),
    Row("head.attention.out_proj.*", "attn_pool.proj.*"),
    Row("head.layernorm.*", "attn_pool.norm.*"),
    Row("head.mlp.*", "attn_pool.mlp.*"),
)


def is_buffer(name: str) -> bool:
    """Whether a tensor follows from the shapes, or stands for hidden patches."""
    return name.endswith(BUFFERS)


def _without_buffers(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not name.endswith(BUFFERS)}


def _prefixed(state: State, model: str) -> State:
    """Put the model's name before those of a bare model; a head stands beside it."""
    if not any(name.startswith("embeddings.") for name in state):
        return state
    heads = ("classifier.", "cls_classifier.", "distillation_classifier.")
    return {name if name.startswith(heads) else f"{model}.{name}": tensor for name, tensor in state.items()}


def _read(state: State, model: str, table: Table) -> State:
    return fuse(to_plain_names(_prefixed(_without_buffers(state), model), table), "qkv", "qkv")


def _write(state: State, table: Table, layout: str) -> State:
    return from_plain_names(split(state, "qkv", "qkv"), table, layout)


def deit_to_plain(state: State) -> State:
    """Translate the names of a DeiT with a distillation token into plain ones; what pools for nothing goes."""
    return _read({n: t for n, t in state.items() if "pooler.dense." not in n}, "deit", DEIT)


def deit_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of a DeiT; the inverse of `deit_to_plain`."""
    return _write(state, DEIT, "deit_huggingface")


def beit_to_plain(state: State) -> State:
    """Translate the names of a BEiT into plain ones; what predicts hidden patches goes."""
    whole = any(name.startswith("beit.") for name in state)
    above = ("lm_head.", *(("layernorm.",) if whole else ()))
    return _read({n: t for n, t in state.items() if not n.startswith(above)}, "beit", _beit(shared=False))


def beit_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of a BEiT; the inverse of `beit_to_plain`."""
    return _write(state, _beit(has_shared_table(state)), "beit_huggingface")


def dinov2_to_plain(state: State) -> State:
    """Translate the names of a DINOv2, with or without registers, into plain ones."""
    own = {name.replace("dinov2_with_registers.", "dinov2."): tensor for name, tensor in state.items()}
    gated = any(".mlp.weights_in." in name for name in own)
    return _read(_gates_fused(own), "dinov2", _dinov2(gated))


def dinov2_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of a DINOv2; the inverse of `dinov2_to_plain`."""
    named = _write(with_class_place(state), _dinov2(is_gated(state)), "dinov2_huggingface")
    model = "dinov2_with_registers." if "reg_token" in state else "dinov2."
    return {name.replace("dinov2.", model, 1): tensor for name, tensor in named.items()}


def dinov3_to_plain(state: State) -> State:
    """Translate the names of a DINOv3 into plain ones."""
    gated = any(".mlp.gate_proj." in name for name in state)
    bare = {name.removeprefix("dinov3."): tensor for name, tensor in state.items()}
    fused = {f"dinov3.{name}": tensor for name, tensor in _without_buffers(_gates_fused(bare)).items()}
    rows = [Row(f"{layer}.mlp.up_proj.*", "blocks.{}.mlp.fc1.*") for layer in DINOV3_LAYERS]
    return fuse(to_plain_names(fused, (*_dinov3(gated), *rows)), "qkv", "qkv")


def dinov3_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of a DINOv3; the inverse of `dinov3_to_plain`."""
    gated = is_gated(state)
    apart: State = {}
    for name, tensor in state.items():
        front, separator, kind = name.rpartition(".mlp.fc1.")
        if separator and gated:
            layer = front.replace("blocks.", "layer.")
            gate, values = tensor.chunk(2)
            apart[f"{layer}.mlp.gate_proj.{kind}"] = gate.contiguous()
            apart[f"{layer}.mlp.up_proj.{kind}"] = values.contiguous()
    rest = {name: tensor for name, tensor in state.items() if not (gated and ".mlp.fc1." in name)}
    named = _write(rest, _dinov3(gated), "dinov3_huggingface")
    return {name.removeprefix("dinov3."): tensor for name, tensor in named.items()} | apart


def _gates_fused(state: State) -> State:
    """Put the gate of a gated MLP before its values, under the name of the values."""
    fused = dict(state)
    for name in state:
        front, separator, kind = name.rpartition(".mlp.gate_proj.")
        values = f"{front}.mlp.up_proj.{kind}"
        if separator and values in state:
            fused[values] = torch.cat([fused.pop(name), fused[values]])
    return fused


def tower_of(state: State, mark: str) -> State:
    """Leave the image tower of a model that reads text too, without a prefix, and the map to the space of both.

    Args:
        state: tensors by the file's names.
        mark: a name inside the tower, by which its prefix is found.
    """
    prefix = next(name for name in state if name.endswith(mark)).removesuffix(mark)
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    beside = {name: tensor for name, tensor in state.items() if name == "visual_projection.weight"}
    return _without_buffers(inside | beside)


def is_above_beit(name: str) -> bool:
    """Whether a tensor of a BEiT predicts hidden patches."""
    return name.startswith(("lm_head.", "layernorm.")) or name.endswith(BUFFERS)


def is_beside_tower(name: str) -> bool:
    """Whether a tensor of CLIP or SigLIP belongs to its text tower, or compares images with text."""
    return name.startswith(("text_model.", "text_projection", "logit_scale", "logit_bias")) or name.endswith(BUFFERS)


def clip_to_plain(state: State) -> State:
    """Translate the names of CLIP's image tower into plain ones.

    Raises:
        WeightsError: there is a classifier on it, which transformers puts on other features than any model here.
    """
    if "classifier.weight" in state:
        raise WeightsError(
            "its classifier (CLIPForImageClassification) stands on the mean of tokens that are not normalised, where "
            "no model of vitrail's has one; the image tower alone is read"
        )
    return fuse(to_plain_names(tower_of(state, "pre_layrnorm.weight"), CLIP), "qkv", "qkv")


def clip_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of CLIP's image tower; the inverse of `clip_to_plain`."""
    return _in_tower(_write(state, CLIP, "clip_huggingface"))


def siglip_to_plain(state: State) -> State:
    """Translate the names of SigLIP's image tower into plain ones.

    transformers' classifier stands on the mean of the patch tokens, and leaves the tower's own pooling unused.
    """
    named = fuse(to_plain_names(tower_of(state, "embeddings.patch_embedding.weight"), SIGLIP), "qkv", "qkv")
    for kind in ("weight", "bias"):
        whole: Tensor | None = named.pop(f"head.attention.in_proj_{kind}", None)
        if whole is not None:
            width = len(whole) // 3
            named[f"attn_pool.q.{kind}"], named[f"attn_pool.kv.{kind}"] = whole[:width], whole[width:]
    if "classifier.weight" not in state:
        return named
    heads = {
        f"head.{part}": state[f"classifier.{part}"] for part in ("weight", "bias") if f"classifier.{part}" in state
    }
    return {name: tensor for name, tensor in named.items() if not name.startswith("attn_pool.")} | heads


def siglip_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of SigLIP's image tower; the inverse of `siglip_to_plain`."""
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(("attn_pool.q.", "attn_pool.kv."))}
    named = _write(rest, SIGLIP, "siglip_huggingface")
    for kind in ("weight", "bias"):
        if f"attn_pool.q.{kind}" in state:
            parts = [state[f"attn_pool.{part}.{kind}"] for part in ("q", "kv")]
            named[f"head.attention.in_proj_{kind}"] = torch.cat(parts)
    return _in_tower(named)


def _in_tower(state: State) -> State:
    return {name if name == "visual_projection.weight" else f"vision_model.{name}": t for name, t in state.items()}


def _has(*parts: str) -> Callable[[State], bool]:
    return lambda state: all(any(part in name for name in state) for part in parts)


is_deit = _has("embeddings.distillation_token")
is_beit = _has(".lambda_1", "patch_embeddings.projection.")
is_dinov2 = _has(".layer_scale1.lambda1", "patch_embeddings.projection.")
is_dinov3 = _has(".layer_scale1.lambda1", "embeddings.patch_embeddings.weight")
is_clip = _has("pre_layrnorm.weight")


def is_siglip(state: State) -> bool:
    """Whether a state has the names of SigLIP's image tower: CLIP's without a class token."""
    return _has("embeddings.patch_embedding.weight", "post_layernorm.weight")(state) and not is_clip(state)
