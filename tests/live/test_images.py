"""The images of a window: which part a model sees of them, and how many are held."""

import numpy as np
import pytest
from PIL import Image

from tests.live.conftest import noise_file
from vitrail.config import Preprocessing
from vitrail.data.item import DecodedItem
from vitrail.data.transforms import eval_transform
from vitrail.errors import ConfigError, ImageError
from vitrail.live.caches import Newest
from vitrail.live.images import MOST_IMAGES, ImageStore, NotHeld, Sample, seen_part

SIZES = [(400, 300), (300, 500), (256, 256), (90, 60)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((64, 64), crop_fraction=0.875),
        Preprocessing((64, 64), crop_fraction=1.0),
        Preprocessing((48, 96), crop_fraction=0.8),
        Preprocessing((64, 96), resize="squash"),
    ],
    ids=["crop", "whole", "wide", "squash"],
)
def test_the_part_that_is_said_to_be_seen_is_the_one_that_the_transform_keeps(size, preprocessing):
    width, height = size
    ramps = np.zeros((height, width, 3), dtype=np.uint8)
    ramps[..., 0] = np.linspace(0, 255, width).round()[None]
    ramps[..., 1] = np.linspace(0, 255, height).round()[:, None]
    kept = eval_transform(preprocessing)(Image.fromarray(ramps)).float() / 255
    left, top, right, bottom = seen_part(preprocessing, size)
    step = 0.5 / min(size) + 0.5 / min(preprocessing.image_size)
    assert float(kept[0, :, 0].mean()) == pytest.approx(left, abs=2 * step)
    assert float(kept[0, :, -1].mean()) == pytest.approx(right, abs=2 * step)
    assert float(kept[1, 0].mean()) == pytest.approx(top, abs=2 * step)
    assert float(kept[1, -1].mean()) == pytest.approx(bottom, abs=2 * step)


def test_no_more_images_are_held_than_memory_is_meant_for():
    store = ImageStore([Preprocessing((32, 32))])
    first = store.add(noise_file(seed=100), "first")
    for seed in range(MOST_IMAGES):
        store.add(noise_file(seed=seed), "another")
    with pytest.raises(NotHeld, match="no longer held; open it again"):
        store.held(first.key)
    assert len(store._held) == MOST_IMAGES


def test_an_image_that_is_opened_twice_is_held_once():
    store = ImageStore([Preprocessing((32, 32))])
    assert store.add(noise_file(), "one") is store.add(noise_file(), "other")


def test_of_two_models_each_gets_its_own_size_and_channels():
    store = ImageStore([Preprocessing((32, 32)), Preprocessing((48, 16), 1, (0.5,), (0.5,))])
    held = store.add(noise_file(), "one")
    assert [tuple(one.shape) for one in held.pixels] == [(1, 3, 32, 32), (1, 1, 48, 16)]
    assert held.size == (64, 48)


def test_what_is_no_image_is_refused_and_a_sample_that_is_not_there_too():
    store = ImageStore([Preprocessing((32, 32))], [Sample(DecodedItem("grey", Image.new("L", (9, 9), 77)), "grey")])
    with pytest.raises(ImageError):
        store.add(b"no image at all", "text")
    assert store.sample(0).pixels[0].unique().tolist() == [77]
    with pytest.raises(ConfigError, match="there is no image 1; 1 are offered"):
        store.sample(1)


def test_the_newest_are_those_that_were_asked_for_last():
    kept = Newest(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert kept.get("b") is None
    assert kept.made("a", lambda: 9) == 1
    assert kept.made("b", lambda: 9) == 9
    assert len(kept) == 2


def test_classes_of_one_name_get_their_numbers():
    from vitrail.live.facts import distinct

    assert distinct(["crane", "dog", "crane"]) == ["crane (class 0)", "dog", "crane (class 2)"]
