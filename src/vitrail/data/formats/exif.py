"""How a stored image has to be turned, from its metadata: one tag is read, and nothing else of them unfolded."""

from __future__ import annotations

import re
import struct

ORIENTATION = 274
"""EXIF 2.3, section 4.6.4, tag 0x0112."""

# TIFF 6.0, section 2, and BigTIFF's: type of a value to its form. Text and bytes are no orientation.
_FORMS = {3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 11: "f", 12: "d", 13: "L", 16: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_IN_XMP = re.compile(rb'tiff:Orientation(="|>)([0-9])')


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """Return the orientation, 1 to 8, that EXIF data or, where they have none, XMP data tell; else 1.

    Damaged metadata say nothing about the pixels, and count as 1.
    """
    try:
        turn = _in_exif(re.sub(rb"^(Exif\x00\x00){1,2}", b"", exif)) if exif else None
    except (struct.error, ValueError):
        return 1
    if turn is None and xmp and (match := _IN_XMP.search(xmp)):
        turn = int(match[2])
    return int(turn) if turn is not None and turn in range(1, 9) else 1


def _in_exif(tiff: bytes) -> float | None:
    """Look for the orientation in the first directory of a TIFF structure; None where it is not there."""
    if not tiff:
        return None
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or tiff[2:4] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        raise ValueError("no EXIF data")
    big = b"+" in tiff[2:4]
    (start,) = struct.unpack_from(order + ("Q" if big else "L"), tiff, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), tiff, start)
    entry = struct.Struct(order + ("HHQ8s" if big else "HHL4s"))
    first = start + (8 if big else 2)
    for place in range(first, min(first + count * entry.size, len(tiff) - entry.size + 1), entry.size):
        tag, kind, values, data = entry.unpack_from(tiff, place)
        if tag == ORIENTATION and kind in _SIZES and values:
            size = _SIZES[kind] * values
            if size > len(data):
                (there,) = struct.unpack_from(order + ("Q" if big else "L"), data)
                data = tiff[there : there + size]
            if len(data) >= size:
                return struct.unpack_from(order + _FORMS[kind], data)[0] if kind in _FORMS else 1
    return None
