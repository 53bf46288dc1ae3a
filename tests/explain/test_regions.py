"""Regions by name against the middle of every cell, and what a model takes for the foreground."""

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain.cells import Cells
from vitrail.explain.patch_tokens import patch_tokens, token_colours
from vitrail.explain.regions import FINE, PLACES, fine_cells, place, region

INSIDE = {
    "top": lambda y, x: y < 0.5,
    "bottom": lambda y, x: y >= 0.5,
    "left": lambda y, x: x < 0.5,
    "right": lambda y, x: x >= 0.5,
    "top-left": lambda y, x: y < 0.5 and x < 0.5,
    "top-right": lambda y, x: y < 0.5 <= x,
    "bottom-left": lambda y, x: x < 0.5 <= y,
    "bottom-right": lambda y, x: y >= 0.5 and x >= 0.5,
    "middle": lambda y, x: abs(y - 0.5) < 0.25 and abs(x - 0.5) < 0.25,
    "border": lambda y, x: not (1 / 8 < y < 7 / 8 and 1 / 8 < x < 7 / 8),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("height", "width", "side"), [(32, 48, 2), (30, 41, 3), (224, 224, 14)])
def test_a_place_is_the_cells_whose_middle_lies_in_it(name, height, width, side):
    cells = Cells(height, width, side)
    found = place(name, cells).view(cells.grid)
    for row in range(cells.grid[0]):
        for column in range(cells.grid[1]):
            y, x = (row + 0.5) * side / height, (column + 0.5) * side / width
            assert bool(found[row, column]) == INSIDE[name](y, x), (row, column)


def test_background_and_foreground_are_each_others_rest_and_the_tokens_own():
    model, images = classifier(image_size=16), noise(3, 16, 16)
    cells = Cells(16, 16, 2)
    front, back = (region(name, model, images, cells).view(3, 8, 8) for name in ("foreground", "background"))
    assert torch.equal(front, ~back)
    whole = token_colours(patch_tokens(model, images)).foreground
    inner = front[:, 1::2, 1::2].logical_and(front[:, ::2, ::2])  # where both corners of a token's square agree
    assert torch.equal(inner | whole, whole)
    assert 0 < int(front.sum()) < front.numel()


def test_cells_of_regions_are_a_sixteenth_of_the_shorter_side_unless_told_otherwise():
    assert fine_cells(96, 128).side == 96 // FINE == 6
    assert fine_cells(8, 8).side == 1
    assert fine_cells(96, 128, 32).grid == (3, 4)
    with pytest.raises(ConfigError, match="cells of 300 pixels"):
        fine_cells(96, 128, 300)


def test_a_region_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ConfigError, match=r"no region 'corner'; choose one of background, foreground, top-left"):
        region("corner", classifier(), noise(1, 8, 12), Cells(8, 12, 1))
