"""What is blacked out, cell by cell, and that shares are exact."""

from fractions import Fraction

import numpy as np
import pytest

from tests.stress.images import image, random
from vitrail.stress.curves import Curve
from vitrail.stress.grids import Grid, spread
from vitrail.stress.occlusion import black_out, count_of, dropped, kept_tokens, order_of


@pytest.mark.parametrize(("rows", "columns"), [(4, 5), (3, 4), (12, 10), (1, 1)])
def test_cells_are_blacked_out_pixel_by_pixel_as_a_loop_does(rows: int, columns: int) -> None:
    shown, grid = image(), Grid(rows, columns)
    gone = random().permutation(grid.count)[: grid.count // 2 + 1]
    expected = shown.pixels.copy()
    for y in range(12):
        for x in range(10):
            if (y * rows // 12) * columns + x * columns // 10 in gone.tolist():
                expected[:, y, x] = 0
    np.testing.assert_array_equal(black_out(shown.pixels, grid, gone), expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("order", ["random", "salient", "non_salient"])
def test_exactly_the_share_of_the_cells_is_gone_in_every_image(share: float, order: str) -> None:
    grid = Grid(6, 5)
    exact = int(Fraction(str(share)) * 30 + Fraction(1, 2))
    for seed in range(1, 8):
        shown = image(seed=seed)
        black = (dropped(shown, share, random(seed), grid, order) == 0).all(axis=0)
        cells = grid.cells(12, 10)
        assert sum(black[cells == cell].all() for cell in range(30)) == exact
        assert black.sum() == 4 * exact  # 2 x 2 pixels each
        assert len(kept_tokens(shown, share, random(seed), grid, order)) == 30 - exact


def test_nothing_gone_is_the_same_image_bit_for_bit_and_all_gone_is_black() -> None:
    shown = image()
    for order in ("random", "salient", "non_salient"):
        np.testing.assert_array_equal(dropped(shown, 0.0, random(), Grid(4, 5), order), shown.pixels)
        assert not dropped(shown, 1.0, random(), Grid(4, 5), order).any()


def test_what_is_gone_at_a_share_is_gone_at_every_larger_one_and_is_the_same_as_what_tokens_go() -> None:
    grid, shown = Grid(4, 5), image()
    curve = Curve("a", "g", "t", "x", (0.0, 1.0), 0.0, keep=lambda i, s, r: kept_tokens(i, s, r, grid, "random"))
    stays = [set(curve.kept(shown, share, 3).tolist()) for share in (0.2, 0.4, 0.6)]
    assert stays[2] < stays[1] < stays[0]
    order = order_of(shown, grid, "random", curve._draws(shown, 3))
    assert stays[1] == set(order[8:].tolist())


def test_what_matters_most_goes_first_by_the_mean_over_the_pixels_of_a_cell() -> None:
    shown, grid = image(), Grid(3, 2)
    means = []
    for row in range(3):
        for column in range(2):
            values = [
                shown.saliency[y * 4 // 12, x * 3 // 10]
                for y in range(12)
                for x in range(10)
                if (y * 3 // 12, x * 2 // 10) == (row, column)
            ]
            means.append(sum(values) / len(values))
    ranked = sorted(range(6), key=lambda cell: -means[cell])
    assert order_of(shown, grid, "salient", random()).tolist() == ranked
    assert order_of(shown, grid, "non_salient", random()).tolist() == ranked[::-1]


def test_of_cells_that_matter_alike_the_first_goes_first() -> None:
    shown = image()
    even = type(shown)(shown.pixels, 1, 0, "", np.ones((4, 3)))
    for order in ("salient", "non_salient"):
        assert order_of(even, Grid(2, 3), order, random()).tolist() == list(range(6))


def test_values_are_spread_over_the_pixels_of_their_place() -> None:
    values = np.arange(6.0).reshape(2, 3)
    wide = spread(values, 5, 7)
    for y in range(5):
        for x in range(7):
            assert wide[y, x] == values[y * 2 // 5, x * 3 // 7]


def test_halves_of_a_cell_are_rounded_up() -> None:
    assert [count_of(share, 5) for share in (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)] == [0, 1, 2, 3, 4, 5]
