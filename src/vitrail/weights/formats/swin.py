"""Swin under every name it goes by: Microsoft's, timm's, torchvision's, Hugging Face's before and since 2026.

Plain names of a Swin are Microsoft's (``layers.0.blocks.0.attn.qkv.weight``, ``layers.0.downsample.norm.weight``,
``norm.weight``, ``head.weight``) without the tables of indices and masks that files carry, which follow from the
shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.layers.positions import resize_positions
from vitrail.layers.relative_position import offset_array, resize_bias_table, square_grid
from vitrail.layers.window_layout import fit_windows, regions
from vitrail.models.backbone import Backbone
from vitrail.weights.formats.rename import Row, Table, from_plain_names, fuse, split, to_plain_names
from vitrail.weights.reader import State

BIAS_TABLE = "relative_position_bias_table"
INDEX, MASK = "relative_position_index", "attn_mask"

# What is added to the scores of pairs that must not see each other, in Microsoft's masks.
FORBIDDEN = -100.0

# Images of all published weights are 32 windows of patches wide: one window covers the last stage's map.
PATCHES_A_WINDOW = 8

BLOCK = "layers.{}.blocks.{}"

# timm merges at the start of a stage, not at the end of the one before. The names with an underscore are those of
# its `features_only` models.
TIMM: Table = (
    Row("layers.{+1}.downsample.*", "layers.{}.downsample.*"),
    Row("layers.{}.blocks.*", "layers.{}.blocks.*"),
    Row("layers_{+1}.downsample.*", "layers.{}.downsample.*"),
    Row("layers_{}.blocks.*", "layers.{}.blocks.*"),
    Row("head.fc.*", "head.*"),
    Row("*", "*"),
)


def _torchvision(stages: int) -> Table:
    """``features`` is patch embedding, blocks, merging, blocks, ...: stage s stands at 2 s + 1."""
    rows = [Row("features.0.0.*", "patch_embed.proj.*"), Row("features.0.2.*", "patch_embed.norm.*")]
    for s in range(stages):
        theirs, own = f"features.{2 * s + 1}.{{}}", f"layers.{s}.blocks.{{}}"
        rows += [Row(f"{theirs}.mlp.0.*", f"{own}.mlp.fc1.*"), Row(f"{theirs}.mlp.3.*", f"{own}.mlp.fc2.*")]
        rows += [
            Row(f"features.{2 * s + 2}.{part}.*", f"layers.{s}.downsample.{part}.*") for part in ("norm", "reduction")
        ]
        rows += [Row(f"{theirs}.*", f"{own}.*")]
    return (*rows, Row("*", "*"))


TORCHVISION = _torchvision(stages=8)

OLD_PARTS = {
    "attention.self.query": "attn.q",
    "attention.self.key": "attn.k",
    "attention.self.value": "attn.v",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
NEW_PARTS = {
    "attention.q_proj": "attn.q",
    "attention.k_proj": "attn.k",
    "attention.v_proj": "attn.v",
    "attention.o_proj": "attn.proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def _huggingface(table: str, parts: dict[str, str]) -> Table:
    block = f"swin.encoder.{BLOCK}"
    return (
        Row("swin.embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        Row("swin.embeddings.norm.*", "patch_embed.norm.*"),
        Row("swin.embeddings.position_embeddings", "absolute_pos_embed"),
        *(Row(f"{block}.{theirs}.*", f"{BLOCK}.{own}.*") for theirs, own in parts.items()),
        Row(f"{block}.{table}", f"{BLOCK}.attn.{BIAS_TABLE}"),
        Row(f"{block}.layernorm_before.*", f"{BLOCK}.norm1.*"),
        Row(f"{block}.layernorm_after.*", f"{BLOCK}.norm2.*"),
        Row("swin.encoder.layers.{}.downsample.*", "layers.{}.downsample.*"),
        Row("swin.layernorm.*", "norm.*"),
        Row("classifier.*", "head.*"),
    )


BEFORE_2026 = _huggingface(f"attention.self.{BIAS_TABLE}", OLD_PARTS)
SINCE_2026 = _huggingface(f"attention.relative_position_bias.{BIAS_TABLE}", NEW_PARTS)


def _has(*parts: str) -> Callable[[State], bool]:
    """Return a function that tells whether a state has, for every part, a name with it."""
    return lambda state: all(any(part in name for name in state) for part in parts)


is_old_huggingface = _has(".blocks.0.layernorm_before.", ".attention.self.query.")
is_new_huggingface = _has(".blocks.0.layernorm_before.", ".attention.q_proj.")
is_torchvision = _has("features.1.0.attn.qkv.weight", "features.0.2.weight")


def is_timm(state: State) -> bool:
    """Whether a state has the names timm uses since version 0.9; before, they were Microsoft's."""
    merges = "layers.0.downsample.norm.weight" not in state and "layers.1.downsample.norm.weight" in state
    return "layers_0.blocks.0.norm1.weight" in state or (is_official(state) and (merges or "head.fc.weight" in state))


def is_official(state: State) -> bool:
    """Whether a state has Microsoft's names: a Swin's, or a SimMIM's around one."""
    front = "encoder." if "encoder.mask_token" in state else ""
    return f"{front}layers.0.blocks.0.norm1.weight" in state


def official_to_plain(state: State) -> State:
    """Drop what follows from the shapes, and what SimMIM puts around its encoder."""
    bare = {name.removeprefix("encoder."): tensor for name, tensor in state.items()}
    bare.pop("mask_token", None)
    return _without_buffers(bare)


def official_from_plain(state: State, num_heads: int = 0) -> State:
    """Add the indices and masks that Microsoft's code expects, for images of the windows' published size."""
    return state | _buffers(state)


def timm_to_plain(state: State) -> State:
    """Translate timm's names into plain ones."""
    return to_plain_names(_without_buffers(state), TIMM)


def timm_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into timm's; the inverse of `timm_to_plain`."""
    return from_plain_names(state, TIMM, "swin_timm")


def torchvision_to_plain(state: State) -> State:
    """Translate torchvision's names into plain ones."""
    return to_plain_names(_without_buffers(state), TORCHVISION)


def torchvision_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into torchvision's, with the indices its files carry."""
    index = {name: tensor.flatten() for name, tensor in _buffers(state).items() if name.endswith(INDEX)}
    return from_plain_names(state | index, TORCHVISION, "swin_torchvision")


def old_huggingface_to_plain(state: State) -> State:
    """Translate Hugging Face's names of before 2026 into plain ones."""
    return _huggingface_to_plain(state, BEFORE_2026)


def new_huggingface_to_plain(state: State) -> State:
    """Translate Hugging Face's names since 2026 into plain ones."""
    return _huggingface_to_plain(state, SINCE_2026)


def old_huggingface_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into Hugging Face's of before 2026, which all its versions read from files."""
    return from_plain_names(split(state, "qkv", "qkv"), BEFORE_2026, "swin_huggingface")


def new_huggingface_from_plain(state: State, num_heads: int = 0) -> State:
    """Translate plain names into Hugging Face's since 2026."""
    return from_plain_names(split(state, "qkv", "qkv"), SINCE_2026, "swin_huggingface_2026")


def _huggingface_to_plain(state: State, table: Table) -> State:
    # A bare SwinModel has no prefix; a mask token is for images with holes, and used nowhere else.
    bare = any(name.startswith("embeddings.") for name in state)
    named = {f"swin.{n}" if bare and n.startswith(("embed", "enc", "layern")) else n: t for n, t in state.items()}
    named.pop("swin.embeddings.mask_token", None)
    return fuse(to_plain_names(_without_buffers(named), table), "qkv", "qkv")


def _without_buffers(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not name.endswith((INDEX, MASK))}


def _buffers(state: State) -> State:
    """Make the indices and masks of a Swin under plain names, in Microsoft's shapes.

    Raises:
        WeightsError: a bias table belongs to no square window, the only ones those names are made for.
    """
    buffers: State = {}
    tables = {name: tensor for name, tensor in state.items() if name.endswith(BIAS_TABLE)}
    windows = {name: _window_of(table, name) for name, table in tables.items()}
    largest = max((window[0] for window in windows.values()), default=0)
    for name, window in windows.items():
        _, stage, _, block, *_ = name.split(".")
        front, side = name.removesuffix(f"attn.{BIAS_TABLE}"), largest * PATCHES_A_WINDOW >> int(stage)
        buffers[f"{front}attn.{INDEX}"] = torch.from_numpy(offset_array(window))
        partition = fit_windows(side, side, window)[int(block) % 2]
        if partition.needs_mask:
            region = torch.from_numpy(regions(partition))
            differs = region.unsqueeze(2) != region.unsqueeze(1)
            buffers[f"{front}{MASK}"] = torch.zeros(differs.shape).masked_fill(differs, FORBIDDEN)
    return buffers


def _window_of(table: Tensor, name: str) -> tuple[int, int]:
    window = square_grid(table)
    if window is None:
        raise WeightsError(
            f"{name} has {len(table)} rows, which belong to no square window; build the model with the window of "
            "the weights"
        )
    return window


def is_fitted(name: str) -> bool:
    """Whether a plain name belongs to a tensor that `fit` can fit to another window or image size."""
    return name.endswith(BIAS_TABLE) or name == "absolute_pos_embed"


def fit(backbone: Backbone, name: str, tensor: Tensor) -> Tensor:
    """Fit a bias table to the backbone's window, or absolute positions to its image size, where they differ.

    Args:
        backbone: the model it is for.
        name: the tensor's plain name; `is_fitted` tells which.
        tensor: what the file has, for square windows or images.

    Raises:
        WeightsError: it was made for no square window or image.
    """
    wanted: Any = dict(backbone.named_parameters())[name]
    if tensor.shape == wanted.shape:
        return tensor
    if name == "absolute_pos_embed":
        side = round(tensor.shape[1] ** 0.5)
        if side * side != tensor.shape[1]:
            raise WeightsError(
                f"{name} has {tensor.shape[1]} places, which is no square grid; build the model with the image_size "
                "of the weights, which then takes images of any size"
            )
        grid = backbone.token_grid(*backbone.config.image_size) or (0, 0)
        return resize_positions(tensor, (side, side), grid, prefix=0)
    attention: Any = backbone.get_submodule(name.rpartition(".")[0])
    return resize_bias_table(tensor, _window_of(tensor, name), attention.window)
