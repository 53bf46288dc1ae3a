"""What a model makes of images, computed once and kept on disk: float32, whole or absent, never out of date.

::

    FOLDER/
      KEY/  values.npy   (V, N, ...) float32: each image in each of V views
            index.npy    (N,) the number of each image; unreadable ones are left out
            about.json   what KEY is the digest of
            checks.json  checksums of the first two
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitrail.data.batches import Batch, TrainBatches
from vitrail.data.samples import Key, Sample, Samples
from vitrail.data.sources import Images
from vitrail.errors import DataError

VALUES, INDEX, ABOUT, CHECKS = "values.npy", "index.npy", "about.json", "checks.json"
FORMAT = 2
"""Part of every key: raised when what is kept changes its meaning."""

KEPT_FREE = 2**30
"""Bytes that a cache leaves on the disk."""


@dataclass(frozen=True)
class Features:
    """What a model makes of the images of one split.

    Attributes:
        values: ``(V, N, ...)`` float32, possibly still on disk.
        index: ``(N,)`` int64, rising: which image each row belongs to.
    """

    values: np.ndarray
    index: Tensor

    def rows(self, rows: Tensor, view: int = 0) -> Tensor:
        """Return some rows of a view: ``(B, ...)``."""
        return torch.from_numpy(np.ascontiguousarray(self.values[view % len(self.values)][rows.numpy()]))

    def all(self, view: int = 0) -> Tensor:
        """Return a whole view in memory: ``(N, ...)``."""
        return torch.from_numpy(np.array(self.values[view]))

    def labels(self, images: Images) -> Tensor:
        """Return the class of each row: ``(N,)`` int64."""
        if images.labels is None:
            raise DataError("these images have no labels")
        return torch.tensor(images.labels)[self.index]

    def row_of(self, count: int) -> Tensor:
        """Return for each of ``count`` images its row; for an unreadable one that of the next, as `Samples` does."""
        rows = torch.searchsorted(self.index, torch.arange(count))
        return rows % len(self.index)


def identity(images: Images) -> str:
    """Digest which images these are: name, size, time of change and samples of files, pixels of what is in memory."""
    digest = hashlib.blake2b(digest_size=16)
    for number in range(len(images)):
        item = images.item(number)
        if (path := item.path) is not None:
            known = path.stat() if path.exists() else None
            digest.update(repr((str(path.resolve()), known and (known.st_size, known.st_mtime_ns))).encode())
            digest.update(_sampled(path))
        else:
            digest.update(item.identity().to_bytes(8, "big"))
    return digest.hexdigest()


def _sampled(path: Path) -> bytes:
    """Return a file's beginning, middle and end, for a changed one may have the size and the time that it had."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""
    with os.fdopen(number, "rb", buffering=0) as file:
        size = os.fstat(number).st_size
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return b""
        if size <= 3 * _SAMPLE:
            return file.read(size)
        parts = []
        for place in (0, (size - _SAMPLE) // 2, size - _SAMPLE):
            file.seek(place)
            parts.append(file.read(_SAMPLE))
        return b"".join(parts)


_SAMPLE = 4096


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Digest weights: their names, shapes and bits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(repr((name, tuple(plain.shape), str(plain.dtype))).encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def kept_features(
    folder: Path, about: Mapping[str, Any], views: int, compute: Callable[[int], Iterable[tuple[Tensor, Tensor]]]
) -> Features:
    """Return features from the cache, or compute and keep them.

    Whatever decides their values belongs into ``about``; with anything else there, they are computed anew. What was
    kept for the same ``about["what"]`` and ``about["data"]`` before is then out of date, and removed.

    Args:
        folder: where features are kept.
        about: JSON values.
        views: how many views there are of each image, V.
        compute: gives the index ``(B,)`` and features ``(B, ...)`` of batches of one view.

    Raises:
        DataError: no image can be read, or the disk is too full.
    """
    about = {"format": FORMAT, "views": views, **about}
    key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
    features = _kept(folder / key, views)
    if features is None:
        _discard(folder / key)
        _keep(folder / key, about, views, compute)
        _remove_old(folder, key, about)
        features = _kept(folder / key, views)
    if features is None:
        raise DataError(f"features that were just written to {folder / key} cannot be read; choose another folder")
    return features


def _kept(folder: Path, views: int) -> Features | None:
    """Open features that are whole, with the checksums that were written down; None where they are not."""
    try:
        checks = json.loads((folder / CHECKS).read_text())
        if checks != {name: _checksum(folder / name) for name in (VALUES, INDEX)}:
            return None
        features = Features(np.load(folder / VALUES, mmap_mode="r"), torch.from_numpy(np.load(folder / INDEX)))
    except Exception:  # numpy raises nearly anything of a damaged file.
        return None
    return features if features.values.shape[:2] == (views, len(features.index)) else None


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            total = zlib.crc32(part, total)
    return total


def _discard(folder: Path) -> None:
    """Remove what is left of damaged features; nothing of what a link leads to."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(target: Path, about: Mapping[str, Any], views: int, compute: Callable[[int], Iterable[Any]]) -> None:
    """Write features beside their place, and rename them into it once they are whole."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        index = _write_values(unfinished, views, compute)
        np.save(unfinished / INDEX, index)
        checks = {name: _checksum(unfinished / name) for name in (VALUES, INDEX)}
        (unfinished / CHECKS).write_text(json.dumps(checks) + "\n")
        (unfinished / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
        if not target.is_dir():  # another process may have been as quick
            unfinished.rename(target)
    except OSError as error:
        raise DataError(
            f"features cannot be kept in {target.parent} ({error}); make room, or choose another folder"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_values(folder: Path, views: int, compute: Callable[[int], Iterable[tuple[Tensor, Tensor]]]) -> np.ndarray:
    """Write all views one after the other, in the format of numpy's files; return the index.

    How many images can be read is known only at the end, so the header is written last, in room left for it.
    """
    indices: list[np.ndarray] = []
    shape: tuple[int, ...] = ()
    with (folder / VALUES).open("wb") as file:
        file.write(bytes(HEADER))
        for view in range(views):
            seen = []
            for index, values in compute(view):
                seen.append(index.numpy())
                shape = tuple(values.shape[1:])
                file.write(values.detach().cpu().float().contiguous().numpy().tobytes())
            if not seen:
                raise DataError("none of the images can be read")
            indices.append(np.concatenate(seen))
        if any(not np.array_equal(indices[0], other) for other in indices[1:]):
            raise DataError("the images changed while their features were computed; run the same command again")
        file.seek(0)
        file.write(npy_header((views, len(indices[0]), *shape)))
        file.flush()
        os.fsync(file.fileno())
    return indices[0]


HEADER = 256
"""Bytes for the header of a numpy file; it has to be a multiple of 64."""


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """Write numpy's header, version 1.0, filled up with spaces to `HEADER` bytes."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    room = HEADER - 10
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


def _remove_old(folder: Path, key: str, about: Mapping[str, Any]) -> None:
    for other in folder.glob(f"*/{ABOUT}"):
        try:
            known = json.loads(other.read_text())
        except (OSError, ValueError):
            continue
        if other.parent.name != key and all(known.get(name) == about.get(name) for name in ("what", "data")):
            shutil.rmtree(other.parent, ignore_errors=True)


class View:
    """Samples of one epoch under the numbers of the images alone, as an evaluation asks for them.

    Args:
        samples: what to show.
        epoch: whose random numbers are drawn.
    """

    def __init__(self, samples: Samples, epoch: int) -> None:
        self.samples = samples
        self.images = samples.images
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Sample:
        """Return image ``key[1]`` as the epoch shows it."""
        return self.samples[self.epoch, key[1]]


class FeatureBatches:
    """The batches of `TrainBatches` with ``features`` in place of images; epoch e shows view e mod V.

    Args:
        batches: decides the order, and the share of each process.
        features: of the same images.
    """

    def __init__(self, batches: TrainBatches, features: Features) -> None:
        self.batches, self.features = batches, features
        self._labels = features.labels(batches.samples.images)
        self._row_of = features.row_of(len(batches.samples))

    @property
    def batch_size(self) -> int:
        """Images per step over all processes."""
        return self.batches.batch_size

    @property
    def images(self) -> int:
        """Images that are trained on, each counted once."""
        return self.batches.images

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every image is seen once."""
        return self.batches.steps_per_epoch

    def start(self, step: int = 0) -> Iterator[list[Batch]]:
        """Iterate for ever over the steps from ``step`` on."""
        slots = self.batches.slots(step)
        while True:
            yield [self._batch(*next(slots)) for _ in range(self.batches.micro_batches // self.batches.loading.world)]

    def _batch(self, position: int, keys: list[Key]) -> Batch:
        rows = self._row_of[torch.tensor([key[1] for key in keys])]
        batch = {"features": self.features.rows(rows, keys[0][0]), "label": self._labels[rows]}
        return {**batch, "index": self.features.index[rows], "position": position, "damaged": []}


class EvalFeatureBatches:
    """Features of all images once, for evaluation; every process gets its share, none twice.

    Args:
        images: whose labels are wanted.
        features: of the same images.
        batch_size: rows in one forward pass of one process.
        rank: number of this process; it gets rows rank, rank + world, ...
        world: how many processes evaluate together.
    """

    def __init__(self, images: Images, features: Features, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.features, self.batch_size = features, batch_size
        self._labels = features.labels(images)
        self._rows = torch.arange(rank, len(features.index), world)

    def __iter__(self) -> Iterator[Batch]:
        """Pass once over this process's rows, in order."""
        for rows in self._rows.split(self.batch_size):
            yield {"features": self.features.rows(rows), "label": self._labels[rows], "damaged": []}


def room_for(folder: Path, numbers: int) -> bool:
    """Tell whether the disk of a folder, which need not be there yet, has room for so many float32 numbers."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    return shutil.disk_usage(there).free - 4 * numbers > KEPT_FREE


__all__ = [
    "HEADER",
    "EvalFeatureBatches",
    "FeatureBatches",
    "Features",
    "View",
    "digest_of",
    "identity",
    "kept_features",
    "npy_header",
    "room_for",
]
