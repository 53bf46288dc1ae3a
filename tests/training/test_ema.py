from __future__ import annotations

import pytest
import torch
from torch import nn

from vitrail.training.ema import Ema


def weight(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor([value]))


def test_the_average_moves_as_computed_by_hand() -> None:
    parameter = weight(1.0)
    ema = Ema([parameter], decay=0.2)
    parameter.data.fill_(3.0)
    ema.update()  # the young decay: 2/11 < 0.2
    first = 1.0 * 2 / 11 + 3.0 * 9 / 11
    assert ema.averages[0].item() == pytest.approx(first)
    ema.update()  # 3/12 > 0.2
    assert ema.averages[0].item() == pytest.approx(0.2 * first + 0.8 * 3.0)


def test_the_average_is_in_place_inside_the_block_and_the_weight_again_after_it() -> None:
    parameter = weight(1.0)
    ema = Ema([parameter], decay=0.9)
    parameter.data.fill_(5.0)
    with ema.swapped():
        assert parameter.item() == 1.0
    assert parameter.item() == 5.0
    assert ema.averages[0].item() == 1.0


def test_an_error_inside_the_block_does_not_leave_the_average_in_place() -> None:
    parameter = weight(1.0)
    ema = Ema([parameter], decay=0.9)
    parameter.data.fill_(5.0)
    with pytest.raises(ValueError, match="evaluation"), ema.swapped():
        raise ValueError("evaluation")
    assert parameter.item() == 5.0


def test_a_restored_average_goes_on_like_the_original() -> None:
    parameter = weight(1.0)
    original, restored = Ema([parameter], 0.9), Ema([weight(7.0)], 0.9)
    parameter.data.fill_(2.0)
    original.update()
    restored.load_state_dict(original.state_dict())
    assert restored.updates == 1
    assert torch.equal(restored.averages[0], original.averages[0])
