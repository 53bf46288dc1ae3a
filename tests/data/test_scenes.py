import numpy as np
import pytest
import torch

from vitrail.data.rle import decode
from vitrail.data.scenes import SHAPES, Scene, draw_scene, open_scenes
from vitrail.errors import DataError


def test_a_scene_is_the_same_every_time_and_another_one_for_every_number() -> None:
    first = draw_scene(Scene(0, 3, (64, 48)))
    draw_scene.cache_clear()
    again, other = draw_scene(Scene(0, 3, (64, 48))), draw_scene(Scene(0, 4, (64, 48)))
    assert first is not again
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert np.array_equal(first.masks, again.masks)
    assert not np.array_equal(np.asarray(first.image), np.asarray(other.image))


def test_boxes_fit_their_masks_exactly_and_masks_do_not_overlap() -> None:
    for number in range(30):
        scene = Scene(1, number, (72, 56))
        objects = scene.objects()
        assert objects.masks.shape[1:] == (56, 72)
        assert objects.masks.sum(dim=0).max() <= 1
        for (left, top, right, bottom), mask in zip(objects.boxes.int().tolist(), objects.masks, strict=True):
            inside = mask[top:bottom, left:right]
            assert inside.sum() == mask.sum()
            assert inside[:, [0, -1]].any(dim=0).all()
            assert inside[[0, -1]].any(dim=1).all()


def test_segments_and_annotations_say_the_same_as_the_objects() -> None:
    scene = Scene(2, 5, (64, 64))
    objects, segments = scene.objects(), scene.segments()
    assert segments.max() <= len(SHAPES)
    for shape, mask, one in zip(objects.classes.tolist(), objects.masks.bool().numpy(), scene.truth(), strict=True):
        assert (segments[mask] == shape + 1).all()
        assert np.array_equal(decode(one["segmentation"], 64, 64), mask)
        assert one["area"] == mask.sum()
    assert ((segments > 0) == objects.masks.any(dim=0).numpy()).all()


def test_every_shape_appears_and_all_splits_differ() -> None:
    source = open_scenes("scenes:48x64")
    assert source.train is not None
    assert source.test is not None
    assert source.train.items[0].size == (64, 48)
    classes = torch.cat([known.objects().classes for known in source.train.annotated[:40]])  # type: ignore[attr-defined]
    assert set(classes.tolist()) == set(range(len(SHAPES)))
    first, other = source.train.items[0], source.test.items[0]
    assert np.asarray(first.image()).tobytes() != np.asarray(other.image()).tobytes()  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["scenes:", "scenes:0", "scenes:96x", "scenes:large", "scenes:-4"])
def test_a_word_that_names_no_size_is_refused(word: str) -> None:
    with pytest.raises(DataError, match="names no drawn scenes"):
        open_scenes(word)
