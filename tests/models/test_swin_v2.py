"""Swin V2 against its equations, written out in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vitrail.errors import ConfigError, WeightsError
from vitrail.heads.names import build_model
from vitrail.layers.cosine_attention import CosineWindowAttention, log_offsets
from vitrail.layers.window_layout import Partition, fit_windows, move, row_major
from vitrail.models.cost import cost
from vitrail.weights.formats.swin_v2 import pretrained_side, window_of
from vitrail.weights.load import fit_state

TINY: dict[str, Any] = {"embed_width": 32, "head_width": 16, "depths": (2, 1), "window": 4, "image_size": 32}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def filled(module: Any) -> Any:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def attention(window: tuple[int, int], pretrained: tuple[int, int] | None = None) -> CosineWindowAttention:
    return filled(CosineWindowAttention(16, 2, window, pretrained)).double()


def loop(layer: CosineWindowAttention, tokens: Tensor, divisor: int) -> Tensor:
    """Attention among the tokens of one window ``(h, w, D)``, query by query and key by key (equations 2 to 4)."""
    h, w, width = tokens.shape
    flat = tokens.reshape(-1, width)
    bias = torch.cat([layer.q_bias, torch.zeros(width), layer.v_bias])
    q, k, v = (flat @ layer.qkv.weight.T + bias).view(-1, 3, 2, width // 2).unbind(1)
    mixed = torch.zeros_like(flat)
    for head in range(2):
        scale = min(float(layer.logit_scale[head, 0, 0].exp()), 100.0)
        for query in range(h * w):
            scores = []
            for key in range(h * w):
                cosine = torch.cosine_similarity(q[query, head], k[key, head], dim=0, eps=1e-12)
                offset = [query // w - key // w, query % w - key % w]
                spaced = [8 * d / (divisor - 1) for d in offset]
                spaced = [math.copysign(math.log2(1 + abs(d)), d) / math.log2(8) for d in spaced]
                hidden = (layer.cpb_mlp[0](torch.tensor(spaced, dtype=torch.float64))).relu()
                scores.append(cosine * scale + 16 * torch.sigmoid(layer.cpb_mlp[2].weight[head] @ hidden))
            mixed[query, head * 8 : head * 8 + 8] = torch.stack(scores).softmax(0) @ v[:, head]
    return (mixed @ layer.proj.weight.T + layer.proj.bias).view(h, w, width)


@pytest.mark.parametrize("pretrained", [None, (6, 6)], ids=["own window", "pretrained with another window"])
@torch.no_grad()
def test_attention_within_a_window_is_the_scaled_cosine_with_a_bias_of_log_spaced_offsets(pretrained: Any) -> None:
    layer = attention((4, 4), pretrained)
    tokens = torch.randn(1, 4, 4, 16, dtype=torch.float64)
    found = layer(tokens.view(1, 16, 16), Partition(4, 4, 4, 4)).view(4, 4, 16)
    torch.testing.assert_close(found, loop(layer, tokens[0], 6 if pretrained else 4), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_scale_above_a_hundred_is_held_there() -> None:
    layer = attention((2, 2))
    layer.logit_scale.fill_(9.0)
    tokens = torch.randn(1, 4, 16, dtype=torch.float64)
    high = layer(tokens, Partition(2, 2, 2, 2))
    layer.logit_scale.fill_(math.log(100))
    torch.testing.assert_close(layer(tokens, Partition(2, 2, 2, 2)), high)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (3, 5)])
@torch.no_grad()
def test_shifted_and_padded_windows_are_those_of_the_plain_way(size: tuple[int, int]) -> None:
    layer = attention((4, 4))
    image = torch.randn(2, *size, 16, dtype=torch.float64)
    for partition in fit_windows(*size, (4, 4)):
        layout, rows = partition.layout, row_major(*size)
        found = move(layer(move(image.flatten(1, 2), rows, layout), partition, layout), layout, rows)
        torch.testing.assert_close(found.view(image.shape), layer.plain_forward(image, partition))


@torch.no_grad()
def test_norms_stand_after_attention_and_mlp_and_a_new_block_changes_nothing() -> None:
    model: Any = build_model("swinv2_t", num_classes=0, **TINY)
    block, tokens = model.layers[0].blocks[0], torch.randn(1, 64, 32)
    partition = Partition(8, 8, 4, 4)
    assert torch.equal(block(tokens, partition), tokens)
    filled(model)
    after = tokens + block.norm1(block.attn(tokens, partition, partition.layout))
    torch.testing.assert_close(block(tokens, partition), after + block.norm2(block.mlp(after)))


@torch.no_grad()
def test_merging_normalises_what_it_made() -> None:
    model: Any = filled(build_model("swinv2_t", num_classes=0, **TINY))
    merging, image = model.layers[0].downsample, torch.randn(1, 4, 4, 32)
    squares = torch.cat([image[:, y::2, x::2] for y, x in ((0, 0), (1, 0), (0, 1), (1, 1))], dim=-1)
    expected = merging.norm(squares.view(1, 4, 128) @ merging.reduction.weight.T)
    torch.testing.assert_close(merging(image.view(1, 16, 32), row_major(4, 4), row_major(2, 2)), expected)


@pytest.mark.parametrize(("window", "pretrained"), [(8, 8), (16, 12), (24, 12), (12, 6), (2, 2), (7, 16)])
def test_a_table_of_offsets_says_its_window_and_the_one_before(window: int, pretrained: int) -> None:
    table = torch.from_numpy(log_offsets((window, window), (pretrained, pretrained)))[None]
    assert window_of(table) == (window, window)
    assert pretrained_side(table) == pretrained


@pytest.mark.parametrize(
    ("name", "windows", "shifts"),
    [
        ("swinv2_t", [8, 8, 8, 8], [4, 4, 4, 0]),
        ("swinv2_t_w16", [16, 16, 16, 8], [8, 8, 0, 0]),
        ("swinv2_b_192", [12, 12, 12, 6], [6, 6, 0, 0]),
        ("swinv2_l_384", [24, 24, 24, 12], [12, 12, 0, 0]),
    ],
)
def test_windows_of_published_models_shrink_to_the_last_map(name: str, windows: list[int], shifts: list[int]) -> None:
    with torch.device("meta"):
        model: Any = build_model(name, num_classes=0)
    size = model.config.image_size
    assert [stage[0].window_h for stage in model.windows(*size)] == windows
    assert [stage[1].shift_h for stage in model.windows(*size)] == shifts


def test_cost_counts_what_torch_counts_of_products() -> None:
    model: Any = filled(build_model("swinv2_t", num_classes=0, **TINY))
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        model(torch.randn(1, 3, 32, 32))
    assert counted.get_total_flops() / 2 == cost(model).multiply_accumulates


def test_weights_of_other_windows_are_refused_unless_the_model_says_what_they_were_trained_with() -> None:
    small: Any = filled(build_model("swinv2_t", num_classes=0, **TINY))
    with pytest.raises(WeightsError, match="trained with windows of 4 tokens"):
        fit_state(
            build_model("swinv2_t", num_classes=0, **TINY | {"window": 8, "image_size": 64}), small.state_dict(), "x"
        )
    larger = build_model(
        "swinv2_t", num_classes=0, **TINY | {"window": 8, "image_size": 64, "pretrained_windows": (4, 4)}
    )
    report, _ = fit_state(larger, small.state_dict(), "x")
    assert not report.missing
    assert all(name.endswith("relative_coords_table") for name in report.dropped)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pretrained_windows": (12,)}, "1 sizes"),
        ({"head_width": 20}, "not divisible"),
        ({"depths": (2, 0)}, "1 or more"),
    ],
)
def test_shapes_that_mean_nothing_are_refused_in_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_model("swinv2_t", **TINY | options)
