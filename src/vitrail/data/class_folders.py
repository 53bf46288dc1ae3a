"""Folders with a folder for each class, in the layouts in which people have them.

``CLASS/x.jpg``, ``SPLIT/CLASS/x.jpg`` and ``CLASS/SPLIT/x.jpg``, below any number of wrapper folders, with the usual
names of splits (`split_of`). What could be meant in two ways is decided and said, or refused; two splits are never
thrown together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from vitrail.data.class_lists import classes_of_list
from vitrail.data.class_masks import masks_among
from vitrail.data.doubtful_folders import refuse_classes_twice, refuse_parts, refuse_renditions, refuse_sets, tables_in
from vitrail.data.file_rules import (
    SPLIT_WORDS,
    UNREAD_SUFFIXES,
    counted,
    folders_of_images,
    has_images,
    list_folders,
    list_images,
    named,
    natural,
    no_images,
    split_of,
    suffix_of,
    suffixes_below,
    unread_here,
)
from vitrail.data.layouts import OtherTask, recognise
from vitrail.data.listing import Listing
from vitrail.data.split_names import splits_in
from vitrail.data.wrapper_folders import note_of_entering
from vitrail.errors import DataError

Classes = dict[str, list[Path]]
SPLITS = ("train", "validation", "test")
UNNAMED = frozenset({"test", "images", "image", "imgs", "img", "all", "unknown", "unlabeled", "unlabelled"})
"""Lower-case names of folders in a test split that are no classes."""

MIN_FOLDERS_BESIDE = 2
"""So many folders of images beside a folder called ``train`` make that the name of a class too."""


def open_class_folders(root: Path, *, for_evaluation: bool = False, known_classes: Collection[str] = ()) -> Listing:
    """List the images of a folder with one folder per class, or with one such folder for each split.

    Args:
        root: the folder.
        for_evaluation: whether a split for training is not needed.
        known_classes: names of classes: a single folder called so is a class and no wrapper.

    Raises:
        DataError: the folder is laid out in none of these ways, or cannot be read.
    """
    listing = Listing()
    place = _enter(root, known_classes, listing)
    folders = _split_folders(place, listing, for_evaluation)
    if not folders:
        refuse_parts(place)
        by_split = _splits_below_classes(place) or _all_for_training(place, listing, known_classes)
        listing.places = dict.fromkeys(by_split, f"the folder {place}")
        if "train" not in by_split and not for_evaluation:
            raise DataError(f"the classes in {place} have folders {named(by_split)} but none for training")
    else:
        by_split = _classes_of_splits(folders, listing, known_classes)
        listing.places = {split: f"the folder {folder}" for split, folder in folders.items()}
    for split, classes in by_split.items():
        folder = folders.get(split, place)
        if not classes:
            raise _without_classes(folder)
        alone = next(iter(classes)) if len(classes) == 1 else ""
        if split == "train" and alone not in ("", *known_classes) and _says_no_class(alone, folder.name):
            raise _without_classes(folder / alone if (folder / alone).is_dir() else folder)
    ordered = {split: by_split[split] for split in SPLITS if split in by_split}
    for split, classes in ordered.items():
        listing.files[split] = [(file, name) for name, files in classes.items() for file in files]
    listing.class_names = _class_names(ordered, for_evaluation)
    return listing


def open_any_folder(root: Path, *, for_evaluation: bool = False) -> Listing:
    """List the images at any depth of a folder, or of its folders for the splits; classes mean nothing.

    Masks beside images are none. Wrapper folders are entered where there are splits in them.

    Raises:
        DataError: there are no images, or a folder cannot be read.
    """
    listing = Listing()
    place, masks = _wrapped_splits(root)
    folders = _split_folders(place, listing, for_evaluation)
    if place != root and folders:
        listing.notes[:0] = note_of_entering(root, place)
    for split, folder in (folders or {"train": root}).items():
        files = [file for file in list_images(folder, listing.passed_over) if not _below(file, masks)]
        if not files:
            raise no_images(folder)
        listing.files[split] = [(file, None) for file in files]
        listing.places[split] = f"the folder {folder}"
    if masks:
        listing.notes.append(f"The masks in {named(str(mask.relative_to(root)) for mask in masks)} are no images.")
    return listing


def _below(file: Path, folders: Iterable[Path]) -> bool:
    return any(folder in file.parents for folder in folders)


# --- wrappers --------------------------------------------------------------------------------------------


def _enter(root: Path, known_classes: Collection[str], listing: Listing) -> Path:
    """Go down through folders that hold one folder of folders and nothing else, and say so."""
    place = root
    while True:
        dense = recognise(place)
        if dense:
            raise OtherTask(dense.sentence)
        entered = _names_splits(list_folders(place)) or _is_class_of(place, known_classes)
        inner = None if entered else _only_folder(place)
        if inner is None or inner.name in known_classes or not any(map(has_images, list_folders(inner))):
            break
        place = inner
    if place != root:
        listing.notes += note_of_entering(root, place)
    return place


def _wrapped_splits(root: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder, the root or one in it, that holds the folders of the splits, and the folders of masks.

    Without splits it is the root.
    """
    place: Path | None = root
    masks: tuple[Path, ...] = ()
    while place is not None:
        dense = recognise(place)
        masks += dense.masks if dense else ()
        splits = _names_splits(list_folders(place))
        if "train" in splits or (splits and place == root):
            return place, masks
        place = _only_folder(place, masks)
    return root, masks


def _only_folder(place: Path, masks: Collection[Path] = ()) -> Path | None:
    """Return the folder in which all the images of a folder lie, if there is one."""
    if list_images(place, deep=False):
        return None
    inner = [folder for folder in list_folders(place) if folder not in masks and has_images(folder)]
    return inner[0] if len(inner) == 1 else None


def _names_splits(folders: Iterable[Path]) -> set[str]:
    return set(splits_in([folder.name for folder in folders]).values())


# --- splits above the classes ------------------------------------------------------------------------------


def _split_folders(place: Path, listing: Listing, for_evaluation: bool) -> dict[str, Path]:
    """Find the folder of each split; none where the folders are classes."""
    everything = list_folders(place)
    called = splits_in([folder.name for folder in everything])
    splits = [folder for folder in everything if folder.name in called]
    others = [folder for folder in everything if folder.name not in called]
    if not splits:
        return {}
    found = _by_split(place, splits) if "train" in _names_splits(splits) or not others else {}
    if "train" in found:
        if _is_class_beside(found, others):
            listing.notes.append(_taken_for_classes(splits))
            return {}
        listing.passed_over["folders beside the splits"] += len(others)
    elif _are_splits(splits, others, for_evaluation):
        found = _by_split(place, splits)
        if not for_evaluation:
            raise DataError(f"{place} holds {' and '.join(repr(f.name) for f in splits)} but no folder 'train'")
        listing.passed_over["folders beside the splits"] += len(others)
    else:
        refuse_classes_twice(place, splits, others)
        listing.notes.append(_taken_for_classes(splits))
        return {}
    if any(folder.name.casefold() not in _PLAIN_WORDS for folder in splits):
        meant = ", ".join(f"{folder.name!r} for {_PURPOSE[split]}" for split, folder in found.items())
        listing.notes.append(f"Splits: {meant}.")
    return found


_PLAIN_WORDS = frozenset(SPLIT_WORDS) - {"dev", "eval", "evaluation", "holdout"}
_PURPOSE = {"train": "training", "validation": "validation", "test": "testing"}


def _by_split(place: Path, folders: Iterable[Path]) -> dict[str, Path]:
    """Give every split its folder; a folder ``eval`` beside one for validation is the test split."""
    found: dict[str, Path] = {}
    ordered = sorted(folders, key=lambda folder: folder.name.casefold().startswith("eval"))
    called = splits_in([folder.name for folder in ordered])
    for folder in ordered:
        split = called[folder.name]
        if split in found and folder.name.casefold().startswith("eval"):
            split = "test"
        if split in found:
            raise DataError(f"{place} holds both {found[split].name!r} and {folder.name!r}; keep one of them")
        found[split] = folder
    return {split: found[split] for split in SPLITS if split in found}


def _is_class_beside(found: dict[str, Path], others: list[Path]) -> bool:
    """Whether ``train`` is a means of transport: it holds images as several folders beside it do, and no folders."""
    if len(found) > 1 or not _is_flat(found["train"]):
        return False
    return sum(_is_flat(folder) for folder in others) >= MIN_FOLDERS_BESIDE


def _are_splits(folders: list[Path], others: list[Path], for_evaluation: bool) -> bool:
    """Whether folders with the names of splits, none for training, are splits and not classes."""
    classes = [set(folders_of_images(folder)) for folder in folders]
    if not others:
        return True
    if len(classes) > 1 and set.intersection(*classes):
        return True
    return for_evaluation and all(classes)


def _taken_for_classes(folders: list[Path]) -> str:
    names = named(folder.name for folder in folders)
    what = "are classes" if len(folders) > 1 else "is a class"
    return f"{names} {what} here, as the folders beside are; a split would stand beside a folder 'train'."


def _classes_of_splits(
    folders: dict[str, Path], listing: Listing, known_classes: Collection[str]
) -> dict[str, Classes]:
    """Find the classes of each split; a test split without them is passed over, as its labels may be secret."""
    found: dict[str, Classes] = {}
    known = set(known_classes)
    for split, folder in folders.items():
        inner = _enter_split(folder, split, known)
        found[split] = classes_of_list(folder, listing) or _classes(inner, listing)
        if split == "train":
            known |= set(found[split])
    tested = set(found.get("test", ()))
    secret = all(_says_no_class(name, folders["test"].name) for name in tested)
    if "train" in found and "test" in found and not tested & known and secret:
        listing.passed_over["test images without class folders"] += len(list_images(folders["test"]))
        del found["test"]
    return found


def _says_no_class(folder: str, outer: str) -> bool:
    """Whether the only folder in another holds images without saying their class, as in ``test/images``."""
    plain = folder.casefold()
    return plain.rstrip("0123456789") in UNNAMED or split_of(folder) is not None or plain == outer.casefold()


def _enter_split(folder: Path, split: str, known: Collection[str]) -> Path:
    """Go down through folders in a split that only wrap it, such as ``seg_train/seg_train``."""
    while (inner := _only_folder(folder)) and inner.name not in known and any(map(has_images, list_folders(inner))):
        folder = inner
    dense = recognise(folder)
    if dense:
        raise OtherTask(dense.sentence)
    return folder


# --- classes ---------------------------------------------------------------------------------------------


def _classes(root: Path, listing: Listing) -> Classes:
    """Find the images of each class, at any depth of the folder named after it."""
    folders = list_folders(root)
    passed_over: Counter[str] = Counter()
    found = {folder.name: _readable(list_images(folder, passed_over)) for folder in folders}
    classes = {name: files for name, files in found.items() if files}
    if classes:
        passed_over["images outside the class folders"] += len(list_images(root, passed_over, deep=False))
        for folder in folders:
            if not found[folder.name]:
                _note_empty_class(folder, listing)
        _note_nested(folders, listing)
    listing.passed_over += passed_over
    return {name: _without_masks(root / name, files, listing) for name, files in classes.items()}


def _all_for_training(root: Path, listing: Listing, known_classes: Collection[str]) -> dict[str, Classes]:
    """Find the images of each class; to evaluate, the folder may itself be that of a class of the model."""
    if _is_class_of(root, known_classes):
        name = root.resolve().name
        listing.notes.append(f"The folder {root} is the class {name!r} of the model.")
        return {"train": {name: list_images(root, listing.passed_over)}}
    refuse_renditions(root)
    return {"train": _classes(root, listing)}


def _is_class_of(folder: Path, known_classes: Collection[str]) -> bool:
    """Whether a folder is called as a class that is known, and holds images but no folder called so."""
    if folder.resolve().name not in known_classes or not _readable(list_images(folder)):
        return False
    return not any(inner in known_classes for inner in folders_of_images(folder))


def _readable(files: list[Path]) -> list[Path]:
    """Return the files of a class; none where not one of them can be read here, such as photos in HEIC."""
    unread = unread_here()
    return files if any(suffix_of(file.name) not in unread for file in files) else []


def _note_empty_class(folder: Path, listing: Listing) -> None:
    """Name a class that consists of files that are not read; another empty folder is counted."""
    suffixes = suffixes_below(folder) + Counter(suffix_of(file.name) for file in list_images(folder))
    unread = Counter({suffix: n for suffix, n in suffixes.items() if suffix in UNREAD_SUFFIXES})
    if unread:
        listing.warnings.append(
            f"The class {folder.name!r} is left out: its files are {counted(unread)}, which vitrail does not read; "
            f"convert them to JPEG or PNG{_HEIC_HINT if {'.heic', '.heif'} & set(unread) else ''}."
        )
    else:
        listing.passed_over["class folders without images"] += 1


def _note_nested(folders: Iterable[Path], listing: Listing) -> None:
    """Say of folders within class folders that they make no classes of their own."""
    nested = [f"{folder.name}/{inner}" for folder in folders for inner in folders_of_images(folder)]
    if nested:
        listing.notes.append(f"Folders within class folders are no classes of their own ({named(nested)}).")


def _without_masks(root: Path, files: list[Path], listing: Listing) -> list[Path]:
    masks = masks_among(root, files)
    listing.passed_over["masks beside their images"] += len(masks)
    return [file for file in files if file not in masks]


def _splits_below_classes(place: Path) -> dict[str, Classes]:
    """Read ``CLASS/train`` and ``CLASS/test``, which every class must have so, or none.

    Returns:
        The classes of each split; nothing where the classes have no splits.
    """
    parts = {folder: folders_of_images(folder) for folder in list_folders(place) if has_images(folder)}
    divided = [folder for folder, names in parts.items() if len(set(splits_in(names).values())) > 1]
    if not divided:
        return {}
    for folder, names in parts.items():
        outside = [name for name in names if name not in splits_in(names)]
        if outside or not names or list_images(folder, deep=False):
            raise DataError(
                f"{divided[0]} has folders for the splits ({named(parts[divided[0]])}), but {folder} has "
                f"{f'a folder {outside[0]!r} too' if outside else 'images of no split'}; give every class the same "
                "folders, or put the classes into folders 'train', 'val' and 'test'"
            )
    refuse_sets({folder: [folder / name for name in names] for folder, names in parts.items()})
    found: dict[str, Classes] = {}
    for folder in parts:
        for split, part in _by_split(folder, [folder / name for name in parts[folder]]).items():
            found.setdefault(split, {})[folder.name] = list_images(part)
    return found


def _is_flat(folder: Path) -> bool:
    return not folders_of_images(folder) and bool(list_images(folder, deep=False))


def _class_names(by_split: dict[str, Classes], for_evaluation: bool) -> tuple[str, ...]:
    """Return the classes of training in order; to evaluate, those of every split."""
    named_in = [by_split["train"]] if "train" in by_split and not for_evaluation else list(by_split.values())
    return tuple(sorted({name for classes in named_in for name in classes}, key=natural))


_HEIC_HINT = ", or install vitrail[heic]"


def _without_classes(folder: Path) -> DataError:
    if not list_images(folder):
        return no_images(folder)
    if not _readable(list_images(folder)):
        suffixes = counted(Counter(suffix_of(file.name) for file in list_images(folder)))
        return DataError(f"{folder} holds {suffixes} files, which vitrail does not read; convert them to JPEG or PNG")
    tables = tables_in(folder, folder.parent)
    hint = f" (if {tables[0]} holds their classes, name that file instead)" if tables else ""
    return DataError(
        f"{folder} holds images but no class folders; put those of each class into a folder named after it, "
        f"or learn without labels{hint}"
    )


__all__ = ["open_any_folder", "open_class_folders"]
