"""Parts of images by a value: about equally many, equal values together, and nothing where little is known."""

import numpy as np
import pytest

from vitrail.trust.quantiles import FEWEST_IMAGES, MOST_PARTS, by_quantile


def test_parts_hold_every_image_once_in_order_and_about_equally_many() -> None:
    random = np.random.RandomState(3)
    values, right = random.random_sample(203), random.random_sample(203) < 0.7
    parts = by_quantile(values, right)
    assert len(parts) == MOST_PARTS
    assert sum(part.images for part in parts) == 203
    assert all(39 <= part.images <= 42 for part in parts)
    for part in parts:
        inside = (values >= part.low) & (values <= part.high)
        assert part.images == inside.sum()
        assert part.accuracy.value == pytest.approx(right[inside].mean())
    ends = [end for part in parts for end in (part.low, part.high)]
    assert ends == sorted(ends)


def test_equal_values_stay_together() -> None:
    values = np.array([1.0] * 90 + [2.0] * 15 + [3.0] * 15)
    parts = by_quantile(values, np.ones(120, dtype=bool))
    assert [(part.low, part.high, part.images) for part in parts] == [(1, 1, 90), (2, 2, 15), (3, 3, 15)]


@pytest.mark.parametrize(
    "values", [np.full(500, 7.0), np.arange(2 * FEWEST_IMAGES - 1.0), np.full(90, np.nan), np.empty(0)]
)
def test_one_value_or_too_few_images_tell_nothing(values: np.ndarray) -> None:
    assert by_quantile(values, np.ones(len(values), dtype=bool)) == ()


def test_images_whose_value_is_not_known_are_left_out() -> None:
    values = np.concatenate([np.arange(50.0), np.full(30, np.nan)])
    parts = by_quantile(values, np.concatenate([np.ones(50, dtype=bool), np.zeros(30, dtype=bool)]))
    assert sum(part.images for part in parts) == 50
    assert {part.accuracy.value for part in parts} == {1.0}
