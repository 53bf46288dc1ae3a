"""Every pooling of every kind of token, by hand."""

from typing import Any

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.models.modern_sizes import ModernViTConfig
from vitrail.models.modern_vit import ModernViT
from vitrail.models.pooled import pooled
from vitrail.models.vit import ViT, ViTConfig

SHAPE: dict[str, Any] = {"image_size": (16, 24), "patch_size": 8, "width": 12, "depth": 2, "num_heads": 2}


def with_norms_of_their_own(backbone: torch.nn.Module) -> torch.nn.Module:
    """Give every norm, which begins as the identity, factors and biases."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return backbone.eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 16, 24, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ({}, 1),
        ({"distillation_token": True}, 2),
        ({"registers": 4}, 5),
        ({"registers": 4, "pool": "class_mean"}, 5),
        ({"pool": "norm_mean"}, 1),
        ({"pool": "mean"}, 1),
    ],
)
def test_neither_registers_nor_a_distillation_token_are_taken_for_patches(options: dict[str, Any], prefix: int) -> None:
    backbone: Any = with_norms_of_their_own(ModernViT(ModernViTConfig(**SHAPE, **options)))
    with torch.inference_mode():
        features = backbone.forward_features(images())
        norm = backbone.fc_norm if options.get("pool") == "mean" else torch.nn.Identity()
        first, mean = norm(features[:, 0]), norm(sum(features[:, k] for k in range(prefix, prefix + 6)) / 6)
        for pool, expected in {
            "class": first,
            "mean": mean,
            "both": torch.cat([first, mean], dim=1),
            "auto": backbone.embed(images()),
        }.items():
            vectors, tokens = pooled(backbone, images(), pool)  # type: ignore[arg-type]
            torch.testing.assert_close(vectors, expected, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(tokens, features[:, prefix:], rtol=0, atol=0)
    assert features.shape[1] == prefix + 6


@pytest.mark.parametrize(
    "backbone",
    [
        ViT(ViTConfig(**SHAPE, class_token=False, pool="mean")),
        ModernViT(ModernViTConfig(**SHAPE, class_token=False, registers=2, pool="norm_mean")),
    ],
)
def test_the_first_register_or_patch_is_no_class_token(backbone: Any) -> None:
    for pool in ("class", "both"):
        with pytest.raises(ConfigError, match="has no class token"):
            pooled(backbone, images(), pool)  # type: ignore[arg-type]
    assert pooled(backbone.eval(), images(), "mean")[0].shape == (3, 12)
