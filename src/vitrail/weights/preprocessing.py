"""How images must be prepared for a weights file: what stands beside it, else what its origin is known for."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch

from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, from_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.layers.positions import sincos_2d
from vitrail.models.registry import BACKBONES
from vitrail.weights.infer_modern import has_modern_shape, kind_of
from vitrail.weights.infer_spec import sizes_of, spec_of
from vitrail.weights.plausible import check_preprocessing
from vitrail.weights.reader import State
from vitrail.weights.shape import channels_of
from vitrail.weights.sidecars import CONFIG, PROCESSOR, read_stated

HALF = (0.5, 0.5, 0.5)
"""Google scales images to [-1, 1]."""


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the images that OpenAI's CLIP was trained on (openai/CLIP, clip.py); open_clip takes the same."""

IMAGENET_WHY = "{}'s files were trained with ImageNet's mean and std"

MODERN: dict[str, tuple[tuple[float, ...], tuple[float, ...], bool, str]] = {
    "deit": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DeiT")),
    "deit3": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DeiT III")),
    "dinov2": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DINOv2")),
    "dinov3": (IMAGENET_MEAN, IMAGENET_STD, False, IMAGENET_WHY.format("DINOv3")),
    "beit": (
        HALF,
        HALF,
        False,
        "BEiT was trained on values from -1 to 1 (BEiT v2 with ImageNet's mean and std: say so)",
    ),
    "clip": (CLIP_MEAN, CLIP_STD, False, "CLIP was trained with the mean and std of its own images"),
    "siglip": (HALF, HALF, True, "SigLIP was trained on values from -1 to 1 (mean and std 0.5), images squashed"),
}
"""Mean, standard deviation, whether images are squashed to a square, and why, for each family of ViTs of after 2021."""

Reasoned = tuple[Preprocessing, str]
"""Preprocessing, and how it is known: half a sentence for people."""


def stated_preprocessing(notes: dict[str, Any], config: dict[str, Any], folder: Path) -> Reasoned | None:
    """Return the preprocessing that is written in a weights file or beside it; None where nobody wrote it.

    Args:
        notes: of vitrail's in the file.
        config: what ``config.json`` beside it holds.
        folder: where the file lies.
    """
    own = _own(notes.get("preprocessing"))
    if own:
        return own, "the file says so"
    found = {
        CONFIG: _own(config.get("preprocessing")) or _from_timm(config.get("pretrained_cfg", config)),
        PROCESSOR: _from_huggingface(read_stated(folder / PROCESSOR)),
    }
    return next(((p, f"{name} beside it says so") for name, p in found.items() if p), None)


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
        return squashed, "Hugging Face's ViT are Google's, trained on values from -1 to 1 (mean and std 0.5)"
    if layout.startswith("swin"):
        return imagenet, "Swin's files were trained with ImageNet's mean and std"
    if layout == "torchvision":
        return imagenet, "torchvision's files were trained with ImageNet's mean and std"
    if "decoder.mask_token" in state or has_fixed_positions(state):
        return imagenet, "it is a masked autoencoder's, trained with ImageNet's mean and std"
    return (
        imagenet,
        "DeiT's and most files under such names were trained with ImageNet's mean and std "
        "(timm's augreg ones with 0.5: then say so)",
    )


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


def _own(said: Any) -> Preprocessing | None:
    try:
        return _checked(from_json(Preprocessing, said)) if isinstance(said, dict) else None
    except (VitrailError, ValueError):
        return None


def _checked(preprocessing: Preprocessing) -> Preprocessing:
    """Pass on preprocessing that an image can go through.

    Raises:
        ValueError: none can.
    """
    check_preprocessing(preprocessing)
    return preprocessing


def _from_huggingface(config: dict[str, Any]) -> Preprocessing | None:
    try:
        size: Any = config["size"]
        crops = bool(config.get("do_center_crop"))
        wanted: Any = config["crop_size"] if crops else size
        height, width = (wanted["height"], wanted["width"]) if isinstance(wanted, dict) else (wanted, wanted)
        shortest = size.get("shortest_edge") if crops and isinstance(size, dict) else None
        return _checked(
            Preprocessing(
                image_size=(int(height), int(width)),
                channels=len(config["image_mean"]),
                mean=tuple(map(float, config["image_mean"])),
                std=tuple(map(float, config["image_std"])),
                resize="crop" if shortest else "squash",
                crop_fraction=min(1.0, int(height) / int(shortest)) if shortest else 1.0,
            )
        )
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _from_timm(config: Any) -> Preprocessing | None:
    try:
        channels, height, width = config["input_size"]
        return _checked(
            Preprocessing(
                image_size=(int(height), int(width)),
                channels=int(channels),
                mean=tuple(map(float, config["mean"])),
                std=tuple(map(float, config["std"])),
                resize="squash" if config.get("crop_mode") == "squash" else "crop",
                crop_fraction=float(config.get("crop_pct", 0.875)),
            )
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None
