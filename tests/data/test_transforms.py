"""Crops, flips and erasures: the right pixels, the right size, the right odds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.config import Augment, Preprocessing
from vitrail.data.transforms import RandomCrop, draw_box, eval_transform, resize, to_tensor, train_transform
from vitrail.errors import ConfigError

PLAIN = Augment(crop="none", flip=0.0)


def photo(width: int, height: int, channels: int = 3) -> Image.Image:
    """Smooth waves with a little noise: resizing it is neither trivial nor all aliasing."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (9 + 4 * c) + c) * np.cos(y / 13) for c in range(channels)]
    values = np.stack(waves, -1) + np.random.default_rng(0).normal(0, 8, (height, width, channels))
    values = values.clip(0, 255).astype(np.uint8)
    return Image.fromarray(values if channels == 3 else values[:, :, 0])


def preprocessing(height: int, width: int, channels: int = 3, **options) -> Preprocessing:
    return Preprocessing((height, width), channels, (0.5,) * channels, (0.5,) * channels, **options)


@pytest.mark.parametrize("width_height", [(300, 200), (200, 300), (256, 256), (100, 90), (1000, 230)])
def test_evaluation_is_torchvision_resize_and_centre_crop_to_the_pixel(width_height: tuple[int, int]):
    from torchvision.transforms import InterpolationMode, v2

    image = photo(*width_height)
    peer = v2.Compose([v2.PILToTensor(), v2.Resize(256, InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(224)])
    assert torch.equal(eval_transform(preprocessing(224, 224))(image), peer(image))


def test_resizing_agrees_with_pillow_within_one_level():
    image = photo(500, 375)
    expected = torch.from_numpy(np.array(image.resize((224, 200), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    assert (resize(to_tensor(image), (200, 224)).int() - expected.int()).abs().max() <= 1


def test_squash_shows_the_whole_image_and_crop_only_its_centre():
    image = Image.new("L", (64, 32), 0)
    image.paste(255, (0, 0, 8, 32))
    squashed = eval_transform(preprocessing(32, 32, 1, resize="squash"))(image)
    centre = eval_transform(preprocessing(32, 32, 1, crop_fraction=1.0))(image)
    assert squashed[0, 16, 0] == 255
    assert centre.max() == 0


@pytest.mark.parametrize("size", [(1, 3_000_000), (3_000_000, 1)])
def test_an_endless_strip_does_not_fill_the_memory(size: tuple[int, int]):
    strip = Image.new("L", size, 9)
    for crop in ("random", "fixed", "none"):
        assert (train_transform(Augment(crop=crop), preprocessing(32, 32, 1))(strip) == 9).all()


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    out=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    channels=st.sampled_from([1, 3]),
    crop=st.sampled_from(["random", "fixed", "none"]),
    how=st.sampled_from(["crop", "squash"]),
    share=st.floats(0.3, 1),
)
def test_any_image_becomes_a_contiguous_uint8_tensor_of_the_asked_size(size, out, channels, crop, how, share):
    wanted = preprocessing(*out, channels, resize=how, crop_fraction=share)
    augment = Augment(crop=crop, erasing=0.5)
    for transform in (train_transform(augment, wanted), eval_transform(wanted)):
        image = transform(photo(*size, channels))
        assert image.shape == (channels, *out)
        assert image.dtype == torch.uint8
        assert image.is_contiguous()


def test_training_without_augmentation_is_evaluation():
    image = photo(120, 90)
    for how in ("crop", "squash"):
        wanted = preprocessing(48, 64, resize=how)
        assert torch.equal(train_transform(PLAIN, wanted)(image), eval_transform(wanted)(image))


def test_boxes_have_the_asked_areas_and_aspects_and_reach_every_border():
    torch.manual_seed(0)
    boxes = [draw_box(400, 300, (0.2, 0.5), (0.5, 2.0)) for _ in range(3000)]
    left, top, right, bottom = torch.tensor([box for box in boxes if box]).T
    share = (right - left) * (bottom - top) / (400 * 300)
    aspect = torch.log2((right - left) / (bottom - top))
    assert share.min() > 0.195
    assert share.max() < 0.505
    assert aspect.abs().max() < 1.02
    assert abs(share.mean() - 0.35) < 0.01  # Uniform.
    assert abs(aspect.mean()) < 0.05  # Log-uniform.
    assert (left.min(), top.min(), right.max(), bottom.max()) == (0, 0, 400, 300)


def test_a_random_crop_that_cannot_fit_is_the_largest_allowed_part_of_the_centre():
    strip = Image.new("L", (400, 10), 0)
    strip.paste(255, (193, 0, 207, 10))
    crop = RandomCrop((10, 14), scale=(0.9, 1.0), ratio=(3 / 4, 1.4))
    assert crop(strip).min() == 255


def test_a_random_crop_of_everything_is_a_resize():
    image = photo(90, 60)
    crop = RandomCrop((32, 48), scale=(1.0, 1.0), ratio=(1.5, 1.5))
    assert torch.equal(crop(image), resize(to_tensor(image), (32, 48)))


def test_no_crop_asks_for_more_pixels_than_enough():
    augment = Augment(crop_scale=(0.2, 1.0))
    transform = train_transform(augment, preprocessing(224, 224))
    assert transform.enough is not None
    torch.manual_seed(0)
    for size in ((transform.enough, transform.enough), (3 * transform.enough, transform.enough)):
        boxes = [draw_box(*size, augment.crop_scale, augment.crop_ratio) for _ in range(500)]
        assert min(min(b[2] - b[0], b[3] - b[1]) for b in boxes if b) >= 223
    assert eval_transform(preprocessing(224, 224)).enough is None


def test_a_fixed_crop_keeps_the_scale_and_moves_over_the_whole_image():
    image = photo(80, 40)
    transform = train_transform(Augment(crop="fixed", flip=0.0), preprocessing(35, 35, crop_fraction=0.875))
    whole = to_tensor(image).unfold(1, 35, 1).unfold(2, 35, 1)
    torch.manual_seed(0)
    places = set()
    for _ in range(200):
        matches = (whole == transform(image)[:, None, None]).all(-1).all(-1).all(0).nonzero()
        assert len(matches) == 1
        places.add(tuple(matches[0].tolist()))
    assert {y for y, _ in places} == set(range(6))
    assert {0, 45} <= {x for _, x in places}


def test_flips_come_as_often_as_asked():
    image = photo(16, 16)
    still = train_transform(PLAIN, preprocessing(16, 16, crop_fraction=1.0))(image)
    transform = train_transform(Augment(crop="none", flip=0.25), preprocessing(16, 16, crop_fraction=1.0))
    torch.manual_seed(0)
    flips = 0
    for _ in range(1000):
        pixels = transform(image)
        flipped = torch.equal(pixels, still.flip(-1))
        assert flipped or torch.equal(pixels, still)
        flips += flipped
    assert abs(flips - 250) < 45


def test_erasing_replaces_one_rectangle_by_noise_of_every_level_as_often_as_asked():
    image = Image.new("RGB", (64, 64), (7, 7, 7))
    transform = train_transform(Augment(crop="none", flip=0.0, erasing=0.5), preprocessing(64, 64))
    torch.manual_seed(0)
    shares, levels = [], set()
    for _ in range(400):
        erased = (transform(image) != 7).any(0)
        if not erased.any():
            continue
        rows, columns = erased.any(1).nonzero(), erased.any(0).nonzero()
        area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert erased.sum() == area
        shares.append(float(area) / 64**2)
        levels.update(transform(image).unique().tolist())
    assert abs(len(shares) - 200) < 40
    assert min(shares) > 0.015
    assert max(shares) < 0.35
    assert levels == set(range(256))


@pytest.mark.parametrize("augment", [Augment(color_jitter=0.4), Augment(rand_augment=9), Augment(rand_augment=30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_changes_keep_shape_and_kind_and_change_the_image(augment: Augment, channels: int):
    wanted = preprocessing(48, 48, channels)
    image = photo(60, 50, channels)
    changed = 0
    for seed in range(20):
        torch.manual_seed(seed)
        pixels = train_transform(augment, wanted)(image)
        torch.manual_seed(seed)
        plain = train_transform(Augment(), wanted)(image)
        assert (pixels.shape, pixels.dtype) == (plain.shape, plain.dtype)
        changed += not torch.equal(pixels, plain)
    assert changed >= 10


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ({"crop_scale": (0.0, 1.0)}, "crop_scale"),
        ({"crop_scale": (0.9, 0.5)}, "crop_scale"),
        ({"crop_ratio": (2.0, 1.0)}, "crop_ratio"),
        ({"flip": 1.5}, "flip is a probability"),
        ({"erasing": -0.1}, "erasing is a probability"),
        ({"rand_augment": 31}, "rand_augment"),
        ({"color_jitter": -1.0}, "color_jitter"),
    ],
)
def test_an_augmentation_that_cannot_work_is_named(augment: dict, words: str):
    with pytest.raises(ConfigError, match=words):
        train_transform(Augment(**augment), Preprocessing())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image_size": (0, 224)}, "image_size"),
        ({"channels": 2}, "channels must be 3 for colour or 1 for grey"),
        ({"channels": 1}, "mean and std need one value for each of the 1 channels"),
        ({"crop_fraction": 0.0}, "crop_fraction"),
        ({"crop_fraction": math.inf}, "crop_fraction"),
    ],
)
def test_a_preprocessing_that_cannot_work_is_named(settings: dict, words: str):
    with pytest.raises(ConfigError, match=words):
        eval_transform(Preprocessing(**settings))


def test_a_fixed_crop_moves_even_where_evaluation_sees_the_whole_image():
    torch.manual_seed(0)
    transform = train_transform(Augment(crop="fixed", flip=0.0), preprocessing(32, 32, crop_fraction=1.0))
    image = Image.fromarray(np.arange(40 * 40, dtype=np.uint32).reshape(40, 40).astype(np.uint8)).convert("RGB")
    assert len({transform(image).numpy().tobytes() for _ in range(12)}) > 3
