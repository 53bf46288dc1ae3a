"""Each common corruption against a loop over pixels in float64, with the same random numbers."""

import dataclasses
import io
import math

import numpy as np
import pytest
from PIL import Image

from tests.stress.images import image, mirrored, random, rounded
from tests.stress.test_shift import bilinear
from vitrail.stress.corruptions import blur, digital, weather
from vitrail.stress.corruptions.catalogue import CORRUPTIONS, corruption
from vitrail.stress.corruptions.severity import geometric, linear
from vitrail.stress.image import luma, to_unit

SHOWN = image(16, 14)
VALUES = to_unit(SHOWN.pixels).astype(np.float64)
SEVERITIES = (1, 3, 5)
SIDE = 56
"""Side in pixels for which lengths count here, so that in an image of 14 they are a quarter and not a sixteenth."""
SCALE = 14 / SIDE


@pytest.fixture(autouse=True)
def longer_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (blur, weather, digital):
        monkeypatch.setattr(module, "SIDE", SIDE)


def found(name: str, severity: int) -> np.ndarray:
    return CORRUPTIONS[name](SHOWN, severity, random()).astype(int)


def check(name: str, severity: int, expected: np.ndarray, tolerance: int = 1) -> None:
    """Compare with bytes; float32 may round a value next to a half otherwise."""
    assert np.abs(found(name, severity) - expected).max() <= tolerance


def convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    height, width = values.shape[1:]
    down, right = kernel.shape[0] // 2, kernel.shape[1] // 2
    result = np.zeros_like(values)
    for y in range(height):
        for x in range(width):
            for i in range(kernel.shape[0]):
                for j in range(kernel.shape[1]):
                    row, column = mirrored(y + i - down, height), mirrored(x + j - right, width)
                    result[:, y, x] += kernel[i, j] * values[:, row, column]
    return result


def gaussian(deviation: float, cut: float = 3) -> np.ndarray:
    reach = int(cut * deviation + 0.5)
    weights = np.array([math.exp(-0.5 * (n / deviation) ** 2) for n in range(-reach, reach + 1)])
    return np.outer(weights, weights) / weights.sum() ** 2


def test_there_are_the_fifteen_of_the_paper() -> None:
    assert len(CORRUPTIONS) == 15
    assert [round(geometric(2, 8, n), 6) for n in (1, 3, 5)] == [2, 4, 8]
    assert [linear(2, 10, n) for n in range(1, 6)] == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_is_added_counted_and_set(severity: int) -> None:
    drawn = random().standard_normal(VALUES.shape)
    check("gaussian_noise", severity, rounded(VALUES + 0.06 * (0.4 / 0.06) ** ((severity - 1) / 4) * drawn))
    photons = 80 * (3 / 80) ** ((severity - 1) / 4)
    counts = random().poisson(to_unit(SHOWN.pixels) * photons)
    check("shot_noise", severity, rounded(counts / photons))
    share, chance = 0.02 * 15 ** ((severity - 1) / 4), random().random_sample(VALUES.shape)
    expected = SHOWN.pixels.astype(int).copy()
    for place in np.ndindex(*chance.shape):
        if chance[place] < share / 2:
            expected[place] = 0
        elif chance[place] > 1 - share / 2:
            expected[place] = 255
    check("impulse_noise", severity, expected, 0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_averages_over_a_disc(severity: int) -> None:
    radius = 2 * 4 ** ((severity - 1) / 4) * SCALE
    reach = math.ceil(radius)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for i in range(len(kernel)):
        for j in range(len(kernel)):
            for a in range(4):
                for b in range(4):
                    y, x = i - reach - 0.5 + (a + 0.5) / 4, j - reach - 0.5 + (b + 0.5) / 4
                    kernel[i, j] += y * y + x * x <= radius * radius
    check("defocus_blur", severity, rounded(convolved(VALUES, kernel / kernel.sum())))


def test_a_disc_has_the_area_of_a_circle() -> None:
    assert blur.disc(0.05).max() == 1
    for radius in (2.0, 4.5, 8.0):
        assert 1 / blur.disc(radius).max() == pytest.approx(math.pi * radius**2, rel=0.04)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frosted_glass_takes_pixels_from_near_between_two_blurs(severity: int) -> None:
    reach, kernel = max(6 ** ((severity - 1) / 4) * SCALE, 1.0), gaussian(0.7 * SCALE)
    away = random().uniform(-1, 1, (2, 16, 14)) * reach
    smooth, moved = convolved(VALUES, kernel), np.empty_like(VALUES)
    for y in range(16):
        for x in range(14):
            row = min(15, max(0, y + round(away[0, y, x])))
            column = min(13, max(0, x + round(away[1, y, x])))
            moved[:, y, x] = smooth[:, row, column]
    check("glass_blur", severity, rounded(convolved(moved, kernel)))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_averages_along_a_line(severity: int) -> None:
    length, angle = 7 * (31 / 7) ** ((severity - 1) / 4) * SCALE, random().uniform(0, math.pi)
    reach = max(1, math.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for n in range(4 * reach + 1):
        along = -length / 2 + n * length / (4 * reach)
        kernel[round(along * math.sin(angle) + reach), round(along * math.cos(angle) + reach)] += 1
    check("motion_blur", severity, rounded(convolved(VALUES, kernel[::1, ::1] / kernel.sum())))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_zoom_averages_ever_larger_images(severity: int) -> None:
    most, total = 1.08 + 0.32 * (severity - 1) / 4, np.zeros_like(VALUES)
    for n in range(8):
        factor = 1 + (most - 1) * n / 7
        for y in range(16):
            for x in range(14):
                for channel in range(3):
                    value = bilinear(VALUES[channel], (y - 7.5) / factor + 7.5, (x - 6.5) / factor + 6.5)
                    total[channel, y, x] += value / 8
    check("zoom_blur", severity, rounded(total))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_snow_falls_in_streaks_before_a_paler_image(severity: int) -> None:
    generator = random()
    flakes = (generator.random_sample((16, 14)) < 0.004 * 7.5 ** ((severity - 1) / 4)).astype(float)
    angle = generator.uniform(math.radians(45), math.radians(135))
    smooth = convolved(flakes[None], gaussian(0.8 * SCALE, 4))
    streaks = convolved(smooth, blur.line(weather.STREAK * SCALE, angle))[0]
    near = np.clip(streaks / max(np.quantile(streaks, 0.99), 1e-6), 0, 1)
    pale, strength = 0.1 + 0.35 * (severity - 1) / 4, 0.4 + 0.5 * (severity - 1) / 4
    expected = np.empty_like(VALUES)
    for channel, y, x in np.ndindex(*VALUES.shape):
        grey = max(VALUES[channel, y, x], luma(VALUES)[y, x] * 0.75 + 0.25)
        expected[channel, y, x] = (1 - pale) * VALUES[channel, y, x] + pale * grey + strength * near[y, x]
    check("snow", severity, rounded(expected))


def cloud(generator: np.random.RandomState, roughness: float) -> np.ndarray:
    """Return a fractal by the sums of a Fourier transform, written out."""
    drawn = generator.standard_normal((16, 14))
    down = np.exp(-2j * math.pi * np.outer(np.arange(16), np.arange(16)) / 16)
    across = np.exp(-2j * math.pi * np.outer(np.arange(14), np.arange(14)) / 14)
    waves = down @ drawn @ across.T
    for i in range(16):
        for j in range(14):
            f = math.hypot(min(i, 16 - i), min(j, 14 - j))
            waves[i, j] *= f ** -(roughness / 2 + 0.5) if f else 0.0
    noise = (down.conj().T @ waves @ across.conj()).real / (16 * 14)
    return (noise - noise.min()) / (noise.max() - noise.min())


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frost_covers_from_the_rim_inwards(severity: int) -> None:
    generator = random()
    clouds, veins = cloud(generator, 1.6), cloud(generator, 2.4)
    ice, expected = np.empty((16, 14)), np.empty_like(VALUES)
    for y in range(16):
        for x in range(14):
            rim = max(abs(-1 + 2 * y / 15), abs(-1 + 2 * x / 13)) ** 2
            ice[y, x] = 0.5 * clouds[y, x] + 0.5 * rim
    limit = np.quantile(ice, 1 - (0.2 + 0.55 * (severity - 1) / 4))
    for channel, y, x in np.ndindex(*VALUES.shape):
        share = (0.5 + 0.35 * (severity - 1) / 4) * min(1, max(0, (ice[y, x] - limit) * 10))
        frozen = 0.55 + 0.45 * (1 - abs(2 * veins[y, x] - 1)) ** 3
        expected[channel, y, x] = (1 - share) * VALUES[channel, y, x] + share * frozen
    check("frost", severity, rounded(expected))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_adds_a_cloud_and_keeps_the_brightest(severity: int) -> None:
    most, clouds = 0.6 * 4 ** ((severity - 1) / 4), cloud(random(), 2.0)
    brightest = VALUES.max()
    check("fog", severity, rounded((VALUES + most * clouds) * brightest / (brightest + most)))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_is_added_and_contrast_taken_channel_by_channel(severity: int) -> None:
    check("brightness", severity, rounded(VALUES + 0.1 + 0.4 * (severity - 1) / 4))
    expected = np.empty_like(VALUES)
    for channel, plane in enumerate(VALUES):
        expected[channel] = plane.mean() + 0.45 * (0.05 / 0.45) ** ((severity - 1) / 4) * (plane - plane.mean())
    check("contrast", severity, rounded(expected))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_elastic_moves_pixels_smoothly_by_so_much_on_the_quadratic_mean(severity: int) -> None:
    moves = convolved(random().uniform(-1, 1, (2, 16, 14)), gaussian(8 * SCALE, 4))
    moves *= 5 ** ((severity - 1) / 4) * SCALE / math.sqrt((moves**2).mean())
    expected = np.empty(VALUES.shape)
    for channel, y, x in np.ndindex(*VALUES.shape):
        expected[channel, y, x] = bilinear(SHOWN.pixels[channel], y + moves[0, y, x], x + moves[1, y, x])
    check("elastic", severity, np.rint(expected).astype(int))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_large_pixels_are_the_means_of_those_they_cover(severity: int) -> None:
    share = 0.5 * 0.24 ** ((severity - 1) / 4)
    rows, columns = max(1, round(16 * share)), max(1, round(14 * share))
    expected = np.empty(VALUES.shape)
    for channel, y, x in np.ndindex(*VALUES.shape):
        block = [
            int(SHOWN.pixels[channel, b, a])
            for b in range(16)
            for a in range(14)
            if (b * rows // 16, a * columns // 14) == (y * rows // 16, x * columns // 14)
        ]
        expected[channel, y, x] = sum(block) / len(block)
    check("pixelate", severity, np.rint(expected).astype(int), 0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_is_what_a_file_of_that_quality_holds(severity: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(SHOWN.pixels.transpose(1, 2, 0)).save(buffer, "JPEG", quality={1: 25, 3: 15, 5: 5}[severity])
    check("jpeg", severity, np.asarray(Image.open(buffer)).transpose(2, 0, 1).astype(int), 0)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_grow_and_none_changes_nothing(name: str) -> None:
    y, x = np.mgrid[:64, :64]
    waves = 128 + 100 * np.sin(y / 5) * np.cos(x / 7)
    large = dataclasses.replace(image(64, 64), pixels=np.stack([waves, 255 - waves, waves]).astype(np.uint8))
    change = corruption(name)
    np.testing.assert_array_equal(change(large, 0.0, random()), large.pixels)
    distances = [np.abs(change(large, s, random()).astype(float) - large.pixels).mean() for s in range(6)]
    assert distances == sorted(distances)
    assert distances[1] > 0.3


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(1, 16, 14), (3, 3, 40), (1, 1, 1)])
def test_grey_narrow_and_tiny_images_keep_their_shape(name: str, shape: tuple[int, int, int]) -> None:
    small = image(*shape[1:], channels=shape[0])
    for severity in (1, 5):
        changed = CORRUPTIONS[name](small, severity, random())
        assert changed.shape == shape
        assert changed.dtype == np.uint8
