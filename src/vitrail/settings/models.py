"""Settings of models: of a backbone, and of what stands on it. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Size = int | tuple[int, int]
"""One number for a square, or height and width."""


REGULAR = ("dropout", "attention_dropout", "drop_path")
PLAIN = ("patch_size", "width", "depth", "num_heads", "mlp_ratio", "pool", "class_token", "positions")

FAMILIES: dict[str, tuple[str, ...]] = {
    "vit": (*PLAIN, "positions_at", "position_resize", *REGULAR),
    "modern_vit": (*PLAIN, "position_resize", "registers", "layer_scale", "mlp", *REGULAR),
    "hybrid": (*PLAIN, "positions_at", "position_resize", "stem_depths", *REGULAR),
    "bit": ("depths", "widen", "drop_path"),
    "swin": (
        *("patch_size", "embed_width", "depths", "head_width", "window", "mlp_ratio", "positions", "shift"),
        *("small_maps", *REGULAR),
    ),
    "swin_v2": (
        *("patch_size", "embed_width", "depths", "head_width", "window", "pretrained_windows", "mlp_ratio", "shift"),
        *REGULAR,
    ),
}
"""Which settings of `BackboneArchitecture` the backbones of each family have (`vitrail.models.backbone.Family`).

Help groups them by this, and an option of another family is refused by it.
"""


def families_with(name: str) -> tuple[str, ...]:
    """Return the families whose backbones have a setting."""
    return tuple(family for family, names in FAMILIES.items() if name in names)


@dataclass(frozen=True)
class BackboneArchitecture:
    """Changes to the named backbone; None leaves what the name (or the weights' own model) says.

    Each belongs to some families of models, as `FAMILIES` says; one that the named model's does not have is refused.
    """

    OWNERS: ClassVar[dict[str, tuple[str, ...]]] = FAMILIES

    patch_size: int | None = None
    """P, in pixels."""
    width: int | None = None
    """D; a new width keeps 64 channels a head unless num_heads is given."""
    depth: int | None = None
    """Number of blocks."""
    num_heads: int | None = None
    """Heads of every block."""
    mlp_ratio: float | None = None
    """Hidden channels of an MLP for each of the width."""
    pool: Literal["class", "mean", "attention", "norm_mean", "class_mean"] | None = None
    """class token, mean of the patch tokens, or a learned query over them; of a modern_vit also norm_mean, the mean of
    the normalised ones, and class_mean, the class token beside that mean."""
    class_token: bool | None = None
    """Whether there is a class token; without one a model pools by mean or attention."""
    positions: str | None = None
    """vit and hybrid: learned, learned_2d, sincos_2d, relative, relative_bias, none. modern_vit: learned, rotary, none.
    swin: relative, absolute, both, none, relative_alone."""
    positions_at: Literal["stem", "layers", "layers_shared"] | None = None
    """Where positions come in: before the first block; before every block, each with its own; or the same."""
    position_resize: Literal["bicubic", "bicubic_plain", "dinov2", "bilinear"] | None = None
    """How positions are fitted to another size: bicubic as timm does, bicubic_plain without antialias as transformers
    does, dinov2 as its own code does, or corner-aligned bilinear as Google does."""
    registers: int | None = None
    """Tokens that stand for nothing, between the class token and the patches (Darcet et al. 2024)."""
    layer_scale: float | None = None
    """What the factors on each channel of a residual branch start at; 0 for none."""
    mlp: Literal["gelu", "gelu_tanh", "quick_gelu", "swiglu"] | None = None
    """Activation between the maps of an MLP, or swiglu: a gated one. OpenAI's CLIP has quick_gelu, open_clip's gelu."""
    depths: tuple[int, ...] | None = None
    """Blocks of each stage."""
    widen: int | None = None
    """Factor of all channel numbers."""
    stem_depths: tuple[int, ...] | None = None
    """Blocks of each stage of the ResNet."""
    embed_width: int | None = None
    """Width of the first stage."""
    window: Size | None = None
    """Height and width of a window, in tokens."""
    pretrained_windows: tuple[int, ...] | None = None
    """Side of the window of each stage that the weights were pretrained with, where it was another one."""
    shift: bool | None = None
    """Whether every second block shifts its windows."""
    head_width: int | None = None
    """Width of the attention heads."""
    small_maps: Literal["mask", "shrink"] | None = None
    """A map smaller than the window: pad and mask it, or shrink the window to it as Microsoft's code does."""
    dropout: float | None = None
    """On embeddings, attention output and MLP."""
    attention_dropout: float | None = None
    """On the weights of attention."""
    drop_path: float | None = None
    """Stochastic depth of the last block; it rises linearly from 0 at the first."""


@dataclass(frozen=True)
class Architecture(BackboneArchitecture):
    """Changes to the named backbone and to a classifier's head; None leaves what the name or the weights say."""

    OTHERS: ClassVar[str] = "a classifier's head"

    representation: int | None = None
    """Length of a hidden layer with tanh before the head, as ViT is pretrained with; 0 for none."""
    head_init: Literal["small", "zero"] | None = None
    """How the head starts out; zero: with exactly even scores, as ViT is fine-tuned."""


Head = Literal[
    "auto",
    "mask_rcnn",
    "faster_rcnn",
    "cascade_mask_rcnn",
    "detr",
    "upernet",
    "setr_naive",
    "setr_pup",
    "setr_mla",
    "linear",
]


@dataclass(frozen=True)
class Dense:
    """What finds or outlines things in an image, above the backbone; of no use to a classifier."""

    head: Head = "auto"
    """To detect: mask_rcnn (auto), faster_rcnn, cascade_mask_rcnn, detr. To segment: upernet (auto), setr_*, linear."""
    pyramid: Literal["auto", "fpn", "simple", "blocks"] = "auto"
    """fpn: over a backbone's stages; of a ViT, simple (ViTDet): from its last map; blocks (MAE): from four blocks."""
    width: int = 256
    """Channels of every map above the backbone."""
    hidden: int = 1024
    """Width of the hidden layers that classify a region, or of the MLPs in a DETR."""
    norm: Literal["none", "group", "batch"] = "none"
    """Group norm after the convolutions of pyramid and heads; batch: of a segmenter, as published."""
    box_head: Literal["mlp", "conv"] = "mlp"
    """What classifies a region: two hidden layers; or four convolutions and one hidden layer, as in ViTDet."""
    anchor_size: float = 8.0
    """Side of an anchor in strides of its map: 8 makes 32 pixels of the finest."""
    proposals: int = 1000
    """Most regions that are looked at closely; twice as many while training."""
    regions: int = 512
    """Regions of an image from which its classes and boxes are learned."""
    samples: int = 2
    """Points a side at which each cell of a region is read off the map; 1 is the fastest."""
    queries: int = 100
    """Most objects that a DETR finds."""
    layers: int = 6
    """Of a DETR's encoder, and of its decoder."""
    windows: int = 0
    """Attention of a ViT within windows of so many tokens, but for four blocks; 0 is global everywhere."""
    jitter: Literal["none", "multiscale", "large", "crop"] = "multiscale"
    """none: one size; multiscale: sizes by jitter_scale; large: cut or padded to a square; crop: cut to image_size."""
    jitter_scale: tuple[float, float] = (0.8, 1.25)
    """Smallest and largest factor of the size of a training image."""
    longest: float = 5 / 3
    """The longer side is at most so many times image_size; the shorter one then is smaller than that."""
    short_side: int | None = None
    """To segment: what an image's shorter side is scaled to before all else; None leaves images as they are."""
    ignore: int = 255
    """To segment: the value in the masks that means void; 255 always does."""
    classes: str | None = None
    """To segment: a text file with the name of one class a line; by default classes.txt in the data's folder."""
    auxiliary: float = 0.4
    """To segment: weight of the loss of each auxiliary head; 0 for none."""
    dropout: float = 0.1
    """To segment: probability that a channel is left out before the last, linear layer."""


@dataclass(frozen=True)
class Scoring:
    """How a segmenter scores an image: more passes, better figures."""

    window: Size | None = None
    """Score images by a sliding window of this height and width in pixels; None scores them whole."""
    overlap: float = 1 / 3
    """Share of a window that its neighbour covers too; their scores are averaged."""
    scales: tuple[float, ...] = (1.0,)
    """Factors by which images are scaled; the mean over all is taken."""
    flip: bool = False
    """Score mirrored images as well."""
