from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.config import Augment, make
from vitrail.data.batches import collate
from vitrail.data.joint import JointTransform
from vitrail.data.objects import ObjectImages, Objects, ObjectSamples
from vitrail.data.samples import seeded
from vitrail.data.scenes import Scene
from vitrail.errors import ConfigError, DataError
from vitrail.tasks.detection.settings import DetectSettings


def image_of(objects: Objects) -> Image.Image:
    """Return an image that is white where the first object is, and black elsewhere."""
    return Image.fromarray(np.repeat(objects.masks[0].numpy()[..., None] * 255, 3, axis=2).astype(np.uint8))


def one_object(height: int, width: int, box: tuple[int, int, int, int]) -> Objects:
    left, top, right, bottom = box
    masks = torch.zeros(1, height, width, dtype=torch.uint8)
    masks[0, top:bottom, left:right] = 1
    return Objects(torch.tensor([box], dtype=torch.float32), torch.tensor([0]), masks)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.sampled_from(["none", "multiscale", "large", "crop"]),
    st.integers(0, 10_000),
)
def test_image_box_and_mask_stay_together_whatever_is_drawn(height: int, width: int, jitter: Any, seed: int) -> None:
    objects = one_object(height, width, (width // 4, height // 3, width // 4 + width // 2, height // 3 + height // 2))
    transform = JointTransform(48, 2.0, jitter, (0.6, 1.6), flip=0.5)
    with seeded(seed):
        image, found = transform(image_of(objects), objects)
    white = image[0] > 127
    if not len(found):
        assert white.sum() <= 0.02 * white.numel() + 100
        return
    assert found.masks.shape[1:] == image.shape[1:]
    assert (white ^ found.masks[0].bool()).sum() <= 3 * sum(white.shape)
    rows, columns = torch.where(found.masks[0])
    left, top, right, bottom = found.boxes[0].tolist()
    around = (columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1)
    assert np.abs(np.array([left, top, right, bottom]) - np.array(around)).max() <= 1.5
    assert min(left, top) >= 0
    assert right <= image.shape[2]
    assert bottom <= image.shape[1]


def test_the_longer_side_bounds_a_long_image() -> None:
    objects = one_object(20, 200, (10, 5, 60, 15))
    image, _ = JointTransform(48, longest=2.0)(image_of(objects), objects)
    assert image.shape[2] == 96
    assert image.shape[1] == 10


def test_large_scale_jitter_always_gives_a_square() -> None:
    objects = one_object(40, 70, (10, 5, 60, 35))
    for seed in range(6):
        with seeded(seed):
            image, _ = JointTransform(64, 1.0, "large", (0.1, 2.0))(image_of(objects), objects)
        assert image.shape == (3, 64, 64)


def test_an_object_that_is_cut_away_is_left_out() -> None:
    objects = one_object(100, 100, (0, 0, 4, 4))
    kept = []
    for seed in range(12):
        with seeded(seed):
            kept.append(len(JointTransform(100, 2.0, "crop", (2.0, 3.0))(image_of(objects), objects)[1]))
    assert 0 in kept


def test_a_sample_belongs_to_its_key_alone() -> None:
    scenes: Any = tuple(Scene(0, number, (64, 48)) for number in range(4))
    images = ObjectImages(scenes, None, ("",) * 4, scenes)
    samples = ObjectSamples(images, JointTransform(48, 2.0, "multiscale", (0.5, 1.5), flip=0.5), seed=3)
    first, other, again = samples[1, 2], samples[2, 2], samples[1, 2]
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["objects"].boxes, again["objects"].boxes)
    assert first["image"].shape != other["image"].shape


def test_portrait_and_landscape_share_a_batch_and_keep_their_sizes() -> None:
    scenes: Any = (Scene(0, 0, (40, 70)), Scene(0, 1, (90, 33)))
    samples = ObjectSamples(ObjectImages(scenes, None, ("", ""), scenes), JointTransform(33, 3.0))
    batch = collate([samples[0, 0], samples[0, 1]])
    assert batch["image"].shape == (2, 3, 64, 96)
    assert batch["size"].tolist() == [[58, 33], [33, 90]]
    assert batch["original"].tolist() == [[70, 40], [33, 90]]
    assert batch["image"][1, :, 33:].sum() == 0
    assert [len(objects) for objects in batch["objects"]] == [len(scene.objects()) for scene in scenes]


def test_annotations_of_another_image_size_are_refused() -> None:
    scenes: Any = (Scene(0, 0, (40, 70)),)
    wrong: Any = (Scene(0, 0, (70, 40)),)
    with pytest.raises(DataError, match="40 x 70 pixels, its annotations say 70 x 40"):
        ObjectSamples(ObjectImages(scenes, None, ("a",), wrong), JointTransform(33))[0, 0]


def test_a_scale_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="jitter_scale"):
        JointTransform(33, scale=(1.0, 0.5))


@pytest.mark.parametrize("name", ["mixup", "cutmix", "rand_augment", "erasing"])
def test_what_has_no_meaning_for_objects_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        make(DetectSettings, data="boxes", augment=Augment(**{name: 1}))
