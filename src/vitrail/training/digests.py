"""Digests of a checkpoint's files: a bit that flipped on the disk is found before anything is computed from it.

They are checksums against damage, chosen so that a save does not wait for them: ``torch.save`` stores a CRC-32 of every
record, so the digest of such an archive is one of its directory alone; of other files the CRC-32 is computed while the
archive is written. Weights are not read back for it: their bytes lie in memory.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.serialize import dumps

DIGESTS = "digests.json"
CHUNK = 1 << 18
MOST_BYTES_OF_DIGESTS = 1 << 20


class Digests:
    """The digests of files as they are written, computed beside whatever comes next. Use in a ``with`` block."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digests")
        self._found: dict[str, Future[dict[str, Any]]] = {}

    def __enter__(self) -> Digests:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def add(self, path: Path) -> None:
        """Take in a file that is complete."""
        self._found[path.name] = self._worker.submit(_digest, path)

    def add_weights(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take in a safetensors file that is complete, from the tensors on the CPU that were written into it."""
        self._found[path.name] = self._worker.submit(_digest_of_weights, path, tensors)

    def json(self) -> bytes:
        """Wait for all digests, and return what ``digests.json`` holds."""
        return (dumps({name: found.result() for name, found in self._found.items()}, indent=2) + "\n").encode()


def damage(folder: Path, names: Collection[str] | None = None) -> str | None:
    """Say what is damaged in a folder with digests, half a sentence; None where everything is as it was written.

    Args:
        folder: a checkpoint. One without digests, of an older vitrail, is judged by what its archives say themselves.
        names: only these files; all that have a digest by default.
    """
    file = folder / DIGESTS
    if not file.is_file():
        archives = [path for path in folder.glob("*.pt") if path.is_file() and (names is None or path.name in names)]
        return next((found for path in archives if (found := _archive_damage(path))), None)
    try:
        if file.stat().st_size > MOST_BYTES_OF_DIGESTS:
            return f"{DIGESTS} is too large to be one"
        known = json.loads(file.read_bytes())
        for name, digest in known.items():
            if (names is None or name in names) and (found := _damage(folder / Path(name).name, digest)):
                return found
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return f"{DIGESTS} cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})"
    return None


def _damage(path: Path, digest: Any) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    if "directory" in digest and (found := _archive_damage(path)):
        return found
    if _digest(path) == digest:
        return None
    # JSON is edited by hand, to correct the name of a class, say.
    edited = f"; if you changed it yourself, remove {DIGESTS} there" if path.suffix == ".json" else ""
    return f"{path.name} is not what was saved: some of its bytes changed{edited}"


def _digest(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if path.suffix == ".pt" and (directory := _directory(path)) is not None:
        return {"size": size, "directory": directory}
    return {"size": size, "crc32": f"{_checksum(path):08x}"}


def _digest_of_weights(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    with path.open("rb") as file:
        length = file.read(8)
        head = file.read(int.from_bytes(length, "little"))
    places = {name: about["data_offsets"] for name, about in json.loads(head).items() if name in tensors}
    checksum = zlib.crc32(length + head)
    for name in sorted(places, key=places.__getitem__):
        checksum = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, checksum)
    return {"size": path.stat().st_size, "crc32": f"{checksum:08x}"}


def _checksum(path: Path) -> int:
    """Return the CRC-32 of a file, read into one buffer: new ones would cost as much as the checksum."""
    checksum, buffer = 0, memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            checksum = zlib.crc32(buffer[:count], checksum)
    return checksum


def _directory(path: Path) -> str | None:
    """Return the digest of an archive's directory: names, sizes and checksums of its records; None if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = [(r.filename, r.file_size, r.CRC, r.header_offset) for r in archive.infolist()]
            start = archive.start_dir
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.sha256(repr(records).encode() + file.read()).hexdigest()


def _archive_damage(path: Path) -> str | None:
    """Compare the records of an archive with their checksums; what ``torch.save`` never writes counts as damage."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
                return f"{path.name} is compressed, which vitrail never does"
            wrong = archive.testzip()
    except Exception as error:  # zipfile raises whatever damaged bytes lead it to
        return f"{path.name} cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})"
    return None if wrong is None else f"{path.name} is not what was saved: {wrong} has changed"


__all__ = ["DIGESTS", "Digests", "damage"]
