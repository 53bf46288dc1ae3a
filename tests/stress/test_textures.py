"""Texture taken away, against loops over pixels in float64."""

import dataclasses
import math

import numpy as np
import pytest

from tests.stress.images import image, mirrored, random, rounded
from vitrail.stress import textures
from vitrail.stress.image import luma, to_unit
from vitrail.stress.shuffle import shuffled


def box(values: np.ndarray, radius: int) -> np.ndarray:
    height, width = values.shape
    found = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = [
                values[mirrored(y + dy, height), mirrored(x + dx, width)]
                for dy in range(-radius, radius + 1)
                for dx in range(-radius, radius + 1)
            ]
            found[y, x] = sum(window) / len(window)
    return found


def test_the_guided_filter_is_that_of_its_equations() -> None:
    values = to_unit(image(9, 8).pixels).astype(np.float64)
    guide, epsilon = luma(values), 0.004
    found = textures.guided(values, guide, 2, epsilon)
    for channel, plane in enumerate(values):
        slope = (box(guide * plane, 2) - box(guide, 2) * box(plane, 2)) / (
            box(guide**2, 2) - box(guide, 2) ** 2 + epsilon
        )
        offset = box(plane, 2) - slope * box(guide, 2)
        np.testing.assert_allclose(found[channel], box(slope, 2) * guide + box(offset, 2), rtol=1e-5, atol=1e-6)


def test_smoothing_keeps_an_edge_and_takes_the_texture_beside_it() -> None:
    random_ = random(4)
    pixels = np.clip(np.where(np.arange(64) < 32, 60, 200)[None, None] + random_.randint(-9, 10, (3, 64, 64)), 0, 255)
    shown = dataclasses.replace(image(64, 64), pixels=pixels.astype(np.uint8))
    smooth = textures.smoothed(shown, 1.0, random()).astype(float)
    left, right = smooth[:, :, 8:24], smooth[:, :, 40:56]
    assert left.std() < 0.35 * shown.pixels[:, :, 8:24].std()
    assert right.mean() - left.mean() > 130
    assert smooth[:, 16:48, 34].mean() - smooth[:, 16:48, 29].mean() > 120


def test_edges_are_the_gradients_of_a_gaussian_and_fade_in_by_their_share() -> None:
    shown = image(20, 18)
    values = to_unit(shown.pixels).astype(np.float64)
    brightness, deviation = luma(values), textures.LINE * 18 / 224
    reach = int(4 * deviation + 0.5)
    weights = np.array([math.exp(-0.5 * (n / deviation) ** 2) for n in range(-reach, reach + 1)])
    weights /= weights.sum()
    slopes = np.array([-n / deviation**2 for n in range(-reach, reach + 1)]) * weights
    steep = np.zeros((20, 18))
    for y in range(20):
        for x in range(18):
            down = across = 0.0
            for i, dy in enumerate(range(-reach, reach + 1)):
                for j, dx in enumerate(range(-reach, reach + 1)):
                    value = brightness[mirrored(y - dy, 20), mirrored(x - dx, 18)]
                    down += slopes[i] * weights[j] * value
                    across += weights[i] * slopes[j] * value
            steep[y, x] = math.hypot(down, across)
    black = max(np.quantile(steep, textures.BLACKEST), 1e-6)
    drawing = 1 - np.clip(steep / black, 0, 1)
    for share in (0.5, 1.0):
        expected = rounded((1 - share) * values + share * drawing)
        assert np.abs(textures.edges(shown, share, random()).astype(int) - expected).max() <= 1


def test_the_threshold_of_a_silhouette_parts_values_as_well_as_any() -> None:
    values = np.concatenate([random(3).normal(0.2, 0.05, 300), random(4).normal(0.8, 0.1, 100)])

    def between(threshold: float) -> float:
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0.0

    best = max(between(threshold) for threshold in np.linspace(values.min(), values.max(), 400))
    assert between(textures.otsu(values)) > 0.99 * best


def test_a_silhouette_is_black_where_the_colour_is_unlike_the_rims() -> None:
    pixels = np.full((3, 20, 20), 230, dtype=np.uint8)
    pixels[:, 6:14, 5:15] = np.array([40, 90, 160])[:, None, None]
    shown = dataclasses.replace(image(20, 20), pixels=pixels)
    full = textures.silhouette(shown, 1.0, random())
    expected = np.full((3, 20, 20), 255)
    expected[:, 6:14, 5:15] = 0
    np.testing.assert_array_equal(full, expected)
    assert textures.silhouette(shown, 0.5, random())[0, 10, 10] == 20


def test_a_stylised_image_has_the_partners_statistics_below_and_its_shuffled_detail_above() -> None:
    shown = dataclasses.replace(image(16, 14, seed=2), partner=image(16, 14, seed=3, label=1))
    style = to_unit(shown.partner.pixels).astype(np.float64)
    tiles = to_unit(shuffled(shown.partner, 7, random(6))).astype(np.float64)
    deviation = textures.COARSE * 14 / 224
    reach = int(3 * deviation + 0.5)
    weights = np.array([math.exp(-0.5 * (n / deviation) ** 2) for n in range(-reach, reach + 1)])

    def blurred(values: np.ndarray) -> np.ndarray:
        found = np.zeros_like(values)
        for y in range(16):
            for x in range(14):
                for i, dy in enumerate(range(-reach, reach + 1)):
                    for j, dx in enumerate(range(-reach, reach + 1)):
                        share = weights[i] * weights[j] / weights.sum() ** 2
                        found[:, y, x] += share * values[:, mirrored(y + dy, 16), mirrored(x + dx, 14)]
        return found

    values = to_unit(shown.pixels).astype(np.float64)
    coarse, fine = blurred(values), tiles - blurred(tiles)
    foreign = np.empty_like(values)
    for channel in range(3):
        plane, other = coarse[channel], style[channel]
        foreign[channel] = (plane - plane.mean()) / plane.std() * other.std() + other.mean() + fine[channel]
    for share in (0.4, 1.0):
        expected = rounded((1 - share) * values + share * foreign)
        assert np.abs(textures.stylised(shown, share, random(6)).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("change", [textures.smoothed, textures.edges, textures.silhouette, textures.stylised])
@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_is_the_same_image_bit_for_bit_and_grey_images_stay_grey(change, channels: int) -> None:
    shown = dataclasses.replace(image(channels=channels), partner=image(channels=channels, seed=3))
    np.testing.assert_array_equal(change(shown, 0.0, random()), shown.pixels)
    assert change(shown, 1.0, random()).shape == shown.pixels.shape
