"""Images of segments: colours, overlays, errors, legends."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitrail.data.images import open_indices
from vitrail.visualize.maps import main_directions
from vitrail.visualize.segments import (
    RIGHT,
    UNJUDGED,
    VOID,
    WRONG,
    errors,
    index_image,
    legend,
    overlay,
    palette,
    panel,
)

TRUTH = np.array([[0, 1], [2, VOID]], np.uint8)
FOUND = np.array([[0, 2], [2, 1]], np.uint8)


def test_colours_of_many_classes_are_all_different() -> None:
    colours = np.array(palette(150), float)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(150)
    assert distances.min() > 0
    first = distances[:20, :20]
    assert first.min() > 40


def test_an_index_image_keeps_every_value_and_shows_its_colour(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    index_image(values, palette(20)).save(tmp_path / "mask.png")
    assert (open_indices(tmp_path / "mask.png") == values).all()
    shown = np.asarray(Image.open(tmp_path / "mask.png").convert("RGB")).reshape(256, 3)
    assert [tuple(colour) for colour in shown[:20].tolist()] == palette(20)
    assert (shown[20:] == 0).all()


def test_errors_are_red_where_wrong_pale_where_right_and_grey_where_void() -> None:
    drawn = np.asarray(errors(Image.new("RGB", (2, 2)), TRUTH, FOUND), float)
    for place, colour in (((0, 0), RIGHT), ((0, 1), WRONG), ((1, 0), RIGHT), ((1, 1), UNJUDGED)):
        assert np.allclose(drawn[place], 0.65 * np.array(colour), atol=1)


def test_void_is_darkened_and_classes_are_coloured() -> None:
    drawn = np.asarray(overlay(Image.new("RGB", (2, 2), (100, 100, 100)), TRUTH, palette(3)), float)
    assert np.allclose(drawn[1, 1], 55, atol=1)
    assert np.allclose(drawn[0, 0], 40 + 0.6 * np.array(palette(3)[0]), atol=1)


def test_the_colours_of_an_image_do_not_mix_with_those_of_its_classes() -> None:
    """Of two images equally bright the same classes look the same, whatever their colours."""
    red, grey = (Image.new("RGB", (2, 2), colour) for colour in ((255, 0, 0), (76, 76, 76)))
    assert overlay(red, TRUTH, palette(3)).tobytes() == overlay(grey, TRUTH, palette(3)).tobytes()


def test_the_legend_names_the_colours_of_errors_and_void() -> None:
    drawn = np.asarray(panel([Image.new("L", (2, 2), 128)], [TRUTH], [FOUND], ("a", "b", "c")))
    for colour in (RIGHT, WRONG, UNJUDGED):
        swatch = np.array([round(0.35 * 128 + 0.65 * part) for part in colour])
        assert (np.abs(drawn[-60:].astype(int) - swatch).max(axis=-1) <= 1).sum() >= 100


def test_a_panel_is_drawn_with_truth_and_without() -> None:
    images = [Image.new("RGB", (2, 2)), Image.new("L", (2, 2))]
    judged = panel(images, [TRUTH, np.full((2, 2), VOID, np.uint8)], [FOUND, FOUND], ("a", "b", "c"), ("one", "two"))
    bare = panel(images, [None, None], [FOUND, FOUND], ("a", "b", "c"))
    assert judged.width > bare.width > 0


def test_a_legend_breaks_into_lines_that_fit() -> None:
    entries = [(f"a class of number {number}", (0, 0, 0)) for number in range(30)]
    assert legend(entries, 400).width == 400
    assert legend(entries, 400).height > 5 * legend(entries[:1], 400).height


def test_main_directions_tell_places_apart_and_take_any_number_of_channels() -> None:
    features = torch.zeros(5, 4, 6)
    features[:, :, 3:] = 1
    image = np.asarray(main_directions(features))
    assert image.shape == (4, 6, 3)
    assert (image[:, 0] != image[:, 5]).any()
    assert main_directions(torch.randn(2, 3, 3)).size == (3, 3)
    assert main_directions(torch.randn(7, 1, 1)).size == (1, 1)


def test_a_map_whose_places_hardly_differ_is_grey() -> None:
    noise = torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(5))
    flat = np.asarray(main_directions(10 + 1e-3 * noise), int)
    assert np.abs(flat - 127.5).max() <= 1
    assert (np.asarray(main_directions(torch.full((3, 4, 4), 7.0)), int) - 127.5 <= 1).all()
    assert np.abs(np.asarray(main_directions(noise), int) - 127.5).max() > 40


def test_directions_have_the_scale_that_the_note_states() -> None:
    """Of features that differ in one direction only, red is the difference over half the root mean square length."""
    features = torch.ones(2, 1, 4)
    features[1, 0] = torch.tensor([0.3, -0.3, 0.1, -0.1])
    length = (1 + (0.09 + 0.09 + 0.01 + 0.01) / 4) ** 0.5
    expected = 0.5 + features[1, 0].numpy() / length
    red = np.asarray(main_directions(features))[0, :, 0] / 255
    assert np.allclose(red, expected, atol=0.01) or np.allclose(red, 1 - expected, atol=0.01)
