"""Small weights files as other libraries write them."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.weights.random_weights import randomise


def timm_vit(classes: int = 1000, seed: int = 5):
    """Return timm's ViT of width 64 for images of 32 x 32 pixels with random weights."""
    import timm

    torch.manual_seed(seed)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1}
    return randomise(timm.models.VisionTransformer(num_classes=classes, **shape), seed)


def timm_file(path: Path, classes: int = 1000, seed: int = 5) -> Path:
    """Write such a model's weights without a word about it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in timm_vit(classes, seed).state_dict().items()}, path)
    return path
