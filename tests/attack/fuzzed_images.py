"""Mutates images of every format, knowing their structure, and opens them: run as a program, in a process of its own.

python -m tests.attack.fuzzed_images FIRST COUNT
"""

import json
import random
import struct
import sys
import time
import warnings
import zlib

import numpy as np
from PIL import Image, features

from tests.attack.bombs import BOMBS, COLOUR, moving_webp, stored
from tests.attack.measured import megabytes, tried

GREY16 = Image.fromarray(np.random.default_rng(3).integers(0, 65536, (24, 20), dtype=np.uint16))
TURNED = Image.Exif()
TURNED[0x0112] = 6
CLEAR = COLOUR.copy()
CLEAR.putalpha(100)
FILES = {
    "jpeg": stored(COLOUR, "JPEG", exif=TURNED),
    "progressive jpeg": stored(COLOUR, "JPEG", progressive=True),
    "cmyk jpeg": stored(COLOUR.convert("CMYK"), "JPEG"),
    "jpeg with restarts": stored(COLOUR, "JPEG", restart_marker_blocks=1),
    "png": stored(COLOUR, "PNG", exif=TURNED),
    "16-bit png": stored(GREY16, "PNG"),
    "palette png": stored(COLOUR.quantize(16), "PNG", transparency=3),
    "alpha png": stored(CLEAR, "PNG"),
    "webp": stored(COLOUR, "WEBP"),
    "alpha webp": stored(CLEAR, "WEBP", exif=TURNED),
    "lossless webp": stored(CLEAR, "WEBP", lossless=True, exif=TURNED),
    "moving webp": moving_webp(20, 24),
    "tiff": stored(COLOUR, "TIFF"),
    "lzw tiff": stored(COLOUR, "TIFF", compression="tiff_lzw"),
    "zip tiff": stored(COLOUR, "TIFF", compression="tiff_deflate"),
    "jpeg tiff": stored(COLOUR, "TIFF", compression="jpeg"),
    "fax tiff": stored(COLOUR.convert("1"), "TIFF", compression="group4"),
    "packed tiff": stored(CLEAR, "TIFF", compression="packbits"),
    "16-bit tiff": stored(GREY16, "TIFF"),
    "float tiff": stored(COLOUR.convert("L").convert("F").point(lambda v: v * (1 / 255)), "TIFF"),
    "bmp": stored(COLOUR, "BMP"),
    "1-bit bmp": stored(COLOUR.convert("1"), "BMP"),
    "bmp of runs": BOMBS["bmp of small runs"](),
    "gif": stored(COLOUR.quantize(), "GIF"),
    "moving gif": stored(COLOUR.quantize(), "GIF", save_all=True, append_images=[COLOUR.rotate(90).quantize()]),
    "ppm": stored(COLOUR, "PPM"),
    "pgm": b"P5 24 20 65535\n" + GREY16.tobytes(),
    "ppm in digits": b"P3 # made\n3 2\n255\n" + b"1 22 255 " * 6,
    "pbm in digits": b"P1 4 2\n0101 1010\n",
}
if features.check("avif"):
    FILES["avif"] = stored(COLOUR, "AVIF", quality=60)
    FILES["alpha avif"] = stored(CLEAR, "AVIF", exif=TURNED)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change a file in one to three ways, some of which keep its structure whole."""
    for _ in range(chance.randint(1, 3)):
        data = chance.choice(WAYS)(data, chance) or data[:1]
    return data


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data)) + 1]


def spliced(data: bytes, chance: random.Random) -> bytes:
    place, count = chance.randrange(len(data)), chance.randint(0, 60)
    part = chance.choice((b"", chance.randbytes(count), data[place : place + count] * chance.choice((2, 50))))
    return data[:place] + part + data[place + chance.choice((0, count)) :]


def of_two(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(list(FILES.values()))
    return data[: chance.randrange(len(data)) + 1] + other[chance.randrange(len(other)) :]


def with_number(data: bytes, chance: random.Random) -> bytes:
    """Write a number of interest, most often into the header, where sizes stand."""
    number = chance.choice((0, 1, 255, 256, 4000, 9999, 16_383, 32_768, 65_535, 2**24 - 1, 2**31 - 1, 2**32 - 1))
    width = chance.choice((1, 2, 3, 4))
    place = chance.randrange(min(len(data), chance.choice((40, 200, len(data)))))
    written = (number % 256**width).to_bytes(width, chance.choice(("little", "big")))
    return data[:place] + written + data[place + width :]


def of_parts(data: bytes, chance: random.Random) -> bytes:
    """Take out, double or exchange parts of the format: chunks, segments, directory entries."""
    parts = parts_of(data)
    if len(parts) < 3:
        return data
    head, rest = parts[0], parts[1:]
    at, other = chance.randrange(len(rest)), chance.randrange(len(rest))
    match chance.randrange(4):
        case 0:
            del rest[at]
        case 1:
            rest[at:at] = [rest[other]] * chance.choice((1, 2, 300))
        case 2:
            rest[at], rest[other] = rest[other], rest[at]
        case _:
            rest[at] = summed(flipped(rest[at], chance))
    return head + b"".join(rest)


def parts_of(data: bytes) -> list[bytes]:
    if data.startswith(b"\x89PNG"):
        return cut_up(data, 8, lambda place: 12 + int.from_bytes(data[place : place + 4], "big"))
    if data.startswith(b"RIFF"):
        return cut_up(data, 12, lambda place: 8 + (int.from_bytes(data[place + 4 : place + 8], "little") + 1) // 2 * 2)
    if data.startswith(b"\xff\xd8"):
        return cut_up(data, 2, lambda place: 2 + int.from_bytes(data[place + 2 : place + 4], "big"))
    if data[4:8] == b"ftyp":
        return cut_up(data, 0, lambda place: max(8, int.from_bytes(data[place : place + 4], "big")))
    if data[:2] in (b"II", b"MM"):
        start = struct.unpack_from("<I" if data[:2] == b"II" else ">I", data, 4)[0] + 2 if len(data) > 8 else 8
        return cut_up(data, min(start, len(data)), lambda place: 12)
    return [data]


def cut_up(data: bytes, start: int, length) -> list[bytes]:
    parts, place = [data[:start]], start
    while place < len(data) and len(parts) < 60:
        end = place + max(1, length(place))
        parts.append(data[place:end])
        place = end
    return [*parts, data[place:]]


def summed(chunk: bytes) -> bytes:
    """Put the checksum of a PNG's chunk right again, if it is one."""
    if len(chunk) >= 12 and int.from_bytes(chunk[:4], "big") == len(chunk) - 12:
        return chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4]))
    return chunk


WAYS = (flipped, cut, spliced, of_two, with_number, with_number, of_parts, of_parts)


def main() -> None:
    """Open mutated files and print what came of them as JSON."""
    warnings.simplefilter("ignore")
    first, count = map(int, sys.argv[1:3])
    for name, data in FILES.items():
        outcome, _ = tried(data, 3)
        assert outcome == "good" or name == "bmp of runs", f"{name}: {outcome}"
    before, start = megabytes(), time.perf_counter()
    good, untyped, longest, slowest = 0, [], 0.0, ""
    for number in range(first, first + count):
        chance = random.Random(number)
        name = chance.choice(list(FILES))
        outcome, seconds = tried(mutated(FILES[name], chance), chance.choice((1, 3)))
        good += outcome == "good"
        if outcome.startswith("UNTYPED") or "\n" in outcome:
            untyped.append([number, name, outcome])
        if seconds > longest:
            longest, slowest = seconds, f"{number} {name}: {outcome}"
    result = {"tries": count, "good": good, "untyped": untyped, "seconds": longest, "slowest": slowest}
    print(json.dumps({**result, "megabytes": megabytes() - before, "took": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
