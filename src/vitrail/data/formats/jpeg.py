"""JPEG files, handed to the decoder without their metadata, and with a limit on their scans."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.budget import Refused
from vitrail.data.formats.exif import orientation

MOST_SEGMENTS = 10_000
MOST_SCANS = 500
SPEED, ARITHMETIC_SPEED, BYTE_COST = 8e-9, 100e-9, 12e-9
"""Seconds that a pixel and a byte of the file take."""
SCAN_COST = 1.6e-9
"""Seconds a pixel of one component takes in each of several scans, even in one that says nothing."""

SMALL = 1_000_000
"""So few pixels in one scan cost too little to be looked at."""

_SCAN, _END = 0xDA, 0xD9
_ALONE = {0x01, *range(0xD0, 0xDA), 0xC8, *range(0xF0, 0xFE)}
"""Markers without contents, or whose contents Pillow passes over."""
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE, _ARITHMETIC = {0xC2, 0xC6, 0xCA, 0xCE}, {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
# APP0 (JFIF) and APP14 (Adobe) tell what the colours mean; the rest and comments are metadata.
_METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}
_FILL = re.compile(rb"\xff+")
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass
class _Walked:
    """What stands before the first scan.

    Attributes:
        kept: the parts of the file that decide its pixels; none where all of it does.
        exif: EXIF data, and ``xmp`` XMP data, if any.
        scan: where the first scan begins; -1 if there is none.
        frame: the kind of the frame, a marker; and its ``size`` and sampling factors ``samples`` (h, v).
        in_scan: how many components the first scan has.
    """

    kept: list[memoryview] = field(default_factory=list)
    exif: bytes | None = None
    xmp: bytes | None = None
    scan: int = -1
    frame: int = 0
    size: tuple[int, int] = (0, 0)
    samples: list[tuple[int, int]] = field(default_factory=list)
    in_scan: int = 0


def read_jpeg(data: bytes, enough: int | None) -> tuple[Image.Image, int]:
    """Decode a JPEG; return it and how it has to be turned. ``enough`` is as in `vitrail.data.images.open_image`.

    A file that lacks nothing but its end marker is read.
    """
    walked = _walk(data)
    _check(data, walked)
    essence = b"".join(walked.kept) if walked.kept else data
    turn = orientation(walked.exif, walked.xmp)
    try:
        return _decode(essence, enough), turn
    except OSError as error:
        if "truncated" not in str(error):
            raise
        image = _without_end(essence, enough)
        if image is None:
            raise
        return image, turn


def _decode(essence: bytes, enough: int | None) -> Image.Image:
    image = JpegImageFile(io.BytesIO(essence))
    budget.check_size(*image.size)
    if enough is not None:
        image.draft(None, (enough, enough))
    image.load()
    return image


# What an entropy-coded stream may go on with: bits of both kinds, in all eight restart intervals.
_FILLINGS = [b"".join(64 * fill + bytes([0xFF, 0xD0 + n]) for n in range(8)) * 4 for fill in (b"\xaa", b"\x35")]


def _without_end(essence: bytes, enough: int | None) -> Image.Image | None:
    """Decode a file that stops early, if only its end marker is missing: what comes after its pixels then is all one.

    Where pixels are missing too, the decoder takes them from what follows, and two fillings give two images.
    """
    essence = essence.rstrip(b"\xff")
    end = bytes([0xFF, _END])
    image = _decode(essence + end, enough)
    first = np.asarray(image)
    for filling in _FILLINGS:
        try:
            if not np.array_equal(first, np.asarray(_decode(essence + filling + end, enough))):
                return None
        except OSError:
            return None
    return image


def _walk(data: bytes) -> _Walked:
    """Go through the segments before the first scan, and leave out what lies between them."""
    walked, view, kept_from, place, segments = _Walked(), memoryview(data), 0, 2, 0
    behind, end = place, len(data)  # of the last segment, of all
    while (place := data.find(b"\xff", place)) >= 0:
        name = place + 1
        if name < end and data[name] == 0xFF:
            name = _FILL.match(data, name).end()  # type: ignore[union-attr]
        if name >= end:
            break
        marker, place = data[name], name + 1
        if marker == 0:
            continue
        segments += 1
        if segments > MOST_SEGMENTS:
            raise Refused(f"it has more than {MOST_SEGMENTS} segments before its pixels")
        if name - 1 > behind:
            walked.kept.append(view[kept_from:behind])
            kept_from = name - 1
        if marker not in _ALONE:
            length = int.from_bytes(data[place : place + 2], "big")
            place += length if length > 2 else 2
        if marker in _METADATA:
            _keep_metadata(walked, marker, data[name + 3 : place])
            walked.kept.append(view[kept_from : name - 1])
            kept_from = place
        elif marker in _FRAMES:
            _keep_frame(walked, marker, data[name + 3 : place])
        elif marker == _SCAN:
            walked.scan, walked.in_scan = name - 1, data[name + 3] if name + 3 < len(data) else 0
            break
        behind = place
    if kept_from:
        walked.kept.append(view[kept_from:])
    return walked


def _keep_metadata(walked: _Walked, marker: int, segment: bytes) -> None:
    if marker == 0xE1 and segment.startswith(b"Exif\0\0"):
        walked.exif = segment if walked.exif is None else walked.exif + segment[6:]
    elif marker == 0xE1 and segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        walked.xmp = segment.split(b"\0", 1)[1]


def _keep_frame(walked: _Walked, marker: int, segment: bytes) -> None:
    walked.frame = marker
    walked.size = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big")
    walked.samples = [(factors >> 4, factors & 15) for factors in segment[7::3]]


def _check(data: bytes, walked: _Walked) -> None:
    """Hold the budget: coefficients of several scans are kept until the last, and each scan passes over them."""
    width, height = walked.size
    if walked.scan < 0 or not walked.frame or not walked.samples:
        return  # The decoder says what is missing.
    several = walked.frame in _PROGRESSIVE or walked.in_scan < len(walked.samples)
    if not several and 0 < width * height <= SMALL:
        return
    budget.check_size(width, height)
    budget.check_density(width, height, len(data))
    widest, highest = (max(1, *(factors[axis] for factors in walked.samples), 1) for axis in (0, 1))
    stored = width * height * sum(h * v for h, v in walked.samples) / (widest * highest)
    decoded = width * height * (1 if len(walked.samples) == 1 else 4)
    # Reading it whole and without its metadata makes two copies of the file.
    budget.check_memory(width, height, decoded + (2 * stored if several else 0) + 2 * len(data))
    scans = _scans(data, walked.scan) if several else 0
    if scans > MOST_SCANS:
        raise Refused(f"its more than {MOST_SCANS} scans would take too long to decode; save it anew")
    speed = ARITHMETIC_SPEED if walked.frame in _ARITHMETIC else SPEED
    budget.check_time(width, height, speed * width * height + BYTE_COST * len(data) + SCAN_COST * stored * scans)


def _scans(data: bytes, place: int) -> int:
    """Count the scans from the first on, up to `MOST_SCANS` + 1, passing over what only looks like one."""
    scans = 0
    while match := _NEXT_MARKER.search(data, place):
        marker, place = data[match.end() - 1], match.end()
        if marker == _END or scans > MOST_SCANS:
            break
        scans += marker == _SCAN
        place += int.from_bytes(data[place : place + 2], "big")
    return scans
