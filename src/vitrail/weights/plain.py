"""Plain names: the one vocabulary every layout is translated into, and what a state says about its model.

Plain names are those of DeiT, timm and MAE's encoder: ``patch_embed.proj.weight``, ``cls_token``, ``pos_embed``,
``blocks.0.attn.qkv.weight``, ``norm.weight``, ``fc_norm.weight``, ``head.weight``; MAE's decoder is
``decoder.embed.weight``, ``decoder.blocks.0...``, ``decoder.predict.weight``. vitrail's own models put
``backbone.`` or ``encoder.`` before the backbone's.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitrail.models.vit import SIZES
from vitrail.weights.files import State

# What compilers, parallel wrappers and training scripts put before every name.
WRAPPER_PREFIXES = ("module.", "_orig_mod.", "model.")


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


def to_plain(state: State, origin: str) -> tuple[State, str]:
    """Translate a state into plain names; also return whose layout it was."""
    return {plain_name(name): tensor for name, tensor in unwrapped(state).items()}, "vitrail"


@dataclass(frozen=True)
class Shape:
    """What the tensors of a ViT or MAE say about the model they belong to; 0 or None where they do not say.

    Attributes:
        width: D.
        depth: L.
        patch_size: P, in pixels.
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
        said = [f"width {self.width}", f"depth {self.depth}", f"patch size {self.patch_size}"]
        said += [f"{self.channels} channels"] if self.channels != 3 else []
        said += [f"{self.classes} classes"] if self.classes else []
        said += [f"a decoder of depth {self.decoder_depth}"] if self.decoder_depth else []
        return f"{self.name or 'a model'} ({', '.join(said)})"


def shape_of(state: State) -> Shape:
    """Read the shape of the model off the shapes of its tensors, under plain names."""
    kernel = state.get("patch_embed.proj.weight")
    width, channels, patch_size = (
        (kernel.shape[0], kernel.shape[1], kernel.shape[2]) if kernel is not None and kernel.ndim == 4 else (0, 0, 0)
    )
    positions, head = state.get("pos_embed"), state.get("head.weight")
    depth = _count(state, "blocks.")
    names = [n for n, c in SIZES.items() if (c.width, c.depth, c.patch_size) == (width, depth, patch_size)]
    return Shape(
        width=width,
        depth=depth,
        patch_size=patch_size,
        channels=channels,
        places=positions.shape[1] if positions is not None and positions.ndim == 3 else 0,
        classes=head.shape[0] if head is not None and head.ndim else 0,
        decoder_depth=_count(state, "decoder.blocks."),
        name=names[0] if names else None,
    )


def _count(state: State, prefix: str) -> int:
    numbers = {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    return sum(number.isdecimal() for number in numbers)
