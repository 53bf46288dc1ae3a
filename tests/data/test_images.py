"""Whatever the bytes are: an image or an ImageError."""

import io
import pickle
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vitrail.data.images import MAX_PIXELS, open_image
from vitrail.errors import ImageError


def stored(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def noise(shape: tuple[int, ...], high: int = 256) -> np.ndarray:
    kind = np.uint8 if high == 256 else np.uint16
    return np.random.default_rng(0).integers(0, high, shape, dtype=kind)


COLOUR = Image.fromarray(noise((24, 20, 3)))
TURNED = Image.Exif()
TURNED[0x0112] = 6

FILES = {
    "jpeg": stored(COLOUR, "JPEG", exif=TURNED),
    "progressive jpeg": stored(COLOUR, "JPEG", progressive=True),
    "cmyk jpeg": stored(COLOUR.convert("CMYK"), "JPEG"),
    "png": stored(COLOUR, "PNG", exif=TURNED),
    "16-bit png": stored(Image.fromarray(noise((24, 20), 65536)), "PNG"),
    "palette png": stored(COLOUR.quantize(16), "PNG", transparency=3),
    "webp": stored(COLOUR, "WEBP"),
    "lossless webp": stored(COLOUR.convert("RGBA"), "WEBP", lossless=True, exif=TURNED),
    "tiff": stored(COLOUR, "TIFF"),
    "lzw tiff": stored(COLOUR, "TIFF", compression="tiff_lzw"),
    "zip tiff": stored(COLOUR, "TIFF", compression="tiff_deflate"),
    "jpeg tiff": stored(COLOUR, "TIFF", compression="jpeg"),
    "fax tiff": stored(COLOUR.convert("1"), "TIFF", compression="group4"),
    "16-bit tiff": stored(Image.fromarray(noise((24, 20), 65536)), "TIFF"),
    "float tiff": stored(COLOUR.convert("L").convert("F").point(lambda v: v * (1 / 255)), "TIFF"),
    "bmp": stored(COLOUR, "BMP"),
    "1-bit bmp": stored(COLOUR.convert("1"), "BMP"),
    "gif": stored(COLOUR.quantize(), "GIF"),
    "moving gif": stored(COLOUR.quantize(), "GIF", save_all=True, append_images=[COLOUR.rotate(90).quantize()]),
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    bytes_ = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(bytes_))
        match chance.choice(("flip", "truncate", "insert", "delete", "header")):
            case "flip":
                for _ in range(chance.randint(1, 8)):
                    bytes_[chance.randrange(len(bytes_))] ^= 1 << chance.randrange(8)
            case "truncate":
                del bytes_[place + 1 :]
            case "insert":
                bytes_[place:place] = chance.randbytes(chance.randint(1, 40))
            case "delete":
                del bytes_[place + 1 : place + chance.randint(2, 20)]
            case "header":
                place = chance.randrange(min(64, len(bytes_)))
                bytes_[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), chance.randbytes(4)))
    return bytes(bytes_)


def test_a_thousand_mutated_files_give_an_image_or_an_image_error_and_nothing_else():
    images, errors = [], []
    for number in range(1000):
        chance = random.Random(number)
        data = mutated(chance.choice(list(FILES.values())), chance)
        channels = chance.choice((1, 3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged metadata.
            try:
                images.append(open_image(data, channels).mode == ("L" if channels == 1 else "RGB"))
            except ImageError as error:
                errors.append("\n" not in str(error))
    assert all(images)
    assert all(errors)
    assert len(images) > 50
    assert len(errors) > 500


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_every_kind_of_file_opens_in_colour_and_in_grey(data: bytes):
    assert (open_image(data).mode, open_image(data, 1).mode) == ("RGB", "L")
    assert sorted(open_image(data).size) == [20, 24]


def zeros_png(width: int, height: int) -> bytes:
    """A black RGB PNG whose data were never held in memory: one deflated megabyte, again and again."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def deflated(size: int) -> bytes:
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)

    size = height * (1 + 3 * width)
    checksum = struct.pack(">I", size % 65521 << 16 | 1)
    body = deflated(1 << 20) * (size >> 20) + deflated(size & 0xFFFFF) + b"\x03\0" + checksum
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", b"\x78\x9c" + body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_the_bomb_of_the_next_test_is_an_honest_png():
    assert open_image(zeros_png(700, 600)).getextrema() == ((0, 0),) * 3


def test_a_png_that_unfolds_to_more_than_a_gigabyte_is_refused_from_its_header(tmp_path: Path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(zeros_png(20_000, 20_000))
    script = f"""
import resource, statistics, time
from vitrail.data.images import open_image
from vitrail.errors import ImageError
def attempt():
    start = time.perf_counter()
    try:
        open_image({str(bomb)!r})
    except ImageError as error:
        assert "20000 x 20000 pixels" in error.reason, error
        return time.perf_counter() - start
    raise SystemExit("the bomb went off")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times = [attempt() for _ in range(9)]
print(statistics.median(times), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 0.05
    assert megabytes < 50


def webp_header(chunk: bytes, data: bytes) -> bytes:
    return b"RIFF\x64\0\0\0WEBP" + chunk + b"\x64\0\0\0" + data.ljust(100, b"\0")


SIDE = 16_000
BOMBS = {
    "webp": webp_header(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", SIDE, SIDE)),
    "lossless webp": webp_header(b"VP8L", b"\x2f" + struct.pack("<I", (SIDE - 1) << 14 | (SIDE - 1))),
    "extended webp": webp_header(b"VP8X", bytes(4) + 2 * (SIDE - 1).to_bytes(3, "little")),
    "gif": b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0, 0, 0) + b"," + bytes(4) + b"\1\0\1\0\0\2\2L\1\0;",
    "bmp": FILES["bmp"][:18] + struct.pack("<ii", SIDE, SIDE) + FILES["bmp"][26:],
    "tiff": FILES["tiff"].replace(struct.pack("<HHIHH", 256, 4, 1, 20, 0), struct.pack("<HHII", 256, 4, 1, MAX_PIXELS)),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_a_huge_canvas_is_refused_in_every_format_even_if_pillow_would_allow_it(data: bytes, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match="pixels are more than the limit of 100 million"):
        open_image(data)


def tiff_with_tiles(side: int) -> bytes:
    tags = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 134, 325: 8}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + zlib.compress(bytes(64))


def test_a_small_tiff_of_huge_tiles_is_refused():
    with pytest.raises(ImageError, match="160000 x 160000 pixels"):
        open_image(tiff_with_tiles(160_000))


GREY16 = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize(
    "data",
    [
        stored(Image.fromarray(GREY16), "PNG"),
        stored(Image.fromarray(GREY16), "TIFF"),
        stored(Image.fromarray(GREY16), "TIFF", compression="tiff_lzw"),
        stored(Image.fromarray(GREY16.astype(">u2")), "TIFF"),
        stored(Image.fromarray(GREY16.astype(np.int32)), "TIFF"),
    ],
    ids=["png", "tiff", "lzw tiff", "big-endian tiff", "32-bit tiff"],
)
def test_16_bit_grey_is_divided_by_257_and_rounded_never_clipped(data: bytes):
    expected = np.round(GREY16 / 257).astype(int)
    assert (pixels(open_image(data, 1)) == expected).all()
    assert (pixels(open_image(data, 3)) == expected[..., None]).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[0, 65536]], np.int32), "0 to 65535"),
        (np.array([[-1, 10]], np.int32), "0 to 65535"),
        (np.array([[0, 1.01]], np.float32), "0 to 1"),
        (np.array([[-0.01, 1]], np.float32), "0 to 1"),
        (np.array([[0, np.nan]], np.float32), "0 to 1"),
    ],
)
def test_grey_values_without_a_known_white_are_refused_instead_of_clipped(values: np.ndarray, reason: str):
    with pytest.raises(ImageError, match=reason):
        open_image(stored(Image.fromarray(values), "TIFF"))


def test_float_grey_from_0_to_1_is_scaled_to_255():
    values = np.linspace(0, 1, 256, dtype=np.float32)[None]
    assert (pixels(open_image(stored(Image.fromarray(values), "TIFF"), 1)) == np.arange(256)).all()


def test_cmyk_becomes_the_colours_it_prints():
    inks = Image.new("CMYK", (16, 16), (0, 128, 255, 51))
    for data, tolerance in ((stored(inks, "TIFF"), 0), (stored(inks, "JPEG", quality=100), 2)):
        means = pixels(open_image(data)).mean(axis=(0, 1))
        # red = 255 (1 - c) (1 - k), and so on.
        assert np.abs(means - [204, 102, 0]).max() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(kind: str):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.new("RGBA", (10, 10), (200, 0, 100, 51))
    data = stored(image, kind, **options)
    # 0.2 of the colour and 0.8 of white.
    assert open_image(data).getpixel((0, 0)) == (244, 204, 224)


def test_transparency_of_palettes_and_of_grey_is_laid_on_white():
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((0, 0), 0)
    for kind in ("PNG", "GIF"):
        opened = open_image(stored(palette, kind, transparency=1))
        assert opened.getpixel((0, 0)) == (0, 0, 0)
        assert opened.getpixel((1, 1)) == (255, 255, 255)
    assert open_image(stored(Image.new("LA", (4, 4), (0, 51)), "PNG"), 1).getpixel((0, 0)) == 204


def test_palette_and_1_bit_images_keep_their_means():
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (30, 60, 90)]
    palette = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).convert("P")
    palette.putpalette(sum(colours, ()))
    bits = Image.fromarray(np.array([[0, 255, 255, 255]], np.uint8)).convert("1")
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert (pixels(open_image(stored(palette, kind))).mean(axis=(0, 1)) == np.mean(colours, axis=0)).all()
        assert pixels(open_image(stored(bits, kind), 1)).mean() == 255 * 3 / 4


ARROW = Image.fromarray(np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), np.ones((16, 16), np.uint8)))
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_taken_with_a_turned_camera_stands_upright_and_is_turned_only_once(kind: str, orientation: int):
    turn = STORED_AS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    data = stored(ARROW if turn is None else ARROW.transpose(turn), kind, exif=exif, **options)
    image = open_image(data, 1)
    assert np.abs(pixels(image) - pixels(ARROW)).max() <= 2
    assert ImageOps.exif_transpose(image).size == ARROW.size


def test_damaged_exif_does_not_make_a_good_image_unusable():
    whole = stored(COLOUR, "JPEG", exif=TURNED)
    start = whole.index(b"Exif\0\0") + 6
    damaged = whole[:start] + b"\xff" * 20 + whole[start + 20 :]
    assert open_image(damaged).size == COLOUR.size


def test_the_first_frame_of_a_moving_gif_is_opened():
    red, blue = (Image.new("RGB", (5, 5), colour).quantize() for colour in ("red", "blue"))
    data = stored(red, "GIF", save_all=True, append_images=[blue])
    assert open_image(data).getpixel((2, 2)) == (255, 0, 0)


def test_a_large_jpeg_is_decoded_smaller_only_as_far_as_is_enough():
    gradient = np.linspace(0, 255, 1600).astype(np.uint8)
    photo = Image.fromarray(np.broadcast_to(gradient, (1200, 1600)).copy()).convert("RGB")
    data = stored(photo, "JPEG", quality=95)
    assert [open_image(data, enough=n).size for n in (None, 700, 600, 224, 1)] == [
        (1600, 1200),
        (1600, 1200),
        (800, 600),
        (400, 300),
        (200, 150),
    ]
    full = open_image(data).resize((400, 300), Image.Resampling.BOX)
    assert np.abs(pixels(open_image(data, enough=224)) - pixels(full)).mean() < 1
    assert open_image(stored(photo, "PNG"), enough=1).size == (1600, 1200)


def test_a_path_a_file_and_bytes_give_the_same_image(tmp_path: Path):
    path = tmp_path / "photo.jpeg"
    path.write_bytes(FILES["jpeg"])
    with path.open("rb") as file:
        opened = [open_image(path), open_image(str(path)), open_image(file), open_image(FILES["jpeg"])]
    assert all((pixels(image) == pixels(opened[0])).all() for image in opened)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text", "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or PGM image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or PGM image"),
        (FILES["jpeg"][:400], "the JPEG data cannot be decoded"),
        (FILES["png"][:-300], "the PNG data cannot be decoded"),
    ],
)
def test_an_unusable_file_is_named_with_the_reason_and_the_error_survives_a_worker(tmp_path, data, reason):
    path = tmp_path / "some.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_missing_file_and_a_folder_are_image_errors(tmp_path: Path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="it is a folder, not an image file"):
        open_image(tmp_path)
