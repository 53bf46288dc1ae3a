"""Patches of an image in another order (Naseer et al. 2021, section 3.4): what is local stays, the layout goes."""

from __future__ import annotations

import numpy as np

from vitrail.stress.image import StressImage


def shuffled(image: StressImage, cells: float, random: np.random.RandomState) -> np.ndarray:
    """Permute the patches of a square grid, each image by a permutation of its own.

    Where the grid does not divide the image, the rows at the bottom and the columns on the right that are left over
    stay where they are.

    Args:
        image: the image.
        cells: patches in each row and each column; 1 changes nothing.
        random: the image's own random numbers.

    Returns:
        uint8 ``(C, H, W)``.
    """
    count = int(cells)
    channels, (height, width) = len(image.pixels), image.size
    h, w = height // count, width // count
    changed = image.pixels.copy()
    inside = changed[:, : h * count, : w * count].reshape(channels, count, h, count, w)
    patches = inside.transpose(1, 3, 0, 2, 4).reshape(count * count, channels, h, w)
    moved = patches[random.permutation(count * count)].reshape(count, count, channels, h, w)
    changed[:, : h * count, : w * count] = moved.transpose(2, 0, 3, 1, 4).reshape(channels, h * count, w * count)
    return changed


__all__ = ["shuffled"]
