"""One vector of an image by any pooling, and its patch tokens, from one forward pass of any backbone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone
from vitrail.models.modern_vit import ModernViT
from vitrail.models.resnet import ResNet
from vitrail.models.vit import ViT

Pool = Literal["auto", "class", "mean", "both"]


def pooled(backbone: Backbone, images: Tensor, pool: Pool = "auto") -> tuple[Tensor, Tensor]:
    """Describe each image by one vector, and by one for each patch.

    Args:
        backbone: any.
        images: ``(B, C, H, W)``, normalised.
        pool: ``auto`` is what `Backbone.embed` gives; ``class`` the class token; ``mean`` the mean of the patch tokens;
            ``both`` the class token and then the mean. Where a ViT's norm comes after its pooling (pool "mean"), it is
            applied to each of them.

    Returns:
        Vectors ``(B, D)``, or ``(B, 2 D)`` of both, and patch tokens ``(B, N, D)``, row by row of their grid, as
        `Backbone.forward_features` gives them: of a Swin or a ResNet, the places of its last map.

    Raises:
        ConfigError: there is no class token; see `check_pool`.
    """
    check_pool(backbone, pool)
    features = backbone.forward_features(images)
    if not isinstance(backbone, (ViT, ModernViT)):
        # A Swin gives (B, h, w, D), a ResNet (B, D, h, w).
        tokens = features.flatten(2).transpose(1, 2) if isinstance(backbone, ResNet) else features.flatten(1, 2)
        return tokens.mean(dim=1) if pool == "mean" else _embedded(backbone, features), tokens
    tokens = features[:, backbone.prefix_tokens :]
    if pool == "auto":
        return backbone.pool(features), tokens
    parts = {"class": [features[:, 0]], "mean": [tokens.mean(dim=1)], "both": [features[:, 0], tokens.mean(dim=1)]}
    return torch.cat([backbone.fc_norm(part) for part in parts[pool]], dim=1), tokens


def check_pool(backbone: Backbone, pool: Pool) -> None:
    """Refuse a class token of a model without one.

    Raises:
        ConfigError: it is asked for.
    """
    has_class_token = backbone.prefix_tokens > 0 and getattr(backbone.config, "class_token", True)
    if pool in ("class", "both") and not has_class_token:
        raise ConfigError(f"this {type(backbone).__name__} has no class token; use --pool mean, or auto")


def _embedded(backbone: Backbone, features: Tensor) -> Tensor:
    """Pool a last map as `Backbone.embed` of its family does: the mean over its places, in the same order of sums."""
    return features.mean(dim=(2, 3) if isinstance(backbone, ResNet) else (1, 2))


__all__ = ["Pool", "check_pool", "pooled"]
