"""The images of windows, biases and hidden squares."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.weights.random_weights import randomise
from vitrail.errors import ConfigError
from vitrail.explain.rollout import attention_maps
from vitrail.heads.names import build_model
from vitrail.layers.window_layout import Partition, regions
from vitrail.visualize import offsets, pixel, simmim_reconstruction, windows

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
SMALL = {"image_size": 32, "patch_size": 2, "embed_width": 8, "head_width": 4, "depths": (2, 2), "window": 4}


def swin(**options: object) -> torch.nn.Module:
    return randomise(build_model("swin_t", num_classes=3, **{**SMALL, **options})).eval()


def images(height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_the_drawn_regions_are_carried_to_where_they_are_computed() -> None:
    shifted = Partition(8, 8, 4, 4, 2, 2)
    region = windows.region_map(shifted)
    assert (region[:6, :6] == 0).all()
    assert (region[:6, 6:] == 1).all()
    assert (region[6:, :6] == 2).all()
    assert (region[6:, 6:] == 3).all()
    numbers = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    rolled = np.asarray(windows.rolled(numbers, shifted, 1))
    # In the middle of a token of region 0, where no line is ruled: what is computed at (2, 3) lies at (4, 5).
    y, x = (round((place + 0.5) * windows.SIDE / 8) for place in (2, 3))
    assert (rolled[y, x] == numbers[4, 5]).all()


def test_the_drawn_mask_allows_what_the_model_allows() -> None:
    shifted = Partition(5, 6, 4, 4, 2, 2)
    step = windows.SIDE // shifted.area
    drawn = np.asarray(windows.mask_image(shifted))[step // 2 :: step, step // 2 :: step]
    region = regions(shifted)[-1]
    allowed = (region[:, None] == region) & (region[:, None] >= 0)
    assert ((drawn != windows.EDGE).any(axis=-1) == allowed).all()


def test_a_model_that_never_shifts_is_told_from_a_map_of_one_window() -> None:
    assert windows.about_shift(Partition(8, 8, 4, 4, 2, 2)) == "by 2, 2 tokens"
    assert "one window" in windows.about_shift(Partition(4, 4, 4, 4, 0, 0))
    assert "in this model" in windows.about_shift(Partition(8, 8, 4, 4, 0, 0))


def test_the_middle_of_a_table_by_offset_is_the_place_itself() -> None:
    model = swin(window=3)
    tables = offsets.bias_by_offset(model, 1)
    assert tables.shape == (2, 5, 5)
    for head in range(2):
        pairs = offsets.bias_of_pairs(model, 1, head)
        for query in range(9):
            for key in range(9):
                dy, dx = key // 3 - query // 3, key % 3 - query % 3
                assert pairs[query, key] == tables[head, 2 + dy, 2 + dx]


@pytest.mark.parametrize("size", [(32, 32), (30, 46)])
def test_panels_are_drawn_for_any_size(size: tuple[int, int]) -> None:
    model = swin()
    drawn = [
        windows.panel(model, images(*size)[0], MEAN, STD),
        pixel.panel(model, images(*size), MEAN, STD, captions=["a", "b\nc"], pixel=(3, 4)),
        pixel.panel(model, images(*size), MEAN, STD),
        offsets.panel(model, layers=[0, -1]),
    ]
    assert all(isinstance(image, Image.Image) and min(image.size) > 200 for image in drawn)


def test_filling_in_keeps_what_was_visible() -> None:
    model = build_model("simmim_swin_t", mask_unit=8, **SMALL).eval()
    mask = model.new_mask(images())
    predicted, pasted, hidden = simmim_reconstruction.fill_in(model, images(), mask)
    assert torch.equal(pasted[~hidden.expand_as(pasted)], images()[~hidden.expand_as(pasted)])
    assert torch.equal(pasted[hidden.expand_as(pasted)], predicted[hidden.expand_as(pasted)])
    assert simmim_reconstruction.panel(model, images(), MEAN, STD).height > 400


def test_what_a_model_does_not_have_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="no relative position bias"):
        offsets.panel(swin(positions="none"))
    with pytest.raises(ConfigError, match="no head 9"):
        offsets.bias_of_pairs(swin(), 0, 9)
    with pytest.raises(ConfigError, match="stitched"):
        attention_maps(swin(), images())
