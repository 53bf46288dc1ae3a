"""Plain names: the one vocabulary every layout is translated into, and what a state says about its model.

Plain names are those of DeiT, timm and MAE's encoder: ``patch_embed.proj.weight``, ``cls_token``, ``pos_embed``,
``blocks.0.attn.qkv.weight``, ``norm.weight``, ``fc_norm.weight``, ``head.weight``; MAE's decoder is
``decoder.embed.weight``, ``decoder.blocks.0...``, ``decoder.predict.weight``. vitrail's own models put
``backbone.`` or ``encoder.`` before the backbone's.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from vitrail.models.vit import SIZES
from vitrail.weights.files import State

# What compilers, parallel wrappers and training scripts put before every name.
WRAPPER_PREFIXES = ("module.", "_orig_mod.", "model.")

# The convolution that sees the pixels: a hybrid's, a ResNet's, a ViT's.
INPUT_KERNELS = ("patch_embed.backbone.stem.conv.weight", "stem.conv.weight", "patch_embed.proj.weight")


def plain_name(name: str) -> str:
    """Strip what vitrail's models put before a backbone's own names."""
    return name.removeprefix("backbone.").removeprefix("encoder.")


def unwrapped(state: State) -> State:
    """Strip the prefixes that wrappers put before every name."""
    for _ in WRAPPER_PREFIXES:
        for prefix in WRAPPER_PREFIXES:
            if state and all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def is_plain(state: State) -> bool:
    """Whether a state has plain names: a kernel of patches with blocks, or a ResNet's stem with stages."""
    return {"patch_embed.proj.weight", "blocks.0.norm1.weight"} <= state.keys() or "stem.conv.weight" in state


def own_to_plain(state: State) -> State:
    """Translate the names of vitrail's models into plain ones."""
    return {plain_name(name): tensor for name, tensor in state.items()}


def own_from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into those of vitrail's models: a MAE's with a decoder, else a classifier's."""
    above = ("decoder.", "head.", "pre_logits.")
    front = "encoder." if any(name.startswith("decoder.") for name in state) else "backbone."
    return {name if name.startswith(above) else front + name: tensor for name, tensor in state.items()}


@dataclass(frozen=True)
class Shape:
    """What the tensors of a ViT or MAE say about the model they belong to; 0 or None where they do not say.

    Attributes:
        width: D.
        depth: L.
        patch_size: P, in pixels; 0 for a hybrid or a ResNet.
        channels: C.
        places: number of positions, with those of prefix tokens.
        classes: number of classes of the head.
        decoder_depth: blocks of MAE's decoder.
        name: vitrail's name of a ViT of this width, depth and patch size.
    """

    width: int = 0
    depth: int = 0
    patch_size: int = 0
    channels: int = 0
    places: int = 0
    classes: int = 0
    decoder_depth: int = 0
    name: str | None = None

    def __str__(self) -> str:
        said = [f"width {self.width}", f"depth {self.depth}"]
        said += [f"patch size {self.patch_size}"] if self.patch_size else []
        said += [f"{self.channels} channels"] if self.channels != 3 else []
        said += [f"{self.classes} classes"] if self.classes else []
        said += [f"a decoder of depth {self.decoder_depth}"] if self.decoder_depth else []
        return f"{self.name or 'a model'} ({', '.join(said)})"


# How many axes a tensor has by its name; names that are not here may have any.
RANKS = (
    (re.compile(r"(.*\.)?(cls_token|pos_embed|mask_token|latent)"), 3),
    (re.compile(r".*\.bias|(.*\.)?(fc_)?norm[123]?\.weight"), 1),
    (re.compile(r"(.*\.)?blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])\.weight"), 2),
    (re.compile(r"(head|pre_logits|decoder\.embed|decoder\.predict)\.weight"), 2),
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


def shape_of(state: State) -> Shape:
    """Read the shape of the model off the shapes of its tensors, under plain names."""
    sizes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    kernel = sizes.get("patch_embed.proj.weight", ())
    pixels = sizes.get(input_kernel(state) or "", ())
    positions, head = sizes.get("pos_embed", ()), sizes.get("head.weight", ())
    plain_vit = len(kernel) == 4 and pixels is kernel
    shape = Shape(
        width=kernel[0] if kernel else (sizes.get("norm.weight") or (0,))[0],
        depth=_count(state, "blocks.") or sum(name.endswith((".conv3.weight", ".norm1.weight")) for name in state),
        patch_size=kernel[2] if plain_vit else 0,
        channels=pixels[1] if len(pixels) == 4 else 0,
        places=positions[1] if len(positions) == 3 else 0,
        classes=head[0] if head else 0,
        decoder_depth=_count(state, "decoder.blocks."),
    )
    return dataclasses.replace(shape, name=_name(shape))


def _name(shape: Shape) -> str | None:
    wanted = (shape.width, shape.depth, shape.patch_size)
    name = next((n for n, c in SIZES.items() if (c.width, c.depth, c.patch_size) == wanted), None)
    return f"mae_{name}" if name and shape.decoder_depth else name


def _count(state: State, prefix: str) -> int:
    numbers = {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    return sum(number.isdecimal() for number in numbers)
