"""Swin V2 under every name it goes by: Microsoft's, timm's, Hugging Face's.

Plain names are Microsoft's, without the tables of indices and masks that follow from the shapes. The table of
log-spaced offsets (``attn.relative_coords_table``) stays where a file has it: it alone says which windows the weights
were trained with.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.layers.cosine_attention import REACH
from vitrail.layers.relative_position import offset_array
from vitrail.layers.window_layout import fit_windows, regions
from vitrail.weights.formats.rename import Row, Table, from_plain_names, fuse, split, to_plain_names
from vitrail.weights.formats.swin import BLOCK, FORBIDDEN, INDEX, MASK, OLD_PARTS, PATCHES_A_WINDOW, TIMM
from vitrail.weights.reader import State

COORDINATES = "relative_coords_table"

HUGGINGFACE: Table = (
    Row("swinv2.embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
    Row("swinv2.embeddings.norm.*", "patch_embed.norm.*"),
    Row("swinv2.embeddings.position_embeddings", "absolute_pos_embed"),
    Row(f"swinv2.encoder.{BLOCK}.attention.self.query.bias", f"{BLOCK}.attn.q_bias"),
    Row(f"swinv2.encoder.{BLOCK}.attention.self.value.bias", f"{BLOCK}.attn.v_bias"),
    *(Row(f"swinv2.encoder.{BLOCK}.{theirs}.*", f"{BLOCK}.{own}.*") for theirs, own in OLD_PARTS.items()),
    Row(f"swinv2.encoder.{BLOCK}.attention.self.logit_scale", f"{BLOCK}.attn.logit_scale"),
    Row(f"swinv2.encoder.{BLOCK}.attention.self.continuous_position_bias_mlp.*", f"{BLOCK}.attn.cpb_mlp.*"),
    Row(f"swinv2.encoder.{BLOCK}.attention.self.{COORDINATES}", f"{BLOCK}.attn.{COORDINATES}"),
    Row(f"swinv2.encoder.{BLOCK}.layernorm_before.*", f"{BLOCK}.norm1.*"),
    Row(f"swinv2.encoder.{BLOCK}.layernorm_after.*", f"{BLOCK}.norm2.*"),
    Row("swinv2.encoder.layers.{}.downsample.*", "layers.{}.downsample.*"),
    Row("swinv2.layernorm.*", "norm.*"),
    Row("classifier.*", "head.*"),
)


def is_swin_v2(state: State) -> bool:
    """Whether plain tensors are a Swin V2's."""
    return any(name.endswith("layers.0.blocks.0.attn.logit_scale") for name in state)


def is_official(state: State) -> bool:
    """Whether a state has Microsoft's names, timm's before its version 0.9: a Swin V2's, or a SimMIM's around one."""
    front = "encoder." if "encoder.mask_token" in state else ""
    return f"{front}layers.0.blocks.0.attn.logit_scale" in state


def is_timm(state: State) -> bool:
    """Whether a state has the names timm uses since version 0.9."""
    merges = "layers.0.downsample.norm.weight" not in state and "layers.1.downsample.norm.weight" in state
    features = "layers_0.blocks.0.attn.logit_scale" in state
    return features or (is_official(state) and (merges or "head.fc.weight" in state))


def is_huggingface(state: State) -> bool:
    """Whether a state has Hugging Face's names."""
    return any(".attention.self.continuous_position_bias_mlp." in name for name in state)


def official_to_plain(state: State) -> State:
    """Drop what follows from the shapes, and what SimMIM puts around its encoder."""
    bare = {name.removeprefix("encoder."): tensor for name, tensor in state.items()}
    bare.pop("mask_token", None)
    return _without(bare, INDEX, MASK)


def official_from_plain(state: State, num_heads: int = 0) -> State:
    """Add the indices and masks that Microsoft's code expects, for images of the windows' published size."""
    tables = {name: tensor for name, tensor in state.items() if name.endswith(COORDINATES)}
    windows = {name: window_of(table) for name, table in tables.items()}
    largest = max((window[0] for window in windows.values()), default=0)
    buffers: State = {}
    for name, window in windows.items():
        _, stage, _, block, *_ = name.split(".")
        front, side = name.removesuffix(f"attn.{COORDINATES}"), largest * PATCHES_A_WINDOW >> int(stage)
        buffers[f"{front}attn.{INDEX}"] = torch.from_numpy(offset_array(window))
        partition = fit_windows(side, side, window)[int(block) % 2]
        if partition.needs_mask:
            region = torch.from_numpy(regions(partition))
            apart = region.unsqueeze(2) != region.unsqueeze(1)
            buffers[f"{front}{MASK}"] = torch.zeros(apart.shape).masked_fill(apart, FORBIDDEN)
    return state | buffers


def timm_to_plain(state: State) -> State:
    """Translate timm's names into plain ones."""
    return to_plain_names(_without(state, INDEX, MASK), TIMM)


def timm_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into timm's, which has no tables of offsets in its files."""
    return from_plain_names(_without(state, COORDINATES), TIMM, "swin_v2_timm")


def huggingface_to_plain(state: State) -> State:
    """Translate Hugging Face's names into plain ones."""
    bare = any(name.startswith("embeddings.") for name in state)
    named = {f"swinv2.{n}" if bare and n.startswith(("embed", "enc", "layern")) else n: t for n, t in state.items()}
    named.pop("swinv2.embeddings.mask_token", None)
    return fuse(to_plain_names(_without(named, INDEX, MASK), HUGGINGFACE), "qkv", "qkv")


def huggingface_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into Hugging Face's."""
    return from_plain_names(split(_without(state, COORDINATES), "qkv", "qkv"), HUGGINGFACE, "swin_v2_huggingface")


def _without(state: State, *endings: str) -> State:
    return {name: tensor for name, tensor in state.items() if not name.endswith(endings)}


def is_computed(name: str) -> bool:
    """Whether a tensor follows from the windows, so that a file may lack it."""
    return name.endswith(COORDINATES)


def check_windows(name: str, tensor: Tensor, target: Tensor, origin: str) -> None:
    """Refuse a model with other windows that does not say which ones its weights were trained with.

    The bias of an offset is learned for its share of the window; other windows, other offsets.

    Args:
        name: of the table of offsets.
        tensor: what the file has.
        target: what the model has, for windows of another size.
        origin: the file.

    Raises:
        WeightsError: the model's offsets are divided by something else than the file's.
    """
    own, wanted = pretrained_side(tensor), pretrained_side(target)
    if own != wanted:
        raise WeightsError(
            f"{origin} was trained with windows of {own} tokens ({name}), the model's offsets are for {wanted}; build "
            f"it with pretrained_windows that say {own} for this stage"
        )


def window_of(table: Tensor) -> tuple[int, int]:
    """Return the window, in tokens, that a table of offsets ``(1, 2 M_h - 1, 2 M_w - 1, 2)`` is made for."""
    return (table.shape[1] + 1) // 2, (table.shape[2] + 1) // 2


def pretrained_side(table: Tensor) -> int:
    """Return the side of the window that the weights were pretrained with, by which offsets were divided.

    The largest offset d / (P - 1), times 8, is log2(1 + .) / log2(8) in the table.
    """
    largest = float(table.max())
    if largest <= 0:  # a window of one token
        return 1
    return 1 + round(REACH * (window_of(table)[0] - 1) / (math.exp(largest * math.log(REACH)) - 1))
