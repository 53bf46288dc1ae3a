"""Which image lends another one its texture: one of another class, always the same."""

from __future__ import annotations

from collections.abc import Sequence

from vitrail.stress.randomness import rank_of


def partners_of(identities: Sequence[int], labels: Sequence[int], seed: int = 0) -> list[int | None]:
    """Choose for each image another one of another class.

    All images stand on a ring, in an order drawn from their identities; each takes the next one of another class. So a
    choice depends on which images there are, and not on their order.

    Args:
        identities: of the images.
        labels: their classes.
        seed: draws another ring.

    Returns:
        For each image the number of its partner; None where all images are of one class.
    """
    count = len(identities)
    ring = sorted(range(count), key=lambda number: (rank_of(identities[number], "partner", seed), number))
    found: list[int | None] = [None] * count
    if len(set(labels)) < 2:
        return found
    following = ring[0]
    # Twice backwards round the ring: what stands behind an image is its neighbour, or its neighbour's own partner.
    for number in 2 * ring[::-1]:
        if labels[following] != labels[number]:
            found[number] = following
        else:
            found[number] = found[following]
        following = number
    return found


__all__ = ["partners_of"]
