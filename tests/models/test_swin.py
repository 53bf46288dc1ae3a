import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.layers.loops import attention_by_loops
from tests.weights.random_weights import randomise
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model, canonical_name, list_models
from vitrail.layers.window_layout import Partition
from vitrail.models.cost import cost
from vitrail.models.swin import SIZES, Swin, SwinConfig

SMALL = SwinConfig((32, 32), patch_size=2, embed_width=8, depths=(2, 2), head_width=4, window=(4, 4))


def swin(config: SwinConfig = SMALL, seed: int = 0) -> Swin:
    model = randomise(Swin(config), seed)
    assert isinstance(model, Swin)
    return model


def random_images(*sizes: int, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, *sizes, generator=torch.Generator().manual_seed(seed))


def swin_by_loops(model: Swin, images: Tensor) -> list[Tensor]:
    """Equations 3 and 4, one image and one window at a time: the maps ``(B, h, w, D)`` of all stages."""
    config = model.config
    patch = config.patch_size
    padded = F.pad(images, (0, -images.shape[3] % patch, 0, -images.shape[2] % patch))
    kernel = model.patch_embed.proj
    image = F.conv2d(padded, kernel.weight, kernel.bias, stride=patch).permute(0, 2, 3, 1)
    image = model.patch_embed.norm(image)
    if model.absolute_pos_embed is not None:
        h, w = image.shape[1:3]
        assert (h * patch, w * patch) == config.image_size
        image = image + model.absolute_pos_embed.view(1, h, w, -1)
    maps = []
    for stage in model.layers:
        for i, block in enumerate(stage.blocks):
            h, w = image.shape[1:3]
            window_h, window_w = config.window
            shifts = i % 2 == 1 and config.shift
            shift_h = window_h // 2 if shifts and h > window_h else 0
            shift_w = window_w // 2 if shifts and w > window_w else 0
            partition = Partition(h, w, window_h, window_w, shift_h, shift_w)
            normed = block.norm1(image)
            image = image + torch.stack([attention_by_loops(block.attn, one, partition) for one in normed])
            image = image + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(image))))
        maps.append(image)
        if stage.downsample is not None:
            h, w = image.shape[1:3]
            even = F.pad(image, (0, 0, 0, w % 2, 0, h % 2))
            corners = [even[:, 0::2, 0::2], even[:, 1::2, 0::2], even[:, 0::2, 1::2], even[:, 1::2, 1::2]]
            image = stage.downsample.reduction(stage.downsample.norm(torch.cat(corners, dim=-1)))
    return maps


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from(["relative", "absolute", "both", "none", "relative_alone"]),
    st.booleans(),
    st.sampled_from([(1,), (2, 1), (1, 2, 2)]),
)
def test_maps_of_all_stages_equal_loops_in_float64(height, width, window, positions, shift, depths):
    size = (-(-height // 2) * 2, -(-width // 2) * 2)
    config = SwinConfig(size, 2, 3, 8, depths, 4, window, 2.0, positions, shift)
    model = swin(config).double()
    images = random_images(height, width).double()
    expected = swin_by_loops(model, images)
    for ours, theirs in zip(model.feature_maps(images), expected, strict=True):
        torch.testing.assert_close(ours.permute(0, 2, 3, 1), theirs, rtol=1e-9, atol=1e-9)
    last = model.norm(expected[-1])
    torch.testing.assert_close(model.forward_features(images), last, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.embed(images), last.mean(dim=(1, 2)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("swin_t", 28_288_354), ("swin_s", 49_606_258), ("swin_b", 87_768_224), ("swin_l", 196_532_476)],
)
def test_parameters_are_as_many_as_published(name, parameters):
    with torch.device("meta"):
        model = build_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("name", "millions"), [("swin_b_384", 87.90), ("swin_l_384", 196.74)])
def test_at_384_pixels_tables_are_for_windows_of_12(name, millions):
    with torch.device("meta"):
        model = build_model(name)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == millions
    assert model.backbone.layers[0].blocks[0].attn.relative_position_bias_table.shape[0] == 529


@pytest.mark.parametrize(
    ("name", "billions"),
    # The README of Microsoft's repository; it counts multiply-accumulates.
    [("swin_t", 4.5), ("swin_s", 8.7), ("swin_b", 15.4), ("swin_l", 34.5), ("swin_b_384", 47.1), ("swin_l_384", 103.9)],
)
def test_an_image_costs_as_much_as_published(name, billions):
    with torch.device("meta"):
        model = build_model(name)
    assert round(cost(model).multiply_accumulates / 1e9, 1) == billions


def test_cost_grows_with_the_number_of_pixels_as_equation_2_says():
    with torch.device("meta"):
        model = build_model("swin_t", num_classes=0)
    for size in (224, 448, 1120):
        places, width = (size // 4) ** 2, 96
        expected = places * width * 48
        for stage, depth in enumerate((2, 2, 6, 2)):
            attention = 4 * places * width**2 + 2 * 7**2 * places * width
            expected += depth * (attention + 8 * places * width**2)
            if stage < 3:
                places, width = places // 4, 2 * width
                expected += places * 2 * width * width
        assert cost(model, size).multiply_accumulates == expected


def test_padding_costs_attention_alone():
    with torch.device("meta"):
        model = build_model("swin_t", num_classes=0)
    places = {size: cost(model, size).multiply_accumulates / size**2 for size in (224, 256, 1024)}
    assert places[256] < 1.05 * places[224]
    assert places[1024] < 1.02 * places[224]


def test_a_size_used_between_leaves_no_trace_bit_for_bit():
    model = build_model("swin_t", num_classes=5, depths=(1, 2, 1, 1)).eval()
    before = copy.deepcopy(model.state_dict())
    images = random_images(224, 224, batch=1)
    with torch.no_grad():
        first = model(images)
        model(random_images(160, 256, batch=1))
        again = model(images)
    assert again.equal(first)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (31, 33), (224, 36)])
def test_any_height_and_width_gives_maps_rounded_up(size):
    model = swin(SwinConfig((32, 32), embed_width=8, depths=(2, 2, 1), head_width=4))
    maps = model.feature_maps(random_images(*size))
    assert model.strides == (4, 8, 16)
    assert model.channels == (8, 16, 32)
    for image, stride, channels in zip(maps, model.strides, model.channels, strict=True):
        assert image.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))
        assert torch.isfinite(image).all()


def test_each_image_of_a_batch_is_seen_alone():
    model = swin()
    images = random_images(30, 22, batch=3)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-5, atol=1e-5)


def test_evaluation_with_dropout_configured_is_deterministic():
    config = SwinConfig((32, 32), 2, 3, 8, (2, 2), 4, (4, 4), dropout=0.5, attention_dropout=0.5, drop_path=0.5)
    model = swin(config)
    assert model(random_images(32, 32)).equal(model(random_images(32, 32)))
    model.train()
    assert not model(random_images(32, 32)).equal(model(random_images(32, 32)))


def test_the_state_holds_parameters_only_under_microsofts_names():
    model = swin()
    names = set(model.state_dict())
    assert names == {name for name, _ in model.named_parameters()}
    assert not list(model.buffers())
    model(random_images(32, 32))
    assert set(model.state_dict()) == names
    assert {
        "patch_embed.proj.weight",
        "patch_embed.norm.weight",
        "layers.0.blocks.1.norm1.weight",
        "layers.0.blocks.1.attn.relative_position_bias_table",
        "layers.0.blocks.1.attn.qkv.bias",
        "layers.0.blocks.1.mlp.fc2.weight",
        "layers.0.downsample.reduction.weight",
        "layers.0.downsample.norm.bias",
        "norm.weight",
    } <= names


def test_switches_change_exactly_the_parameters_they_should():
    tables = "relative_position_bias_table"

    def names(**options):
        return set(swin(SwinConfig((32, 32), 2, 3, 8, (2, 2), 4, (4, 4), **options)).state_dict())

    default = names()
    without = {name for name in default if not name.endswith(tables)}
    assert names(positions="none") == without
    assert names(positions="absolute") == without | {"absolute_pos_embed"}
    assert names(positions="both") == default | {"absolute_pos_embed"}
    assert names(positions="relative_alone") == default
    assert names(shift=False) == default


def test_without_shift_a_stage_never_looks_beyond_its_windows():
    model = swin(SwinConfig((16, 16), 2, 3, 8, (2,), 4, (4, 4), shift=False))
    images = random_images(16, 16).requires_grad_()
    model.feature_maps(images)[0][:, :, :4, :4].square().sum().backward()
    reached = images.grad.abs().sum(dim=(0, 1)) > 0
    assert reached[:8, :8].all()
    assert not reached[8:].any()
    assert not reached[:, 8:].any()


def test_absolute_positions_are_fitted_to_other_sizes():
    model = swin(SwinConfig((32, 32), 2, 3, 8, (2, 2), 4, (4, 4), positions="both"))
    assert model(random_images(20, 50)).isfinite().all()


def test_shrinking_windows_is_the_same_where_no_map_is_smaller_than_a_window():
    model = swin()
    shrinking = Swin(SwinConfig((32, 32), 2, 3, 8, (2, 2), 4, (4, 4), small_maps="shrink")).eval()
    shrinking.load_state_dict(model.state_dict())
    assert model(random_images(32, 32)).equal(shrinking(random_images(32, 32)))
    # 10 x 6 patches, then 5 x 3: only now does the rule take hold.
    assert not model(random_images(20, 12)).allclose(shrinking(random_images(20, 12)))


def test_shrinking_windows_gives_tables_that_fit_the_image_size():
    model = Swin(SwinConfig((24, 16), 2, 3, 8, (2, 2), 4, (7, 7), small_maps="shrink"))
    assert [stage.window for stage in model.layers] == [(7, 7), (4, 4)]
    tables = [stage.blocks[0].attn.relative_position_bias_table for stage in model.layers]
    assert [len(table) for table in tables] == [169, 49]


def test_layers_are_counted_through_the_stages():
    model = swin(SwinConfig((32, 32), 2, 3, 8, (2, 3), 4, (4, 4), positions="both"))
    expected = {
        "patch_embed.norm.weight": 0,
        "absolute_pos_embed": 0,
        "layers.0.blocks.0.norm1.weight": 1,
        "layers.0.blocks.1.attn.qkv.weight": 2,
        "layers.0.downsample.reduction.weight": 2,
        "layers.1.blocks.0.mlp.fc1.weight": 3,
        "layers.1.blocks.2.mlp.fc1.weight": 5,
        "norm.weight": 6,
    }
    assert {name: model.layer_of(name) for name in expected} == expected
    assert model.depth == 5
    assert {model.layer_of(name) for name, _ in model.named_parameters()} == set(range(7))


def test_tables_and_positions_do_not_decay():
    model = swin(SwinConfig((32, 32), 2, 3, 8, (1, 1), 4, (4, 4), positions="both"))
    assert model.no_weight_decay() == {
        "absolute_pos_embed",
        "layers.0.blocks.0.attn.relative_position_bias_table",
        "layers.1.blocks.0.attn.relative_position_bias_table",
    }


def test_drop_path_rises_over_all_stages():
    model = Swin(SwinConfig((32, 32), 2, 3, 8, (2, 3), 4, (4, 4), drop_path=0.4))
    rates = [block.drop_path for stage in model.layers for block in stage.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_every_parameter_learns():
    model = swin(SwinConfig((32, 32), 2, 3, 8, (2, 2), 4, (4, 4), positions="both")).train()
    model(random_images(30, 34)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_bf16_stays_close_to_fp32():
    model = swin()
    images = random_images(30, 22)
    exact = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(images)
    whole = copy.deepcopy(model).bfloat16()(images.bfloat16())
    assert whole.dtype is torch.bfloat16
    for rounded in (mixed, whole):
        assert (rounded.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_export_takes_any_batch_and_gives_the_same():
    model = swin()
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(model, (random_images(30, 22),), dynamic_shapes={"images": {0: batch}})
        for size in (1, 3):
            images = random_images(30, 22, batch=size)
            torch.testing.assert_close(program.module()(images), model(images))


def test_a_compiler_sees_one_whole_graph_for_each_size():
    torch.compiler.reset()
    model = swin(replace(SMALL, depths=(2, 1)))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for size in ((32, 32), (20, 28), (32, 32)):
        images = random_images(*size)
        torch.testing.assert_close(compiled(images), model(images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_compiled_results_and_gradients_are_those_of_plain_running():
    torch.compiler.reset()
    model, images = swin().train(), random_images(30, 22)
    gradients = []
    for run in (model, torch.compile(model, fullgraph=True)):
        model.zero_grad()
        run(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for plain, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-3)


def test_names_and_options_of_the_zoo():
    assert set(SIZES) <= set(list_models())
    assert canonical_name("swin_tiny_patch4_window7_224") == "swin_t"
    assert canonical_name("swin_large_patch4_window12_384") == "swin_l_384"
    with torch.device("meta"):
        model = build_model("swin_t", image_size=96, window=6, num_classes=0, channels=1)
    assert isinstance(model, Swin)
    assert model.config.window == (6, 6)
    assert model.width == 768


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_width": 100}, "embed_width 100 is not divisible by head_width 32"),
        ({"depths": (2, 0)}, "every stage needs a block"),
        ({"window": (0, 7)}, "a window is at least 1x1, not 0x7"),
    ],
)
def test_impossible_shapes_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SwinConfig(**options)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected images \(B, 3, H, W\)"):
        swin()(torch.zeros(1, 1, 32, 32))
