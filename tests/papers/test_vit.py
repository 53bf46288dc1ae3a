import pytest
import torch

from vitrail.heads.names import build_model
from vitrail.models.cost import cost
from vitrail.papers.vit import SHAPES


def test_the_three_families_cost_the_same_at_the_size_they_are_compared_at() -> None:
    with torch.device("meta"):
        costs = [
            cost(
                build_model(
                    name, num_classes=10, image_size=64, **{k: v for k, v in vars(shape).items() if v is not None}
                )
            ).multiply_accumulates
            for name, shape in SHAPES.values()
        ]
    assert max(costs) / min(costs) == pytest.approx(1.0, abs=0.05)
