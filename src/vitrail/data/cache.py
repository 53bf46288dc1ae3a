"""Decoded images kept in memory that all data workers of a process share."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from vitrail.data.item import Item, Stored, files_among, item_of
from vitrail.errors import ImageError

AUTO_SHARE = 0.25
"""With cache="auto": the share of the free memory that all images have to fit into."""
ON_SHARE = 0.5
"""With cache="on": the share of the free memory that is filled; images beyond it are decoded anew."""
MARGIN = 2
"""With cache="auto": how many times what a few images let expect is mapped."""
_PROBES = 16


class ImageCache:
    """Images of mode RGB or L by number, up to a budget of bytes; nothing is ever thrown out.

    A file that changes while a run goes on is not read again: the run learns on from what it read first, and says what
    changed when it is resumed.

    The memory is one anonymous shared mapping: forked workers read and fill the same one, pages never written
    cost nothing, and the size of /dev/shm does not matter. Where workers are spawned instead of forked
    (macOS, Windows) a worker gets a cache without budget, and decodes.
    """

    def __init__(self, count: int, budget: int) -> None:
        self.budget = budget
        self._pixels = mmap.mmap(-1, max(1, budget))
        # For each image: 1 + where its pixels start (0: not here), width, height, channels.
        self._table = np.frombuffer(mmap.mmap(-1, max(1, count) * 32), np.int64).reshape(-1, 4)
        self._used = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._lock = multiprocessing.Lock()

    def __reduce__(self) -> tuple[type[ImageCache], tuple[int, int]]:
        return ImageCache, (len(self._table), 0)

    def get(self, number: int) -> Image.Image | None:
        """Return a copy of image ``number``, or None where it is not kept."""
        start, width, height, channels = self._table[number].tolist()
        if not start:
            return None
        pixels = memoryview(self._pixels)[start - 1 : start - 1 + width * height * channels]
        return Image.frombytes("RGB" if channels == 3 else "L", (width, height), pixels)  # type: ignore[arg-type]

    def put(self, number: int, image: Image.Image) -> None:
        """Keep an image of mode RGB or L, if there is room left."""
        size = image.width * image.height * len(image.getbands())
        with self._lock:
            start = int(self._used[0])
            if start + size > self.budget:
                return
            self._used[0] = start + size
        self._pixels[start : start + size] = image.tobytes()
        self._table[number, 1:] = image.width, image.height, len(image.getbands())
        # Last, so that no other worker finds an image that is still being written.
        self._table[number, 0] = start + 1


def open_cache(
    items: Sequence[Stored],
    decode: Callable[[Item], Image.Image],
    wanted: Literal["auto", "on", "off"],
) -> ImageCache | None:
    """Decide whether the images that are files are kept once they are decoded; None: they are not.

    "auto" decodes a few of them to learn whether all will fit into `AUTO_SHARE` of the free memory.
    """
    files = files_among(items)
    if wanted == "off" or not files:
        return None
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    budget = int(free_memory() * (ON_SHARE if wanted == "on" else AUTO_SHARE)) // processes
    if wanted == "auto":
        needed = _needed(files, decode)
        if needed > budget:
            return None
        budget = min(budget, MARGIN * needed + 2**20)  # No more is mapped than will be used.
    try:
        return ImageCache(len(items), budget)
    except (
        OSError,
        ValueError,
        MemoryError,
    ) as error:  # a limit such as ulimit -v, which the free memory does not tell
        if wanted == "on":
            warnings.warn(
                f"decoded images are not kept in memory: {budget:,} bytes are refused ({error})", stacklevel=2
            )
        return None


def free_memory() -> int:
    """Return the bytes this process may still use: the machine's, or less where its cgroup says so.

    0 where the system does not tell (it is read from Linux's /proc and /sys).
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return 0
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return max(0, free)


def _needed(files: Sequence[Path], decode: Callable[[Item], Image.Image]) -> int:
    """Estimate the bytes of all decoded images from a few that lie evenly among them."""
    sizes = []
    for path in files[:: max(1, len(files) // _PROBES)][:_PROBES]:
        try:
            image = decode(item_of(path))
        except ImageError:
            continue
        sizes.append(image.width * image.height * len(image.getbands()))
    return round(len(files) * sum(sizes) / len(sizes)) if sizes else 0


__all__ = ["ImageCache", "free_memory", "open_cache"]
