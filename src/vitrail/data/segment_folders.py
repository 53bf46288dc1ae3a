"""Opening images with a class for every pixel: folders of images and of masks, or drawn scenes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.data.images import open_indices
from vitrail.data.layouts import IMAGE_FOLDERS, MASK_FOLDERS
from vitrail.data.mask_doubts import MaskDoubts
from vitrail.data.mask_files import masks_of_split, pair, split_folders
from vitrail.data.mask_values import advice, check_gaps, check_lossless
from vitrail.data.scenes import is_scenes, open_scenes
from vitrail.data.segments import VOID, Labelling, SegmentImages, check_sizes
from vitrail.data.sources import Images, Source, with_validation
from vitrail.data.wrapper_folders import enter, note_of_entering
from vitrail.errors import DataError, ImageError, nearest
from vitrail.paths import user_path

NAMES_FILE = "classes.txt"
MOST_UNREAD = 0.5
"""Where a larger share of the masks looked at cannot be read, none of them is what it should be."""
LOOKED_AT = 100
"""So many masks of a split are looked at before training begins."""


def open_segments(
    source: str | Path,
    *,
    ignore: int = VOID,
    class_names: Sequence[str] = (),
    seed: int = 0,
    validation_share: float = 0.2,
    for_evaluation: bool = False,
) -> Source:
    """Open a folder that holds ``images`` and ``masks``, each with a folder for every split or none; or drawn scenes.

    A mask is an index image (PNG, one byte a pixel, with a palette or without) named as its image, or with an
    ending such as ``_mask`` more.

    Args:
        source: the folder, or the word for drawn scenes.
        ignore: the value in the masks that means void; 255 always does.
        class_names: of the classes in order; by default those in ``classes.txt`` in the folder. Without that, classes
            are numbered up to the largest value in the training masks.
        seed: decides which images are held out where there is no validation split.
        validation_share: their share.
        for_evaluation: whether a split for training is not needed.

    Raises:
        DataError: there is no such folder, an image has no mask, or there are no classes.
    """
    if is_scenes(str(source)):
        return _scenes(str(source))
    root = user_path(source)
    if not root.is_dir():
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        raise DataError(f"there is no folder {str(source)!r}{nearest(root.name, [*siblings, 'scenes'])}")
    if not 0 <= ignore <= VOID:
        raise DataError(f"the ignored value must lie within 0 to 255, as masks have one byte a pixel, not {ignore}")
    place = enter(root, is_segments)
    notes, root = note_of_entering(root, place), place
    images, masks = _folder(root, IMAGE_FOLDERS), _folder(root, MASK_FOLDERS)
    folders = split_folders(images)
    if "train" in folders and "test" in folders and not masks_of_split(masks, folders["test"]).is_dir():
        notes.append(f"The test images in {folders.pop('test')!r} have no masks: they are left out.")
    splits = {split: pair(root, images / name, masks_of_split(masks, name)) for split, name in folders.items()}
    if "train" not in splits and not for_evaluation:
        raise DataError(f"{images} holds {', '.join(splits)} but no folder 'train'")
    names = tuple(class_names)
    if not names and (root / NAMES_FILE).is_file():
        names = read_names(root / NAMES_FILE)
    elif not names:
        numbered = splits.get("train") or next(iter(splits.values()))
        names = _numbered(numbered, ignore)
        notes.append(f"There is no {NAMES_FILE}: {len(names)} classes are numbered as in the training masks.")
    labelling = Labelling(ignore, len(names))
    opened = {split: _images(root, pairs, labelling) for split, pairs in splits.items()}
    train, validation, test = (opened.get(split) for split in ("train", "validation", "test"))
    found = Source(root.name, train, validation, test, names, tuple(notes))
    return with_validation(found, validation_share, seed)


def is_segments(source: str | Path) -> bool:
    """Whether a folder holds images and masks side by side."""
    root = user_path(source)
    return all(any((root / name).is_dir() for name in names) for names in (IMAGE_FOLDERS, MASK_FOLDERS))


def _scenes(word: str) -> Source:
    """Open drawn scenes with the class of each pixel: the ground, or a shape."""
    source = open_scenes(word)

    def with_segments(images: Images | None) -> SegmentImages | None:
        if images is None:
            return None
        scenes: tuple[Any, ...] = tuple(images.items)
        return SegmentImages(scenes, None, images.names, scenes, Labelling(count=len(names)))

    names = ("ground", *source.class_names)
    train, validation, test = map(with_segments, (source.train, source.validation, source.test))
    return Source(source.name, train, validation, test, names, source.notes)


def examine(images: SegmentImages, doubts: MaskDoubts | None = None) -> tuple[Counter[int], list[str]]:
    """Read every image and mask of a split.

    Args:
        images: of the split.
        doubts: is given every mask that can be read.

    Returns:
        How many images show each class, and what is wrong: masks that cannot be read, of another size than their
        image, with values that are no class, or with nothing but void.
    """
    shown: Counter[int] = Counter()
    problems: list[str] = []
    for number in range(len(images)):
        item = images.item(number)
        try:
            segments = images.segments(number)
            check_sizes(item.size, segments, item.name, item.path)
        except (ImageError, DataError) as error:
            problems.append(str(error))
            continue
        present = np.bincount(segments.ravel(), minlength=VOID + 1) > 0
        if doubts is not None:
            doubts.add(images.names[number], present)
        classes = set(np.flatnonzero(present[:VOID]).tolist())
        shown.update(classes)
        if not classes:
            problems.append(f"{images.names[number]}: its mask is void all over, so nothing is learned from it")
    return shown, problems


def check_masks(source: Source) -> tuple[str, ...]:
    """Look at some of the masks that are to be learned from and measured by, before anyone waits for them.

    Returns:
        What is doubtful about all of them together, sentences.

    Raises:
        DataError: a mask has another size than its image or values that are no classes, all training masks together
            show fewer than two classes, or those to measure by are void all over.
    """
    doubts: MaskDoubts | None = None
    for split, images in (("training", source.train), ("validation", source.validation)):
        if not isinstance(images, SegmentImages) or not len(images) or not isinstance(images.masks[0], Path):
            continue
        fewest = 2 if split == "training" else 1
        step = max(1, len(images) // LOOKED_AT)
        first = list(range(0, len(images), step))
        doubts = doubts or MaskDoubts(images.labelling, source.class_names)
        seen = np.zeros(VOID + 1, dtype=bool)
        unread: list[ImageError] = []
        for number in [*first, *sorted(set(range(len(images))) - set(first))]:
            if number % step and seen[:VOID].sum() >= fewest:
                break
            try:
                shown = _shown_by(images, number)
                seen |= shown
                doubts.add(images.names[number], shown)
            except ImageError as error:  # A few damaged ones are left out while training.
                unread.append(error)
                if len(unread) > MOST_UNREAD * len(first):
                    raise DataError(str(error)) from None
        if seen[:VOID].sum() < fewest:
            raise DataError(_about_too_few(split, images))
    return tuple(doubts.sentences()) if doubts else ()


def _shown_by(images: SegmentImages, number: int) -> np.ndarray:
    """Return which classes a mask shows, bool (256,).

    Raises:
        ImageError: the mask cannot be read.
        DataError: it has another size than its image, or values that are no classes.
    """
    segments, item = images.segments(number), images.item(number)
    size = item.stated_size
    if size is not None:
        check_sizes(size, segments, item.name, item.path)
    return np.bincount(segments.ravel(), minlength=VOID + 1) > 0


def _about_too_few(split: str, images: SegmentImages) -> str:
    """Say which values occur in masks that show too few classes."""
    values: set[int] = set()
    for mask in images.masks:
        if isinstance(mask, Path):
            with contextlib.suppress(ImageError):
                values.update(np.unique(open_indices(mask)).tolist())
    labelling = images.labelling
    shown = [value for value in values if value not in (labelling.ignore, VOID)]
    about = advice(values, labelling.count, labelling.ignore)
    return f"the {split} masks show {len(shown)} of the {labelling.count} classes; {about}"


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(
        f"{root} has no folder {names[0]!r}; segments are learned from images/train/NAME.jpg with masks/train/NAME.png"
    )


def _images(root: Path, pairs: list[tuple[Path, Path]], labelling: Labelling) -> SegmentImages:
    files, masks = zip(*pairs, strict=True)
    return SegmentImages(files, None, tuple(str(file.relative_to(root)) for file in files), masks, labelling)


def read_names(file: str | Path) -> tuple[str, ...]:
    """Read class names, one a line.

    Raises:
        DataError: there are none, or one stands twice.
    """
    try:
        names = tuple(line.strip() for line in user_path(file).read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the class names cannot be read from {file} ({error})") from None
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{file} must name two or more different classes, one a line; it names {len(names)}")
    return names


def _numbered(pairs: list[tuple[Path, Path]], ignore: int) -> tuple[str, ...]:
    """Number the classes by the largest value in the masks.

    Raises:
        DataError: there are fewer than two, or most numbers do not occur.
    """
    seen = np.zeros(VOID + 1, dtype=np.int64)
    for _, mask in pairs:
        check_lossless(mask)
        seen += np.bincount(open_indices(mask).ravel(), minlength=VOID + 1)
    values = np.flatnonzero(seen).tolist()
    classes = Labelling(ignore).to_classes(np.flatnonzero(seen).astype(np.uint8))
    shown = classes[classes != VOID]
    if len(shown) < 2:
        beside = f"the masks beside {pairs[0][0]} show {len(shown)} classes"
        raise DataError(f"{beside}; {advice(values, 0, ignore)}")
    check_gaps(values, ignore)
    return tuple(f"class {number}" for number in range(int(shown.max()) + 1))
