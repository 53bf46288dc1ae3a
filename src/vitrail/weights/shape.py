"""What the tensors of a model say about it, in words for people."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from vitrail.errors import WeightsError
from vitrail.models.registry import ModelSpec
from vitrail.weights.files import State
from vitrail.weights.plain import input_kernel
from vitrail.weights.spec import SAME_NAME, bias_tables, blocks_of, sizes_of, spec_of, stages_of, window_of


@dataclass(frozen=True)
class Shape:
    """What the tensors of a model say about it, for people; 0, () or None where they do not say.

    Attributes:
        width: D; of a Swin that of its first stage.
        depth: number of blocks.
        patch_size: P, in pixels; 0 for a hybrid or a ResNet.
        channels: C.
        places: number of positions, with those of prefix tokens.
        classes: number of classes of the head.
        decoder_depth: blocks of MAE's decoder.
        stages: blocks of each stage of a Swin or ResNet.
        window: side of a Swin's window, in tokens.
        name: vitrail's name of a model of this shape.
    """

    width: int = 0
    depth: int = 0
    patch_size: int = 0
    channels: int = 0
    places: int = 0
    classes: int = 0
    decoder_depth: int = 0
    stages: tuple[int, ...] = ()
    window: int = 0
    name: str | None = None

    def __str__(self) -> str:
        stages = f"stages of {'/'.join(map(str, self.stages))} blocks"
        said = [f"width {self.width}", stages if self.stages else f"depth {self.depth}"]
        said += [f"patch size {self.patch_size}"] if self.patch_size else []
        said += [f"window {self.window}"] if self.window else []
        said += [f"{self.channels} channels"] if self.channels != 3 else []
        said += [f"{self.classes} classes"] if self.classes else []
        said += [f"a decoder of depth {self.decoder_depth}"] if self.decoder_depth else []
        return f"{self.name or 'a model'} ({', '.join(said)})"


def shape_of(state: State) -> Shape:
    """Read the shape of a model off its tensors; of tensors that belong to no model, what little they say."""
    sizes = sizes_of(state)
    kernel = sizes.get("patch_embed.proj.weight", ())
    pixels = sizes.get(input_kernel(state) or "", ())
    positions, head = sizes.get("pos_embed", ()), sizes.get("head.weight", ())
    stages = stages_of(sizes, "layers.") or stages_of(sizes, "stages.")
    shape = Shape(
        width=kernel[0] if kernel else (sizes.get("norm.weight") or (0,))[0],
        depth=blocks_of(sizes, "blocks.") or sum(stages),
        patch_size=kernel[2] if len(kernel) == 4 and pixels == kernel else 0,
        channels=pixels[1] if len(pixels) == 4 else 0,
        places=positions[1] if len(positions) == 3 else 0,
        classes=head[0] if head else 0,
        decoder_depth=blocks_of(sizes, "decoder.blocks."),
        stages=stages,
    )
    try:
        spec = spec_of(state)
    except WeightsError:
        return shape
    named = spec.options.keys() <= SAME_NAME | _own_options(spec)
    window = window_of(sizes)[0] if stages and bias_tables(sizes) else 0
    return dataclasses.replace(shape, name=spec.name if named else None, window=window)


def _own_options(spec: ModelSpec) -> set[str]:
    """Return the options of a head, a decoder or a predictor, which are no part of a backbone's name."""
    return {name for name in spec.options if name.startswith("decoder_")} | {"num_classes", "representation", "target"}
