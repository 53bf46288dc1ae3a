"""Google's ``.npz``: the original ViT and its hybrids, AugReg, big_vision, and BiT.

Flax multiplies from the left and keeps heads apart: kernels are HWIO, linear maps (in, out), queries, keys and
values (D, K, E), the output of attention (K, E, D). Old files hold GroupNorm's parameters as (1, 1, 1, C).
Names follow the files of github.com/google-research/vision_transformer, big_vision and big_transfer.

Flax' GELU is the tanh approximation, vitrail's (like timm's and Hugging Face's) is exact; with published weights
the two differ by about 1e-3 in the MLP and do not change what is recognised.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitrail.weights.formats.rename import Row, TensorTransform, from_plain_names, fuse, split, to_plain_names
from vitrail.weights.reader import State

# HWIO <-> OIHW
CONVOLUTION = TensorTransform(lambda t: t.permute(3, 2, 0, 1), lambda t, heads: t.permute(2, 3, 1, 0))
# (in, out) <-> (out, in)
LINEAR = TensorTransform(lambda t: t.transpose(0, 1), lambda t, heads: t.transpose(0, 1))
# (D, K, E) <-> (K E, D)
INTO_HEADS = TensorTransform(lambda t: t.flatten(1).mT, lambda t, heads: t.mT.unflatten(1, (heads, -1)))
# (K, E) <-> (K E,)
HEAD_BIAS = TensorTransform(lambda t: t.flatten(), lambda t, heads: t.unflatten(0, (heads, -1)))
# (K, E, D) <-> (D, K E)
OUT_OF_HEADS = TensorTransform(lambda t: t.flatten(0, 1).mT, lambda t, heads: t.mT.unflatten(0, (heads, -1)))
# (C,) or (1, 1, 1, C) -> (C,)
VECTOR = TensorTransform(lambda t: t.flatten(), lambda t, heads: t)
# (1, 1, D, C) <-> (C, D): BiT's head is a 1x1 convolution.
POINTWISE = TensorTransform(lambda t: t.flatten(0, 2).mT, lambda t, heads: t.mT[None, None])


def _norm(foreign: str, plain: str) -> list[Row]:
    return [Row(f"{foreign}/scale", f"{plain}.weight", VECTOR), Row(f"{foreign}/bias", f"{plain}.bias", VECTOR)]


def _linear(foreign: str, plain: str) -> list[Row]:
    return [Row(f"{foreign}/kernel", f"{plain}.weight", LINEAR), Row(f"{foreign}/bias", f"{plain}.bias")]


def _attention(foreign: str, plain: str) -> list[Row]:
    rows = [
        Row(f"{foreign}/out/kernel", f"{plain}.proj.weight", OUT_OF_HEADS),
        Row(f"{foreign}/out/bias", f"{plain}.proj.bias"),
    ]
    for long, short in (("query", "q"), ("key", "k"), ("value", "v")):
        rows.append(Row(f"{foreign}/{long}/kernel", f"{plain}.{short}.weight", INTO_HEADS))
        rows.append(Row(f"{foreign}/{long}/bias", f"{plain}.{short}.bias", HEAD_BIAS))
    return rows


def _encoder(attention: str, norm2: str, mlp: str) -> list[Row]:
    """Return the rows of the encoder; the two generations number the parts of a block differently."""
    block = "Transformer/encoderblock_{}"
    return [
        Row("embedding/kernel", "patch_embed.proj.weight", CONVOLUTION),
        Row("embedding/bias", "patch_embed.proj.bias"),
        Row("cls", "cls_token"),
        *_norm(f"{block}/LayerNorm_0", "blocks.{}.norm1"),
        *_attention(f"{block}/{attention}", "blocks.{}.attn"),
        *_norm(f"{block}/{norm2}", "blocks.{}.norm2"),
        *_linear(f"{block}/{mlp}/Dense_0", "blocks.{}.mlp.fc1"),
        *_linear(f"{block}/{mlp}/Dense_1", "blocks.{}.mlp.fc2"),
        *_norm("Transformer/encoder_norm", "norm"),
        *_linear("pre_logits", "pre_logits"),
        *_linear("head", "head"),
    ]


def _hybrid_stem() -> list[Row]:
    stem, unit = "patch_embed.backbone.stem", "patch_embed.backbone.stages.{}.blocks.{}"
    rows = [Row("conv_root/kernel", f"{stem}.conv.weight", CONVOLUTION), *_norm("gn_root", f"{stem}.norm")]
    for there, conv, norm in (
        ("1", "conv1", "norm1"),
        ("2", "conv2", "norm2"),
        ("3", "conv3", "norm3"),
        ("_proj", "downsample.conv", "downsample.norm"),
    ):
        rows.append(Row(f"block{{+1}}/unit{{+1}}/conv{there}/kernel", f"{unit}.{conv}.weight", CONVOLUTION))
        rows += _norm(f"block{{+1}}/unit{{+1}}/gn{there}", f"{unit}.{norm}")
    return rows


ORIGINAL = (
    *_encoder("MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3"),
    Row("Transformer/posembed_input/pos_embedding", "pos_embed"),
    *_hybrid_stem(),
)

BIG_VISION = (
    *_encoder("MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0"),
    Row("pos_embedding", "pos_embed"),
    Row("MAPHead_0/probe", "attn_pool.latent"),
    *_attention("MAPHead_0/MultiHeadDotProductAttention_0", "attn_pool"),
    *_norm("MAPHead_0/LayerNorm_0", "attn_pool.norm"),
    *_linear("MAPHead_0/MlpBlock_0/Dense_0", "attn_pool.mlp.fc1"),
    *_linear("MAPHead_0/MlpBlock_0/Dense_1", "attn_pool.mlp.fc2"),
)


def _bit() -> tuple[Row, ...]:
    unit, block = "resnet/block{+1}/unit{+1:02}", "stages.{}.blocks.{}"
    rows = [Row("resnet/root_block/standardized_conv2d/kernel", "stem.conv.weight", CONVOLUTION)]
    rows.append(Row(f"{unit}/a/proj/standardized_conv2d/kernel", f"{block}.downsample.conv.weight", CONVOLUTION))
    for letter, number in (("a", 1), ("b", 2), ("c", 3)):
        rows += [
            Row(f"{unit}/{letter}/standardized_conv2d/kernel", f"{block}.conv{number}.weight", CONVOLUTION),
            Row(f"{unit}/{letter}/group_norm/gamma", f"{block}.norm{number}.weight", VECTOR),
            Row(f"{unit}/{letter}/group_norm/beta", f"{block}.norm{number}.bias", VECTOR),
        ]
    rows += [
        Row("resnet/group_norm/gamma", "norm.weight", VECTOR),
        Row("resnet/group_norm/beta", "norm.bias", VECTOR),
        Row("resnet/head/conv2d/kernel", "head.weight", POINTWISE),
        Row("resnet/head/conv2d/bias", "head.bias"),
    ]
    return tuple(rows)


BIT = _bit()


def original_to_plain(state: State) -> State:
    """Translate a file of the original ViT, a hybrid or AugReg into plain names."""
    return _fused(to_plain_names(own_part(state), ORIGINAL))


def original_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of the original ViT; the inverse of `original_to_plain`."""
    return from_plain_names(_split(state), ORIGINAL, "google", num_heads)


def big_vision_to_plain(state: State) -> State:
    """Translate a file of big_vision into plain names; stacked layers are taken apart.

    There the class token has no position; here it has one of zeros, which adds nothing.
    """
    plain = _fused(to_plain_names(unstacked(own_part(state)), BIG_VISION))
    return with_class_place(plain)


def big_vision_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into big_vision's; the class token's position is added to the token itself."""
    state = dict(state)
    if "cls_token" in state and "pos_embed" in state:
        first, state["pos_embed"] = state["pos_embed"][:, :1], state["pos_embed"][:, 1:]
        if first.any():
            state["cls_token"] = state["cls_token"] + first
    return from_plain_names(_split(state), BIG_VISION, "big_vision", num_heads)


def bit_to_plain(state: State) -> State:
    """Translate a file of BiT into plain names."""
    return to_plain_names(state, BIT)


def bit_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into BiT's; the inverse of `bit_to_plain`."""
    return from_plain_names(state, BIT, "bit")


def own_part(state: State) -> State:
    """Leave out optimizer and text tower, and the prefix of what stays (``opt/target/``, ``params/img/``)."""
    anchor = next((name for name in state if name.endswith("embedding/kernel")), "embedding/kernel")
    prefix = anchor.removesuffix("embedding/kernel")
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}


def unstacked(state: State) -> State:
    """Take layers apart that are stacked along a first axis: ``encoderblock/x`` to ``encoderblock_0/x``, ..."""
    front = "Transformer/encoderblock/"
    separate: State = {}
    for name, tensor in state.items():
        if name.startswith(front):
            rest = name.removeprefix(front)
            separate.update({f"Transformer/encoderblock_{i}/{rest}": layer for i, layer in enumerate(tensor)})
        else:
            separate[name] = tensor
    return separate


def with_class_place(state: State) -> State:
    """Give the class token a position of zeros where only patches have one (their number is then a square)."""
    positions = state.get("pos_embed")
    if "cls_token" not in state or positions is None or positions.ndim != 3:
        return state
    if math.isqrt(positions.shape[1]) ** 2 != positions.shape[1]:
        return state
    zeros = torch.zeros_like(positions[:, :1])
    return {**state, "pos_embed": torch.cat([zeros, positions], dim=1)}


def heads_of(state: State) -> int | None:
    """Return the number of heads, K, which these files alone say: queries are (D, K, E), stacked (L, D, K, E)."""
    query: Tensor | None = next((t for n, t in state.items() if n.endswith("/query/kernel")), None)
    return None if query is None or query.ndim < 3 else query.shape[-2]


def _fused(state: State) -> State:
    pooled = {name: state[name] for name in state if name.startswith("attn_pool.")}
    rest = {name: tensor for name, tensor in state.items() if name not in pooled}
    return {**fuse(rest, "qkv", "qkv"), **fuse(pooled, "kv", "kv")}


def _split(state: State) -> State:
    return split(split(state, "qkv", "qkv"), "kv", "kv")
