"""Formats beyond the usual, and files that lack or break only what does not decide their pixels."""

import io
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin, features

from vitrail.data.formats import avif, isobmff
from vitrail.data.formats.exif import orientation
from vitrail.data.images import IMAGE_SUFFIXES, open_image, open_indices, used_bits
from vitrail.errors import ImageError

RANDOM = np.random.default_rng(5)
COLOUR = Image.fromarray(np.kron(RANDOM.integers(0, 256, (7, 9, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)))
TURNED_HEIC = Path(__file__).parents[1] / "fixtures" / "turned.heic"
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def stored(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same(image: Image.Image, other: Image.Image) -> bool:
    return image.mode == other.mode and image.size == other.size and image.tobytes() == other.tobytes()


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".jxl"])
def test_folders_are_searched_for_all_formats(suffix: str) -> None:
    assert suffix in IMAGE_SUFFIXES


@settings(deadline=None, max_examples=60)
@given(
    kind=st.integers(1, 6),
    width=st.integers(1, 20),
    height=st.integers(1, 9),
    white=st.sampled_from([1, 7, 100, 255, 256, 4095, 65535]),
    comment=st.sampled_from(["", "# made by hand\n", "#\n# two\n"]),
    seed=st.integers(0, 99),
)
def test_a_netpbm_file_is_read_whatever_its_kind_white_and_comments(kind, width, height, white, comment, seed) -> None:
    white = 1 if kind in (1, 4) else white
    channels = 3 if kind in (3, 6) else 1
    values = np.random.default_rng(seed).integers(0, white + 1, (height, width, channels))
    head = f"P{kind}\n{comment}{width} {comment} {height}\n" + ("" if kind in (1, 4) else f"{comment}{white}\n")
    if kind == 4:
        body = np.packbits(values[..., 0].astype(np.uint8), axis=1).tobytes()
    elif kind in (5, 6):
        body = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    else:
        body = ("" if kind == 1 and seed % 2 else " ").join(map(str, values.flatten())).encode()
    light = 1 - values if kind in (1, 4) else values
    expected = np.floor(light * 255 / white + 0.5).astype(np.uint8)
    opened = np.asarray(open_image(head.encode() + body))
    assert (opened == np.broadcast_to(expected, opened.shape)).all()
    if channels == 1:
        assert (np.asarray(open_image(head.encode() + body, 1)) == expected[..., 0]).all()
    if channels == 1 and white < 256:
        assert (open_indices(head.encode() + body) == light[..., 0]).all()


@pytest.mark.parametrize(
    "data",
    [
        *(b"P5 3 3 255\n12345678", b"P5 3", b"P2 2 2 255 1 2 3", b"P2 1 1 255 256", b"P2 1 1 255 x"),
        *(b"P5 1 1 0\n0", b"P5 0 3 255\n", b"P6 99999999999 9 255\n", b"P1 2 2 0 1 2 0", b"P5 1 1 70000\n00"),
        b"P3 1 1 9 1 1 99999999999999",
    ],
)
def test_a_damaged_netpbm_file_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(data)
    assert "\n" not in str(caught.value)


@needs_avif
def test_an_avif_is_opened_upright_with_its_alpha_on_white() -> None:
    opened = np.asarray(open_image(stored(COLOUR, "AVIF", quality=100, subsampling="4:4:4"))).astype(int)
    assert np.abs(opened - np.asarray(COLOUR)).max() < 9
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert open_image(stored(clear, "AVIF")).getpixel((3, 3)) == (255, 255, 255)
    turned = Image.Exif()
    turned[0x0112] = 6
    assert open_image(stored(COLOUR, "AVIF", exif=turned)).size == (COLOUR.height, COLOUR.width)


@needs_avif
@pytest.mark.parametrize("size", [(72, 56), (333, 17), (1, 1), (130, 400)])
def test_the_size_that_an_avif_stream_announces_is_read_from_its_own_header(size: tuple[int, int]) -> None:
    for options in ({}, {"subsampling": "4:4:4"}, {"append_images": [Image.new("RGB", size)], "save_all": True}):
        data = stored(Image.new("RGB", size, "red"), "AVIF", **options)
        found = isobmff.boxes(data)
        announced = {size for item in isobmff.items(data, found) for size in avif._stream_sizes(item)}
        assert announced == {size}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40),
            "a HEIC photo: convert it or install",
        ),
        (
            struct.pack(">I", 24) + b"ftypmif1" + bytes(4) + b"mif1heic" + bytes(40),
            "a HEIC photo: convert it or install",
        ),
        (struct.pack(">I", 24) + b"ftypmp42" + bytes(4) + b"isommp42" + bytes(40), "a video"),
        (b"\xff\x0a" + bytes(30), "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "a JPEG XL image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "a JPEG 2000 image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"<!DOCTYPE html><html>404", "a web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\3\4" + bytes(30), "a zip archive"),
        (bytes(4000), "begins with zeros only"),
    ],
)
def test_what_is_no_readable_image_is_named_by_its_first_bytes(
    data: bytes, says: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    with pytest.raises(ImageError, match=says) as caught:
        open_image(file)
    assert str(caught.value).startswith(f"{file}: ")


JPEGS = {
    "plain": stored(COLOUR, "JPEG"),
    "progressive": stored(COLOUR, "JPEG", progressive=True),
    "grey": stored(COLOUR.convert("L"), "JPEG"),
    "cmyk": stored(COLOUR.convert("CMYK"), "JPEG"),
    "with restarts": stored(COLOUR, "JPEG", restart_marker_blocks=2),
    "4:4:4": stored(COLOUR, "JPEG", subsampling=0, quality=95),
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_without_its_end_marker_gives_its_pixels(data: bytes) -> None:
    for cut in (data[:-2], data[:-1]):
        assert same(open_image(cut), open_image(data))
        assert same(open_image(cut, 1, enough=8), open_image(data, 1, enough=8))


def opened_or_none(data: bytes) -> Image.Image | None:
    try:
        return open_image(data)
    except ImageError:
        return None


@pytest.mark.parametrize("data", [JPEGS[name] for name in ("plain", "grey", "cmyk", "with restarts", "4:4:4")])
def test_a_jpeg_that_lacks_pixels_too_is_refused_wherever_it_is_cut(data: bytes) -> None:
    whole = open_image(data)
    for end in range(data.index(b"\xff\xda"), len(data) - 2):
        opened = opened_or_none(data[:end])
        if opened is not None:  # The last few bits may be what the decoder takes for missing ones.
            assert end > len(data) - 8
            assert np.abs(np.asarray(opened).astype(int) - np.asarray(whole)).max() < 40


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(data: bytes, added: bytes) -> bytes:
    return data[:33] + added + data[33:]


PNG = stored(COLOUR, "PNG")
HUGE = zlib.compress(bytes(3_000_000))
BROKEN = {
    "wrong checksum": chunk(b"tEXt", b"Comment\0hello")[:-1] + b"!",
    "text that unfolds to 3 MB": chunk(b"zTXt", b"Comment\0\0" + HUGE),
    "profile that unfolds to 3 MB": chunk(b"iCCP", b"icc\0\0" + HUGE),
    "profile that cannot be unfolded": chunk(b"iCCP", b"icc\0\0nonsense"),
    "profile of another method": chunk(b"iCCP", b"icc\0\7" + HUGE),
    "profile of 2 MB": chunk(b"iCCP", b"icc\0\0" + zlib.compress(RANDOM.bytes(2_000_000), 0)),
    "unknown method of text": chunk(b"zTXt", b"Comment\0\7abc"),
    "international text": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + HUGE),
    "XMP without a language": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0"),
    "short physical size": chunk(b"pHYs", b"\1"),
    "short gamma": chunk(b"gAMA", b""),
    "short chromaticities": chunk(b"cHRM", b"\1\2\3"),
    "EXIF that is none": chunk(b"eXIf", b"nonsense"),
    "animation without frames": chunk(b"acTL", bytes(8)),
    "animation cut short": chunk(b"acTL", b"\1"),
    "many texts": chunk(b"tEXt", b"k\0" + b"x" * 1_000_000) * 70,
}


@pytest.mark.parametrize("added", BROKEN.values(), ids=BROKEN.keys())
def test_a_png_with_a_broken_or_large_chunk_beside_its_pixels_is_read(added: bytes) -> None:
    assert same(open_image(with_chunk(PNG, added)), COLOUR)
    end = PNG.rindex(b"IEND") - 4
    assert same(open_image(PNG[:end] + added + PNG[end:]), COLOUR)
    assert same(open_image(PNG[:end] + added[:-3]), COLOUR)


def test_a_png_whose_pixels_or_palette_are_broken_is_still_refused() -> None:
    palette = stored(COLOUR.quantize(8), "PNG")
    place = palette.index(b"PLTE") + 6
    for data in (PNG[:60], PNG[:-100], palette[:place] + b"?" + palette[place + 1 :]):
        with pytest.raises(ImageError, match="PNG data cannot be decoded"):
            open_image(data)


@pytest.mark.parametrize("name", [b"eXIf", b"zTXt", b"iTXt"])
def test_the_orientation_is_found_in_every_chunk_that_may_hold_it(name: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    raw = exif.tobytes()[6:]
    profile = f"\nexif\n{len(raw)}\n{raw.hex()}".encode()
    data = {
        b"eXIf": raw,
        b"zTXt": b"Raw profile type exif\0\0" + zlib.compress(profile),
        b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="8"/>',
    }[name]
    file = with_chunk(PNG, chunk(name, data))
    assert open_image(file).size == (COLOUR.height, COLOUR.width)
    assert Image.open(io.BytesIO(file)).getexif()[0x0112] == 8


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=80), head=st.sampled_from([b"", b"Exif\0\0II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_any_bytes_give_an_orientation_of_1_to_8(data: bytes, head: bytes) -> None:
    assert orientation(head + data, data) in range(1, 9)


@settings(deadline=None, max_examples=100)
@given(
    turn=st.integers(0, 20),
    kind=st.sampled_from([1, 3, 4, 8, 9]),
    order=st.sampled_from("<>"),
    before=st.integers(0, 3),
    xmp=st.sampled_from([None, b'tiff:Orientation="6"', b"<tiff:Orientation>3</tiff:Orientation>"]),
)
def test_the_orientation_is_the_one_that_pillow_reads(turn, kind, order, before, xmp) -> None:
    entries = [struct.pack(order + "HHII", 256 + n, 4, 1, n) for n in range(before)]
    form = {1: "B3x", 3: "H2x", 4: "L", 8: "h2x", 9: "l"}[kind]
    entries.append(struct.pack(order + "HHI" + form, 0x0112, kind, 1, turn))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    exif = b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    plain = Image.new("L", (1, 1))
    plain.info = {"exif": exif, **({"xmp": xmp} if xmp else {})}
    pillows = plain.getexif().get(0x0112, 1)
    assert orientation(exif, xmp) == (pillows if pillows in range(1, 9) else 1)


def test_16_bit_grey_keeps_its_transparent_value() -> None:
    values = np.array([[1000, 1001, 65535], [0, 1000, 256]], np.uint16)
    data = with_chunk(stored(Image.fromarray(values), "PNG"), chunk(b"tRNS", struct.pack(">H", 1000)))
    expected = np.where(values == 1000, 255, (values.astype(int) + 128) // 257)
    for channels in (1, 3):
        opened = np.asarray(open_image(data, channels))
        assert (opened.reshape(2, 3, -1) == expected[..., None]).all()


def test_16_bit_colour_keeps_its_transparent_value_and_no_other_with_the_same_upper_bits() -> None:
    clear, near = (0x1234, 0x5678, 0x9ABC), (0x1234, 0x5678, 0x9ABD)
    rows = b"".join(b"\0" + struct.pack(">6H", *a, *b) for a, b in ((clear, near), (near, clear)))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", struct.pack(">3H", *clear)), chunk(b"IDAT", zlib.compress(rows))]
    opened = np.asarray(open_image(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")))
    assert (opened[0, 0] == 255).all()
    assert (opened[0, 1] == [0x12, 0x56, 0x9A]).all()
    assert (opened[1, 1] == 255).all()


@pytest.mark.parametrize(("highest", "used"), [(4095, 12), (1023, 10), (65535, 16), (4096, 13)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM"])
def test_bits_that_a_16_bit_file_does_not_use_are_told(kind: str, highest: int, used: int) -> None:
    values = np.array([[0, 5], [highest, 77]], np.uint16)
    netpbm = b"P5 2 2 65535\n" + values.astype(">u2").tobytes()
    assert used_bits(netpbm if kind == "PGM" else stored(Image.fromarray(values), kind)) == (16, used)


def test_bits_are_told_of_16_bit_files_alone() -> None:
    assert used_bits(PNG) is None
    assert used_bits(JPEGS["plain"]) is None
    assert used_bits(stored(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF")) is None


def test_pillows_global_settings_are_neither_used_nor_changed(monkeypatch) -> None:
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert same(open_image(with_chunk(PNG, BROKEN["text that unfolds to 3 MB"])), COLOUR)
    monkeypatch.undo()
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)


@pytest.mark.skipif(find_spec("pi_heif") is None, reason="pi-heif is an extra")
def test_a_heic_photo_is_decoded_and_stands_upright_once() -> None:
    """The file was written by pillow-heif: 64 x 48 pixels of two gradients, with EXIF data that turns them."""
    red, blue = Image.radial_gradient("L").resize((64, 48)), Image.linear_gradient("L").resize((64, 48))
    upright = Image.merge("RGB", (red, Image.new("L", (64, 48), 200), blue)).transpose(Image.Transpose.ROTATE_270)
    for source in (TURNED_HEIC, TURNED_HEIC.read_bytes()):
        image = open_image(source)
        assert (image.mode, image.size) == ("RGB", (48, 64))
        assert np.abs(np.asarray(image, np.int16) - np.asarray(upright, np.int16)).max() <= 12
    with pytest.raises(ImageError, match="HEIC data cannot be decoded"):
        open_image(TURNED_HEIC.read_bytes()[:800])
