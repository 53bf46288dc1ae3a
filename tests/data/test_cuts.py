"""Parts of images and of their segments: always the same part of both."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.config import Augment, Preprocessing, make
from vitrail.data.cuts import MOST_OF_ONE_CLASS, RandomCut, Whole, random_cut, resize_segments
from vitrail.data.segments import VOID
from vitrail.errors import ConfigError
from vitrail.tasks.segmentation.settings import SegmentSettings

sides = st.integers(1, 90)


def pair(height: int, width: int) -> tuple[Image.Image, np.ndarray]:
    """An image whose brightness is 60 times the class of each pixel."""
    rows, columns = np.mgrid[:height, :width]
    classes = ((rows * 3 // max(1, height)) + (columns * 2 // max(1, width))).astype(np.uint8)
    return Image.fromarray(np.repeat((classes * 60)[..., None], 3, axis=2)), classes


@given(sides, sides, st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_part_has_the_asked_size_and_shows_the_classes_it_says(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    image, classes = RandomCut((32, 48), (0.5, 2.0), fill=(255, 255, 255))(*pair(height, width))
    assert image.shape == (3, 32, 48)
    assert classes.shape == (32, 48)
    assert image.dtype == classes.dtype == torch.uint8
    assert (image[:, classes == VOID] == 255).all()
    counted = classes != VOID
    # A resized image is blurred over class borders; in all but the smallest most pixels lie away from them.
    near = (image[0].float() - 60 * classes.float()).abs()[counted] < 30
    assert not counted.any() or min(height, width) < 8 or near.float().mean() > 0.6


def test_without_scaling_pixels_and_classes_are_cut_out_unchanged() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        image, classes = RandomCut((16, 16), (1.0, 1.0))(*pair(40, 50))
        assert torch.equal(image[0], classes * 60)


def test_a_flip_turns_both() -> None:
    image, classes = pair(8, 8)
    pixels, flipped = RandomCut((8, 8), (1.0, 1.0), flip=1.0)(image, classes)
    assert torch.equal(flipped, torch.from_numpy(classes).flip(-1))
    assert torch.equal(pixels[0], flipped * 60)


def test_parts_that_show_nearly_nothing_but_one_class_are_drawn_anew() -> None:
    classes = np.zeros((64, 64), np.uint8)
    classes[:, 40:] = 1
    image = Image.fromarray(np.zeros((64, 64, 3), np.uint8))
    cut = RandomCut((16, 16), (1.0, 1.0))
    torch.manual_seed(0)
    shares = [np.bincount(cut(image, classes)[1].flatten().numpy()).max() / 256 for _ in range(50)]
    assert np.mean([share <= MOST_OF_ONE_CLASS for share in shares]) > 0.8


def test_an_all_void_image_is_cut_all_the_same() -> None:
    _, classes = RandomCut((16, 16), (0.5, 2.0))(Image.new("RGB", (30, 20)), np.full((20, 30), VOID, np.uint8))
    assert (classes == VOID).all()


def test_evaluation_scales_the_image_and_never_the_segments() -> None:
    image, classes = pair(20, 30)
    pixels, kept = Whole(short_side=40)(image, classes)
    assert pixels.shape == (3, 40, 60)
    assert torch.equal(kept, torch.from_numpy(classes))


@given(sides, sides, sides, sides)
@settings(deadline=None, max_examples=30)
def test_resizing_makes_no_new_classes(h: int, w: int, tall: int, wide: int) -> None:
    segments = torch.randint(0, 5, (h, w), dtype=torch.uint8)
    resized = resize_segments(segments, (tall, wide))
    assert set(resized.unique().tolist()) <= set(segments.unique().tolist())


@pytest.mark.parametrize("name", ["mixup", "cutmix", "rand_augment", "erasing"])
def test_what_has_no_meaning_for_segments_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        make(SegmentSettings, data="streets", augment=Augment(**{name: 1}))


@pytest.mark.parametrize(("scale", "short_side"), [((0.0, 1.0), None), ((2.0, 1.0), None), ((1.0, 1.0), 0)])
def test_scales_that_cannot_work_are_refused(scale: tuple[float, float], short_side: int | None) -> None:
    with pytest.raises(ConfigError):
        random_cut(Augment(), Preprocessing(), scale, short_side)
