"""JSON that every reader takes, and files that are whole or as they were before; no torch."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, BinaryIO


def dumps(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Write a value as strict JSON: a number that is not finite, which JSON lacks, becomes null.

    Args:
        value: plain values, dicts, lists, tuples, sets, dataclasses, paths, and numbers or arrays of numpy or torch.
        indent: spaces of each level; None for a single line.
        default: turns any other value into one of these.

    Raises:
        TypeError: a part of it has no meaning in JSON.
    """
    return json.dumps(_strict(value, default), indent=indent, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write a value into a file as strict JSON, from one moment to the next; see `write_whole`."""
    write_whole(path, (dumps(value, indent=2) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file from one moment to the next; see `whole_file`.

    Raises:
        OSError: it cannot be written; what stood there before is untouched, and nothing is left beside it.
    """
    with whole_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside, make it durable, and rename it into its place: no reader ever sees half of it.

    What stands at ``path`` is replaced, never written through: a link there leaves what it points to alone.

    Raises:
        OSError: it cannot be written; what stood there before is untouched, and nothing is left beside it.
    """
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        share(Path(beside))  # mkstemp keeps files private; these are for everyone the folder is for
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    make_durable(path.parent)


def read_regular(path: Path) -> bytes:
    """Read a whole file, if it is one: a pipe would be waited for, and a device gives bytes for ever.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def make_durable(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk rather than in its cache."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders; NTFS journals renames by itself.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def share(path: Path) -> None:
    """Give a file that was made private, as by `tempfile` and safetensors, the mode of any new file."""
    path.chmod(0o666 & ~_umask())


def _umask() -> int:
    """Return the mask of new files' modes; asking for it means setting it, for an instant."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:")), 8)
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o022)
        os.umask(mask)
        return mask


def in_json(field: dataclasses.Field[Any]) -> bool:
    """Whether a field of a dataclass is written; its metadata may say ``{"json": False}``, as of large arrays."""
    return field.metadata.get("json", True)


def _strict(value: Any, default: Callable[[Any], Any] | None) -> Any:
    """Turn a value into what the json module writes, with None for numbers that are not finite."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _strict(item, default) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item, default) for item in value]
    if isinstance(value, (set, frozenset)):
        return [_strict(item, default) for item in sorted(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = (field.name for field in dataclasses.fields(value) if in_json(field))
        return {name: _strict(getattr(value, name), default) for name in named}
    if isinstance(value, PurePath):
        return str(value)
    if callable(listed := getattr(value, "tolist", None)):  # of numpy and torch, which are not imported here
        return _strict(listed(), default)
    if default is not None:
        return _strict(default(value), default)
    raise TypeError(f"{type(value).__name__} has no meaning in JSON")


__all__ = ["dumps", "in_json", "make_durable", "read_regular", "whole_file", "write_json", "write_whole"]
