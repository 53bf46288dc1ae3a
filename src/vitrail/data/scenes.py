"""Drawn scenes: textured shapes on textured ground, with exact boxes and masks; nothing to download.

The word ``scenes`` means images of 128 x 128 pixels, ``scenes:96`` of 96 x 96, ``scenes:96x160`` of height 96 and
width 160. Every scene is drawn when it is asked for, from the seed of its split and its number alone.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from vitrail.data.objects import ObjectImages, Objects
from vitrail.data.rle import encode
from vitrail.data.sources import Source
from vitrail.errors import DataError

SHAPES = ("disk", "ring", "triangle", "cross")
SIDE = 128
COUNTS = {"train": 2000, "validation": 100, "test": 200}
SEEDS = {"train": 0, "validation": 1, "test": 2}

MOST_SHAPES = 5
RADIUS = (0.15, 0.26)
"""Radius of a shape, as a share of the image's shorter side."""
LEAST_VISIBLE = 0.75
"""Share of every shape that the shapes drawn over it must leave uncovered."""
TRIES = 20
BRIGHT, DARK = (130, 255), (20, 110)
"""Values of the shapes' colours, and of the ground's: that a shape is there can be seen, which one by its form."""
NOISE = 12.0
"""Deviation of each pixel's noise on the finer grid, of values up to 255."""
FINER = 2
"""Shapes are drawn on a grid so many times finer, so that their edges are smooth."""


@dataclass(frozen=True)
class Drawn:
    """A finished scene.

    Attributes:
        image: of mode RGB.
        classes: of each shape, an index into `SHAPES`.
        masks: bool ``(n, H, W)``: what can be seen of each shape.
    """

    image: Image.Image
    classes: tuple[int, ...]
    masks: np.ndarray


@dataclass(frozen=True)
class Scene:
    """One scene that is drawn when something of it is asked for.

    Attributes:
        seed: of all scenes of its split.
        number: of the scene in it.
        size: width and height, in pixels.
    """

    seed: int
    number: int
    size: tuple[int, int] = (SIDE, SIDE)

    def image(self) -> Image.Image:
        """Return the scene as an image."""
        return draw_scene(self).image

    def objects(self) -> Objects:
        """Return every shape with its class, box and mask."""
        drawn = draw_scene(self)
        boxes = torch.tensor([box_of(mask) for mask in drawn.masks], dtype=torch.float32).view(-1, 4)
        return Objects(boxes, torch.tensor(drawn.classes), torch.from_numpy(drawn.masks.astype(np.uint8)))

    def truth(self) -> list[dict[str, Any]]:
        """Return the shapes as COCO's annotations."""
        drawn = draw_scene(self)
        found = []
        for shape, mask in zip(drawn.classes, drawn.masks, strict=True):
            left, top, right, bottom = box_of(mask)
            box = [left, top, right - left, bottom - top]
            area = int(mask.sum())
            found.append({"class": shape, "bbox": box, "segmentation": encode(mask), "area": area, "iscrowd": 0})
        return found

    def segments(self) -> np.ndarray:
        """Return the class of every pixel, uint8 ``(H, W)``: 0 is ground, then `SHAPES` from 1 on."""
        drawn = draw_scene(self)
        classes = np.zeros((self.size[1], self.size[0]), dtype=np.uint8)
        for shape, mask in zip(drawn.classes, drawn.masks, strict=True):
            classes[mask] = shape + 1
        return classes


def is_scenes(data: Any) -> bool:
    """Whether a user's word for a data set means drawn scenes."""
    return isinstance(data, str) and (data == "scenes" or data.startswith("scenes:"))


def open_scenes(data: str = "scenes") -> Source:
    """Open drawn scenes, by the word for them; the splits hold `ObjectImages` whose items are `Scene`.

    Raises:
        DataError: the word names no size.
    """
    matched = re.fullmatch(r"scenes(?::(\d+)(?:x(\d+))?)?", data)
    if not matched or "0" in matched.groups():
        raise DataError(f'{data!r} names no drawn scenes; use "scenes", "scenes:96" or "scenes:HEIGHTxWIDTH"')
    height = int(matched[1] or SIDE)
    size = (int(matched[2] or height), height)
    splits = {}
    for split, count in COUNTS.items():
        scenes: Any = tuple(Scene(SEEDS[split], number, size) for number in range(count))
        names = tuple(f"scene {number}" for number in range(count))
        splits[split] = ObjectImages(scenes, None, names, scenes)
    return Source("scenes", splits["train"], splits["validation"], splits["test"], SHAPES)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of what is inside a mask ``(H, W)`` that has an inside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@functools.lru_cache(maxsize=32)
def draw_scene(scene: Scene) -> Drawn:
    """Draw a scene; the same one every time and everywhere."""
    # numpy promises that this generator's stream never changes.
    random = np.random.RandomState(np.array([scene.seed, scene.number], dtype=np.uint32))
    width, height = (FINER * side for side in scene.size)
    pixels = _ground(random, height, width)
    whole: list[int] = []
    classes: list[int] = []
    owner = np.full((height, width), -1)
    for _ in range(random.randint(1, MOST_SHAPES + 1)):
        for _ in range(TRIES):
            shape = random.randint(len(SHAPES))
            part, u, v = _place(random, height, width)
            inside = _inside(SHAPES[shape], u, v)
            if inside.any() and _leaves_enough(owner[part], owner, whole, inside):
                pixels[part][inside] = _texture(random, u, v)[inside]
                owner[part][inside] = len(whole)
                whole.append(int(inside.sum()))
                classes.append(shape)
                break
    pixels += random.standard_normal(pixels.shape) * NOISE
    small = _halved(pixels).clip(0, 255).astype(np.uint8)
    masks = _masks(owner, len(whole))
    seen = masks.any(axis=(1, 2))
    return Drawn(Image.fromarray(small), tuple(np.array(classes, dtype=int)[seen].tolist()), masks[seen])


def _masks(owner: np.ndarray, count: int) -> np.ndarray:
    """Give each pixel to the shape that has half of it; of two that do, to the upper one."""
    masks = np.zeros((count, *(side // FINER for side in owner.shape)), dtype=bool)
    taken = np.zeros(masks.shape[1:], dtype=bool)
    for number in reversed(range(count)):
        masks[number] = (_halved(owner == number) >= 0.5) & ~taken
        taken |= masks[number]
    return masks


def _leaves_enough(part: np.ndarray, owner: np.ndarray, whole: list[int], inside: np.ndarray) -> bool:
    """Whether every shape drawn before would still show `LEAST_VISIBLE` of itself."""
    covered = [number for number in np.unique(part[inside]).tolist() if number >= 0]
    return all(
        (owner == number).sum() - (part[inside] == number).sum() >= LEAST_VISIBLE * whole[number] for number in covered
    )


def _place(
    random: np.random.RandomState, height: int, width: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Draw where a shape lies: the part of the image, and coordinates of its pixels in which the radius is 1."""
    radius = random.uniform(*RADIUS) * min(height, width)
    y, x = (random.uniform(0.5 * radius, side - 0.5 * radius) for side in (height, width))
    angle = random.uniform(0, 2 * np.pi)
    top, left = (max(0, int(place - radius)) for place in (y, x))
    part = (slice(top, int(y + radius) + 1), slice(left, int(x + radius) + 1))
    rows, columns = np.arange(height)[part[0], None] + 0.5, np.arange(width)[None, part[1]] + 0.5
    right, down = (columns - x) / radius, (rows - y) / radius
    return part, np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    distance = np.hypot(u, v)
    if shape == "disk":
        return distance <= 0.9
    if shape == "ring":
        return (distance <= 1) & (distance >= 0.55)
    if shape == "triangle":
        corners = np.pi / 2 + np.arange(3) * 2 * np.pi / 3
        return np.all([u * np.cos(a) + v * np.sin(a) <= 0.55 for a in corners], axis=0)
    arms = np.minimum(np.abs(u), np.abs(v)) <= 0.28
    return arms & (np.maximum(np.abs(u), np.abs(v)) <= 0.95)


def _texture(random: np.random.RandomState, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Draw two colours and how they alternate, which says nothing about the shape: ``(H, W, 3)``."""
    first, second = random.uniform(*BRIGHT, (2, 3))
    turns = random.uniform(1, 3)
    angle = random.uniform(0, np.pi)
    along = np.cos(angle) * u + np.sin(angle) * v
    across = np.cos(angle) * v - np.sin(angle) * u
    kind = random.randint(4)
    if kind == 0:
        share = np.zeros_like(u)
    elif kind == 1:
        share = np.sin(2 * np.pi * turns * along) > 0
    elif kind == 2:
        share = (np.sin(2 * np.pi * turns * along) > 0) ^ (np.sin(2 * np.pi * turns * across) > 0)
    else:
        share = 0.5 + 0.5 * along.clip(-1, 1)
    return first + (second - first) * np.asarray(share, dtype=float)[..., None]


def _ground(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Draw smooth clouds of two colours: ``(H, W, 3)``."""
    first, second = random.uniform(*DARK, (2, 3))
    coarse = Image.fromarray(random.uniform(0, 1, (random.randint(3, 9),) * 2).astype(np.float32))
    clouds = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return first + (second - first) * clouds[..., None]


def _halved(values: np.ndarray) -> np.ndarray:
    """Take the mean of each square of `FINER` x `FINER`."""
    height, width = (side // FINER for side in values.shape[:2])
    return values.reshape(height, FINER, width, FINER, *values.shape[2:]).mean(axis=(1, 3))


__all__ = ["SHAPES", "Drawn", "Scene", "box_of", "draw_scene", "is_scenes", "open_scenes"]
