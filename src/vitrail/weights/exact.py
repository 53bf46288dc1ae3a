"""Whether a model computes with every tensor of a file: else it is another function under the same names."""

from __future__ import annotations

from typing import Any

from vitrail.errors import ConfigError
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.registry import ModelSpec, build_model
from vitrail.weights.formats.rename import kind_of, kinds_of
from vitrail.weights.infer_spec import normalises_after_attention
from vitrail.weights.parts import count, listed, parts_of
from vitrail.weights.plain import plain_name
from vitrail.weights.reader import State

ABOVE = ("decoder.", "predictor.")
"""What a self-supervised model has above its encoder: of no use to the encoder itself."""


POST_NORM = (
    "it lacks biases of queries, keys and values and a class token, as timm's models with norms after attention "
    "(vit_base_patch16_rpn_224) do, which no model of vitrail's is"
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
            model: Any = build_model(spec.name, **spec.options)
    except ConfigError as error:
        return f"no model here can be built of it ({error})"
    places = {plain_name(name): tensor for name, tensor in model.state_dict().items()}
    fixed = {plain_name(name) for name, p in model.named_parameters() if not p.requires_grad}
    unknown = [name for name in state if name not in places and not name.startswith(ABOVE)]
    if unknown:
        return describe_unknown(unknown)
    other = [name for name in state if name in places and state[name].shape != places[name].shape]
    if other:
        shapes = f"{tuple(state[other[0]].shape)}, where {spec.name} has {tuple(places[other[0]].shape)}"
        return f"{len(other)} tensors have shapes of no model here ({other[0]} {shapes})"
    kinds = kinds_of(state)
    missing = [n for n in places if n not in state and n not in fixed and not is_zero_bias(n, state, kinds)]
    if missing:
        return f"it lacks {len(missing)} tensors of {spec.name} ({listed(missing)})"
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
