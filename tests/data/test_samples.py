"""A sample belongs to (seed, epoch, index), and to nothing else."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vitrail.config import Augment, Preprocessing
from vitrail.data.samples import Samples, seed_of, seeded
from vitrail.data.sources import Images, open_source
from vitrail.data.transforms import eval_transform, train_transform
from vitrail.errors import DataError, ImageError

from .conftest import MakeFiles

SMALL = Preprocessing((8, 8))


def drawn_mask(image: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"mask": torch.rand(16) < 0.75}


def samples_of(root: Path, **options) -> Samples:
    source = open_source(root, validation_share=0.0)
    assert source.train is not None
    augment = Augment(color_jitter=0.4, rand_augment=9, erasing=0.5)
    return Samples(source.train, train_transform(augment, SMALL), 7, extra=drawn_mask, **options)


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(torch.as_tensor(a[k]), torch.as_tensor(b[k])) for k in a)


@pytest.fixture
def root(make_files: MakeFiles) -> Path:
    return make_files({f"{name}/{i}.jpg": 10 * i + len(name) for name in ("a", "bb") for i in range(5)})


def test_a_sample_holds_image_label_index_and_extras(root: Path):
    sample = samples_of(root)[0, 6]
    assert sample["image"].dtype == torch.uint8
    assert sample["image"].shape == (3, 8, 8)
    assert (sample["label"], sample["index"]) == (1, 6)
    assert sample["mask"].dtype == torch.bool


def test_without_labels_there_is_no_label(root: Path):
    images = open_source(root, labels=False, validation_share=0.0).train
    assert images is not None
    assert set(Samples(images, eval_transform(SMALL))[0, 0]) == {"image", "index"}


@pytest.mark.parametrize("cache", ["on", "off"])
def test_a_sample_does_not_depend_on_what_was_drawn_before_nor_on_the_cache(root: Path, cache):
    alone = samples_of(root, cache="off")[3, 4]
    busy = samples_of(root, cache=cache)
    for key in ((3, 3), (3, 4), (0, 4)):
        busy[key]
    torch.rand(5)
    assert equal(busy[3, 4], alone)


def test_a_sample_is_the_same_where_workers_are_spawned_and_get_a_pickled_copy(root: Path):
    samples = samples_of(root, cache="on")
    expected = samples[2, 5]
    assert equal(pickle.loads(pickle.dumps(samples))[2, 5], expected)


def test_epochs_indices_repeats_and_seeds_draw_differently(root: Path):
    samples = samples_of(root)
    masks = [samples[key]["mask"] for key in ((0, 0), (1, 0), (0, 1), (0, 0, 1))]
    samples.seed = 8
    masks.append(samples[0, 0]["mask"])
    assert len({tuple(mask.tolist()) for mask in masks}) == 5


def test_the_callers_random_numbers_are_untouched(root: Path):
    samples = samples_of(root)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    samples[0, 0]
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_the_callers_random_numbers_are_untouched_by_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="x"), seeded(1, 2):
        raise ValueError("x")
    assert torch.equal(torch.get_rng_state(), state)


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=4), min_size=2, max_size=20, unique_by=tuple))
def test_different_numbers_give_different_seeds_that_torch_accepts(parts: list[list[int]]):
    seeds = [seed_of(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_never_changes_between_versions_or_machines():
    assert seed_of(0, 1, 2) == 8338702705367738415
    assert seed_of(*np.arange(3)) == seed_of(0, 1, 2)


def test_a_damaged_image_is_an_error_or_gives_its_place_to_the_next(make_files: MakeFiles):
    root = make_files({"a/0.png": 0, "a/1.png": b"?", "b/2.png": b"", "b/3.png": 3})
    samples = samples_of(root)
    with pytest.raises(ImageError, match=r"1\.png: not a JPEG"):
        samples[0, 1]
    sample, damaged = samples.undamaged((0, 1))
    assert (sample["index"], sample["label"]) == (3, 1)
    assert [Path(error.path).name for error in damaged] == ["1.png", "2.png"]
    assert equal(sample, samples.undamaged((0, 1))[0])
    assert torch.equal(sample["mask"], samples_of(root).undamaged((0, 1))[0]["mask"])
    assert samples.undamaged((0, 0))[1] == []


def test_a_damaged_last_image_gives_its_place_to_the_first(make_files: MakeFiles):
    root = make_files({"a/0.png": 0, "b/1.png": b"?"})
    assert samples_of(root).undamaged((0, 1))[0]["index"] == 0


def test_the_search_for_an_undamaged_image_ends(make_files: MakeFiles):
    root = make_files({f"{name}/{i}.png": b"?" for name in "ab" for i in range(3)})
    with pytest.raises(DataError, match=r"6 images in a row cannot be read, the first being .*0\.png: not a JPEG"):
        samples_of(root).undamaged((0, 0))


def test_images_in_memory_are_taken_in_any_mode_and_not_changed():
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    images = Images((grey, grey.convert("RGBA")), None, ("0", "1"))
    whole = eval_transform(Preprocessing((8, 8), crop_fraction=1.0))
    colour = Samples(images, whole, channels=3)
    assert torch.equal(colour[0, 0]["image"], colour[0, 1]["image"])
    assert torch.equal(Samples(images, whole, channels=1)[0, 1]["image"][0], colour[0, 0]["image"][0])
    assert grey.mode == "L"


def test_a_large_jpeg_is_decoded_only_as_far_as_the_crop_needs(tmp_path: Path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (640, 480)).save(path)
    seen = []

    class Watched:
        enough = 100

        def __call__(self, image: Image.Image) -> torch.Tensor:
            seen.append(image.size)
            return torch.zeros(1)

    Samples(Images((path,), None, ("large.jpg",)), Watched())[0, 0]
    assert seen == [(160, 120)]
