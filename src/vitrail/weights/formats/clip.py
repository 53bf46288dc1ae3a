"""CLIP's image tower under OpenAI's names, which are open_clip's as well; open_clip keeps SigLIP's under timm's.

A whole file holds the text tower too, which is left out. The map from the vector of an image to the space that it
shares with text is no part of a backbone; it stays beside it as ``projection.weight``.
"""

from __future__ import annotations

from vitrail.weights.formats import timm
from vitrail.weights.formats.modern_huggingface import ONE, PLACES
from vitrail.weights.formats.rename import Row, Table, TensorTransform, from_plain_names, to_plain_names
from vitrail.weights.reader import State

# (D, E) <-> (E, D)
TRANSPOSED = TensorTransform(lambda t: t.transpose(0, 1), lambda t, heads: t.transpose(0, 1))

LAYER = "transformer.resblocks.{}"

TABLE: Table = (
    Row("class_embedding", "cls_token", ONE),
    Row("positional_embedding", "pos_embed", PLACES),
    Row("proj", "projection.weight", TRANSPOSED),
    Row("conv1.*", "patch_embed.proj.*"),
    Row("ln_pre.*", "norm_pre.*"),
    Row(f"{LAYER}.ln_1.*", "blocks.{}.norm1.*"),
    Row(f"{LAYER}.attn.in_proj_weight", "blocks.{}.attn.qkv.weight"),
    Row(f"{LAYER}.attn.in_proj_bias", "blocks.{}.attn.qkv.bias"),
    Row(f"{LAYER}.attn.out_proj.*", "blocks.{}.attn.proj.*"),
    Row(f"{LAYER}.ln_2.*", "blocks.{}.norm2.*"),
    Row(f"{LAYER}.mlp.c_fc.*", "blocks.{}.mlp.fc1.*"),
    Row(f"{LAYER}.mlp.c_proj.*", "blocks.{}.mlp.fc2.*"),
    Row(f"{LAYER}.ls_1.gamma", "blocks.{}.ls1.gamma"),
    Row(f"{LAYER}.ls_2.gamma", "blocks.{}.ls2.gamma"),
    Row("ln_post.*", "norm.*"),
)

TRUNK = "visual.trunk."
MARK = "ln_pre.weight"


def is_clip(state: State) -> bool:
    """Whether a state has OpenAI's names: of the whole model, or of the image tower alone."""
    return any(name.endswith(MARK) for name in state) and any(name.endswith("conv1.weight") for name in state)


def is_open_clip_trunk(state: State) -> bool:
    """Whether a state is open_clip's around an image tower of timm's."""
    return f"{TRUNK}patch_embed.proj.weight" in state


def is_beside(name: str) -> bool:
    """Whether a tensor of a whole model belongs to its text tower, or compares images with text."""
    text = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "text.")
    counts = ("logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size")
    return name.startswith((*text, *counts))


def to_plain(state: State) -> State:
    """Translate OpenAI's names into plain ones; of a whole model those of its image tower."""
    prefix = next(name for name in state if name.endswith(MARK)).removesuffix(MARK)
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return to_plain_names(inside, TABLE)


def from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into OpenAI's; the inverse of `to_plain`."""
    return {f"visual.{name}": tensor for name, tensor in from_plain_names(state, TABLE, "clip").items()}


def trunk_to_plain(state: State) -> State:
    """Translate the names of a tower of timm's inside open_clip's model into plain ones."""
    return timm.to_plain({n.removeprefix(TRUNK): tensor for n, tensor in state.items() if n.startswith(TRUNK)})


def trunk_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of a tower of timm's inside open_clip's model."""
    return {f"{TRUNK}{name}": tensor for name, tensor in timm.from_plain(state, num_heads).items()}
