"""The images that a user asks about: files, folders and globs, or images in memory, in the order of the request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.data.item import DecodedItem, EncodedItem, FileItem, Item, MissingItem
from vitrail.data.named_files import find_images
from vitrail.errors import DataError, ImageError

ACCEPTED = (
    "names of files, folders or globs, PIL images, uint8 arrays (H, W) or (H, W, C), uint8 tensors (H, W) or "
    "(C, H, W), bytes, or files opened in binary mode"
)


def requested_images(request: Any) -> list[Item]:
    """Return the images of a request, in its order; one asked for twice is there twice.

    A file is called by its path, an image in memory ``image N``, N its place in the request from 0.

    Args:
        request: one of `ACCEPTED`, or any number of them, mixed. A folder stands for the images in it at any depth and
            a glob for what it matches, both in alphabetical order; an array or tensor of one dimension more holds
            several images.

    Raises:
        DataError: it is empty, nothing that is named is there, or something in it is no image.
    """
    images: list[Item] = []
    missing: list[DataError] = []
    for place, item in enumerate(_items(request)):
        try:
            images += _expanded(item, len(images), place)
        except _Missing as error:
            missing.append(error.reason)
            images.append(MissingItem(error.name, str(error.reason)))
    if not images:
        raise DataError(f"name images to look at: {ACCEPTED}")
    if len(missing) == len(images):
        raise missing[0]
    return images


class _Missing(Exception):
    """A name stands for no image: of several names it is answered in its place, alone it is an error."""

    def __init__(self, name: str, reason: DataError) -> None:
        super().__init__(name)
        self.name, self.reason = name, reason


def _items(request: Any) -> Iterable[Any]:
    """Return what is asked for, one after the other."""
    if isinstance(request, np.ndarray) and request.dtype.kind in "OSU" and request.ndim == 1:
        return request.tolist()  # A column of names.
    if _is_one(request):
        return [request]
    if isinstance(request, dict) or not isinstance(request, Iterable):
        raise DataError(f"images are {ACCEPTED}; not {_kind(request)}")
    return request


def _is_one(item: Any) -> bool:
    """Whether it is an item of a request, and no series of items."""
    single = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray | Tensor
    return isinstance(item, single) or hasattr(item, "read")


def _expanded(item: Any, number: int, place: int) -> Iterator[Item]:
    """Yield the images that an item stands for, the first one being image ``number`` of all."""
    if isinstance(item, str | os.PathLike):
        yield from _named(os.fspath(item))
    elif isinstance(item, Image.Image):
        yield DecodedItem(f"image {number}", item)
    elif isinstance(item, bytes | bytearray | memoryview):
        yield EncodedItem(f"image {number}", bytes(item))
    elif isinstance(item, np.ndarray | Tensor):
        for offset, one in enumerate(_decoded_arrays(item, f"item {place} of the request")):
            yield DecodedItem(f"image {number + offset}", one)
    elif hasattr(item, "read"):
        name = getattr(item, "name", None)
        yield EncodedItem(name if isinstance(name, str) else f"image {number}", item)
    else:
        raise DataError(f"item {place} of the request is {_kind(item)}; images are {ACCEPTED}")


def _named(name: str | bytes) -> Iterator[Item]:
    text = os.fsdecode(name)
    try:
        files = find_images([text])
    except DataError as error:
        raise _Missing(text, error) from None
    yield from (FileItem(str(file), file) for file in files)


def _decoded_arrays(values: np.ndarray | Tensor, what: str) -> list[Image.Image]:
    """Turn an array ``(H, W)``, ``(H, W, C)`` or ``(B, H, W, C)``, or a tensor with C before H, into images."""
    if isinstance(values, Tensor):
        array, order = values.detach().cpu().numpy(), "(H, W), (C, H, W) or (B, C, H, W)"
        array = np.moveaxis(array, -3, -1) if array.ndim in (3, 4) else array
    else:
        array, order = values, "(H, W), (H, W, C) or (B, H, W, C)"
    if array.dtype != np.uint8:
        raise DataError(f"{what} holds {array.dtype}, whose black and white are not known; give uint8, from 0 to 255")
    shape = tuple(values.shape)
    if array.ndim not in (2, 3, 4) or (array.ndim > 2 and array.shape[-1] not in MODES) or 0 in shape:
        raise DataError(f"{what} is of shape {shape}; an image is {order} with C of 1, 3 (RGB) or 4 (RGB and alpha)")
    return [_from_array(one) for one in (array if array.ndim == 4 else [array])]


MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""The mode of an image with so many channels."""


def _from_array(pixels: np.ndarray) -> Image.Image:
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(pixels))


def _kind(item: Any) -> str:
    name = type(item).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def files_of(images: Sequence[Item]) -> list[Path]:
    """Return the files among the images of a request."""
    return [image.path for image in images if image.path is not None]


def opened(images: Sequence[Item], channels: int) -> tuple[list[Image.Image], list[ImageError | None]]:
    """Open images.

    Returns:
        Those that could be read, in order; and for each image of the request None, or why it could not be read.
    """
    read: list[Image.Image] = []
    errors: list[ImageError | None] = []
    for image in images:
        try:
            read.append(image.open(channels))
            errors.append(None)
        except ImageError as error:
            errors.append(error)
    return read, errors


__all__ = ["ACCEPTED", "files_of", "opened", "requested_images"]
