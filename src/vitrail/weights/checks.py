"""Why a file's tensors cannot be a model's: a sentence for each reason, with what to do."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from vitrail.errors import ConfigError, WeightsError
from vitrail.heads.registry import build, name_of
from vitrail.heads.spec import ModelSpec
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.backbone import backbone_of
from vitrail.weights.formats import swin, swin_v2
from vitrail.weights.formats.plain import plain_name
from vitrail.weights.formats.rename import kind_of, kinds_of
from vitrail.weights.infer_spec import (
    normalises_after_attention,
    normalises_before_mean,
    sizes_of,
    spec_of,
    stage_windows,
)
from vitrail.weights.reader import State
from vitrail.weights.shape import title_of

# What a model may lack in a file without harm: a head is new for new classes, a predictor for another way to
# pretrain, and `fc_norm` when mean pooling replaces the class token, as published for MAE's fine-tuning.
MAY_BE_MISSING = ("head.", "head_dist.", "pre_logits.", "fc_norm.", "predictor.")

HEADS = ("head.", "head_dist.")
"""A classifier's head, and that of a distillation token."""

# What a file may hold without a model having it: a decoder is of no use to a backbone, nor a head; the final norm
# belongs to one way of pooling, the class token to another.
MAY_BE_LEFT_OUT = (
    "decoder.",
    "predictor.",
    "projection.",
    "head.",
    "head_dist.",
    "pre_logits.",
    "norm.",
    "fc_norm.",
    "cls_token",
)

# What else a file holds and a model lacks is only reported, unless it would have taken part in the computation.
MATTERS = (
    "patch_embed.",
    "blocks.",
    "pos_embed",
    "dist_token",
    "reg_token",
    "norm_pre.",
    "mask_token",
    "layers.",
    "stages.",
    "stem.",
    "relative.",
    "absolute_pos_embed",
)

# Parts that stand above the blocks: they matter to a head on top of them, not to a backbone with another head.
ABOVE_BLOCKS = ("attn_pool.",)

BLOCK = re.compile(
    r"(decoder\.)?blocks\.\d+|relative\.\d+|(patch_embed\.backbone\.)?(layers|stages)\.\d+(\.blocks\.\d+)?"
)

ABOVE_ENCODER = ("decoder.", "predictor.", "projection.")
"""What a self-supervised model, or CLIP, has above its encoder: of no use to the encoder itself."""

POST_NORM = (
    "it lacks biases of queries, keys and values and a class token, as timm's models with norms after attention "
    "(vit_base_patch16_rpn_224) do, which no model of vitrail's is"
)

# What stands at the end of a plain name, and what it is called.
PARTS: tuple[tuple[str, str], ...] = (
    (r"(^|\.)(ls[12]|layer_scale_?[12]?|lambda_?[12])(\.|$)|(^|\.)gamma(_[12])?$", "layer scale"),
    (r"(^|\.)(reg(ister)?_tokens?|storage_tokens)$", "register tokens"),
    (r"(^|\.)(dist(illation)?_token)$|(^|\.)(head_dist|distillation_classifier)\.", "a distillation token"),
    (r"(^|\.)detection_tokens$", "detection tokens"),
    (r"(^|\.)(norm_pre|pre_?norm|ln_pre|pre_layrnorm|pre_layernorm)\.", "a norm before the first block"),
    (r"\.attn\.(q_norm|k_norm|norm_[qk])\.|\.q(uery)?_layernorm\.", "norms of queries and keys"),
    (r"\.logit_scale$|\.cpb_mlp\.|continuous_position_bias", "Swin V2's cosine attention and position MLP"),
    (r"rel_pos|relative_position_bias|relative_position_bias_table", "relative position biases"),
    (r"(^|\.)(rope|rotary)|\.freqs$|(^|\.)periods$", "rotary positions"),
    (r"\.(fc1_[gx]|w12|w3|gate_proj|fc1_gate)\.", "gated MLPs (SwiGLU)"),
    (r"\.(attn|mlp)\.norm\.|\.(inner|sub)_?ln", "norms inside attention and MLP"),
    (r"\.attn\.proj_[lw]\.|(^|\.)blocks_token_only", "CaiT's talking heads and class attention"),
    (r"\.lambda_[qk][12]$", "differential attention"),
    (r"running_(mean|var)$|num_batches_tracked$", "batch norm"),
    (r"(^|\.)neck\.", "a neck above the blocks"),
    (r"\.(adapter|lora)_", "adapters"),
    (r"(^|\.)attn_pool\.", "attention pooling"),
    (r"\.dwconv|\.conv_dw\.|\.cpe[12]?\.", "convolutions inside the blocks"),
)


def may_be_left_out(name: str) -> bool:
    """Whether a model may do without a tensor of a file."""
    return name.startswith(MAY_BE_LEFT_OUT) and "running_" not in name


def check_heads(model: nn.Module, num_heads: int | None, origin: str) -> None:
    """Refuse a model with another number of heads than the file says: its tensors would fit, and mean nothing."""
    own = getattr(backbone_of(model).config, "num_heads", None)
    if num_heads and own and num_heads != own:
        raise WeightsError(f"{origin} has {num_heads} heads, the model {own}; build it with num_heads={num_heads}")


def check_belongs(fitted: State, state: State, origin: str) -> None:
    """Refuse a file of which nothing but perhaps a head fits the model."""
    if not any(not plain_name(name).startswith(HEADS) for name in fitted):
        raise WeightsError(
            f"{origin} has no tensor this model knows (it begins with {listed(sorted(state))}); is it a ViT's?"
        )


def check_missing(model: nn.Module, missing: list[str], state: State, origin: str) -> None:
    """Refuse a file that lacks what the model has learned parameters for."""
    parameters = dict(model.named_parameters())
    needed = [
        name
        for name in missing
        if not plain_name(name).startswith(MAY_BE_MISSING)
        # Fixed positions and buffers are computed, not learned.
        and name in parameters
        and parameters[name].requires_grad
    ]
    if needed:
        raise WeightsError(
            f"{origin} lacks {len(needed)} tensors this model needs ({listed(needed)}){_hint(needed, state)}"
        )


def _hint(needed: list[str], state: State) -> str:
    """Say what to do about tensors that are missing for a known reason."""
    plain = [plain_name(name) for name in needed]
    if all(name.startswith("decoder.") for name in plain):
        return "; it holds an encoder only: load it into mae.encoder, or fetch the file with the decoder"
    if all(name.startswith("norm.") for name in plain) and "fc_norm.weight" in state:
        return '; it was trained with mean pooling: build the model with pool="mean"'
    return ""


def check_representation(model: nn.Module, dropped: list[str], fitted: State, state: State, origin: str) -> None:
    """Refuse to put a head on other features than it was trained on."""
    if "head.weight" in fitted and any(name.startswith("pre_logits.") for name in dropped):
        raise WeightsError(
            f"the head in {origin} stands on a representation layer, which the model lacks; build the model with one, "
            "or with the number of your own classes"
        )
    targets = {plain_name(name) for name in model.state_dict()}
    if "head.weight" in fitted and "attn_pool.latent" in state and "attn_pool.latent" not in targets:
        raise WeightsError(
            f'the head in {origin} stands on attention pooling; build the model with pool="attention", or with the '
            "number of your own classes"
        )
    if normalises_after_attention(state):
        raise WeightsError(f"{origin}: {POST_NORM}")
    if normalises_before_mean(state) and "fc_norm.weight" in targets:
        raise WeightsError(
            f"{origin} has its final norm (norm.weight) before the mean over patches, where a model with "
            'pool="mean" has it after; no model of vitrail\'s computes what it was trained to'
        )


def check_windows(model: nn.Module, state: State, origin: str) -> None:
    """Refuse a Swin whose stages have windows of sizes that no Swin here has: resized, it were another function."""
    backbone = backbone_of(model)
    if not backbone.has_windows or not any(swin.is_fitted(name) for name in state):
        return
    windows = stage_windows(sizes_of(state))
    own = [stage[0].window_h for stage in backbone.windows(*backbone.config.image_size)]
    if windows != own and any(later > first for first, later in itertools.pairwise(windows)):
        raise WeightsError(
            f"{origin} has windows of {'/'.join(map(str, windows))} tokens in its stages, as Swin-S3's; no model of "
            "vitrail's has those"
        )


def check_unexpected(model: nn.Module, unexpected: list[str], state: State, origin: str, layout: str) -> list[str]:
    """Return the names of a file's tensors that the model computes without: blocks it lacks, for ``partial`` loading.

    Raises:
        WeightsError: it would lack parts of blocks that it has.
    """
    reported = layout in ("vitrail", "timm", "mae")
    matter = [n for n in unexpected if not reported or n.startswith(MATTERS) or (parts_of([n]) and not _above(n))]
    own = {_block(plain_name(name)) for name in model.state_dict()} | {""}
    inside = [name for name in matter if _block(name) in own]
    if inside:
        raise WeightsError(f"{origin}: {_no_place(inside, state)}")
    return matter


def _above(name: str) -> bool:
    return name.startswith(ABOVE_BLOCKS)


def _block(name: str) -> str:
    """Return the block a tensor belongs to; "" for what belongs to none."""
    found = BLOCK.match(name)
    return found.group() if found else ""


def _no_place(names: list[str], state: State) -> str:
    """Say that a model has no place for tensors, and which has."""
    try:
        reason = why_not_exact(spec_of(state), state)
    except WeightsError as error:
        reason = str(error)
    if not reason:
        return f"this model has no place for {len(names)} tensors ({listed(names)}), which belong to {title_of(state)}"
    return f"this model has no place for {len(names)} tensors ({listed(names)}): {describe_unknown(names)}"


def check_blocks(matter: list[str], state: State, origin: str) -> None:
    """Refuse blocks that the model lacks.

    Raises:
        WeightsError: there are some.
    """
    if matter:
        raise WeightsError(
            f"{origin} holds {len(matter)} tensors this model has no place for ({listed(matter)}); "
            f"they belong to {title_of(state)}; build that, or load with partial=True"
        )


def mismatch(name: str, tensor: Tensor, target: Tensor, state: State, origin: str) -> str:
    """Say that a tensor has another shape than a model needs."""
    return (
        f"{origin}: {name} has shape {tuple(tensor.shape)}, this model needs {tuple(target.shape)}; "
        f"the file belongs to {title_of(state)}"
    )


def why_not_exact(spec: ModelSpec, state: State) -> str:
    """Say why a model would compute something else than the tensors' own; "" where it has a place for each of them.

    The model is built without memory for its weights.

    Args:
        spec: the model.
        state: tensors under plain names.
    """
    try:
        with shapes_only():
            model: Any = build(spec)
    except ConfigError as error:
        return f"no model here can be built of it ({error})"
    places = {plain_name(name): tensor for name, tensor in model.state_dict().items()}
    fixed = {plain_name(name) for name, p in model.named_parameters() if not p.requires_grad}
    unknown = [name for name in state if name not in places and not name.startswith(ABOVE_ENCODER)]
    if unknown:
        return describe_unknown(unknown)
    other = [name for name in state if name in places and state[name].shape != places[name].shape]
    if other:
        shapes = f"{tuple(state[other[0]].shape)}, where {name_of(spec)} has {tuple(places[other[0]].shape)}"
        return f"{len(other)} tensors have shapes of no model here ({other[0]} {shapes})"
    kinds = kinds_of(state)
    missing = [n for n in places if n not in state and n not in fixed and not is_zero_bias(n, state, kinds)]
    missing = [n for n in missing if not swin_v2.is_computed(n)]
    if missing:
        return f"it lacks {len(missing)} tensors of {name_of(spec)} ({listed(missing)})"
    return POST_NORM if normalises_after_attention(state) else ""


def describe_unknown(names: list[str]) -> str:
    """Say what tensors are parts of, and that no model here computes with them."""
    parts = parts_of(names)
    what = " and ".join(parts) if parts else "parts unknown here"
    return f"it holds {what} ({count(names)}: {listed(names)}), with which no model of vitrail's computes"


def is_zero_bias(name: str, state: State, kinds: set[str]) -> bool:
    """Whether a bias of queries, keys and values is missing in every block: then zeros are what the file means.

    Args:
        name: the plain name.
        state: the tensors of the file.
        kinds: theirs, as `vitrail.weights.formats.rename.kinds_of` gives them.
    """
    weight = f"{name.removesuffix('bias')}weight"
    return name.endswith("attn.qkv.bias") and weight in state and kind_of(name) not in kinds


def parts_of(names: Collection[str]) -> tuple[str, ...]:
    """Return what tensors are parts of, in words; nothing for names that no family known here has."""
    return tuple(title for pattern, title in PARTS if any(re.search(pattern, name) for name in names))


def count(names: Collection[str]) -> str:
    """Write how many tensors there are: ``1 tensor``, ``2 tensors``."""
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''}"


def listed(names: Collection[str], most: int = 3) -> str:
    """Write the first names of a list: ``a, b, c, ...``."""
    ordered = list(names)
    return ", ".join(ordered[:most]) + (", ..." if len(ordered) > most else "")
