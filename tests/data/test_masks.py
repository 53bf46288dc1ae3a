"""Masks as people have them: read as numbers where they are, else refused with what occurs in them and what fits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vitrail
from vitrail.data.images import open_indices
from vitrail.data.segment_folders import check_masks, open_segments
from vitrail.data.segments import VOID, SegmentImages
from vitrail.data.sources import Source
from vitrail.errors import DataError, ImageError, VitrailError

RANDOM = np.random.RandomState(7)


def write(root: Path, masks: list[Any], names: str = "", split: str = "train", ending: str = ".png") -> Path:
    """Write noise and masks, arrays or images, and the names of the classes."""
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        image = mask if isinstance(mask, Image.Image) else Image.fromarray(np.asarray(mask))
        noise = RANDOM.randint(0, 255, (image.height, image.width, 3)).astype(np.uint8)
        Image.fromarray(noise).save(root / "images" / split / f"{number}.jpg")
        image.save(root / "masks" / split / f"{number}{ending}")
    if names:
        (root / "classes.txt").write_text(names)
    return root


def of(*values: int, count: int = 3, dtype: Any = np.uint8) -> list[np.ndarray]:
    """Return masks that show these values."""
    return [np.resize(np.array(values, dtype), (6, 8)) for _ in range(count)]


def opened(root: Path, **options: Any) -> Source:
    source = open_segments(root, **options)
    check_masks(source)
    return source


def refused(root: Path, **options: Any) -> str:
    """Return the one sentence that training answers with; the doctor must not say that nothing is wrong."""
    with pytest.raises(VitrailError) as error:
        opened(root, **options)
    assert "\n" not in str(error.value)
    try:
        found = vitrail.doctor(str(root), **options)["data"]
    except VitrailError:
        return str(error.value)
    assert found["damaged"] or found["mistakes"]
    return str(error.value)


@pytest.mark.parametrize(
    ("masks", "names", "options", "parts"),
    [
        (of(0, 255), "sky\nroad\n", {}, ["show 1 of the 2 classes", "0, 255", "write what shall be learned as 1"]),
        (of(0, 255), "", {}, ["show 1 classes", "0, 255", "255 always means void"]),
        (of(1, 2, 3), "a\nb\nc\n", {}, ["value 3 is none of the 3 classes", "1, 2, 3", "--dense.ignore 0 makes 1"]),
        (of(0, 1, 2, 3), "a\nb\nc\n", {}, ["0, 1, 2, 3", "name 4 classes in classes.txt, or, if 0 means void"]),
        (of(0, 50, 100, 150), "", {}, ["0, 50, 100, 150", "number the classes 0 to 3"]),
        (of(0, 50, 100, 150), "a\nb\nc\nd\n", {}, ["0, 50, 100, 150", "number the classes 0 to 3"]),
        (of(0, 128), "", {}, ["0, 128", "number the classes 0 to 1"]),
        (of(255), "a\nb\n", {}, ["show 0 of the 2 classes", "255"]),
        (of(1), "a\nb\n", {}, ["show 1 of the 2 classes", "value 1"]),
        (of(0, 1), "a\nb\n", {"ignore": 0}, ["show 1 of the 2 classes", "leave out --dense.ignore 0"]),
    ],
)
def test_values_that_fit_no_class_are_listed_with_what_to_do(
    masks: Any, names: str, options: dict[str, Any], parts: list[str], tmp_path: Path
) -> None:
    said = refused(write(tmp_path, masks, names), **options)
    for part in parts:
        assert part in said


def test_a_class_that_only_the_last_mask_shows_is_found_before_anything_is_refused(tmp_path: Path) -> None:
    masks = [*of(0, count=130), *of(1, count=1), *of(0, count=2)]
    opened(write(tmp_path, masks, "a\nb\n"), validation_share=0.0)


def test_masks_without_zero_are_noted(tmp_path: Path) -> None:
    assert "say --dense.ignore 0" in " ".join(check_masks(open_segments(write(tmp_path, of(1, 2, 3)))))


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
@pytest.mark.parametrize("names", ["", "a\nb\n"])
def test_a_jpeg_under_a_png_name_is_no_mask(format_: str, names: str, tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1, 1, 0), names)
    for file in (root / "masks" / "train").iterdir():
        with Image.open(file) as image:
            pixels = image.convert("RGB")
        pixels.save(file, format=format_)
    assert "whose compression changes the numbers" in refused(root)


@pytest.mark.parametrize(
    "image",
    [
        Image.merge("RGB", 3 * [Image.fromarray(of(0, 1, 2)[0])]),
        Image.merge("RGBA", [*3 * [Image.fromarray(of(0, 1, 2)[0])], Image.new("L", (8, 6), 255)]),
        Image.merge("LA", [Image.fromarray(of(0, 1, 2)[0]), Image.new("L", (8, 6), 255)]),
        Image.fromarray(of(0, 1, 2, dtype=np.uint16)[0]),
    ],
)
def test_grey_in_colours_and_sixteen_bits_are_read_as_numbers(image: Image.Image, tmp_path: Path) -> None:
    images = opened(write(tmp_path, 3 * [image]), validation_share=0.0).train
    assert isinstance(images, SegmentImages)
    assert np.array_equal(images.segments(1), of(0, 1, 2)[0])


def test_colours_are_refused_with_those_found(tmp_path: Path) -> None:
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[2:] = (128, 0, 64)
    said = refused(write(tmp_path, 3 * [colours], "a\nb\n"))
    assert "(0, 0, 0), (128, 0, 64)" in said
    assert "one byte" in said


def test_numbers_above_a_byte_and_fractions_are_refused(tmp_path: Path) -> None:
    Image.fromarray(of(0, 1000, dtype=np.uint16)[0]).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="0 to 1000"):
        open_indices(tmp_path / "a.png")
    Image.fromarray(of(0, 1, dtype=np.float32)[0]).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="one byte a pixel"):
        open_indices(tmp_path / "a.tif")


@pytest.mark.parametrize("ending", ["_mask.png", ".PNG", "_mask.PNG", ".tif", ".bmp", "_labelIds.png", "_gt.gif"])
def test_masks_with_usual_endings_are_matched(ending: str, tmp_path: Path) -> None:
    images = opened(write(tmp_path, of(0, 1), "a\nb\n", ending=ending), validation_share=0.0).train
    assert isinstance(images, SegmentImages)
    assert [Path(str(mask)).name for mask in images.masks] == [f"{n}{ending}" for n in range(3)]


def test_names_that_match_nothing_or_several_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "a", of(0, 1), "a\nb\n", ending="-other.png")
    assert "no mask masks/train/0.png" in refused(root)
    assert "0-other.png" in refused(root)
    root = write(tmp_path / "b", of(0, 1), "a\nb\n", ending=".bmp")
    for file in list((root / "masks" / "train").iterdir()):
        Image.open(file).save(file.with_suffix(".tif"))
    assert "several masks" in refused(root)
    root = write(tmp_path / "c", of(0, 1), "a\nb\n", ending=".jpg")
    assert "0.jpg there is no mask" in refused(root)


@pytest.mark.parametrize(
    ("images", "masks"), [("val", "valid"), ("valid", "val"), ("validation", "Val"), ("dev", "val")]
)
def test_spellings_of_a_split_may_differ_between_images_and_masks(images: str, masks: str, tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1), "a\nb\n")
    write(root, of(0, 1, count=2), split=images)
    (root / "masks" / images).rename(root / "masks" / masks)
    validation = opened(root).validation
    assert validation is not None
    assert len(validation) == 2


def test_hidden_files_are_no_images_without_masks(tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1), "a\nb\n")
    (root / "images" / "train" / "._0.jpg").write_bytes(b"left behind")
    assert len(opened(root, validation_share=0.0).train or ()) == 3


def test_a_byte_order_mark_is_no_part_of_a_class_name(tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1))
    (root / "classes.txt").write_bytes("sky\r\nroad\r\n".encode("utf-8-sig"))
    assert opened(root).class_names == ("sky", "road")


def test_another_size_and_exif_are_named_before_training(tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1), "a\nb\n")
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (8, 6)).save(root / "images" / "train" / "0.jpg", exif=exif)
    with pytest.raises(DataError, match="stored sideways, EXIF orientation 8"):
        opened(root, validation_share=0.0)


def test_validation_masks_that_are_void_all_over_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path, of(0, 1), "a\nb\n")
    write(root, of(VOID, count=2), split="val")
    assert "the validation masks show 0 of the 2 classes" in refused(root)


@pytest.mark.parametrize("names", ["", "ground\nroad\n"])
@pytest.mark.parametrize("odd", [1, 2])
def test_masks_of_0_and_255_among_those_of_0_and_1_are_named(names: str, odd: int, tmp_path: Path) -> None:
    root = write(tmp_path, [*of(0, 1, count=6), *of(0, 255, count=odd)], names)
    said = " ".join(check_masks(open_segments(root)))
    assert "'images/train/6.jpg'" in said
    assert "255" in said
    assert any("'images/train/6.jpg'" in one for one in vitrail.doctor(str(root))["data"]["mistakes"])


def test_masks_with_void_beside_their_classes_are_not_doubted(tmp_path: Path) -> None:
    root = write(tmp_path, [*of(0, 1, 255, count=6), *of(0, 255)], "ground\nroad\n")
    assert not check_masks(open_segments(root))
    assert not vitrail.doctor(str(root))["data"]["mistakes"]


def test_masks_from_1_on_whose_highest_class_never_occurs_are_doubted(tmp_path: Path) -> None:
    root = write(tmp_path, of(1, 2, count=6), "ground\nroad\nsky\n")
    assert "begin with 1, say --dense.ignore 0" in " ".join(check_masks(open_segments(root)))
    assert "begin with 1" in " ".join(vitrail.doctor(str(root))["data"]["mistakes"])
    assert not check_masks(open_segments(root, ignore=0))


def test_the_masks_in_the_only_folder_of_the_annotations_are_found(tmp_path: Path) -> None:
    root = write(tmp_path / "pets", of(1, 2, 3))
    (root / "masks").rename(root / "trimaps")
    (root / "annotations").mkdir()
    (root / "trimaps" / "train").rename(root / "annotations" / "trimaps")
    (root / "trimaps").rmdir()
    for file in (root / "images" / "train").iterdir():
        file.rename(root / "images" / file.name)
    (root / "images" / "train").rmdir()
    (root / "annotations" / "xmls").mkdir()
    (root / "annotations" / "xmls" / "0.xml").write_text("<annotation/>")
    assert len(opened(root, validation_share=0.0).train or ()) == 3
