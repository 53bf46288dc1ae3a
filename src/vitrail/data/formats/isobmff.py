"""Boxes of the container that AVIF and HEIC files share (ISO/IEC 14496-12 and 23008-12), as far as sizes need them."""

from __future__ import annotations

from collections.abc import Iterator

from vitrail.data.formats.budget import Refused

MOST_BOXES = 20_000
_HOLD_BOXES = {b"meta": 4, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"iprp": 0, b"ipco": 0}
"""Boxes that hold boxes, and the bytes before the first of them."""


def brands(header: bytes) -> set[bytes]:
    """Return the brands that a file's first bytes name, empty if it is no such container."""
    if header[4:8] != b"ftyp":
        return set()
    end = min(len(header), int.from_bytes(header[:4], "big"))
    return {header[8:12], *(header[place : place + 4] for place in range(16, end - 3, 4))}


def boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """List all boxes of a file: name, where the contents start, and where they end.

    Raises:
        Refused: there are more than `MOST_BOXES`.
    """
    found = []
    for box in _boxes(data, 0, len(data), 0):
        found.append(box)
        if len(found) > MOST_BOXES:
            raise Refused(f"it has more than {MOST_BOXES} boxes")
    return found


def _boxes(data: bytes, place: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    while place + 8 <= end:
        size, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        start = place + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        stop = end if size == 0 else min(end, place + size)
        if stop < start:
            return
        yield name, start, stop
        if name in _HOLD_BOXES and depth < 8:
            yield from _boxes(data, start + _HOLD_BOXES[name], stop, depth + 1)
        place = stop


def sizes(data: bytes, found: list[tuple[bytes, int, int]]) -> list[tuple[int, int]]:
    """Return width and height of all images that the boxes declare (``ispe``)."""
    declared = [data[start + 4 : start + 12] for name, start, end in found if name == b"ispe" and end - start >= 12]
    return [(int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")) for size in declared]


def items(data: bytes, found: list[tuple[bytes, int, int]]) -> list[bytes]:
    """Return the data of all items (``iloc``), and what follows on a moving image's chunks (``stco``, ``co64``)."""
    inside = next((start for name, start, _ in found if name == b"idat"), 0)
    result: list[bytes] = []
    for name, start, end in found:
        content = data[start:end]
        if name == b"iloc":
            result += [b"".join(data[a:b] for a, b in extents) for extents in _extents(content, inside)]
        elif name in (b"stco", b"co64"):
            width = 8 if name == b"co64" else 4
            count = min(int.from_bytes(content[4:8], "big"), (len(content) - 8) // width)
            places = (int.from_bytes(content[8 + n * width : 8 + (n + 1) * width], "big") for n in range(count))
            result += [data[place:] if n == 0 else data[place : place + 2**16] for n, place in enumerate(places)]
        if sum(map(len, result)) > 4 * len(data) + 2**20 or len(result) > MOST_BOXES:
            raise Refused("its items share their data")
    return result


def _extents(content: bytes, inside: int) -> Iterator[list[tuple[int, int]]]:
    """Read the item location box: for each item, start and end of its parts in the file."""
    version = content[0]
    offset_size, length_size, base_size, index_size = (n for byte in content[4:6] for n in (byte >> 4, byte & 15))
    place = 6

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > len(content):
            raise ValueError("the item location box ends early")
        return int.from_bytes(content[place - size : place], "big")

    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            if version:
                number(index_size)
            start = base + number(offset_size) + (inside if method == 1 else 0)
            length = number(length_size)
            extents.append((start, start + length if length else len(content) + 2**62))
        yield extents
