"""PBM, PGM and PPM files (Netpbm's formats P1 to P6): a header in text, and numbers in text or in bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vitrail.data.formats import budget

SPEEDS = {"text": 120e-9, "bytes": 12e-9}
"""Seconds a number takes at most."""

_HEADER = re.compile(rb"P([1-6])(?=[\s#])")
_FIELD = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*?(\d+)")
_LONGEST_HEADER = 1 << 16
_COMMENT = re.compile(rb"#[^\n\r]*")


@dataclass(frozen=True)
class Netpbm:
    """An image of numbers.

    Attributes:
        values: ``(H, W)`` or ``(H, W, 3)``, from 0 to ``white``; uint8, or uint16 where white is above 255.
        white: the number that stands for white.
    """

    values: np.ndarray
    white: int

    def eight_bits(self) -> np.ndarray:
        """Return the values scaled to 0 to 255, rounded: ``(H, W)`` or ``(H, W, 3)`` uint8."""
        if self.white == 255:
            return self.values
        table = (np.arange(self.white + 1, dtype=np.int64) * 510 + self.white) // (2 * self.white)
        return table.astype(np.uint8)[self.values]


def read_pnm(data: bytes) -> Netpbm:
    """Read a PBM, PGM or PPM file of one image, or the first of several.

    Raises:
        ValueError: the data end early, or a number is beyond what the header calls white.
        Refused: it is too large.
    """
    match = _HEADER.match(data)
    if match is None:
        raise ValueError("no Netpbm header")
    kind, place, fields = int(match[1]), match.end(), []
    bits = kind in (1, 4)
    while len(fields) < (2 if bits else 3):
        field = _FIELD.match(data, place, place + _LONGEST_HEADER)
        if field is None:
            raise ValueError("the header is incomplete")
        if len(field[1]) > 12:
            raise ValueError("a number of the header is too large")
        fields.append(int(field[1]))
        place = field.end()
    width, height, white = (*fields, 1)[:3]
    if not 0 < white < 65536:
        raise ValueError(f"white is {white}, and must lie in 1 to 65535")
    budget.check_size(width, height)
    channels = 3 if kind in (3, 6) else 1
    numbers = width * height * channels
    wide = 2 if white > 255 else 1
    budget.check_time(width, height, SPEEDS["text" if kind <= 3 else "bytes"] * numbers)
    budget.check_memory(width, height, len(data) + numbers * (10 if kind <= 3 else wide + 1) + 4 * width * height)
    place += 1  # One white space stands before the numbers.
    if bits:
        values = _bits(data, place, width, height, packed=kind == 4)
    elif kind > 3:
        values = _stored(data, place, numbers, wide)
    else:
        values = _written(data, place, numbers, wide)
    if values.size and int(values.max()) > white:
        raise ValueError(f"it holds the number {int(values.max())}, beyond {white}, which the header calls white")
    return Netpbm(values.reshape((height, width, 3) if channels == 3 else (height, width)), white)


def _stored(data: bytes, place: int, numbers: int, wide: int) -> np.ndarray:
    if len(data) - place < numbers * wide:
        raise ValueError(f"the data end after {max(0, len(data) - place)} of {numbers * wide} bytes")
    values = np.frombuffer(data, np.dtype(">u2") if wide == 2 else np.uint8, numbers, place)
    return values.astype(np.uint16) if wide == 2 else values


def _written(data: bytes, place: int, numbers: int, wide: int) -> np.ndarray:
    """Read numbers written in digits, with white space and comments between them."""
    text = _COMMENT.sub(b"", data[place:])
    if text.strip(b"0123456789 \t\n\r\v\f"):
        raise ValueError("it holds something that is no number")
    # Asked for a count that is not there, numpy fills up with whatever lies in memory.
    values = np.fromstring(text, np.int64, sep=" ")[:numbers]
    if len(values) < numbers:
        raise ValueError(f"the data end after {len(values)} of {numbers} numbers")
    too_large = values.max() >= 256**wide  # Told by the caller, who knows white.
    return values if too_large else values.astype(np.uint16 if wide == 2 else np.uint8)


def _bits(data: bytes, place: int, width: int, height: int, packed: bool) -> np.ndarray:
    """Read black (1) and white (0) pixels; return 0 for black and 1 for white."""
    if packed:
        row = -(-width // 8)
        rows = _stored(data, place, row * height, 1).reshape(height, row)
        return 1 - np.unpackbits(rows, axis=1, count=width)
    digits = bytes(digit for digit in b"01")
    text = _COMMENT.sub(b"", data[place - 1 :])
    found = text.translate(None, b" \t\n\r\v\f")[: width * height]
    if len(found) < width * height or found.strip(digits):
        raise ValueError(f"it does not hold {width * height} digits 0 or 1")
    return 1 - (np.frombuffer(found, np.uint8) - ord("0"))
