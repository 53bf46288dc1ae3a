"""SETR's decoders against naive loops in float64, written from the paper."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.heads.convolution import ConvNormReLU
from vitrail.heads.setr import MultiLevel, Naive, Progressive

CLASSES = 3


def convolve(features: Tensor, layer: nn.Module) -> Tensor:
    """A convolution as loops over places: ``(C, h, w)`` to ``(D, h, w)``."""
    kernel, bias = layer.weight, layer.bias
    reach = kernel.shape[-1] // 2
    padded = F.pad(features, (reach,) * 4)
    _, h, w = features.shape
    out = torch.empty(kernel.shape[0], h, w, dtype=features.dtype)
    for y in range(h):
        for x in range(w):
            seen = padded[:, y : y + 2 * reach + 1, x : x + 2 * reach + 1]
            out[:, y, x] = (kernel * seen).sum(dim=(1, 2, 3)) + (0 if bias is None else bias)
    return out


def normalise(features: Tensor, norm: nn.GroupNorm) -> Tensor:
    parts = []
    for group in features.chunk(norm.num_groups):
        parts.append((group - group.mean()) / (group.var(unbiased=False) + norm.eps).sqrt())
    return torch.cat(parts) * norm.weight[:, None, None] + norm.bias[:, None, None]


def step(features: Tensor, layer: ConvNormReLU) -> Tensor:
    return normalise(convolve(features, layer.conv), layer.norm).clamp(min=0)


def enlarge(features: Tensor, factor: int) -> Tensor:
    """Bilinear, each place standing for the square around its centre."""
    _, h, w = features.shape
    out = torch.empty(len(features), h * factor, w * factor, dtype=features.dtype)
    for y in range(h * factor):
        for x in range(w * factor):
            v = min(max((y + 0.5) / factor - 0.5, 0), h - 1)
            u = min(max((x + 0.5) / factor - 0.5, 0), w - 1)
            t, s = int(v), int(u)
            b, r = min(t + 1, h - 1), min(s + 1, w - 1)
            top = features[:, t, s] * (1 - u + s) + features[:, t, r] * (u - s)
            bottom = features[:, b, s] * (1 - u + s) + features[:, b, r] * (u - s)
            out[:, y, x] = top * (1 - v + t) + bottom * (v - t)
    return out


def randomised(head: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    return head.double().eval()


MAPS = [torch.randn(1, 6, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in range(3)]
CHANNELS = (6, 6, 6)


def test_naive_is_two_linear_layers_on_the_last_map() -> None:
    head = randomised(Naive(CHANNELS, CLASSES, width=32))
    expected = convolve(step(MAPS[-1][0], head.project), head.classify.conv)
    assert torch.allclose(head(MAPS)[0], expected, atol=1e-12)


def test_progressive_doubles_after_every_convolution_up_to_the_images_size() -> None:
    head = randomised(Progressive(CHANNELS, CLASSES, width=32, stride=4))
    features = MAPS[-1][0]
    for layer in head.steps:
        features = enlarge(step(features, layer), 2)
    expected = convolve(features, head.classify.conv)
    assert expected.shape == (CLASSES, 8, 12)
    assert torch.allclose(head(MAPS)[0], expected, atol=1e-12)


@pytest.mark.parametrize(("stride", "doublings"), [(4, 2), (8, 3), (16, 4), (32, 5), (14, 4)])
def test_progressive_has_as_many_doublings_as_the_stride_asks_for(stride: int, doublings: int) -> None:
    assert len(Progressive((8,), CLASSES, width=16, stride=stride).steps) == doublings


def test_multi_level_adds_what_later_blocks_saw_to_earlier_ones() -> None:
    head = randomised(MultiLevel(CHANNELS, CLASSES, width=32, strides=(16, 16, 16)))
    halves = [step(level[0], layer) for level, layer in zip(MAPS, head.first, strict=True)]
    streams = []
    for number, (second, third) in enumerate(zip(head.second, head.third, strict=True)):
        summed = sum(halves[number + 1 :], halves[number])
        streams.append(enlarge(step(step(summed, second), third), 4))
    expected = convolve(torch.cat(streams), head.classify.conv)
    assert torch.allclose(head(MAPS)[0], expected, atol=1e-12)


def test_multi_level_refuses_maps_of_several_strides() -> None:
    with pytest.raises(ConfigError, match="4, 8, 16; use upernet"):
        MultiLevel((8, 16, 32), CLASSES, strides=(4, 8, 16))
