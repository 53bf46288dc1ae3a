import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.data import rle
from vitrail.errors import DataError


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = np.random.RandomState(draw(st.integers(0, 2**31 - 1)))
    return random.rand(height, width) < draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))


@settings(deadline=None, max_examples=60)
@given(masks())
def test_a_mask_survives_packing_and_unpacking(mask: np.ndarray) -> None:
    packed = json.loads(json.dumps(rle.encode(mask)))
    assert np.array_equal(rle.decode(packed, *mask.shape), mask)


@settings(deadline=None, max_examples=40)
@given(masks())
def test_packed_run_lengths_are_letter_for_letter_those_of_coco(mask: np.ndarray) -> None:
    official = pytest.importorskip("faster_coco_eval").mask
    expected = official.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert rle.encode(mask)["counts"] == (expected.decode() if isinstance(expected, bytes) else expected)


def test_a_polygon_covers_the_pixels_whose_middle_is_inside() -> None:
    mask = rle.fill([[1, 1, 5, 1, 5, 4, 1, 4]], 6, 8)
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 1:5] = True
    assert np.array_equal(mask, expected)


def test_two_polygons_are_one_object() -> None:
    mask = rle.fill([[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 6, 4, 6, 6, 4, 6]], 8, 8)
    assert mask.sum() == 8


def test_a_polygon_beyond_the_image_is_cut_off() -> None:
    assert rle.fill([[-5, -5, 2, -5, 2, 2, -5, 2]], 4, 4).sum() == 4
    assert rle.fill([[10, 10, 20, 10, 20, 20]], 4, 4).sum() == 0


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"size": [4, 5], "counts": [20]}, "for 5 x 4 pixels"),
        ({"size": [4, 4], "counts": [3, 4]}, "add up to 7"),
        ([[0, 0, 1, 1]], "three or more corners"),
        ("nonsense", "a list of polygons"),
        ([0, 0, 1, 1, 2, 2], "three or more corners"),
        ([[0, 0, 1, 1, 2, float("nan")]], "three or more corners"),
        ({"size": None, "counts": [16]}, "a height and a width"),
        ({"size": [4, 4], "counts": None}, "a list of whole numbers"),
    ],
)
@pytest.mark.parametrize("refuse", [rle.decode, rle.check])
def test_what_is_no_mask_of_the_image_is_refused(refuse: Any, segmentation: object, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        refuse(segmentation, 4, 4)
