"""Folders of images and index masks: what is found, what is refused, and that indices stay what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vitrail import cli
from vitrail.config import Augment, Preprocessing
from vitrail.data.batches import EvalBatches, Loading, TrainBatches
from vitrail.data.cuts import Whole, random_cut
from vitrail.data.segment_folders import examine, is_segments, open_segments
from vitrail.data.segments import VOID, Labelling, SegmentImages, SegmentSamples
from vitrail.errors import DataError, ImageError

CLASSES = "sky\nroad\ncar\n"


def write(root: Path, name: str, mask: np.ndarray, size: tuple[int, int] | None = None, mode: str = "P") -> None:
    """Write an image and its mask; the palette's colours have nothing to do with the indices."""
    split = name.rpartition("/")[0]
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size or mask.shape[::-1], "grey").save(root / "images" / f"{name}.jpg")
    image = Image.fromarray(mask)
    if mode == "P":
        image.putpalette([(7 * n) % 256 for n in range(768)])
    image.convert(mode).save(root / "masks" / f"{name}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            write(tmp_path, f"{split}/{number}", np.full((6, 8), number % 3, np.uint8))
    (tmp_path / "classes.txt").write_text(CLASSES)
    return tmp_path


def train(root: Path, **options: object) -> SegmentImages:
    images = open_segments(root, **options).train  # type: ignore[arg-type]
    assert isinstance(images, SegmentImages)
    return images


def test_splits_classes_and_masks_are_found(root: Path) -> None:
    source = open_segments(root)
    assert source.class_names == ("sky", "road", "car")
    assert source.validation is not None
    assert source.test is None
    assert (len(train(root)), len(source.validation)) == (4, 2)
    assert train(root).segments(1).tolist() == [[1] * 8] * 6
    assert is_segments(root)
    assert not is_segments(root / "images")


def test_a_wrapper_is_entered_and_it_is_said(root: Path, capsys) -> None:
    outer = root / "outer" / "archive"
    outer.mkdir(parents=True)
    for name in ("images", "masks", "classes.txt"):
        (root / name).rename(outer / name)
    source = open_segments(root)
    assert source.notes[0].startswith("The data set is read from the folder 'outer/archive'")
    assert len(train(root)) == 4
    cli.main(["doctor", str(root)])
    assert "road" in capsys.readouterr().out


def test_a_test_split_whose_masks_are_secret_is_left_out_and_it_is_said(root: Path) -> None:
    (root / "images" / "test").mkdir()
    Image.new("RGB", (8, 6)).save(root / "images" / "test" / "0.jpg")
    source = open_segments(root)
    assert source.test is None
    assert "The test images in 'test' have no masks: they are left out." in source.notes


@pytest.mark.parametrize("mode", ["P", "L"])
def test_the_indices_of_a_palette_count_and_not_its_colours(root: Path, mode: str) -> None:
    write(root, "train/0", np.array([[0, 1, 2, 255]], np.uint8), mode="L" if mode == "L" else "P")
    assert train(root).segments(0).tolist() == [[0, 1, 2, VOID]]


def test_without_names_classes_are_numbered_as_in_the_masks(root: Path) -> None:
    (root / "classes.txt").unlink()
    write(root, "train/0", np.array([[0, 7, 11]], np.uint8))
    source = open_segments(root, ignore=11)
    assert source.class_names == tuple(f"class {n}" for n in range(8))
    assert any("8 classes are numbered" in note for note in source.notes)


def test_ignoring_zero_moves_the_classes_down_and_predictions_back_up() -> None:
    labelling = Labelling(ignore=0, count=3)
    values = np.array([0, 1, 2, 3, 255], np.uint8)
    classes = labelling.to_classes(values)
    assert classes.tolist() == [VOID, 0, 1, 2, VOID]
    assert labelling.to_values(classes[1:4]).tolist() == [1, 2, 3]


@pytest.mark.parametrize("ignore", [0, 3, 11, 254, 255])
def test_values_come_back_as_they_were(ignore: int) -> None:
    values = np.array([v for v in range(20) if v != ignore], np.uint8)
    labelling = Labelling(ignore, 20)
    assert (labelling.to_values(labelling.to_classes(values)) == values).all()


def test_a_value_that_is_no_class_is_named_with_its_file(root: Path) -> None:
    write(root, "train/2", np.array([[0, 9]], np.uint8))
    with pytest.raises(DataError, match=r"train/2\.png: value 9 is none of the 3 classes"):
        train(root).segments(2)


def test_a_missing_mask_is_named(root: Path) -> None:
    (root / "masks/train/2.png").unlink()
    with pytest.raises(DataError, match=r"no mask masks/train/2\.png"):
        open_segments(root)


def test_a_mask_of_another_size_is_refused_and_found_by_the_doctors_check(root: Path) -> None:
    write(root, "train/1", np.zeros((6, 8), np.uint8), size=(8, 7))
    samples = SegmentSamples(train(root), Whole(), cache="off")
    with pytest.raises(DataError, match="8 x 7 pixels, its mask 8 x 6"):
        samples[0, 1]
    shown, problems = examine(train(root))
    assert len(problems) == 1
    assert "1.jpg" in problems[0]
    assert shown == {0: 2, 2: 1}


def test_a_mask_that_is_void_all_over_is_worth_knowing_of(root: Path) -> None:
    write(root, "train/1", np.full((6, 8), VOID, np.uint8))
    _, problems = examine(train(root))
    assert problems == ["images/train/1.jpg: its mask is void all over, so nothing is learned from it"]


def test_a_mask_in_colours_is_refused(root: Path) -> None:
    Image.new("RGB", (8, 6), (128, 0, 64)).save(root / "masks/train/1.png")
    with pytest.raises(ImageError, match="one byte a pixel"):
        train(root).segments(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root / "nowhere", "there is no folder"),
        (lambda root: root / "images", "has no folder 'images'"),
    ],
)
def test_what_is_no_such_folder_is_answered_in_one_sentence(root: Path, change: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_segments(change(root))  # type: ignore[operator]


def test_a_wrong_mask_ends_the_run_with_its_name_also_in_a_data_worker(root: Path) -> None:
    write(root, "val/1", np.array([[0, 9]], np.uint8))
    images = open_segments(root).validation
    assert isinstance(images, SegmentImages)
    with pytest.raises(DataError, match=r"^\S*val/1\.png: value 9"):
        list(EvalBatches(SegmentSamples(images, Whole(), cache="off", own_sizes=True), 1, loading=Loading(workers=1)))


def test_images_of_several_sizes_share_a_batch_and_keep_their_own() -> None:
    masks = (np.zeros((5, 40), np.uint8), np.ones((33, 3), np.uint8))
    images = SegmentImages(tuple(Image.new("RGB", m.shape[::-1]) for m in masks), None, ("wide", "tall"), masks)
    (batch,) = EvalBatches(SegmentSamples(images, Whole(), own_sizes=True), 2)
    assert batch["image"].shape == (2, 3, 64, 64)
    assert batch["shape"].tolist() == [[5, 40], [33, 3]]
    assert (batch["semantic"] != VOID).sum() == 5 * 40 + 33 * 3


def test_training_batches_depend_on_seed_and_epoch_alone(root: Path) -> None:
    cut = random_cut(Augment(), Preprocessing(image_size=(8, 8)), (0.5, 2.0), None)
    samples = SegmentSamples(train(root), cut, seed=3)
    first, second = (next(TrainBatches(samples, 2, seed=3, loading=Loading(workers=w)).start(5))[0] for w in (0, 1))
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["semantic"], second["semantic"])


def test_drawn_scenes_have_a_class_for_every_pixel() -> None:
    source = open_segments("scenes:48x64")
    assert source.class_names[0] == "ground"
    assert isinstance(source.test, SegmentImages)
    segments = source.test.segments(3)
    assert segments.shape == (48, 64)
    assert 1 < len(np.unique(segments)) <= len(source.class_names)
