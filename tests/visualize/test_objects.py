"""Images of objects: boxes, masks and labels where they belong."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from vitrail.visualize import objects
from vitrail.visualize.objects import OPACITY, colour_of, draw_objects, outlined

GREY = Image.new("RGB", (120, 90), (100, 100, 100))


def test_a_box_is_drawn_on_its_pixels_in_the_colour_of_its_class() -> None:
    drawn = np.asarray(draw_objects(GREY, np.array([[20.0, 30.0, 60.0, 70.0]]), [""], [3]))
    changed = np.argwhere((drawn != 100).any(axis=2))
    assert changed.min(axis=0).tolist() == [30, 20]
    assert changed.max(axis=0).tolist() == [70, 60]
    assert tuple(drawn[30, 40]) == colour_of(3)
    assert (drawn[40, 40] == 100).all()


def test_a_mask_is_laid_over_its_pixels_and_its_edge_is_its_full_colour() -> None:
    masks = np.zeros((1, 90, 120), dtype=bool)
    masks[0, 10:20, 10:30] = True
    drawn = np.asarray(draw_objects(GREY, np.zeros((1, 4)), [""], [1], masks), float)
    assert tuple(drawn[10, 12]) == colour_of(1)
    assert np.allclose(drawn[15, 20], (1 - OPACITY) * 100 + OPACITY * np.array(colour_of(1)), atol=1)
    assert (drawn[25, 20] == 100).all()


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    taken: list[objects.Place] = []
    for box in ([40, 40, 80, 80], [42, 40, 82, 80], [44, 42, 84, 82], [40, 44, 80, 84]):
        taken.append(objects._place([float(side) for side in box], 30, 12, GREY.size, taken))
    for one, other in combinations(taken, 2):
        assert not objects._overlap(one, other)
    assert all(left >= 0 and right <= 120 and top >= 0 and bottom <= 90 for left, top, right, bottom in taken)


def test_outlines_are_seen_on_any_ground_and_leave_the_image_as_it_was() -> None:
    for ground in ((255, 255, 255), (0, 0, 0)):
        image = Image.new("RGB", (50, 50), ground)
        drawn = np.asarray(outlined(image, np.array([[10.0, 10.0, 30.0, 30.0]])))
        assert (drawn != np.array(ground)).any()
        assert (np.asarray(image) == np.array(ground)).all()


@pytest.mark.parametrize("name", ["a\nb", "caf\udce9", "\x1b[31m", "long " * 80, "\u202eabc", ""])
def test_class_names_of_any_kind_are_written_inside_the_image(name: str) -> None:
    drawn = draw_objects(Image.new("RGB", (60, 40)), np.array([[5.0, 5.0, 30.0, 30.0]]), [f"{name} 50 %"], [0])
    assert drawn.size == (60, 40)
