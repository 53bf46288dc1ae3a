"""Opening pictures with a class for every pixel: folders of pictures and of masks, or drawn scenes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.data.file_rules import list_folders, list_images, no_images, split_of
from vitrail.data.images import open_image, open_indices
from vitrail.data.layouts import MASK_FOLDERS, PICTURE_FOLDERS
from vitrail.data.scenes import is_scenes, open_scenes
from vitrail.data.segments import VOID, Labelling, SegmentPictures, check_sizes
from vitrail.data.sources import Pictures, Source, with_validation
from vitrail.errors import DataError, ImageError, nearest

NAMES_FILE = "classes.txt"


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

    A mask is an index picture (PNG, one byte a pixel, with a palette or without) named as its picture.

    Args:
        source: the folder, or the word for drawn scenes.
        ignore: the value in the masks that means void; 255 always does.
        class_names: of the classes in order; by default those in ``classes.txt`` in the folder. Without that, classes
            are numbered up to the largest value in the training masks.
        seed: decides which pictures are held out where there is no validation split.
        validation_share: their share.
        for_evaluation: whether a split for training is not needed.

    Raises:
        DataError: there is no such folder, a picture has no mask, or there are no classes.
    """
    if is_scenes(str(source)):
        return _scenes(str(source))
    root = Path(source).expanduser()
    if not root.is_dir():
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        raise DataError(f"there is no folder {str(source)!r}{nearest(root.name, [*siblings, 'scenes'])}")
    if not 0 <= ignore <= VOID:
        raise DataError(f"the ignored value must lie within 0 to 255, as masks have one byte a pixel, not {ignore}")
    images, masks = _folder(root, PICTURE_FOLDERS), _folder(root, MASK_FOLDERS)
    splits = {split: _pairs(root, images / name, masks / name) for split, name in _splits(images).items()}
    if "train" not in splits and not for_evaluation:
        raise DataError(f"{images} holds {', '.join(splits)} but no folder 'train'")
    notes: list[str] = []
    names = tuple(class_names)
    if not names and (root / NAMES_FILE).is_file():
        names = read_names(root / NAMES_FILE)
    elif not names:
        names = _numbered(splits.get("train") or next(iter(splits.values())), ignore)
        notes.append(f"There is no {NAMES_FILE}: {len(names)} classes are numbered as in the training masks.")
    labelling = Labelling(ignore, len(names))
    opened = {split: _pictures(root, pairs, labelling) for split, pairs in splits.items()}
    train, validation, test = (opened.get(split) for split in ("train", "validation", "test"))
    found = Source(root.name, train, validation, test, names, tuple(notes))
    return with_validation(found, validation_share, seed)


def is_segments(source: str | Path) -> bool:
    """Whether a folder holds pictures and masks side by side."""
    root = Path(source).expanduser()
    return all(any((root / name).is_dir() for name in names) for names in (PICTURE_FOLDERS, MASK_FOLDERS))


def _scenes(word: str) -> Source:
    """Open drawn scenes with the class of each pixel: the ground, or a shape."""
    source = open_scenes(word)

    def with_segments(pictures: Pictures | None) -> SegmentPictures | None:
        if pictures is None:
            return None
        scenes: tuple[Any, ...] = tuple(pictures.items)
        return SegmentPictures(scenes, None, pictures.names, scenes, Labelling(count=len(names)))

    names = ("ground", *source.class_names)
    train, validation, test = map(with_segments, (source.train, source.validation, source.test))
    return Source(source.name, train, validation, test, names, source.notes)


def examine(pictures: SegmentPictures) -> tuple[Counter[int], list[str]]:
    """Read every picture and mask of a split.

    Returns:
        How many pictures show each class, and what is wrong: masks that cannot be read, of another size than their
        picture, with values that are no class, or with nothing but void.
    """
    shown: Counter[int] = Counter()
    problems: list[str] = []
    for number, item in enumerate(pictures.items):
        try:
            segments = pictures.segments(number)
            size = open_image(item).size if isinstance(item, Path) else item.size
            check_sizes(size, segments, pictures.names[number])
        except (ImageError, DataError) as error:
            problems.append(str(error))
            continue
        classes = set(np.unique(segments).tolist()) - {VOID}
        shown.update(classes)
        if not classes:
            problems.append(f"{pictures.names[number]}: its mask is void all over, so nothing is learned from it")
    return shown, problems


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(
        f"{root} has no folder {names[0]!r}; segments are learned from images/train/NAME.jpg with masks/train/NAME.png"
    )


def _splits(images: Path) -> dict[str, str]:
    """Find the folders of the splits by name; without any, the whole folder is for training."""
    found: dict[str, str] = {}
    for folder in sorted(list_folders(images)):
        split = split_of(folder.name)
        if split in found:
            raise DataError(f"{images} holds both {found[split]!r} and {folder.name!r}; keep one of them")
        if split:
            found[split] = folder.name
    return found or {"train": ""}


def _pairs(root: Path, images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Find each picture of a split, at any depth, and the mask of the same name."""
    files = sorted(list_images(images))
    if not files:
        raise no_images(images)
    pairs = [(file, masks / file.relative_to(images).with_suffix(".png")) for file in files]
    missing = [mask for _, mask in pairs if not mask.is_file()]
    if missing:
        more = f", and {len(missing) - 1:,} more like it" if len(missing) > 1 else ""
        raise DataError(f"there is no mask {missing[0].relative_to(root)} in {root}{more}")
    return pairs


def _pictures(root: Path, pairs: list[tuple[Path, Path]], labelling: Labelling) -> SegmentPictures:
    files, masks = zip(*pairs, strict=True)
    return SegmentPictures(files, None, tuple(str(file.relative_to(root)) for file in files), masks, labelling)


def read_names(file: str | Path) -> tuple[str, ...]:
    """Read class names, one a line.

    Raises:
        DataError: there are none, or one stands twice.
    """
    try:
        names = tuple(line.strip() for line in Path(file).expanduser().read_text().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the class names cannot be read from {file} ({error})") from None
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{file} must name two or more different classes, one a line; it names {len(names)}")
    return names


def _numbered(pairs: list[tuple[Path, Path]], ignore: int) -> tuple[str, ...]:
    """Number the classes by the largest value in the masks."""
    labelling = Labelling(ignore)
    largest = -1
    for _, mask in pairs:
        classes = labelling.to_classes(open_indices(mask))
        shown = classes[classes != VOID]
        largest = max(largest, int(shown.max()) if shown.size else -1)
    if largest < 1:
        raise DataError(f"the masks beside {pairs[0][0]} show {largest + 1} classes; to tell classes apart takes two")
    return tuple(f"class {number}" for number in range(largest + 1))
