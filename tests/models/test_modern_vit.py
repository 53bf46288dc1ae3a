"""ViTs of after 2021 against what their papers say, written out in float64; their sizes against those published."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.layers.feed_forward import GatedMlp, quick_gelu
from vitrail.layers.modern_attention import ModernAttention
from vitrail.layers.positions import resize_positions
from vitrail.layers.relative_position import RelativeBias, spread_bias_table
from vitrail.layers.rope import rotate, rotation
from vitrail.models.cost import cost
from vitrail.models.modern_sizes import SIZES

TINY: dict[str, Any] = {"width": 32, "depth": 2, "num_heads": 2, "patch_size": 8, "image_size": 32, "num_classes": 0}
KINDS = {
    "deit": ("deit_ti16_distilled", {}),
    "deit III": ("deit3_s16", {}),
    "beit": ("beit_b16", {}),
    "beit, shared": ("beit_b16", {"relative_bias": "shared"}),
    "dinov2": ("dinov2_vit_s14", {}),
    "registers": ("dinov2_vit_s14_reg", {}),
    "giant": ("dinov2_vit_giant14", {}),
    "dinov3": ("dinov3_vit_s16", {}),
    "dinov3, gated": ("dinov3_vit_s16_plus", {"qk_norm": True}),
    "clip": ("clip_vit_b16", {}),
    "siglip": ("siglip_vit_b16", {}),
}
each = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def tiny(kind: str, **options: Any) -> Any:
    name, own = KINDS[kind]
    model = build_model(name, **TINY | own | options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def images(height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(4))


def test_rotary_positions_turn_each_pair_of_channels_by_its_coordinate_as_a_loop_does() -> None:
    (h, w), width, prefix = (2, 3), 8, 2
    heads = torch.randn(1, prefix + h * w, 2, width, dtype=torch.float64)
    expected = heads.clone()
    for token in range(h * w):
        y, x = (2 * (token // w + 0.5) / h - 1, 2 * (token % w + 0.5) / w - 1)
        for pair in range(width // 2):
            coordinate, index = (y, pair) if pair < width // 4 else (x, pair - width // 4)
            angle = 2 * math.pi * coordinate / 100 ** (4 * index / width)
            one, other = heads[0, prefix + token, :, pair], heads[0, prefix + token, :, pair + width // 2]
            expected[0, prefix + token, :, pair] = one * math.cos(angle) - other * math.sin(angle)
            expected[0, prefix + token, :, pair + width // 2] = other * math.cos(angle) + one * math.sin(angle)
    torch.testing.assert_close(rotate(heads, rotation((h, w), width)), expected, rtol=0, atol=1e-5)


def test_the_centre_of_an_image_is_not_turned_and_opposite_patches_are_turned_the_other_way() -> None:
    centre = rotation((1, 1), 8)
    assert torch.equal(centre.cos, torch.ones(1, 8))
    wide = rotation((3, 5), 8)
    torch.testing.assert_close(wide.sin, -wide.sin.flip(0))
    torch.testing.assert_close(wide.cos[7], torch.ones(8))


def test_a_gated_mlp_multiplies_values_by_the_silu_of_the_gate_which_comes_first() -> None:
    mlp = GatedMlp(6, 10).double()
    tokens = torch.randn(3, 6, dtype=torch.float64)
    gate = tokens @ mlp.fc1.weight[:10].T + mlp.fc1.bias[:10]
    values = tokens @ mlp.fc1.weight[10:].T + mlp.fc1.bias[10:]
    expected = (gate / (1 + (-gate).exp()) * values) @ mlp.fc2.weight.T + mlp.fc2.bias
    torch.testing.assert_close(mlp(tokens), expected)


def test_quick_gelu_is_openais() -> None:
    values = torch.linspace(-5, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(quick_gelu(values), values / (1 + (-1.702 * values).exp()))


@pytest.mark.parametrize("qkv_bias", ["all", "query_value", "none"])
@pytest.mark.parametrize("turns", [False, True])
@torch.no_grad()
def test_attention_with_every_variant_is_a_loop_over_heads_and_queries(qkv_bias: Any, turns: bool) -> None:
    attention = ModernAttention(16, 2, qkv_bias, qk_norm=True, norm_eps=1e-5).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tokens, bias = torch.randn(1, 7, 16, dtype=torch.float64), torch.randn(1, 2, 7, 7, dtype=torch.float64)
    turned = rotation((2, 3), 8) if turns else None
    added = torch.zeros(48, dtype=torch.float64)
    if qkv_bias == "all":
        added = attention.qkv.bias
    elif qkv_bias == "query_value":
        added = torch.cat([attention.q_bias, torch.zeros(16, dtype=torch.float64), attention.v_bias])
    q, k, v = (tokens @ attention.qkv.weight.T + added).view(1, 7, 3, 2, 8).unbind(2)
    q, k = (_normed(t, norm) for t, norm in ((q, attention.q_norm), (k, attention.k_norm)))
    if turned is not None:
        q, k = rotate(q, turned), rotate(k, turned)
    mixed = torch.zeros(1, 7, 16, dtype=torch.float64)
    for head in range(2):
        for query in range(7):
            scores = torch.stack([q[0, query, head] @ k[0, key, head] / 8**0.5 for key in range(7)])
            weights = (scores + bias[0, head, query]).softmax(0)
            mixed[0, query, 8 * head : 8 * head + 8] = weights @ v[0, :, head]
    expected = mixed @ attention.proj.weight.T + attention.proj.bias
    torch.testing.assert_close(attention(tokens, bias, turned), expected, atol=1e-7, rtol=1e-6)


def _normed(heads: Tensor, norm: Any) -> Tensor:
    centred = heads - heads.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def test_keys_get_no_bias_where_queries_and_values_alone_have_one() -> None:
    attention = ModernAttention(8, 2, "query_value")
    torch.nn.init.ones_(attention.q_bias)
    torch.nn.init.ones_(attention.v_bias)
    q, k, v = attention.prepared_qkv(torch.zeros(1, 1, 8), None).chunk(3, dim=-1)
    assert (q.sum().item(), k.abs().sum().item(), v.sum().item()) == (8, 0, 8)


def test_positions_of_dinov2_are_displaced_by_a_tenth_of_a_patch() -> None:
    table = torch.randn(1, 17, 6)
    image = table[:, 1:].reshape(1, 4, 4, 6).permute(0, 3, 1, 2)
    expected = F.interpolate(image, scale_factor=(3.1 / 4, 6.1 / 4), mode="bicubic")
    found = resize_positions(table, (4, 4), (3, 6), prefix=1, mode="dinov2")
    assert torch.equal(found[:, 1:], expected.permute(0, 2, 3, 1).flatten(1, 2))
    assert torch.equal(found[:, :1], table[:, :1])


def test_a_table_of_biases_is_spread_over_more_offsets_and_keeps_what_it_says_of_the_nearest() -> None:
    old, new = (3, 4), (6, 9)
    table = torch.randn((2 * 3 - 1) * (2 * 4 - 1), 2)
    spread = spread_bias_table(table, old, new).view(11, 17, 2)
    known = table.view(5, 7, 2)
    torch.testing.assert_close(spread[5, 8], known[2, 3])  # the same place
    torch.testing.assert_close(spread[4:7, 7:10], known[1:4, 2:5])  # one patch away
    torch.testing.assert_close(spread[0, 0], known[0, 0], atol=1e-4, rtol=1e-4)  # the farthest


def test_a_class_tokens_biases_stay_as_they_are_in_another_grid() -> None:
    relative = RelativeBias((2, 2), 1, 3, "geometric")
    assert torch.equal(relative.table_for((4, 5))[-3:], relative.relative_position_bias_table[-3:])


@torch.no_grad()
def test_two_heads_average_what_they_score_of_class_and_distillation_token() -> None:
    model: Any = build_model("deit_ti16_distilled", **TINY | {"num_classes": 5}).eval()
    tokens = model.backbone.forward_features(images())
    expected = (model.head(tokens[:, 0]) + model.head_dist(tokens[:, 1])) / 2
    torch.testing.assert_close(model(images()), expected)
    torch.testing.assert_close(model.backbone.embed(images()), (tokens[:, 0] + tokens[:, 1]) / 2)
    model.replace_head(3)
    assert model(images()).shape == (2, 3)
    assert model.head_dist.out_features == 3


@each
@torch.no_grad()
def test_registers_and_tokens_before_the_grid_take_no_part_in_maps(kind: str) -> None:
    model = tiny(kind)
    (image_map,) = model.feature_maps(images())
    patches = model.forward_features(images())[:, model.prefix_tokens :]
    assert torch.equal(image_map, patches.transpose(1, 2).reshape(2, 32, 4, 6))


@each
def test_cost_counts_what_torch_counts_of_products(kind: str) -> None:
    model = tiny(kind)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        model(images(32, 32)[:1])
    assert counted.get_total_flops() / 2 == cost(model).multiply_accumulates


@each
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_model_computes_the_same_at_another_size_than_its_own(kind: str) -> None:
    model = tiny(kind)
    with torch.no_grad():
        traced = torch.jit.trace(model, (images(),), check_trace=False)
        torch.testing.assert_close(traced(images()), model(images()))


PARAMETERS = {  # in millions, without a head
    "dinov2_vit_s14": 22.06,
    "dinov2_vit_b14": 86.58,
    "dinov2_vit_l14": 304.37,
    "dinov2_vit_giant14": 1136.48,
    "dinov3_vit_s16": 21.60,
    "dinov3_vit_s16_plus": 28.69,
    "dinov3_vit_b16": 85.66,
    "dinov3_vit_l16": 303.13,
    "dinov3_vit_h16_plus": 840.59,
    "dinov3_vit_7b16": 6716.03,
    "siglip_vit_b16": 92.88,
    "siglip_vit_so400m14": 428.23,
    "clip_vit_b16": 85.80,
}
"""The papers' tables round them: DINOv2 21, 86, 300 and 1,100; DINOv3 21, 29, 86, 300, 840 and 6,716; So400m 428."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_whole_models_have_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes=0)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert millions == pytest.approx(PARAMETERS[name], rel=2e-3)


@pytest.mark.parametrize("name", ["dinov2_vit_giant14", "dinov3_vit_7b16"])
def test_giants_run_whole_without_memory_and_are_counted(name: str) -> None:
    with torch.device("meta"):
        model: Any = build_model(name, num_classes=0)
    size = (SIZES[name].patch_size * 3, SIZES[name].patch_size * 5)
    tokens = model.forward_features(torch.empty(1, 3, *size, device="meta"))
    assert tokens.shape == (1, SIZES[name].prefix_tokens + 15, SIZES[name].width)
    assert cost(model, size).tokens == tokens.shape[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"class_token": False}, "needs class_token=True"),
        ({"distillation_token": True, "pool": "mean"}, 'use pool "class"'),
        ({"relative_bias": "shared", "registers": 2}, "knows one class token"),
        ({"positions": "rotary", "width": 12, "num_heads": 2}, "divisible by 4"),
        ({"registers": -1}, "registers must be 0 or more"),
        ({"mlp": "relu"}, "mlp"),
    ],
)
def test_shapes_that_mean_nothing_are_refused_in_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_model("deit3_s16", **TINY | options)
