"""An image wherever it lies: in a file, in memory, in the bytes of a file, in an open file, or still to be drawn.

A data set keeps paths and images (`Stored`), which cost little by the million; `item_of` makes an `Item` of one of them
when something of it is asked for. Nothing else in vitrail asks where an image lies.
"""

from __future__ import annotations

import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image, ImageOps

from vitrail.data.images import MAX_PIXELS, open_image, with_channels
from vitrail.data.turned import shown_size
from vitrail.errors import ImageError

READ_WHOLE = 8192
"""Files up to this many bytes are read whole for their identity; of larger ones two parts are."""
PART = 2048
"""Bytes of each part: one in the middle, and the end, where PNG keeps its checksum."""


@runtime_checkable
class Drawable(Protocol):
    """An image that is drawn when it is asked for; its ``repr`` says how."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        ...

    def image(self) -> Image.Image:
        """Draw it."""
        ...


Stored = Path | Image.Image | Drawable
"""What a data set keeps of an image."""


class Item(ABC):
    """One image, opened when its turn comes.

    Attributes:
        name: what reports and answers call it.
        path: the file it lies in; None elsewhere.
        in_memory: whether it is decoded already.
    """

    name: str
    path: Path | None
    in_memory = False

    @property
    def stem(self) -> str:
        """Its name without folder and ending, for files written about it."""
        return Path(self.name).stem or "image"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is shown, in pixels.

        Raises:
            ImageError: it cannot be read.
        """
        return self.open().size

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """Width and height as it is shown, where that is known without decoding it; None where it is not."""
        return None

    @abstractmethod
    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Return the image upright, of mode RGB (``channels`` 3) or L (``channels`` 1).

        Args:
            channels: 3 for colour, 1 for grey.
            enough: as for `open_image`: detail beyond a shorter side of so many pixels is not needed.

        Raises:
            ImageError: it cannot be read.
        """

    @abstractmethod
    def identity(self) -> int:
        """Return 64 bits of a digest of its size and content, the same wherever it lies.

        A file above `READ_WHOLE` bytes is read in two places only; one that cannot be read has the digest of its path.
        """


@dataclass(frozen=True)
class FileItem(Item):
    """An image in a file."""

    name: str
    path: Path

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """Return what the file's header says."""
        return shown_size(self.path)

    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Decode the file; an error gives its path."""
        return open_image(self.path, channels, enough=enough)

    def identity(self) -> int:
        """Digest parts of the file."""
        try:
            return _digest_of_file(self.path)
        except OSError:
            return digest64(b"unreadable", os.fsencode(self.path))


@dataclass(frozen=True)
class DecodedItem(Item):
    """An image in memory; it stays as it is."""

    name: str
    image: Image.Image
    path = None
    in_memory = True

    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Return a copy, turned as its EXIF orientation says, as a file would be."""
        width, height = self.image.size
        if width * height > MAX_PIXELS or 0 in self.image.size:
            reason = f"{width} x {height} pixels are none or above the limit of {MAX_PIXELS:,}"
            raise ImageError(self.name, reason)
        try:
            turned = ImageOps.exif_transpose(self.image)
        except Exception as error:  # An image that Pillow opens lazily is decoded only now.
            raise ImageError(self.name, f"the image cannot be decoded ({error})") from error
        return _named(self.name, lambda: with_channels(turned, channels))

    def identity(self) -> int:
        """Digest mode, size and pixels."""
        return digest64(repr((self.image.mode, self.image.size)).encode(), self.image.tobytes())


@dataclass(frozen=True)
class EncodedItem(Item):
    """The bytes of an image file, or a file that is open in binary mode."""

    name: str
    content: bytes | Any
    path = None

    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Decode the bytes."""
        content = self._bytes()
        return _named(self.name, lambda: open_image(content, channels, enough=enough))

    def identity(self) -> int:
        """Digest the bytes."""
        return digest64(self._bytes())

    def _bytes(self) -> bytes:
        """Read an open file from where it stands, and leave it standing there, so that it can be asked for twice."""
        if isinstance(self.content, bytes):
            return self.content
        file = self.content
        try:
            stands_at = file.tell() if file.seekable() else None
            content = file.read()
            if stands_at is not None:
                file.seek(stands_at)
        except Exception as error:  # A stranger's object: whatever it raises is about this image alone.
            raise ImageError(self.name, f"the open file cannot be read ({error})") from error
        if isinstance(content, str):
            raise ImageError(
                self.name, "the file is open in text mode; open it in binary mode, as open(name, 'rb') does"
            )
        return bytes(content)


@dataclass(frozen=True)
class DrawnItem(Item):
    """An image that is drawn when it is asked for."""

    name: str
    drawable: Drawable
    path = None

    @property
    def size(self) -> tuple[int, int]:
        """Return the size it will have."""
        return self.drawable.size

    @property
    def stated_size(self) -> tuple[int, int]:
        """Return the same."""
        return self.drawable.size

    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Draw it."""
        return with_channels(self.drawable.image(), channels)

    def identity(self) -> int:
        """Digest how it is drawn."""
        return digest64(repr(self.drawable).encode())


@dataclass(frozen=True)
class MissingItem(Item):
    """An image that was asked for and is not there."""

    name: str
    reason: str
    path = None

    def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
        """Refuse."""
        raise ImageError(self.name, self.reason)

    def identity(self) -> int:
        """Digest its name."""
        return digest64(b"missing", self.name.encode("utf-8", "surrogateescape"))


def item_of(stored: Stored | bytes | Any, name: str = "") -> Item:
    """Return an image, given a path, a PIL image, the bytes of a file, what reads them, or what can be drawn.

    Args:
        stored: the image.
        name: what reports call it; a file is called by its path where nothing is said.
    """
    if isinstance(stored, Path):
        return FileItem(name or str(stored), stored)
    if isinstance(stored, Image.Image):
        return DecodedItem(name, stored)
    if isinstance(stored, bytes) or hasattr(stored, "read"):
        return EncodedItem(name, stored)
    return DrawnItem(name, stored)


def files_among(stored: Sequence[Any]) -> list[Path]:
    """Return those of a data set's images that are files."""
    return [one for one in stored if isinstance(one, Path)]


def digest64(*parts: bytes) -> int:
    """Return 64 bits of a digest."""
    return int.from_bytes(hashlib.blake2b(b"".join(parts), digest_size=8).digest(), "big")


def _named(name: str, opened: Any) -> Image.Image:
    """Open an image; an error tells of the name that the image has here."""
    try:
        return opened()
    except ImageError as error:
        raise ImageError(name, error.reason) from error.__cause__


def _digest_of_file(path: Path) -> int:
    # A pipe would keep its reader waiting for ever.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode):
            raise OSError(f"{path} is no regular file")
        size = known.st_size
        places = [(0, READ_WHOLE)] if size <= READ_WHOLE else [(size // 2, PART), (size - PART, PART)]
        return digest64(size.to_bytes(8, "little"), *(_read(file, start, length) for start, length in places))
    finally:
        os.close(file)


def _read(file: int, start: int, length: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, length, start)
    os.lseek(file, start, os.SEEK_SET)
    return os.read(file, length)


__all__ = [
    "DecodedItem",
    "Drawable",
    "DrawnItem",
    "EncodedItem",
    "FileItem",
    "Item",
    "MissingItem",
    "Stored",
    "digest64",
    "files_among",
    "item_of",
]
