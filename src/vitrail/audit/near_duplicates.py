"""Images that are the same one: re-encoded, rescaled, cut by up to 15 %, or mirrored.

Candidates come cheaply, from the slow waves of a cosine transform (a perceptual hash, kept as numbers) and, where there
is an encoder, from its vectors; each is then looked at a second time by `vitrail.audit.alignment`, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from vitrail.audit.alignment import SIDE, align
from vitrail.audit.descriptors import MIRRORED, Descriptors
from vitrail.audit.neighbours import nearest, unit
from vitrail.data.item import Item
from vitrail.data.vector_chunks import Chunk, Chunks
from vitrail.errors import ImageError

AGREEMENT = 0.87
"""Correlation of fine structure from which two aligned images are one."""

CANDIDATES = 2
"""Nearest others of each image that are looked at, by each way to find them."""

LEAST_WAVES, LEAST_VECTORS = 0.6, 0.8
"""Cosines below which a neighbour is no candidate: of whitened waves, and of an encoder's vectors."""

AT_ONCE = 64
"""Pairs that are aligned together."""

SAVED_EVERY = 10.0
"""Seconds of looking that an interruption costs at most."""

KEPT_OPEN = 4096
"""Small images kept in memory for the second look."""


@dataclass(frozen=True)
class Pair:
    """Two images that are one.

    Attributes:
        first: number of one of them; the smaller.
        second: number of the other.
        agreement: correlation of their fine structure once aligned, at most 1.
        mirrored: whether one is the other's mirror image.
        found_by: what made them a candidate: ``hash``, ``features`` or both.
    """

    first: int
    second: int
    agreement: float
    mirrored: bool
    found_by: str


def candidates(descriptors: Descriptors, vectors: np.ndarray | None) -> dict[tuple[int, int], str]:
    """Return pairs worth a second look, each with what found it.

    Args:
        descriptors: of N images.
        vectors: ``(N, D)`` of an encoder, or None.
    """
    waves = unit(whitened(descriptors.waves))
    found = _close(waves, waves, LEAST_WAVES) | _close(waves, waves * MIRRORED, LEAST_WAVES)
    pairs = dict.fromkeys(sorted(found), "hash")
    if vectors is not None:
        centred = unit(vectors - vectors.mean(axis=0))
        for pair in sorted(_close(centred, centred, LEAST_VECTORS)):
            pairs[pair] = "hash and features" if pair in pairs else "features"
    return pairs


def whitened(waves: np.ndarray) -> np.ndarray:
    """Divide each wave by its deviation over all images: slow ones are large in every image and would drown others."""
    std = waves.std(axis=0)
    return (waves / np.where(std > 0, std, np.inf)).astype(np.float32)


def _close(queries: np.ndarray, known: np.ndarray, least: float) -> set[tuple[int, int]]:
    near = nearest(queries, known, CANDIDATES)
    rows, places = np.nonzero(near.similarity >= least)
    others = near.index[rows, places]
    return {(min(a, b), max(a, b)) for a, b in zip(rows.tolist(), others.tolist(), strict=True)}


def verified(
    pairs: dict[tuple[int, int], str],
    items: Sequence[Item],
    chunks: Chunks,
    reached: Callable[[int, int], None] = lambda done, total: None,
) -> list[Pair]:
    """Look at candidates a second time, and return those that are one image, the surest first.

    Args:
        pairs: numbers of images, each pair with what found it.
        items: all images.
        chunks: agreements that are known already, a row for each pair; those computed now are added.
        reached: called with how many pairs are done, and how many there are.
    """
    listed, opened, saved = list(pairs), _Small(items), time.monotonic()
    rows: list[np.ndarray] = []
    for start in range(chunks.next, len(listed), AT_ONCE):
        part = listed[start : start + AT_ONCE]
        rows.append(_agreements(part, opened))
        reached(start + len(part), len(listed))
        if time.monotonic() - saved >= SAVED_EVERY or start + AT_ONCE >= len(listed):
            known = np.concatenate(rows)
            end = start + len(part)
            chunks.add(Chunk(end - len(known), end, np.arange(end - len(known), end), known, ()))
            rows, saved = [], time.monotonic()
    if not listed:
        return []
    agreement, mirrored = chunks.joined().values.T
    found = [
        Pair(*listed[row], float(min(agreement[row], 1.0)), bool(mirrored[row]), pairs[listed[row]])
        for row in np.flatnonzero(agreement >= AGREEMENT).tolist()
    ]
    return sorted(found, key=lambda pair: (-pair.agreement, pair.first, pair.second))


def _agreements(part: Sequence[tuple[int, int]], opened: _Small) -> np.ndarray:
    """Return for each pair the agreement and whether one is mirrored: ``(P, 2)`` float32; -1 where one is gone."""
    found = np.full((len(part), 2), (-1.0, 0.0), np.float32)
    seen = [(row, opened.of(a), opened.of(b)) for row, (a, b) in enumerate(part)]
    whole = [(row, a, b) for row, a, b in seen if a is not None and b is not None]
    if whole:
        with torch.inference_mode():
            aligned = align(torch.stack([a for _, a, _ in whole]), torch.stack([b for _, _, b in whole]))
        found[[row for row, _, _ in whole]] = torch.stack([aligned.agreement, aligned.mirrored.float()], dim=1).numpy()
    return found


class _Small:
    """Images in grey at the size of the second look, the latest of them kept."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.of = lru_cache(maxsize=KEPT_OPEN)(self._opened)

    def _opened(self, number: int) -> torch.Tensor | None:
        try:
            image = self.items[number].open(1, enough=2 * SIDE)
        except ImageError:  # It is gone since its descriptors were computed; damaged ones are listed elsewhere.
            return None
        small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)  # Pillow's takes all pixels in when shrinking.
        return torch.from_numpy(np.asarray(small, dtype=np.float32).copy())


def groups(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return for each of ``count`` images the smallest number among all that pairs connect it with: ``(N,)`` int64."""
    root = list(range(count))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    return np.array([find(number) for number in range(count)], dtype=np.int64)


__all__ = ["Pair", "candidates", "groups", "verified"]
