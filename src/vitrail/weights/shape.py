"""What the tensors of a model say about it, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitrail.errors import WeightsError
from vitrail.heads.registry import name_of
from vitrail.weights.formats.plain import input_kernel
from vitrail.weights.infer_spec import SAME_NAME, bias_tables, blocks_of, sizes_of, spec_of, stages_of, window_of
from vitrail.weights.reader import State


def shape_of(state: State) -> dict[str, Any]:
    """Read the shape of a model off its tensors; of tensors that belong to no model, what little they say.

    Args:
        state: the tensors under plain names.

    Returns:
        By name; 0, () or None where the tensors do not say: ``width`` D, of a Swin that of its first stage; ``depth``,
        the number of blocks; ``patch_size`` P in pixels, 0 for a hybrid or a ResNet; ``channels`` C; ``places``, the
        number of positions with those of prefix tokens; ``classes`` of the head; ``decoder_depth``, blocks of MAE's
        decoder; ``stages``, the blocks of each stage of a Swin or ResNet; ``window``, the side of a Swin's, in tokens;
        ``name``, vitrail's name of a model of this shape.
    """
    sizes = sizes_of(state)
    kernel = sizes.get("patch_embed.proj.weight", ())
    pixels = sizes.get(input_kernel(state) or "", ())
    positions, head = sizes.get("pos_embed", ()), sizes.get("head.weight", ())
    stages = stages_of(sizes, "layers.") or stages_of(sizes, "stages.")
    name, is_known = _name_of(state)
    return {
        "width": kernel[0] if kernel else (sizes.get("norm.weight") or (0,))[0],
        "depth": blocks_of(sizes, "blocks.") or sum(stages),
        "patch_size": kernel[2] if len(kernel) == 4 and pixels == kernel else 0,
        "channels": channels_of(state),
        "places": positions[1] if len(positions) == 3 else 0,
        "classes": head[0] if head else 0,
        "decoder_depth": blocks_of(sizes, "decoder.blocks."),
        "stages": stages,
        "window": window_of(sizes)[0] if is_known and stages and bias_tables(sizes) else 0,
        "name": name,
    }


def describe_shape(shape: Mapping[str, Any]) -> str:
    """Write what `shape_of` returns for people: ``vit_ti16 (width 192, depth 12, patch size 16, 1000 classes)``."""
    stages = f"stages of {'/'.join(map(str, shape['stages']))} blocks"
    said = [f"width {shape['width']}", stages if shape["stages"] else f"depth {shape['depth']}"]
    said += [f"patch size {shape['patch_size']}"] if shape["patch_size"] else []
    said += [f"window {shape['window']}"] if shape["window"] else []
    said += [f"{shape['channels']} channels"] if shape["channels"] != 3 else []
    said += [f"{shape['classes']} classes"] if shape["classes"] else []
    said += [f"a decoder of depth {shape['decoder_depth']}"] if shape["decoder_depth"] else []
    return f"{shape['name'] or 'a model'} ({', '.join(said)})"


def title_of(state: State) -> str:
    """Say what model the tensors of a state make, for people."""
    return describe_shape(shape_of(state))


def channels_of(state: State) -> int:
    """Return the number of input channels; 0 where the tensors do not say."""
    pixels = sizes_of(state).get(input_kernel(state) or "", ())
    return pixels[1] if len(pixels) == 4 else 0


def _name_of(state: State) -> tuple[str | None, bool]:
    """Return the name of the model of this shape, if it has one, and whether the tensors belong to a model at all."""
    try:
        spec = spec_of(state)
    except WeightsError:
        return None, False
    return (name_of(spec) if spec.backbone_options.keys() <= SAME_NAME else None), True
