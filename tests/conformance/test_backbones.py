"""Every backbone keeps the contract of `vitrail.models.backbone`, carries every head and learns by every objective."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import record_attention
from vitrail.heads.dense import dense_options
from vitrail.heads.names import build_model
from vitrail.heads.partial_fine_tuning import PartialFineTuning
from vitrail.heads.registry import HEADS, encoders_of, head_for, heads_of, put_head
from vitrail.models.backbone import Backbone, backbone_of, freeze
from vitrail.models.cost import cost
from vitrail.settings import Dense, PretrainSettings
from vitrail.tasks.recipes import RECIPES
from vitrail.weights.load import load_weights

VIT: dict[str, Any] = {"patch_size": 8, "width": 32, "depth": 4, "num_heads": 2}
SWIN: dict[str, Any] = {"embed_width": 32, "depths": (1, 2, 1, 1), "window": 4}
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_ti16", VIT),
    "vit without class token": ("vit_ti16", VIT | {"class_token": False, "pool": "mean"}),
    "vit, attention pooling": ("vit_ti16", VIT | {"pool": "attention"}),
    "vit, sincos_2d": ("vit_ti16", VIT | {"positions": "sincos_2d"}),
    "vit, learned_2d before every block": ("vit_ti16", VIT | {"positions": "learned_2d", "positions_at": "layers"}),
    "vit, relative keys": ("vit_ti16", VIT | {"positions": "relative", "positions_at": "layers_shared"}),
    "vit, relative biases": ("vit_ti16", VIT | {"positions": "relative_bias"}),
    "vit without positions": ("vit_ti16", VIT | {"positions": "none"}),
    "swin": ("swin_t", SWIN),
    "swin, absolute positions": ("swin_t", SWIN | {"positions": "absolute", "small_maps": "shrink"}),
    "deit, distilled": ("deit_ti16_distilled", VIT),
    "deit III": ("deit3_s16", VIT),
    "beit": ("beit_b16", VIT),
    "beit, shared biases": ("beit_b16", VIT | {"relative_bias": "shared", "positions": "learned"}),
    "dinov2, registers and a gate": ("dinov2_vit_giant14_reg", VIT),
    "dinov2, class token and mean": ("dinov2_vit_s14", VIT | {"pool": "class_mean"}),
    "dinov3": ("dinov3_vit_s16", VIT),
    "dinov3, mean of normalised tokens": ("dinov3_vit_s16_plus", VIT | {"pool": "norm_mean", "qk_norm": True}),
    "clip": ("clip_vit_b16", VIT),
    "siglip": ("siglip_vit_b16", VIT),
    "swin v2": ("swinv2_t", SWIN),
    "swin v2, tuned": ("swinv2_b_256", SWIN),
    "bit": ("bit_r50x1", {"depths": (1, 1, 1, 1)}),
    "hybrid": ("r_vit_ti16", {"width": 32, "depth": 2, "num_heads": 2}),
}
SHAPES = ("vit", "vit without class token", "swin", "bit", "hybrid", "dinov3", "deit, distilled", "swin v2")
"""One of each shape: what stands on a backbone sees no more of it."""

SMALL_HEAD = Dense(width=32, hidden=32, anchor_size=4, proposals=20, regions=8, queries=5, layers=1)
SIDE = 64


@functools.cache
def built(kind: str) -> Backbone:
    name, options = BACKBONES[kind]
    torch.manual_seed(0)
    backbone = backbone_of(build_model(name, num_classes=0, image_size=SIDE, **options)).eval()
    for parameter in backbone.parameters():
        if not parameter.any():  # a Swin V2 begins as the identity, and would hide what its blocks do
            nn.init.normal_(parameter, std=0.1)
    return backbone


def images(height: int = SIDE, width: int = SIDE, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


every = pytest.mark.parametrize("kind", BACKBONES)
each_shape = pytest.mark.parametrize("kind", SHAPES)


@every
@pytest.mark.parametrize("size", [(SIDE, SIDE), (33, 75), (9, 1)])
@torch.no_grad()
def test_images_of_any_size_give_a_vector_and_maps_of_the_strides(kind: str, size: tuple[int, int]) -> None:
    backbone, given = built(kind), images(*size)
    assert backbone.embed(given).shape == backbone(given).shape == (2, backbone.width)
    assert len(backbone.forward_features(given)) == 2
    maps = backbone.feature_maps(given)
    expected = [
        (2, channels, *(-(-side // stride) for side in size))
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert [tuple(level.shape) for level in maps] == expected
    assert backbone.is_plain == (len(maps) == 1)


@every
@torch.no_grad()
def test_a_map_after_any_block_can_be_had(kind: str) -> None:
    backbone, given = built(kind), images(33, 75)
    after = backbone.feature_maps(given, range(backbone.depth))
    assert len(after) == backbone.depth
    assert len({tuple(level.shape) for level in after}) == len(backbone.strides)
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(after))


@every
@pytest.mark.parametrize("inner", [False, True], ids=["maps", "maps of all blocks"])
def test_exactly_what_is_said_to_have_no_part_in_maps_gets_no_gradient(kind: str, inner: bool) -> None:
    backbone = copy.deepcopy(built(kind))
    after = range(backbone.depth) if inner else ()
    sum(level.square().sum() for level in backbone.feature_maps(images(), after)).backward()  # type: ignore[union-attr]
    dead = {name for name, tensor in backbone.named_parameters() if tensor.requires_grad and tensor.grad is None}
    assert dead == set(backbone.without_part_in_maps(after))


@every
@torch.no_grad()
def test_an_image_is_described_alike_whatever_its_batch_and_none_gives_none(kind: str) -> None:
    backbone, given = built(kind).double(), images(40, 56).double()
    both = backbone.embed(given)
    alone = torch.cat([backbone.embed(one[None]) for one in given])
    torch.testing.assert_close(both, alone)
    assert backbone.embed(given[:0]).shape == (0, backbone.width)
    backbone.float()


@every
@torch.no_grad()
def test_a_forward_pass_changes_no_state(kind: str) -> None:
    backbone = copy.deepcopy(built(kind)).train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    first = backbone.embed(images())
    backbone.feature_maps(images(33, 75))
    assert torch.equal(backbone.embed(images()), first)
    after = backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@every
def test_every_parameter_has_a_layer_and_every_layer_a_parameter(kind: str) -> None:
    backbone = built(kind)
    layers = {name: backbone.layer_of(name) for name, _ in backbone.named_parameters()}
    assert set(layers.values()) == set(range(backbone.depth + 2))
    assert backbone.no_weight_decay() <= layers.keys()


@every
def test_freezing_leaves_exactly_the_layers_above(kind: str) -> None:
    backbone = copy.deepcopy(built(kind))
    freeze(backbone, 2)
    learning = {backbone.layer_of(name) for name, tensor in backbone.named_parameters() if tensor.requires_grad}
    assert learning == set(range(2, backbone.depth + 2))


@every
@torch.no_grad()
def test_attention_is_recorded_of_every_layer_there_is_and_changes_no_answer(kind: str) -> None:
    backbone, given = built(kind), images(33, 75)
    if not backbone.attention_layers():
        with pytest.raises(ConfigError, match="attention"), record_attention(backbone):
            pass
        return
    assert len(backbone.attention_layers()) == backbone.depth
    plain = backbone.embed(given)
    with record_attention(backbone) as recording:
        torch.testing.assert_close(backbone.embed(given), plain)
    assert list(recording) == list(range(backbone.depth))
    for weights in recording.values():
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    assert all(layer.observe is None for layer in backbone.attention_layers())


@every
def test_windows_cover_the_map_of_every_stage(kind: str) -> None:
    backbone = built(kind)
    windows = backbone.windows(33, 75)
    assert bool(windows) == backbone.has_windows
    for stage, stride in zip(windows, backbone.strides, strict=False):
        assert {(partition.h, partition.w) for partition in stage} == {(-(-33 // stride), -(-75 // stride))}
    assert sum(map(len, windows)) in (0, backbone.depth)


@every
def test_cost_counts_every_parameter_and_grows_with_the_image(kind: str) -> None:
    backbone = built(kind)
    small, large = cost(backbone, (33, 75)), cost(backbone, (66, 150))
    assert small.parameters == sum(tensor.numel() for tensor in backbone.parameters())
    assert 0 < small.multiply_accumulates < large.multiply_accumulates
    grid = backbone.token_grid(33, 75)
    assert small.tokens == (0 if grid is None else grid[0] * grid[1] + backbone.prefix_tokens)


@every
@torch.no_grad()
def test_weights_come_back_from_a_file_as_they_were(kind: str, tmp_path: Path) -> None:
    backbone, file = built(kind), tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}, file)
    torch.manual_seed(9)
    name, options = BACKBONES[kind]
    other = backbone_of(build_model(name, num_classes=0, image_size=SIDE, **options)).eval()
    report = load_weights(other, file)
    assert not report.missing
    assert not report.dropped
    assert not report.resized
    assert torch.equal(other.embed(images()), backbone.embed(images()))


@every
@pytest.mark.parametrize("blocks", [0, 0.5, 1])
@torch.no_grad()
def test_a_backbone_that_can_be_cut_in_two_computes_the_same_in_two_parts(kind: str, blocks: float) -> None:
    name, options = BACKBONES[kind]
    model: Any = build_model(name, num_classes=3, image_size=SIDE, **options).eval()
    if not built(kind).splits_between_blocks:
        with pytest.raises(ConfigError, match="tune_blocks"):
            PartialFineTuning(model, blocks, (SIDE, SIDE))
        return
    cut = PartialFineTuning(model, blocks, (SIDE, SIDE))
    assert torch.equal(cut.tuned(cut.frozen(images())), model(images()))


@each_shape
@pytest.mark.parametrize("head", heads_of("segment"))
@torch.no_grad()
def test_every_segmentation_head_scores_every_pixel_or_says_why_not(kind: str, head: str) -> None:
    backbone = copy.deepcopy(built(kind))
    dense = dataclasses.replace(SMALL_HEAD, head=head)
    if head == "setr_mla" and not backbone.is_plain:
        with pytest.raises(ConfigError, match="one stride"):
            put_head(backbone, dense.head, dense_options(dense, 3))
        return
    model = put_head(backbone, dense.head, dense_options(dense, 3)).eval()
    assert model(images(40, 56)).shape == (2, 3, 40, 56)
    _check_layers(model, backbone)


@each_shape
@pytest.mark.parametrize("head", heads_of("detect"))
@torch.no_grad()
def test_every_detection_head_finds_objects_within_the_image(kind: str, head: str) -> None:
    backbone = copy.deepcopy(built(kind))
    model = put_head(backbone, head, dense_options(SMALL_HEAD, 3)).eval()
    (found,) = model(images(64, 96, count=1), [(64, 96)])
    assert len(found.scores) == len(found.classes) == len(found)
    assert not len(found) or (found.boxes.amin() >= 0 and found.boxes.amax() <= 96)
    assert bool(found.masks is not None) == model.finds_masks
    _check_layers(model, backbone)


def _check_layers(model: Any, backbone: Backbone) -> None:
    for name, _ in model.named_parameters():
        assert 0 <= model.layer_of(name) <= backbone.depth + 1
    assert {f"backbone.{name}" for name in backbone.no_weight_decay()} <= {
        name.removeprefix("pyramid.") for name in model.no_weight_decay()
    }


@each_shape
@pytest.mark.parametrize("objective", [name for name, head in HEADS.items() if head.pretrains])
def test_every_objective_teaches_each_encoder_it_can(kind: str, objective: str) -> None:
    name, options = BACKBONES[kind]
    if name not in encoders_of(objective):
        with pytest.raises(ConfigError, match="no model"):
            build_model(f"{objective}_{name}", **options)
        return
    own = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2} if objective == "mae" else {}
    torch.manual_seed(0)
    model: Any = build_model(f"{objective}_{name}", image_size=SIDE, **options, **own)
    loss = _loss(model, objective)
    loss.backward()
    assert loss.isfinite()
    unused = ("attn_pool.", "fc_norm.") if objective != "mae" else ("attn_pool.",)
    dead = {
        parameter
        for parameter, tensor in model.encoder.named_parameters()
        if tensor.requires_grad and tensor.grad is None and not parameter.startswith(unused)
    }
    assert not dead


def _loss(model: Any, objective: str) -> Tensor:
    if objective != "mpp":
        return model.loss(images())
    mask = torch.zeros(2, 64, dtype=torch.bool)
    mask[:, ::2] = True
    source = torch.where(mask, -1, torch.arange(64))
    return model.loss(images(), images().sigmoid(), mask, source)


RECIPE_NAMES = [(kind, name) for kind, recipes in RECIPES.items() for name in recipes]


@pytest.mark.parametrize(("kind", "name"), RECIPE_NAMES, ids=[name for _, name in RECIPE_NAMES])
def test_the_model_of_every_recipe_can_be_built(kind: type, name: str) -> None:
    settings = RECIPES[kind][name]
    with torch.device("meta"):
        model = _model_of(settings)
    assert sum(tensor.numel() for tensor in model.parameters()) > 0


def _model_of(settings: Any) -> nn.Module:
    options = {key: value for key, value in dataclasses.asdict(settings.architecture).items() if value is not None}
    options["image_size"] = settings.image_size or 224
    name = "vit_ti16" if settings.model == "auto" else settings.model
    if isinstance(settings, PretrainSettings):
        return build_model(f"{settings.objective}_{name}", **options)
    if settings.task == "classify":
        return build_model(name, **options)
    backbone = backbone_of(build_model(name, num_classes=0, **options))
    return put_head(backbone, head_for(settings.task, settings.dense.head), dense_options(settings.dense, 3))


@every
@torch.no_grad()
def test_the_rest_of_the_model_over_its_last_map_is_its_answer(kind: str) -> None:
    backbone, given = built(kind), images(33, 75)
    places, rest = backbone.last_map(given)
    assert places.ndim == 4
    torch.testing.assert_close(rest(places), backbone.head_input(given))


@every
def test_every_place_of_the_last_map_has_a_part_in_the_answer(kind: str) -> None:
    places, rest = built(kind).last_map(images())
    (gradient,) = torch.autograd.grad(rest(places).sin().sum(), places)
    assert gradient.abs().sum(dim=1).min() > 0


@every
@torch.no_grad()
def test_patches_that_are_taken_out_are_not_seen_and_their_order_does_not_matter(kind: str) -> None:
    backbone, given = built(kind), images(32, 48)
    grid = backbone.token_grid(32, 48)
    if not backbone.can_leave_patches_out:
        with pytest.raises(ConfigError, match="fill"):
            backbone.head_input_visible(given, torch.zeros(2, 1, 1, dtype=torch.int64))
        return
    assert grid is not None
    count = grid[0] * grid[1]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(3))
    whole = torch.stack([torch.arange(count), order]).expand(2, 2, count)
    answer = backbone.head_input(given)
    torch.testing.assert_close(backbone.head_input_visible(given, whole), torch.stack([answer, answer], dim=1))
    some = torch.tensor([[[1, 3, 8], [2, 0, 9]], [[5, 1, 2], [7, 6, 4]]])
    seen = backbone.head_input_visible(given, some)
    other, side = given.clone(), backbone.strides[0]
    for number in set(range(count)) - {1, 3, 8}:
        top, left = number // grid[1] * side, number % grid[1] * side
        other[0, :, top : top + side, left : left + side] += 1
    torch.testing.assert_close(backbone.head_input_visible(other, some)[0, 0], seen[0, 0])
    assert not torch.allclose(backbone.head_input_visible(other, some)[0, 1], seen[0, 1])
    if not backbone.pools_class_token:
        with pytest.raises(ConfigError, match="all of them"):
            backbone.head_input_visible(given, torch.zeros(2, 1, 0, dtype=torch.int64))


@every
@torch.no_grad()
def test_filters_positions_and_biases_have_the_shapes_of_the_model(kind: str) -> None:
    backbone = built(kind)
    filters = backbone.input_filters()
    assert filters.ndim == 4
    assert filters.shape[1] == 3
    table, grid = backbone.position_table(33, 75), backbone.token_grid(33, 75)
    if table is not None:
        assert grid is not None
        assert table.shape[1] == grid[0] * grid[1]
        assert len(table) in (1, backbone.depth)
    for bias, attention in zip(backbone.position_biases(), backbone.attention_layers(), strict=False):
        assert len(bias) == attention.num_heads
    shares = backbone.pooled_shares(6)
    if shares is not None:
        assert len(shares) == backbone.prefix_tokens + 6
        assert float(shares.sum()) == pytest.approx(1)
        assert backbone.pools_class_token == (shares[backbone.prefix_tokens :].sum() == 0)
    turns = backbone.rotary_turns()
    assert turns is None or turns[0] == turns.max() == 1
