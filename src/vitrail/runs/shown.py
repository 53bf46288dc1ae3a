"""Which images a figure shows, and what is known of them: whether they were held out, and from what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vitrail.data.item import Item
from vitrail.data.sources import Images, Source
from vitrail.errors import DataError, ImageError, none_readable
from vitrail.weights.description import Description

OF_SPLIT = {
    "validation": "of the validation split: not trained on, but they had a say in which checkpoint is the best",
    "test": "of the test split: not trained on",
    "train": "that the model was trained on: the run held none out",
}
"""What is known of the images of each split of a run."""

NAMED = "named by the user: whether the run was trained on them is not known"


@dataclass(frozen=True)
class Shown:
    """Images to be drawn.

    Attributes:
        images: the images.
        what: a sentence for captions: how many they are, and what is known of them.
        notes: what was left out, each a sentence for the user.
    """

    images: Images
    what: str
    notes: tuple[str, ...] = ()


def split_to_show(source: Source) -> tuple[str, Images] | None:
    """Return the name and the images of the split that figures of a run show: one held out where there is any."""
    for name, images in (("validation", source.validation), ("test", source.test), ("train", source.train)):
        if images is not None and len(images):
            return name, images
    return None


def what_is_shown(split: str, count: int, total: int) -> str:
    """Say in a sentence which images of a split are shown."""
    images = "1 image" if count == 1 else f"{count:,} images"
    return f"{images} of {total:,} {OF_SPLIT[split]}."


def held_out_of(source: Source, count: int) -> Shown:
    """Take some images that a run held out, evenly spread; of a run that held none out, some it was trained on.

    Raises:
        DataError: there are no images any more.
    """
    found = split_to_show(source)
    if found is None:
        raise DataError(f"{source.name} has no images any more; name images to look at")
    split, images = found
    chosen = spread(images, count)
    return Shown(chosen, what_is_shown(split, len(chosen), len(images)))


def spread(images: Images, count: int) -> Images:
    """Take ``count`` images, evenly spread over all of them; for one that cannot be read the next one that can.

    Raises:
        DataError: `TRIES` images in a row cannot be read.
    """
    total = len(images)
    count = min(count, total)
    chosen: dict[int, None] = {}
    for place in range(count):
        chosen[_readable(images, int((place + 0.5) * total / count), chosen)] = None
    return images.subset(chosen)


TRIES = 100
"""So many unreadable images in a row are no accident."""


def _readable(images: Images, number: int, taken: Collection[int]) -> int:
    """Return the first image from ``number`` on that can be read and is not taken, going round at the end."""
    problem: ImageError | None = None
    for offset in range(min(len(images), len(taken) + TRIES)):
        candidate = (number + offset) % len(images)
        try:
            if candidate not in taken:
                images.item(candidate).open()
                return candidate
        except ImageError as error:
            problem = problem or error
    raise DataError(f"no image can be read that could be drawn; the first: {problem}")


def named_images(images: Sequence[Item], count: int, description: Description) -> Shown:
    """Take the first ``count`` images of a request that can be read.

    Raises:
        DataError: none of them can.
    """
    items, names, notes = [], [], []
    first_problem: ImageError | None = None
    for image in images:
        if len(items) == count:
            break
        try:
            decoded = image.open(description.preprocessing.channels)
        except ImageError as error:
            first_problem = first_problem or error
            notes.append(f"left out: {error}")
            continue
        items.append(image.path or decoded)
        names.append(image.path.name if image.path else image.name)
    if not items:
        raise DataError(none_readable(len(images), first_problem))
    undrawn = len(images) - len(items) - len(notes)
    if undrawn:
        notes.append(f"the first {len(items):,} of {len(images):,} images are taken; --count {len(images)} takes all")
    number = "1 image" if len(items) == 1 else f"{len(items):,} images"
    return Shown(Images(tuple(items), None, tuple(names)), f"{number} {NAMED}.", tuple(notes))
