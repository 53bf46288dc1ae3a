"""Patches in another order."""

import numpy as np
import pytest

from tests.stress.images import image, random
from vitrail.stress.curves import Curve
from vitrail.stress.shuffle import shuffled


@pytest.mark.parametrize("cells", [2, 3, 5])
def test_patches_move_as_a_loop_moves_them_and_what_is_left_over_stays(cells: int) -> None:
    shown = image(13, 11)
    h, w = 13 // cells, 11 // cells
    order = random(5).permutation(cells * cells)
    expected = shown.pixels.copy()
    for place, source in enumerate(order):
        (row, column), (from_row, from_column) = divmod(place, cells), divmod(int(source), cells)
        for y in range(h):
            for x in range(w):
                moved = shown.pixels[:, from_row * h + y, from_column * w + x]
                expected[:, row * h + y, column * w + x] = moved
    found = shuffled(shown, cells, random(5))
    np.testing.assert_array_equal(found, expected)
    assert sorted(found.ravel()) == sorted(shown.pixels.ravel())


def test_a_grid_of_one_patch_is_the_same_image_bit_for_bit() -> None:
    shown = image(13, 11)
    np.testing.assert_array_equal(shuffled(shown, 1, random()), shown.pixels)


def test_each_image_and_each_seed_has_a_permutation_of_its_own() -> None:
    curve = Curve("shuffle", "g", "t", "x", (1.0, 4.0), 1.0, change=shuffled)
    one = image(8, 8)
    other = type(one)(one.pixels, one.identity + 1, 0)
    first = curve.changed(one, 4.0, 0)
    np.testing.assert_array_equal(first, curve.changed(one, 4.0, 0))
    assert (first != curve.changed(other, 4.0, 0)).any()
    assert (first != curve.changed(one, 4.0, 1)).any()
