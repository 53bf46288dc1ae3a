"""Random numbers that belong to an image, whatever batch it is in and whatever came before it."""

from __future__ import annotations

import hashlib

import numpy as np


def draws(identity: int, *words: object) -> np.random.RandomState:
    """Return a generator for one image and one purpose.

    Args:
        identity: of the image (`vitrail.data.image_list.fingerprint`).
        *words: what is drawn: the same words give the same numbers.

    Returns:
        A generator of numpy's frozen kind, whose stream is the same in every version.
    """
    digest = hashlib.blake2b(repr((identity, *words)).encode(), digest_size=32).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))


def rank_of(identity: int, *words: object) -> int:
    """Return 64 bits that order images by chance, always alike."""
    return int.from_bytes(hashlib.blake2b(repr((identity, *words)).encode(), digest_size=8).digest(), "big")


__all__ = ["draws", "rank_of"]
