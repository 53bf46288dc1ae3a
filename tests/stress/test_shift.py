"""Images moved, turned and scaled, place by place."""

import math

import numpy as np
import pytest

from tests.stress.images import image, mirrored, random
from vitrail.stress.shift import DIRECTIONS, rotated, scaled, translated


@pytest.mark.parametrize("distance", [0, 1, 4, 9, 31])
@pytest.mark.parametrize("seed", [3, 4, 9])
def test_a_translation_takes_each_pixel_from_where_it_was_and_mirrors_the_edges(distance: int, seed: int) -> None:
    shown = image()
    down, right = DIRECTIONS[random(seed).randint(8)]
    expected = np.empty_like(shown.pixels)
    for y in range(12):
        for x in range(10):
            expected[:, y, x] = shown.pixels[:, mirrored(y - distance * down, 12), mirrored(x - distance * right, 10)]
    np.testing.assert_array_equal(translated(shown, distance, random(seed)), expected)


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            value = float(plane[mirrored(row, plane.shape[0]), mirrored(column, plane.shape[1])])
            total += share_y * share_x * value
    return total


@pytest.mark.parametrize("angle", [5.0, 30.0, 90.0])
def test_a_rotation_samples_each_place_bilinearly_about_the_centre(angle: float) -> None:
    shown = image(9, 9)
    turn = math.radians(angle) * (1 if random(3).randint(2) else -1)
    found = rotated(shown, angle, random(3)).astype(int)
    for y in range(9):
        for x in range(9):
            dy, dx = y - 4, x - 4
            from_y, from_x = math.cos(turn) * dy - math.sin(turn) * dx, math.sin(turn) * dy + math.cos(turn) * dx
            for channel, plane in enumerate(shown.pixels):
                assert abs(found[channel, y, x] - bilinear(plane, from_y + 4, from_x + 4)) <= 0.51


@pytest.mark.parametrize("factor", [1.25, 2.0])
def test_an_enlarged_image_samples_each_place_bilinearly_about_the_centre(factor: float) -> None:
    shown = image(9, 8)
    found = scaled(shown, factor, random()).astype(int)
    for y in range(9):
        for x in range(8):
            for channel, plane in enumerate(shown.pixels):
                value = bilinear(plane, (y - 4) / factor + 4, (x - 3.5) / factor + 3.5)
                assert abs(found[channel, y, x] - value) <= 0.51


def test_a_smaller_image_is_blurred_first_by_half_of_what_it_shrinks() -> None:
    shown = image(9, 9)
    deviation, reach = (1 / 0.5 - 1) / 2, 2
    weights = [math.exp(-0.5 * (n / deviation) ** 2) for n in range(-reach, reach + 1)]
    smooth = np.zeros((3, 9, 9))
    for y in range(9):
        for x in range(9):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    share = weights[dy + reach] * weights[dx + reach] / sum(weights) ** 2
                    smooth[:, y, x] += share * shown.pixels[:, mirrored(y + dy, 9), mirrored(x + dx, 9)]
    smooth = np.rint(smooth)
    found = scaled(shown, 0.5, random()).astype(int)
    for y in range(9):
        for x in range(9):
            for channel, plane in enumerate(smooth):
                assert abs(found[channel, y, x] - bilinear(plane, (y - 4) * 2 + 4, (x - 4) * 2 + 4)) <= 1.01


def test_what_changes_nothing_is_the_same_image_bit_for_bit() -> None:
    shown = image()
    for found in (translated(shown, 0, random()), rotated(shown, 0.0, random()), scaled(shown, 1.0, random())):
        np.testing.assert_array_equal(found, shown.pixels)
