"""Masks as the user gives them, read for an encoder of 32x48 pixels in patches of 8."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitrail.errors import ConfigError, ImageError
from vitrail.heads.names import build_model
from vitrail.tasks.mae.mask_file import read_mask

ENCODER = build_model("vit_ti16", image_size=(32, 48), patch_size=8, width=16, depth=1, num_heads=1, num_classes=0)


def image(folder: Path, width: int, height: int) -> str:
    """Bright in its left half."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, : width // 2] = 255
    Image.fromarray(pixels).save(folder / "mask.png")
    return str(folder / "mask.png")


@pytest.mark.parametrize(
    ("text", "patches"), [("3", [3]), ("0-2,5", [0, 1, 2, 5]), ("1, 4 - 6", [1, 4, 5, 6]), ("7,7", [7])]
)
def test_numbers_and_ranges_name_patches(text: str, patches: list[int]) -> None:
    assert read_mask(text, ENCODER).nonzero().flatten().tolist() == patches


@pytest.mark.parametrize("size", [(6, 4), (48, 32), (96, 64), (50, 33)])
def test_an_image_of_the_inputs_shape_hides_where_it_is_bright(tmp_path: Path, size: tuple[int, int]) -> None:
    mask = read_mask(image(tmp_path, *size), ENCODER).view(4, 6)
    assert mask[:, :3].all()
    assert not mask[:, 3:].any()


@pytest.mark.parametrize("size", [(48, 48), (32, 48), (3, 2)])
def test_an_image_of_another_shape_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="48 wide and 32 high"):
        read_mask(image(tmp_path, *size), ENCODER)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("24", "patches 0 to 23"), ("0-23", "hides 24 of 24"), ("1;2", "neither an image file"), ("x.png", "neither a")],
)
def test_what_is_no_mask_is_refused_in_one_sentence(text: str, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        read_mask(text, ENCODER)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"mask\.png"):
        read_mask(str(tmp_path / "mask.png"), ENCODER)
