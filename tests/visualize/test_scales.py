"""Fixed colour scales: what a colour means does not depend on the map or the image."""

import math

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.weights.random_weights import randomise
from vitrail.explain.rollout import attention_maps
from vitrail.explain.stitched import attention_from, record_windows, seen_from
from vitrail.heads.names import build_model
from vitrail.layers.window_layout import Partition
from vitrail.visualize import attention, pixel
from vitrail.visualize.draw import enlarge, to_image
from vitrail.visualize.object_attention import object_multiples
from vitrail.visualize.offsets import panel as bias_panel
from vitrail.visualize.scales import attention_legend, attention_map, bias_legend, bias_map

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
SWIN = {"image_size": 32, "patch_size": 2, "embed_width": 8, "head_width": 4, "depths": (2, 2), "window": 4}
VIT = {"image_size": 24, "patch_size": 4, "width": 16, "depth": 2, "num_heads": 2}


def expected_pixel(multiple: float, grey: int) -> tuple[int, int, int]:
    """The colour of one pixel, by the stated formula and one number at a time."""
    heat = math.log2(min(max(multiple, 1.0), 16.0)) / 4
    opacity = 0.85 * heat**0.7
    colour = matplotlib.colormaps["inferno"](0.35 + 0.63 * heat)
    red, green, blue = (round(255 * ((1 - opacity) * grey / 255 + opacity * part)) for part in colour[:3])
    return red, green, blue


@settings(max_examples=60, deadline=None)
@given(multiple=st.floats(0, 100), grey=st.integers(0, 255), side=st.integers(1, 40), grid=st.integers(1, 7))
def test_a_share_has_the_same_colour_in_every_image(multiple, grey, side, grid):
    drawn = np.asarray(attention_map(Image.new("L", (side, side), grey), torch.full((grid, grid), multiple)), int)
    assert np.abs(drawn - np.array(expected_pixel(multiple, grey))).max() <= 1


def test_no_more_than_an_even_share_draws_no_colour_at_all():
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    for values in (torch.ones(5, 4), torch.rand(5, 4), torch.zeros(1, 1)):
        assert attention_map(image, values).tobytes() == image.convert("L").convert("RGB").tobytes()


def test_twice_and_four_times_an_even_share_look_alike_whatever_lies_beside():
    ground = Image.new("L", (60, 60), 90)
    alone = np.asarray(attention_map(ground, torch.tensor([[2.0, 4.0], [1.0, 1.0]])))
    beside = np.asarray(attention_map(ground, torch.tensor([[2.0, 4.0], [60.0, 0.01]])))
    assert np.array_equal(alone[:30], beside[:30])
    assert not np.array_equal(alone[0, 0], alone[0, 59])


def test_every_place_keeps_to_its_own_square():
    values = torch.ones(4, 4)
    values[3, 0] = 9.0
    drawn = np.asarray(attention_map(Image.new("L", (64, 64), 90), values), int)
    coloured = drawn.max(axis=-1) != drawn.min(axis=-1)
    assert coloured[48:, :16].all()
    assert coloured.sum() == 16 * 16


def test_values_that_are_no_numbers_draw_nothing():
    ground = Image.new("L", (8, 8), 50)
    values = torch.tensor([[float("nan"), float("inf")], [-1.0, 1.0]])
    drawn = np.asarray(attention_map(ground, values), int)
    assert (drawn[:4, :4] == 50).all()
    assert tuple(drawn[0, 7]) == pytest.approx(expected_pixel(16, 50), abs=1)


def test_the_legend_of_attention_shows_the_colours_that_maps_have():
    drawn = np.asarray(attention_legend(), int)
    for multiple in (1, 2, 4, 8, 16):
        assert (np.abs(drawn - np.array(expected_pixel(multiple, 150))).max(axis=-1) <= 3).any(), multiple


def test_a_vit_that_looks_everywhere_alike_glows_nowhere():
    """Queries of zero make every score 0: an even share for all tokens, in every head and in the rollout."""
    model = build_model("vit_ti16", num_classes=2, **VIT).eval()
    for found in model.backbone.attention_layers():
        torch.nn.init.zeros_(found.qkv.weight)
        torch.nn.init.zeros_(found.qkv.bias)
    images = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(4))
    maps = attention_maps(model, images)
    assert torch.allclose(maps.heads * maps.tokens, torch.ones_like(maps.heads), atol=1e-4)
    drawn = np.asarray(attention.panel(maps, images, MEAN, STD), int)
    assert colourful(drawn[: -legend_height()]) == colourful(of_images(images))


def test_a_swin_that_looks_everywhere_alike_glows_nowhere():
    model = build_model("swin_t", num_classes=2, **SWIN).eval()
    for found in model.backbone.attention_layers():
        for name, parameter in found.named_parameters():
            if "qkv" in name or "bias_table" in name:
                torch.nn.init.zeros_(parameter)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    drawn = np.asarray(pixel.panel(model, images, MEAN, STD, pixel=(3, 9)), int)
    greens = (drawn[..., 1] > drawn[..., 0] + 40) & (drawn[..., 1] > drawn[..., 2] + 40)  # The mark of the pixel.
    # Edges of the mark aside, nothing but the image itself has colour.
    assert colourful(drawn[: -legend_height()]) <= colourful(of_images(images)) + 3 * greens.sum()


def colourful(pixels: np.ndarray) -> int:
    """How many pixels are not grey; texts are, but for their ink."""
    return int((pixels.max(axis=-1) - pixels.min(axis=-1) > 24).sum())


def of_images(images: torch.Tensor) -> np.ndarray:
    return np.concatenate([np.asarray(enlarge(to_image(image, MEAN, STD)), int).reshape(-1, 3) for image in images])


def legend_height() -> int:
    return 220


@pytest.mark.parametrize(("shift", "place"), [((0, 0), (1, 1)), ((2, 2), (0, 0)), ((2, 2), (5, 4)), ((2, 0), (4, 5))])
def test_a_token_of_a_window_can_see_as_many_as_it_attends_to(shift, place):
    """Independently: with scores of zero a token attends to all it can see, each by one over their number."""
    partition = Partition(6, 6, 4, 4, *shift)
    seen = seen_from(partition, place)
    # Who shares the window, counted on the torus, and was not carried over from elsewhere.
    counted = 0
    for y in range(6):
        for x in range(6):
            counted += same_window(place, (y, x), shift)
    assert seen == counted


def same_window(one, other, shift) -> bool:
    cells = []
    for y, x in (one, other):
        carried = (y < shift[0], x < shift[1])
        covered = 8
        moved = ((y - shift[0]) % covered, (x - shift[1]) % covered)
        cells.append((moved[0] // 4, moved[1] // 4, carried))
    return cells[0] == cells[1]


def test_the_even_share_of_a_window_is_that_of_the_model():
    model = randomise(build_model("swin_t", num_classes=2, **SWIN)).eval()
    for found in model.backbone.attention_layers():
        for name, parameter in found.named_parameters():
            if "qkv" in name or "bias_table" in name:
                torch.nn.init.zeros_(parameter)
    images = torch.randn(1, 3, 30, 26)
    recording, partitions = record_windows(model, images)
    layer = 0
    for stage in partitions:
        for partition in stage:
            for place in ((0, 0), (partition.h - 1, partition.w - 1), (partition.h // 2, 1)):
                looked = attention_from(recording[layer], partition, place)[0].mean(dim=0)
                assert float(looked.max()) * seen_from(partition, place) == pytest.approx(1.0, abs=1e-4)
            layer += 1


@settings(max_examples=40, deadline=None)
@given(value=st.floats(-9, 9), side=st.integers(1, 5))
def test_a_bias_has_the_same_colour_in_every_table(value, side):
    drawn = np.asarray(bias_map(torch.full((side, side), value), 20), int)
    colour = matplotlib.colormaps["RdBu_r"](0.5 + min(max(value, -4.0), 4.0) / 8)[:3]
    assert np.abs(drawn - np.array([round(255 * part) for part in colour])).max() <= 1


def test_biases_of_almost_nothing_are_almost_white():
    model = build_model("swin_t", num_classes=2, **SWIN)
    drawn = np.asarray(bias_panel(model), int)
    below = drawn[480:-230, :400]  # The tables of the heads.
    assert (below.max(axis=-1) - below.min(axis=-1)).max() < 25
    assert np.asarray(bias_legend()).shape[-1] == 3


@pytest.mark.parametrize(("backbone", "windows"), [("vit_ti16", 0), ("vit_ti16", 2), ("swin_t", 0)])
def test_the_even_share_of_an_objects_attention_counts_what_it_is_shared_among(backbone, windows):
    from vitrail.heads.dense import dense_options
    from vitrail.heads.registry import put_head
    from vitrail.settings import Dense

    shape = (
        {**VIT, "image_size": 64}
        if "vit" in backbone
        else {**SWIN, "image_size": 64, "patch_size": 4, "depths": (1, 1, 1, 1)}
    )
    head = Dense(head="faster_rcnn", width=16, hidden=16, anchor_size=4.0, windows=windows)
    model = put_head(build_model(backbone, num_classes=0, **shape), head.head, dense_options(head, 2)).eval()
    for found in model.backbone.attention_layers():
        for name, parameter in found.named_parameters():
            if "qkv" in name or "bias_table" in name:
                torch.nn.init.zeros_(parameter)
    images = torch.randn(1, 3, 64, 64)
    multiples, _ = object_multiples(model, images, torch.tensor([[0.0, 0.0, 64.0, 64.0]]))
    assert multiples.min() == pytest.approx(1.0, abs=1e-3)
    assert multiples.max() == pytest.approx(1.0, abs=1e-3)
