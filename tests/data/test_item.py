"""An image is the same wherever it lies: in a file, in bytes, in an open file, in memory, in a data set."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from vitrail.data.item import DecodedItem, DrawnItem, EncodedItem, FileItem, Item, MissingItem, item_of
from vitrail.data.scenes import open_scenes
from vitrail.data.sources import Images, open_source
from vitrail.errors import ImageError

SIDEWAYS = 6


def photo(width: int = 20, height: int = 12) -> Image.Image:
    values = np.random.RandomState(7).randint(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def everywhere(folder: Path, orientation: int) -> dict[str, Item]:
    content = encoded(photo(), orientation)
    (folder / "photo.png").write_bytes(content)
    return {
        "file": item_of(folder / "photo.png"),
        "bytes": item_of(content, "photo"),
        "open file": item_of(io.BytesIO(content), "photo"),
        "memory": item_of(Image.open(io.BytesIO(content)), "photo"),
        "data set": Images((folder / "photo.png",), None, ("photo",)).item(0),
    }


@pytest.mark.parametrize("orientation", [1, SIDEWAYS])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_has_the_same_pixels_wherever_it_lies(tmp_path: Path, orientation: int, channels: int) -> None:
    upright = photo() if orientation == 1 else photo().transpose(Image.Transpose.ROTATE_270)
    expected = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    for place, item in everywhere(tmp_path, orientation).items():
        assert item.size == upright.size, place
        for _ in range(2):  # An open file is read from where it stands, and left there.
            np.testing.assert_array_equal(np.asarray(item.open(channels)), expected, err_msg=place)
        assert item.path == (tmp_path / "photo.png" if place in ("file", "data set") else None)
        assert item.stem == "photo"


def test_what_is_stated_of_a_size_is_what_is_shown(tmp_path: Path) -> None:
    items = everywhere(tmp_path, SIDEWAYS)
    assert items["file"].stated_size == items["file"].size == (12, 20)
    assert items["memory"].stated_size is None


def test_identity_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    first = everywhere(tmp_path, 1)
    (tmp_path / "other").mkdir()
    again = everywhere(tmp_path / "other", 1)
    for place, item in first.items():
        assert item.identity() == again[place].identity(), place
    changed = np.asarray(photo()).copy()
    changed[3, 4, 1] ^= 1
    assert item_of(Image.fromarray(changed)).identity() != item_of(photo()).identity()
    assert item_of(encoded(Image.fromarray(changed))).identity() != first["bytes"].identity()


def test_a_scene_is_drawn_and_known_by_how_it_is_drawn() -> None:
    train = open_scenes("scenes:24x32").train
    assert train is not None
    item = train.item(5)
    assert isinstance(item, DrawnItem)
    assert item.size == item.stated_size == item.open().size == (32, 24)
    assert item.identity() == train.item(5).identity() != train.item(6).identity()
    assert not train.in_memory


def test_images_of_a_data_set_are_named_by_it() -> None:
    train = open_source("digits").train
    assert train is not None
    assert isinstance(train.item(3), DecodedItem)
    assert train.item(3).name == train.names[3]
    assert train.in_memory


@pytest.mark.parametrize(
    "item",
    [
        EncodedItem("a letter", b"no image"),
        EncodedItem("a letter", io.StringIO("text")),
        MissingItem("a letter", "there is no such file"),
        DecodedItem("a letter", Image.new("RGB", (0, 4))),
    ],
)
def test_what_cannot_be_opened_is_refused_by_the_name_it_has(item: Item) -> None:
    with pytest.raises(ImageError) as error:
        item.open()
    assert error.value.path == "a letter"


def test_a_file_that_cannot_be_read_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png"):
        FileItem("photo 3", tmp_path / "gone.png").open()
