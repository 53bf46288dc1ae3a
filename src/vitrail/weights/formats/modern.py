"""ViTs of after 2021 (`vitrail.models.modern_vit`) under timm's names and those of the original repositories.

Plain names are timm's for the ViTs that its ``vision_transformer`` builds: ``blocks.0.ls1.gamma``, ``reg_token``,
``dist_token``, ``head_dist.weight``, ``norm_pre.weight``; biases of queries and values alone are
``blocks.0.attn.q_bias`` and ``v_bias``, tables of relative positions ``relative.0.relative_position_bias_table``, one
for each block or one for all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

import torch

from vitrail.errors import WeightsError
from vitrail.layers.rope import BASE, frequencies
from vitrail.weights.formats.google import with_class_place
from vitrail.weights.formats.rename import Row, Table, from_plain_names, to_plain_names
from vitrail.weights.reader import State

BIAS_TABLE = "relative_position_bias_table"

MARKS = re.compile(
    r"dist_token|reg_token|register_tokens|storage_tokens|norm_pre\.weight|rel_pos_bias\.relative_position_bias_table"
    r"|blocks\.0\.(0\.)?(ls1\.gamma|gamma_1|attn\.(q_norm\.weight|relative_position_bias_table))"
)
"""Names, plain or in the files of timm and the original repositories, that only ViTs of after 2021 have."""

IGNORED = re.compile(
    r"(.*\.)?(mask_token|relative_position_index|bias_mask|periods)|local_cls_norm\.(weight|bias)|cls_norm\..*|"
    r"(lm_head|cls_pt_layers)\..*"
)
"""What files hold beside what describes an image: the token in the place of hidden patches, tables of indices, the norm
of DINOv3's small crops, what predicts BEiT's hidden patches. ``bias_mask`` and ``periods`` are read before they go."""


def is_modern(names: Collection[str]) -> bool:
    """Whether tensors of these names belong to a ViT of after 2021, and to no plain one."""
    biased = f"relative.0.{BIAS_TABLE}" in names and "blocks.0.attn.q_bias" in names
    return biased or any(MARKS.fullmatch(name) for name in names)


FOREIGN = re.compile(
    r"register_tokens|storage_tokens|rel_pos_bias\..*|"
    r"blocks\.\d+\.(\d+\..*|gamma_[12]|mlp\.(fc1_[gx]|w\d+)\..*|attn\.(relative_position_bias_table|qkv\.bias_mask))"
)
"""Names in the files of timm and the original repositories that are no plain ones."""


def has_foreign_names(names: Collection[str]) -> bool:
    """Whether some tensors of a ViT of after 2021 have other names than plain ones."""
    return any(FOREIGN.fullmatch(name) for name in names)


def is_ignored(name: str) -> bool:
    """Whether a tensor of a ViT of after 2021 is no part of what describes an image."""
    return IGNORED.fullmatch(name) is not None


def _scales(foreign: str) -> list[Row]:
    return [Row(f"blocks.{{}}.{foreign}_{i}", f"blocks.{{}}.ls{i}.gamma") for i in (1, 2)]


TABLES = [
    Row(f"blocks.{{}}.attn.{BIAS_TABLE}", f"relative.{{}}.{BIAS_TABLE}"),
]
SHARED_TABLE = Row(f"rel_pos_bias.{BIAS_TABLE}", f"relative.0.{BIAS_TABLE}")

READ: Table = (
    Row("register_tokens", "reg_token"),
    Row("storage_tokens", "reg_token"),
    *_scales("gamma"),
    *TABLES,
    SHARED_TABLE,
    # DINOv2 and DINOv3 number the maps of a gated MLP, timm names two of them apart.
    Row("blocks.{}.mlp.w12.*", "blocks.{}.mlp.fc1.*"),
    Row("blocks.{}.mlp.w3.*", "blocks.{}.mlp.fc2.*"),
    Row("linear_head.*", "head.*"),
    Row("*", "*"),
)

GATES = (("fc1_g", "fc1_x"), ("w1", "w2"))
"""Names of both halves of the first map of a gated MLP, the gate's first: timm's for DINOv3, DINOv3's own."""

CHUNKED = re.compile(r"blocks\.\d+\.(\d+)\.(.+)")


def to_plain(state: State) -> State:
    """Translate timm's names, or those of DeiT, BEiT, DINOv2 or DINOv3, into plain ones.

    Raises:
        WeightsError: rotary positions of another kind than all published DINOv3 have.
    """
    state = _unchunked(state)
    _check_periods(state)
    state = _with_masked_biases(state)
    state = {name: tensor for name, tensor in state.items() if not is_ignored(name)}
    for parts in GATES:
        state = _fused(state, *parts)
    return to_plain_names(state, READ)


def _unchunked(state: State) -> State:
    """Number blocks through that DINOv2's training keeps in chunks: ``blocks.1.7.norm1`` is ``blocks.7.norm1``."""
    return {CHUNKED.sub(r"blocks.\1.\2", name): tensor for name, tensor in state.items()}


def _with_masked_biases(state: State) -> State:
    """Take the biases of keys away that DINOv3 multiplies by a mask of zeros."""
    masked = dict(state)
    for name in state:
        front, separator, _ = name.rpartition(".qkv.bias_mask")
        if separator and f"{front}.qkv.bias" in state:
            q, _, v = masked.pop(f"{front}.qkv.bias").chunk(3)
            masked[f"{front}.q_bias"], masked[f"{front}.v_bias"] = q, v
    return masked


def _check_periods(state: State) -> None:
    periods = next((tensor for name, tensor in state.items() if name.endswith("rope_embed.periods")), None)
    if periods is None or periods.is_meta:
        return
    expected = 1 / frequencies(4 * len(periods), BASE)
    if not torch.allclose(periods.float(), expected, rtol=1e-2):  # stored in bfloat16
        raise WeightsError(
            f"its rotary positions have periods from {periods.min():.3g} to {periods.max():.3g}, where every model of "
            f"vitrail's has those of DINOv3, up to {expected.max():.3g}"
        )


def _fused(state: State, gate: str, values: str) -> State:
    """Put both halves of the first map of gated MLPs together."""
    fused = dict(state)
    for name in state:
        front, separator, kind = name.rpartition(f".mlp.{gate}.")
        other = f"{front}.mlp.{values}.{kind}"
        if separator and other in state:
            fused[f"{front}.mlp.fc1.{kind}"] = torch.cat([fused.pop(name), fused.pop(other)])
    return fused


def _apart(state: State, gate: str, values: str) -> State:
    """Take the first map of gated MLPs apart; the inverse of `_fused`."""
    if not is_gated(state):
        return state
    apart: State = {}
    for name, tensor in state.items():
        front, separator, kind = name.rpartition(".mlp.fc1.")
        if separator:
            apart[f"{front}.mlp.{gate}.{kind}"], apart[f"{front}.mlp.{values}.{kind}"] = tensor.chunk(2)
        else:
            apart[name] = tensor
    return apart


def is_gated(state: State) -> bool:
    """Whether the MLPs of plain tensors are gated: the first map is twice as wide as the second takes."""
    first, second = state.get("blocks.0.mlp.fc1.weight"), state.get("blocks.0.mlp.fc2.weight")
    return first is not None and second is not None and len(first) == 2 * second.shape[1]


def has_shared_table(state: State) -> bool:
    """Whether one table of relative positions serves all blocks of plain tensors."""
    return (
        f"relative.0.{BIAS_TABLE}" in state
        and f"relative.1.{BIAS_TABLE}" not in state
        and "blocks.1.norm1.weight" in state
    )


def is_rotary(names: Collection[str]) -> bool:
    """Whether plain tensors are those of a DINOv3: nothing but its four registers and missing positions shows it."""
    return {"cls_token", "reg_token"} <= set(names) and not any(n.startswith(("pos_embed", "relative.")) for n in names)


def timm_from_plain(state: State) -> State:
    """Translate plain names into timm's, which for BEiT and DINOv3 come from other code; the inverse of `to_plain`."""
    state = _with_position_in_class_token(state)
    if not is_rotary(state) and not any(name.startswith("relative.") for name in state):
        return state
    return from_plain_names(_apart(state, *GATES[0]), (*_scales("gamma"), *_tables(state), Row("*", "*")), "timm")


def _with_position_in_class_token(state: State) -> State:
    """Add the position of the class token to the token where there are registers, which computes the same in timm."""
    positions = state.get("pos_embed")
    if positions is None or "reg_token" not in state or is_square(positions.shape[1]) or "cls_token" not in state:
        return state
    return state | {"cls_token": state["cls_token"] + positions[:, :1], "pos_embed": positions[:, 1:].contiguous()}


def is_square(count: int) -> bool:
    """Whether so many places make a square grid."""
    return math.isqrt(count) ** 2 == count


def _tables(state: State) -> list[Row]:
    return [SHARED_TABLE] if has_shared_table(state) else TABLES


def dinov2_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into DINOv2's; the token of hidden patches, which `to_plain` leaves out, stays out."""
    state = with_class_place(state)
    rows = [Row("register_tokens", "reg_token"), Row("linear_head.*", "head.*")]
    if is_gated(state):
        rows += READ[-4:-2]
    return from_plain_names(state, (*rows, Row("*", "*")), "dinov2")


def dinov3_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into DINOv3's, biases of keys with their mask and periods included."""
    named: State = {}
    for name, tensor in _apart(state, *GATES[1]).items():
        front, separator, _ = name.rpartition(".q_bias")
        if separator:
            zeros = torch.zeros_like(tensor)
            named[f"{front}.qkv.bias"] = torch.cat([tensor, zeros, state[f"{front}.v_bias"]])
            named[f"{front}.qkv.bias_mask"] = torch.cat([zeros + 1, zeros, zeros + 1])
        elif not name.endswith(".v_bias"):
            named[name] = tensor
    head = state["norm.weight"].shape[0] // num_heads
    named["rope_embed.periods"] = 1 / frequencies(head)
    rows = [Row("storage_tokens", "reg_token"), *([Row("blocks.{}.mlp.w3.*", "blocks.{}.mlp.fc2.*")] * is_gated(state))]
    return from_plain_names(named, (*rows, Row("*", "*")), "dinov3")


def beit_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of BEiT and DeiT III, whose tables of indices follow from the shapes."""
    return from_plain_names(state, (*_scales("gamma"), *_tables(state), Row("*", "*")), "beit")


def is_dinov2(names: Collection[str]) -> bool:
    """Whether names are those of DINOv2's own files, of a teacher or student in its checkpoints as well."""
    own = {"register_tokens", "blocks.0.mlp.w12.weight", "linear_head.weight"}
    hides = "mask_token" in names and any(name.endswith(".ls1.gamma") for name in names)
    return "patch_embed.proj.weight" in names and (hides or not own.isdisjoint(names)) and not is_dinov3(names)


def is_dinov3(names: Collection[str]) -> bool:
    """Whether names are those of DINOv3's own files."""
    return "storage_tokens" in names or "rope_embed.periods" in names


def is_beit(names: Collection[str]) -> bool:
    """Whether names are those of BEiT's own files, with tables of indices, or DeiT III's."""
    indices = any(name.endswith("relative_position_index") for name in names)
    factors = "blocks.0.gamma_1" in names and "blocks.0.attn.qkv.bias" in names and "pos_embed" in names
    return "patch_embed.proj.weight" in names and "blocks.0.norm1.weight" in names and (indices or factors)
