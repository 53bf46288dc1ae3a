"""timm and DeiT: the plain names themselves, but for what timm renamed over the years."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitrail.weights.formats import modern
from vitrail.weights.formats.google import with_class_place
from vitrail.weights.formats.rename import Row, TensorTransform, from_plain_names, to_plain_names
from vitrail.weights.reader import State

# Before convolutions, timm kept the patch embedding as a matrix (D, C P P).
KERNEL = TensorTransform(lambda t: _convolution(t), lambda t, heads: t)
# (C, D, 1, 1) <-> (C, D): a ResNet's head is a 1x1 convolution.
POINTWISE = TensorTransform(lambda t: t.flatten(1), lambda t, heads: t[..., None, None])

STEM_ONLY = tuple(
    Row(f"patch_embed.backbone.{part}.*", f"patch_embed.backbone.stem.{part}.*") for part in ("conv", "norm")
)
VIT = (
    Row("patch_embed.proj.weight", "patch_embed.proj.weight", KERNEL),
    Row("pre_logits.fc.*", "pre_logits.*"),
    Row("*", "*"),
)
RESNET = (
    Row("head.fc.weight", "head.weight", POINTWISE),
    Row("head.fc.bias", "head.bias"),
    Row("*", "*"),
)


def to_plain(state: State) -> State:
    """Translate a state of timm's or DeiT's into plain names."""
    table = RESNET if "head.fc.weight" in state else VIT
    if "patch_embed.backbone.conv.weight" in state:
        table = (*STEM_ONLY, *VIT)
    if modern.is_modern(state):
        return to_plain_names(modern.to_plain(state), VIT)
    return with_class_place(to_plain_names(_with_qkv_bias(state), table))


def _with_qkv_bias(state: State) -> State:
    """Put BEiT's and EVA's biases of queries and values together, with zeros for the keys, which have none there."""
    whole = dict(state)
    for name in state:
        front, separator, _ = name.rpartition(".q_bias")
        if separator and f"{front}.v_bias" in state and f"{front}.qkv.bias" not in state:
            q, v = whole.pop(name), whole.pop(f"{front}.v_bias")
            k = whole.pop(f"{front}.k_bias", torch.zeros_like(q))
            whole[f"{front}.qkv.bias"] = torch.cat([q, k, v])
    return whole


def from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into timm's; the inverse of `to_plain`."""
    if modern.is_modern(state):
        return modern.timm_from_plain(state)
    if "stem.conv.weight" in state:
        table = RESNET
    elif any(name.startswith("patch_embed.backbone.stages.") for name in state):
        table = VIT
    else:
        table = (*STEM_ONLY, *VIT)
    return from_plain_names(state, table, "timm")


def _convolution(kernel: Tensor) -> Tensor:
    """Return a patch embedding as ``(D, 3, P, P)``; a matrix can only be one over colour images."""
    if kernel.ndim != 2:
        return kernel
    side = math.isqrt(kernel.shape[1] // 3)
    return kernel.unflatten(1, (3, side, side)) if kernel.shape[1] == 3 * side * side else kernel
