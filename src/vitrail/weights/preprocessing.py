"""How images must be prepared for a weights file of which nobody wrote it: what its origin is known for."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vitrail.errors import WeightsError
from vitrail.layers.positions import sincos_2d
from vitrail.models.registry import BACKBONES
from vitrail.settings.inputs import (
    HALF,
    OPENAI_MEAN,
    OPENAI_STD,
    NormalizationOption,
    normalization_name,
    with_options,
)
from vitrail.weights.infer_modern import has_modern_shape, kind_of
from vitrail.weights.infer_spec import sizes_of, spec_of
from vitrail.weights.reader import State
from vitrail.weights.shape import channels_of
from vitrail.weights.stated_preprocessing import Reasoned

HUGGING_FACE = "Hugging Face's ViT are Google's, trained on values from -1 to 1 (mean and std 0.5)"
ANY_VIT = "DeiT's and most files under such names were trained with ImageNet's mean and std"
BEIT = "BEiT was trained on values from -1 to 1 (BEiT v2 with ImageNet's mean and std)"
UNCERTAIN = (HUGGING_FACE, ANY_VIT, BEIT)
"""Reasons that hold for most files of a layout, not for all: timm's AugReg ViT want 0.5, transformers' DeiT do not."""

IMAGENET_WHY = "{}'s files were trained with ImageNet's mean and std"

MODERN: dict[str, tuple[tuple[float, ...], tuple[float, ...], bool, str]] = {
    "deit": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DeiT")),
    "deit3": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DeiT III")),
    "dinov2": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DINOv2")),
    "dinov3": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DINOv3")),
    "beit": (HALF, HALF, False, BEIT),
    "clip": (OPENAI_MEAN, OPENAI_STD, False, "CLIP was trained with the mean and std of its own images"),
    "siglip": (HALF, HALF, True, "SigLIP was trained on values from -1 to 1 (mean and std 0.5), images squashed"),
}
"""Mean, standard deviation, whether images are squashed to a square, and why, for each family of ViTs of after 2021."""


def default_preprocessing(layout: str, state: State) -> Reasoned:
    """Return what whoever's layout the weights came in trained with; ``state`` has plain names."""
    image_size = _image_size(state)
    crop_fraction = 0.875 if max(image_size) <= 256 else 1.0
    imagenet = _with_channels(
        channels_of(state),
        Preprocessing(image_size, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_fraction=crop_fraction),
    )
    squashed = _with_channels(
        channels_of(state),
        Preprocessing(image_size, mean=HALF, std=HALF, resize="squash", crop_fraction=1.0),
    )
    modern = _of_modern(state, imagenet)
    if modern is not None and layout not in ("google", "big_vision"):
        return modern
    if layout in ("google", "big_vision", "bit"):
        return squashed, "Google's files were trained on values from -1 to 1 (mean and std 0.5)"
    if layout.startswith("huggingface") and "decoder.mask_token" not in state:
        return squashed, HUGGING_FACE
    if layout.startswith("swin"):
        return imagenet, "Swin's files were trained with ImageNet's mean and std"
    if layout == "torchvision":
        # As torchvision's presets of its ViT have it; those of its Swin are bicubic.
        bilinear = dataclasses.replace(imagenet, interpolation="bilinear")
        return bilinear, "torchvision's files were trained with ImageNet's mean and std"
    if "decoder.mask_token" in state or has_fixed_positions(state):
        return imagenet, "it is a masked autoencoder's, trained with ImageNet's mean and std"
    return imagenet, ANY_VIT


def alternatives(known: Reasoned) -> tuple[Preprocessing, ...]:
    """Return what a weights file may want instead of its layout's default; nothing where that is certain."""
    preprocessing, reason = known
    if reason not in UNCERTAIN or preprocessing.channels not in (1, 3):
        return ()
    other = "half" if normalization_name(preprocessing) == "imagenet" else "imagenet"
    return (with_options(preprocessing, NormalizationOption(normalization=other)),)


def _of_modern(state: State, like: Preprocessing) -> Reasoned | None:
    """Return what a ViT of after 2021 was trained with; None for other models.

    Args:
        state: the tensors under plain names.
        like: image size, channels and cut of an ordinary model of this size.
    """
    if not has_modern_shape(state):
        return None
    try:
        kind = kind_of(sizes_of(state))
    except (ValueError, KeyError, IndexError):
        return None
    if kind not in MODERN:
        return None
    mean, std, squashes, why = MODERN[kind]
    resize: Any = "squash" if squashes else like.resize
    # CLIP scales the shorter side to the size that it cuts out; so does who squashes.
    fraction = 1.0 if squashes or kind == "clip" else like.crop_fraction
    colour = Preprocessing(like.image_size, mean=mean, std=std, resize=resize, crop_fraction=fraction)
    return _with_channels(channels_of(state), colour), why


def has_fixed_positions(state: State) -> bool:
    """Whether the positions are MAE's sines and cosines, which nothing but MAE and its fine-tuned files have."""
    positions = state.get("pos_embed")
    if positions is None or positions.ndim != 3 or positions.shape[2] % 4:
        return False
    places = positions.shape[1] - int("cls_token" in state)
    side = math.isqrt(places)
    if side < 1 or side * side != places:
        return False
    fixed = sincos_2d((side, side), positions.shape[2])
    return torch.allclose(positions[0, -places:].float(), fixed, atol=1e-2)


def _with_channels(channels: int, colour: Preprocessing) -> Preprocessing:
    """Fit colour statistics to a model of other channels: each gets their mean."""
    if channels in (0, 3):
        return colour
    mean, std = (sum(values) / len(values) for values in (colour.mean, colour.std))
    return dataclasses.replace(colour, channels=channels, mean=(mean,) * channels, std=(std,) * channels)


def _image_size(state: State) -> tuple[int, int]:
    """Return the size that positions or windows stand for; 224 where they do not say."""
    try:
        spec = spec_of(state)
    except WeightsError:
        return (224, 224)
    return spec.backbone_options.get("image_size") or BACKBONES[spec.backbone][1].image_size
