"""Vectors of a long list of images while they are computed: parts on the disk, each whole or absent.

::

    FOLDER/
      about.json     what decides the values: with anything else, nothing in the folder is of use
      00000000.npz   from batch 0 on: ``next`` batch, ``index`` (B,), ``values`` (B, D) float32, ``damaged`` names
      00000128.npz   and so on: each part begins with the batch that the one before names
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.serialize import write_json, write_whole

ABOUT = "about.json"


@dataclass(frozen=True)
class Chunk:
    """The vectors of some batches in a row.

    Attributes:
        start: the first batch.
        next: the first batch after them.
        index: ``(B,)`` int64, which images; those that cannot be read are left out.
        values: ``(B, D)`` float32.
        damaged: of the ones left out, name and reason.
    """

    start: int
    next: int
    index: np.ndarray
    values: np.ndarray
    damaged: tuple[str, ...]


@dataclass
class Chunks:
    """The parts in a folder, in their order, or in memory alone; `begin` goes on with those of a folder."""

    folder: Path | None = None
    parts: list[Chunk] = field(default_factory=list)
    discarded: bool = False
    """Whether there were parts that were computed from something else."""

    @property
    def next(self) -> int:
        """The first batch that is still to be computed."""
        return self.parts[-1].next if self.parts else 0

    @property
    def rows(self) -> int:
        """How many images have vectors."""
        return sum(len(part.index) for part in self.parts)

    def add(self, chunk: Chunk) -> None:
        """Keep a part; once this returns it is on the disk."""
        if self.folder is not None:
            write_whole(self.folder / _name(chunk.start), _archive(chunk))
        self.parts.append(chunk)

    def joined(self) -> Chunk:
        """Return all parts as one."""
        damaged = tuple(name for part in self.parts for name in part.damaged)
        values = [part.values for part in self.parts if len(part.index)]
        index = np.concatenate([part.index for part in self.parts])
        return Chunk(0, self.next, index, np.concatenate(values) if values else np.zeros((0, 0), np.float32), damaged)


def begin(folder: Path, about: Mapping[str, Any]) -> Chunks:
    """Return the parts that are in a folder, where they were computed from the same; else none, in an empty folder.

    Args:
        folder: it is there, and no other process uses it.
        about: JSON values that decide all vectors.
    """
    chunks = Chunks(folder)
    if _about(folder) != dict(about):
        for path in sorted(folder.glob("*.npz")):
            path.unlink()
            chunks.discarded = True
        write_json(folder / ABOUT, about)
    while (part := _read(folder / _name(chunks.next), chunks.next)) is not None:
        chunks.parts.append(part)
    return chunks


def clear(chunks: Chunks) -> None:
    """Remove all parts, of which something beside them was lost."""
    for part in chunks.parts:
        if chunks.folder is not None:
            (chunks.folder / _name(part.start)).unlink(missing_ok=True)
    chunks.parts.clear()


def _about(folder: Path) -> Any:
    try:
        return json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return None


def _name(start: int) -> str:
    return f"{start:08d}.npz"


def _archive(chunk: Chunk) -> bytes:
    content = io.BytesIO()
    damaged = np.frombuffer(json.dumps(chunk.damaged).encode(), dtype=np.uint8)
    np.savez(content, next=chunk.next, index=chunk.index, values=chunk.values, damaged=damaged)
    return content.getvalue()


def _read(path: Path, start: int) -> Chunk | None:
    """Read a part; None where there is none, or it is damaged, which the archive's checksums tell."""
    try:
        with np.load(path, allow_pickle=False) as part:
            damaged = tuple(json.loads(part["damaged"].tobytes()))
            found = Chunk(start, int(part["next"]), part["index"], part["values"], damaged)
    except Exception:  # numpy raises nearly anything of a damaged file
        return None
    return found if found.next > start else None


__all__ = ["Chunk", "Chunks", "begin", "clear"]
