import pytest
import torch
from torch import Tensor

from vitrail.heads.names import build_model
from vitrail.models.mae import MAE


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return build_model("vit_ti16", num_classes=5, image_size=(12, 8), patch_size=4, width=16, depth=3, num_heads=2)


@pytest.fixture
def mae() -> MAE:
    torch.manual_seed(0)
    model = build_model(
        "mae_vit_ti16",
        image_size=(12, 8),
        patch_size=4,
        width=16,
        depth=2,
        num_heads=2,
        decoder_width=16,
        decoder_depth=1,
        mask_ratio=0.5,
    )
    assert isinstance(model, MAE)
    return model


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 12, 8, generator=torch.Generator().manual_seed(1))
