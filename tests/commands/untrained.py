"""Checkpoints of small models with random weights: what is asked of them is not whether they are right."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vitrail.config import Preprocessing, to_json
from vitrail.heads.names import parse_model
from vitrail.heads.registry import build, with_dense_head
from vitrail.heads.spec import ModelSpec
from vitrail.models.registry import BACKBONES
from vitrail.settings import Dense
from vitrail.tasks.registry import find_spec
from vitrail.weights.description import Description, description_json

VIT = {"image_size": (32, 32), "patch_size": 8, "width": 24, "depth": 2, "num_heads": 2}
SWIN = {"image_size": (32, 32), "patch_size": 4, "embed_width": 8, "head_width": 4, "depths": (2, 2), "window": 4}
BIT = {"image_size": (32, 32), "depths": (1, 1, 1, 1)}
SHAPES: dict[str, dict[str, Any]] = {
    "simmim_swin": {**SWIN, "mask_unit": 8},
    "mae_vit": {**VIT, "decoder_width": 16, "decoder_depth": 1},
    "vit": VIT,
    "swin": SWIN,
    "bit": BIT,
}
"""Options of the small model whose name has this in it."""

FOUND = {"width": 16, "hidden": 16, "anchor_size": 4.0, "proposals": 8, "regions": 8}
DENSE: dict[str, Dense] = {
    "detect": Dense(**{"head": "faster_rcnn", "short_side": 32, "longest": 64, **FOUND}),
    "segment": Dense(**{"head": "upernet", "short_side": 32, "width": 16}),
}
NAMES = tuple(f"class {number}" for number in range(3))


def untrained(folder: Path, task: str = "classify", model: str = "vit_ti16", seed: int = 3, **options: Any) -> Path:
    """Write a checkpoint of an untrained model and return its folder."""
    shape = {**SHAPES[next(name for name in SHAPES if name in model)], **options}
    spec = _spec(task, model, shape)
    description = Description(
        spec,
        Preprocessing(image_size=(32, 32)),
        NAMES[: spec.head_options.get("num_classes", 0)],
        to_json(find_spec(task).settings(data="digits")),
    )
    torch.manual_seed(seed)
    built = build(spec)
    folder.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in built.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(description_json(description)))
    return folder


def _spec(task: str, model: str, shape: dict[str, Any]) -> ModelSpec:
    if task in DENSE:
        return with_dense_head(ModelSpec(model, shape), task, DENSE[task], len(NAMES))
    return parse_model(model, {**shape, "num_classes": len(NAMES)} if model in BACKBONES else shape)
