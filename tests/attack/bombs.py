"""Small files that unfold to much, or take long, made here so that none has to be kept."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

COLOUR = Image.fromarray(np.random.default_rng(11).integers(0, 256, (24, 20, 3), dtype=np.uint8))


def stored(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, extra: bytes = b"", interlaced: int = 0) -> bytes:
    """A PNG of zeros whose data were never held in memory: one deflated megabyte, again and again."""

    def deflated(size: int) -> bytes:
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    size = height * (1 + width * channels * depth // 8)
    body = deflated(1 << 20) * (size >> 20) + deflated(size & 0xFFFFF) + b"\x03\0"
    body += struct.pack(">I", size % 65521 << 16 | 1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    parts = [
        png_chunk(b"IHDR", header),
        palette,
        extra,
        png_chunk(b"IDAT", b"\x78\x9c" + body),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def lossless_webp(width: int, height: int) -> bytes:
    """A whole WebP of one colour in some thirty bytes: every code of its five trees has no bits."""
    head = (width - 1) | (height - 1) << 14
    # No transform, no colour cache, no further trees; then five trees of one symbol each, 0 with one bit of length.
    bits = "000" + "1000" * 5
    value = int(bits[::-1], 2)
    data = b"\x2f" + struct.pack("<I", head) + value.to_bytes(8, "little")
    return riff((b"VP8L", data))


def moving_webp(width: int, height: int) -> bytes:
    """Two frames of a pixel on a large canvas."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    frame = lossless_webp(1, 1)[12:]
    moving = bytes(6) + bytes(6) + struct.pack("<I", 10)[:3] + b"\0" + frame
    return riff((b"VP8X", b"\x12" + bytes(3) + size), (b"ANIM", bytes(6)), (b"ANMF", moving), (b"ANMF", moving))


def resized_jpeg(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    place = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC2))
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = stored(COLOUR.resize((side, side)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def tiff(width: int, height: int, samples: int, bits: int, form: int, photometric: int, zipped: bytes) -> bytes:
    """A TIFF of one deflated strip; ``form`` 1 whole numbers, 3 floats."""
    tags = {256: width, 257: height, 258: bits, 259: 8, 262: photometric, 277: samples, 278: height, 279: len(zipped)}
    tags |= {339: form, 273: 8 + 2 + 12 * 10 + 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + zipped


def zeros(count: int) -> bytes:
    packer, body = zlib.compressobj(9), []
    for start in range(0, count, 1 << 20):
        body.append(packer.compress(bytes(min(1 << 20, count - start))))
    return b"".join([*body, packer.flush()])


def bmp_of_runs(side: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 54 + 1024) + header + bytes(range(256)) * 4 + b"\0\0" * 4


def _gif(size: int, blocks: bytes) -> bytes:
    screen = struct.pack("<HHBBB", size, size, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + blocks + b"," + bytes(4) + struct.pack("<HHB", size, size, 0) + b"\2\2L\1\0;"


SMALL_JPEG = stored(COLOUR, "JPEG")
COMMENTS = 1_000_000

BOMBS: dict[str, Callable[[], bytes]] = {
    **{f"webp of {side}": lambda side=side: lossless_webp(side, side) for side in (4000, 5000, 10_000, 16_384)},
    **{f"moving webp of {side}": lambda side=side: moving_webp(side, side) for side in (4000, 5000, 10_000, 16_384)},
    **{
        f"png of {side} with {depth} bits of kind {colour}": lambda s=side, d=depth, c=colour: png(s, s, d, c)
        for side in (4000, 6000, 10_000)
        for depth, colour in ((8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6))
    },
    "interlaced png": lambda: png(6000, 6000, 8, 6, interlaced=1),
    "16-bit grey png with transparency": lambda: png(6000, 6000, 16, 0, png_chunk(b"tRNS", b"\0\1")),
    "16-bit colour png with transparency": lambda: png(5000, 5000, 16, 2, png_chunk(b"tRNS", bytes(6))),
    "png of a million chunks": lambda: png(8, 8, 8, 0, png_chunk(b"teSt", b"") * COMMENTS),
    "png of a million texts": lambda: png(8, 8, 8, 0, png_chunk(b"tEXt", b"a\0b") * COMMENTS),
    "png of texts that unfold": lambda: png(8, 8, 8, 0, png_chunk(b"zTXt", b"a\0\0" + zeros(1 << 28)) * 20),
    "png of a profile that unfolds": lambda: png(8, 8, 8, 0, png_chunk(b"iCCP", b"a\0\0" + zeros(1 << 28)) * 20),
    "jpeg of a million comments": lambda: SMALL_JPEG[:2] + b"\xff\xfe\0\3a" * COMMENTS + SMALL_JPEG[2:],
    "jpeg of a million tables": lambda: SMALL_JPEG[:2] + b"\xff\xdd\0\4\0\0" * COMMENTS + SMALL_JPEG[2:],
    "jpeg of a million fill bytes": lambda: SMALL_JPEG[:2] + b"\xff" * COMMENTS + SMALL_JPEG[2:],
    **{
        f"{name} of {side}": lambda n=name, s=side: resized_jpeg(JPEGS[n], s, s)
        for side in (4000, 6000, 10_000, 65_000)
        for name in ("jpeg", "progressive jpeg", "full progressive jpeg", "cmyk jpeg", "grey jpeg")
    },
    **{f"jpeg of {scans} scans": lambda n=scans: many_scans(64, n) for scans in (100, 5000, 100_000)},
    "jpeg of 400 scans": lambda: many_scans(2000, 400),
    "gif of 10000": lambda: _gif(10_000, b""),
    "gif of 60000": lambda: _gif(60_000, b""),
    "gif of a million comments": lambda: _gif(8, b"!\xfe\1a\0" * COMMENTS),
    "gif of one long comment": lambda: _gif(8, b"!\xfe" + b"\1a" * COMMENTS + b"\0"),
    "gif of a million controls": lambda: _gif(8, b"!\xf9\4\0\0\0\0\0" * COMMENTS),
    "webp of a million chunks": lambda: riff((b"VP8X", bytes(4) + bytes(6)), *[(b"abcd", b"")] * 200_000),
    "tiff of floats": lambda: tiff(9000, 9000, 1, 32, 3, 1, zeros(4 * 81_000_000)),
    "tiff of 16 bits": lambda: tiff(9500, 9500, 1, 16, 1, 1, zeros(2 * 90_250_000)),
    "tiff of four inks": lambda: tiff(9000, 9000, 4, 8, 1, 5, zeros(4 * 81_000_000)),
    "tiff of little": lambda: tiff(10_000, 10_000, 1, 8, 1, 1, zeros(100)),
    "bmp of runs": lambda: bmp_of_runs(10_000),
    "bmp of small runs": lambda: bmp_of_runs(1900),
    "pgm of nothing": lambda: b"P5 10000 10000 255\n",
    "pgm of 16 bits and nothing": lambda: b"P5\n10000 10000\n65535\n",
    "ppm in digits": lambda: b"P3 2000 2000 255\n" + b"1 " * 12_000_000,
    "ppm of comments": lambda: b"P3 " + b"#a\n" * COMMENTS + b"1 1 255\n1 1 1",
    "pgm of a huge number": lambda: b"P2 1 1 255\n" + b"9" * COMMENTS,
    "pbm in digits": lambda: b"P1 9000 9000\n" + b"1" * 81_000_000,
}
"""Names and makers; each file is made only when it is needed."""

JPEGS = {
    "jpeg": SMALL_JPEG,
    "progressive jpeg": stored(COLOUR, "JPEG", progressive=True),
    "full progressive jpeg": stored(COLOUR, "JPEG", progressive=True, subsampling=0),
    "cmyk jpeg": stored(COLOUR.convert("CMYK"), "JPEG"),
    "grey jpeg": stored(COLOUR.convert("L"), "JPEG"),
}
