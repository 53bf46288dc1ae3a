"""Small images to put under stress."""

import numpy as np

from vitrail.stress.image import StressImage


def image(height: int = 12, width: int = 10, channels: int = 3, seed: int = 7, label: int = 0) -> StressImage:
    """Return smooth noise with an edge in it: shapes as well as texture."""
    random = np.random.RandomState(seed)
    pixels = random.randint(60, 160, (channels, height, width))
    pixels[:, height // 3 :, width // 2 :] += 90
    saliency = random.random_sample((4, 3))
    return StressImage(pixels.astype(np.uint8), 1000 + seed, label, f"image {seed}", saliency)


def random(seed: int = 11) -> np.random.RandomState:
    """Return random numbers; two generators of one seed draw the same."""
    return np.random.RandomState(seed)


def rounded(values: np.ndarray) -> np.ndarray:
    """Return values in [0, 1] as bytes, one after the other."""
    flat = [min(255, max(0, round(float(value) * 255))) for value in values.ravel()]
    return np.array(flat, dtype=np.int64).reshape(values.shape)


def mirrored(place: int, length: int) -> int:
    """Reflect a place outside of an image at its edges, step by step."""
    while not 0 <= place < length:
        place = -1 - place if place < 0 else 2 * length - 1 - place
    return place
