"""Plain names: the one vocabulary every layout is translated into.

Plain names are those of DeiT, timm and MAE's encoder: ``patch_embed.proj.weight``, ``cls_token``, ``pos_embed``,
``blocks.0.attn.qkv.weight``, ``norm.weight``, ``fc_norm.weight``, ``head.weight``; MAE's decoder is
``decoder.embed.weight``, ``decoder.blocks.0...``, ``decoder.predict.weight``. vitrail's own models put
``backbone.`` or ``encoder.`` before the backbone's.
"""

from __future__ import annotations

import re

from vitrail.weights.reader import State

# The convolution that sees the pixels: a hybrid's, a ResNet's, a ViT's.
INPUT_KERNELS = ("patch_embed.backbone.stem.conv.weight", "stem.conv.weight", "patch_embed.proj.weight")


def plain_name(name: str) -> str:
    """Strip what vitrail's models put before a backbone's own names."""
    return name.removeprefix("backbone.").removeprefix("encoder.")


def is_plain(state: State) -> bool:
    """Whether a state has plain names: a kernel of patches with blocks, or a ResNet's stem with stages."""
    return {"patch_embed.proj.weight", "blocks.0.norm1.weight"} <= state.keys() or "stem.conv.weight" in state


def own_to_plain(state: State) -> State:
    """Translate the names of vitrail's models into plain ones."""
    return {plain_name(name): tensor for name, tensor in state.items()}


def own_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of vitrail's models: a MAE's with a decoder, else a classifier's."""
    above = ("decoder.", "head.", "head_dist.", "pre_logits.")
    front = "encoder." if any(name.startswith("decoder.") for name in state) else "backbone."
    return {name if name.startswith(above) else front + name: tensor for name, tensor in state.items()}


# How many axes a tensor has by its name; names that are not here may have any.
RANKS = (
    (re.compile(r"(.*\.)?(cls_token|dist_token|reg_token|pos_embed|mask_token|latent)"), 3),
    (re.compile(r".*\.bias|(.*\.)?(fc_)?norm[123]?(_pre)?\.weight|.*\.[qv]_bias|.*\.gamma"), 1),
    (re.compile(r"(.*\.)?blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])\.weight"), 2),
    (re.compile(r"(head|head_dist|pre_logits|decoder\.embed|decoder\.predict)\.weight"), 2),
    (re.compile("|".join(map(re.escape, INPUT_KERNELS))), 4),
)


def check_axes(state: State) -> None:
    """Check that tensors under plain names are real numbers with as many axes as their names promise.

    Raises:
        ValueError: one is not; it is named.
    """
    for name, tensor in state.items():
        rank = next((rank for pattern, rank in RANKS if pattern.fullmatch(name)), None)
        if rank is None:
            continue
        if tensor.ndim != rank:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, where {rank} axes are due")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} holds {tensor.dtype} values".replace("torch.", ""))


def input_kernel(state: State) -> str | None:
    """Return the name of the convolution that sees the pixels; None where the state has none."""
    return next((name for name in INPUT_KERNELS if name in state), None)
