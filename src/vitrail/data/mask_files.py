"""Which file is the mask of which image: one of the same name, or of a usual ending more."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from vitrail.data.file_rules import has_images, is_junk, list_folders, list_images, named, no_images, split_of
from vitrail.errors import DataError

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""Formats that keep numbers as they are; .png first."""
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp", ".jfif")
MASK_ENDINGS = (
    "_mask", "-mask", ".mask", "_masks", "_seg", "_segmentation", "_label", "_labels", "_labelids", "_labeltrainids",
    "_gt", "_annotation", "_annot", "_trimap", "_l", "_gtfine_labelids", "_gtfine_labeltrainids", "_lab", "mask",
)  # fmt: skip
"""What masks may have at the end of their names, in any case."""
IMAGE_ENDINGS = ("", "_image", "_img", "_rgb", "_sat", "_leftimg8bit")
"""What images may have there in the masks' stead."""


def split_folders(images: Path) -> dict[str, str]:
    """Find the folders of the splits by name; without any, the whole folder is for training.

    Raises:
        DataError: two folders are of one split.
    """
    found: dict[str, str] = {}
    for folder in list_folders(images):
        split = split_of(folder.name)
        if split in found:
            raise DataError(f"{images} holds both {found[split]!r} and {folder.name!r}; keep one of them")
        if split:
            found[split] = folder.name
    return found or {"train": ""}


def masks_of_split(masks: Path, name: str) -> Path:
    """Return the folder of a split's masks: that of its images' name, or of the same split in another spelling.

    Where nothing is split, it is the folder itself, or the only one in it with masks: ``annotations/trimaps``.
    """
    if not name:
        inner = [folder for folder in list_folders(masks) if has_images(folder)]
        return inner[0] if len(inner) == 1 and not list_images(masks, deep=False) else masks
    if (masks / name).is_dir():
        return masks / name
    same = [folder for folder in list_folders(masks) if split_of(folder.name) == split_of(name)]
    return same[0] if len(same) == 1 else masks / name


def pair(root: Path, images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Find each image of a split, at any depth, and its mask.

    Raises:
        DataError: there are no images, or one has no mask, or several.
    """
    files = sorted(list_images(images))
    if not files:
        raise no_images(images)
    pairs, missing = [], []
    others: dict[tuple[str, str], list[Path]] | None = None
    for file in files:
        mask = masks / file.relative_to(images).with_suffix(".png")
        if not mask.is_file():
            others = _by_name(masks) if others is None else others
            found = _named_otherwise(file.relative_to(images), others)
            if len(found) > 1:
                raise DataError(
                    f"{file.relative_to(root)} has several masks in {root}: {_names(found, root)}; keep one"
                )
            if not found:
                missing.append(mask)
            mask = found[0] if found else mask
        pairs.append((file, mask))
    if missing:
        raise DataError(_about_missing(root, missing, others or {}))
    return pairs


def _by_name(masks: Path) -> dict[tuple[str, str], list[Path]]:
    """Sort the files that may be masks by their folder and their name without its suffix, in lower case."""
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in sorted(masks.rglob("*")) if masks.is_dir() else []:
        if file.suffix.lower() in (*MASK_SUFFIXES, *LOSSY_SUFFIXES) and not is_junk(file.name):
            found[str(file.parent.relative_to(masks)), file.stem.lower()].append(file)
    return found


def _named_otherwise(image: Path, others: dict[tuple[str, str], list[Path]]) -> list[Path]:
    """Return the masks of an image, told from below its split's folder, that are named with an ending or suffix."""
    folder, stem = str(image.parent), image.stem.lower()
    bases = [stem.removesuffix(ending) for ending in IMAGE_ENDINGS if stem.endswith(ending)]
    names = dict.fromkeys([stem, *(f"{base}{ending}" for base in bases for ending in MASK_ENDINGS)])
    for name in names:
        found = [file for file in others.get((folder, name), ()) if file.suffix.lower() in MASK_SUFFIXES]
        if found:
            return found
    return []


def _about_missing(root: Path, missing: list[Path], others: dict[tuple[str, str], list[Path]]) -> str:
    """Say which mask is missing, and what lies in its place."""
    first = missing[0]
    more = f", and {len(missing) - 1:,} more like it" if len(missing) > 1 else ""
    text = f"there is no mask {first.relative_to(root)} in {root}{more}"
    beside = [file for files in others.values() for file in files if file.parent == first.parent]
    lossy = [file for file in beside if file.suffix.lower() in LOSSY_SUFFIXES and file.stem == first.stem]
    if lossy:
        return f"{text}; {lossy[0].name} there is no mask: its compression changes numbers, save masks as PNG"
    if beside:
        return f"{text}; there are {named(file.name for file in beside)}: call masks as their images, or NAME_mask.png"
    return text


def _names(files: list[Path], root: Path) -> str:
    return " and ".join(str(file.relative_to(root)) for file in files)


__all__ = ["masks_of_split", "pair", "split_folders"]
