import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from vitrail.layers.std_conv import STANDARDISE_EPS, StdConv2d, pad_same, same_amount


def test_filters_are_standardised_over_their_inputs() -> None:
    conv = StdConv2d(6, 8, 3).double()
    naive = torch.empty_like(conv.weight)
    for i, one in enumerate(conv.weight.detach()):
        values = one.flatten()
        mean = values.sum() / len(values)
        variance = ((values - mean) ** 2).sum() / len(values)
        naive[i] = (one - mean) / (variance + STANDARDISE_EPS) ** 0.5
    torch.testing.assert_close(conv.standardised(), naive, rtol=1e-12, atol=1e-12)


def test_scale_and_shift_of_a_filter_change_nothing() -> None:
    conv, images = StdConv2d(4, 8, 3, padding="same"), torch.randn(2, 4, 9, 9)
    before = conv(images)
    with torch.no_grad():
        conv.weight.mul_(3.0).add_(0.5)
    torch.testing.assert_close(conv(images), before, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 64), st.sampled_from([1, 3, 7]), st.sampled_from([1, 2]))
def test_same_padding_gives_a_place_for_every_stride(size: int, kernel: int, stride: int) -> None:
    padded = pad_same(torch.ones(1, 1, size, size), kernel, stride)
    assert (padded.shape[-1] - kernel) // stride + 1 == -(-size // stride)
    assert padded.shape[-1] - size == same_amount(size, kernel, stride)


def test_same_padding_puts_what_is_odd_at_the_bottom_and_the_right() -> None:
    padded = pad_same(torch.ones(1, 1, 224, 224), 7, 2)  # 5 rows: 2 above, 3 below, as in TensorFlow
    assert padded[0, 0, :, 100].nonzero().flatten()[[0, -1]].tolist() == [2, 225]
    assert padded.shape[-2:] == (229, 229)


def test_same_padding_of_an_even_size_differs_from_the_fixed_one() -> None:
    fixed, same = StdConv2d(2, 3, 3, stride=2), StdConv2d(2, 3, 3, stride=2, padding="same")
    same.load_state_dict(fixed.state_dict())
    images = torch.randn(1, 2, 8, 8)
    expected = F.conv2d(F.pad(images, (0, 1, 0, 1)), fixed.standardised(), stride=2)
    torch.testing.assert_close(same(images), expected)
    assert not torch.allclose(fixed(images), same(images))


@pytest.mark.parametrize("padding", ["fixed", "same"])
def test_odd_sizes_round_up(padding) -> None:
    assert StdConv2d(2, 3, 3, stride=2, padding=padding)(torch.randn(1, 2, 7, 5)).shape == (1, 3, 4, 3)
