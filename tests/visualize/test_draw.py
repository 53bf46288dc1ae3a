import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitrail.visualize.draw import Tile, contact_sheet, cut_in_the_middle, enlarge, font, sheet, to_image, wrap
from vitrail.visualize.scales import attention_legend


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "RGB")])
def test_bytes_survive_normalisation_and_back(channels, mode):
    pixels = torch.randint(0, 256, (channels, 9, 7), generator=torch.Generator().manual_seed(0))
    mean, std = torch.rand(channels), torch.rand(channels) + 0.1
    image = (pixels / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    opened = to_image(image, mean.tolist(), std.tolist())
    assert opened.mode == mode
    shown = pixels[:3] if mode == "RGB" else pixels[:1]
    assert np.array_equal(np.array(opened).reshape(9, 7, -1), shown.permute(1, 2, 0).numpy())


def test_values_out_of_range_are_clipped_not_wrapped():
    image = to_image(torch.tensor([[[-9.0, 9.0, float("nan")]]]), (0.5,), (0.5,))
    assert list(image.getdata()) == [0, 255, 0]


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 900), height=st.integers(1, 900))
def test_enlarged_images_have_a_readable_size_and_the_same_shape(width, height):
    result = enlarge(Image.new("L", (width, height)), 192, 384)
    assert 192 <= max(result.size) <= 384
    assert abs(result.width * height - result.height * width) <= max(width, height, *result.size)


def test_small_images_grow_without_smoothing():
    image = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8))
    large = np.array(enlarge(image, 8, 16))
    assert np.array_equal(large, np.array(image).repeat(4, 0).repeat(4, 1))


@given(text=st.text(max_size=60), width=st.integers(20, 300))
@settings(max_examples=50, deadline=None)
def test_wrapped_lines_fit_their_width(text, width):
    face = font(14)
    assert all(face.getlength(line) <= width for line in wrap(text, width, face))


def test_file_names_of_another_encoding_can_be_written():
    sheet([[Tile(Image.new("L", (99, 9)), "caf\udce9\x00\x85\n\u202e\ufeff")]])


def test_wrapping_loses_no_word_that_fits():
    assert wrap("one two three", 10_000, font(14)) == ["one two three"]
    assert " ".join(wrap("one two three", 60, font(14))) == "one two three"


def test_sheet_holds_every_image_unchanged():
    generator = np.random.default_rng(0)
    pixels = [generator.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(3)]
    tiles = [Tile(Image.fromarray(values), "caption\nmore") for values in pixels]
    drawn = np.array(
        sheet([tiles[:2], [None, tiles[2]]], title="T", note="N", columns=("a", "b"), legend=attention_legend())
    )
    for values in pixels:
        windows = np.lib.stride_tricks.sliding_window_view(drawn, values.shape).squeeze(2)
        assert (windows == values).all(axis=(-1, -2, -3)).sum() == 1


def test_a_note_may_be_wider_than_its_tiles():
    tiles = [[Tile(Image.new("RGB", (20, 20)))]]
    narrow, wide = (sheet(tiles, note="word " * 60, least_width=width) for width in (200, 800))
    assert wide.width > 3 * narrow.width
    assert wide.height < narrow.height


def test_contact_sheet_needs_a_caption_for_each_image_or_none():
    images = [Image.new("RGB", (8, 8))] * 5
    assert contact_sheet(images, columns=5).width > contact_sheet(images, columns=2).width
    with pytest.raises(ValueError, match="shorter"):
        contact_sheet(images, ["one"])


@given(text=st.text(max_size=80), width=st.integers(15, 300))
@settings(max_examples=50, deadline=None)
def test_long_names_lose_their_middle_and_keep_both_ends(text, width):
    face = font(14)
    text = "".join(letter for letter in text if letter.isprintable())
    cut = cut_in_the_middle(text, width, face)
    assert face.getlength(cut) <= width
    if cut != text:
        before, _, after = cut.partition("…") if "…" not in text else (cut, "", "")
        assert text.startswith(before)
        assert text.endswith(after)


def test_the_ending_of_a_long_file_name_stays_readable():
    name = "holiday_" * 30 + ".jpeg"
    cut = cut_in_the_middle(name, 200, font(14))
    assert cut.startswith("holi")
    assert cut.endswith(".jpeg")


def test_a_name_of_many_words_takes_two_lines_of_a_caption():
    image = Image.new("L", (224, 9))
    heights = [sheet([[Tile(image, "word " * words)]]).height for words in (12, 50)]
    assert heights[0] == heights[1]
