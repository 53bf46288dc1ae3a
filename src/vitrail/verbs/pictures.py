"""From what a user names - files, folders, globs - to pictures and a model's input."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.images import IMAGE_SUFFIXES, open_image
from vitrail.data.transforms import eval_transform
from vitrail.errors import DataError, ImageError, nearest
from vitrail.tasks.inputs import Normalise


def find_pictures(named: Sequence[str]) -> list[Path]:
    """Return the files meant by names of files, folders (searched to any depth) and globs, each once.

    Raises:
        DataError: a name means no picture.
    """
    found: dict[Path, None] = {}
    for name in named:
        for path in _meant_by(name):
            found[path] = None
    return list(found)


def _meant_by(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"there is no picture in {path}; known are {', '.join(sorted(IMAGE_SUFFIXES))}")
        return files
    # pathlib's own glob takes no absolute pattern.
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    matching = [Path(match) for match in matches if Path(match).is_file()]
    if not matching:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no picture, folder or match for {name!r}{nearest(path.name, siblings)}")
    return matching


def read_inputs(files: Sequence[Path], preprocessing: Preprocessing) -> tuple[Tensor, list[Path], list[ImageError]]:
    """Read pictures as a model wants them.

    Returns:
        ``(B, C, H, W)`` float, normalised; the files that could be read; and the errors of the others.
    """
    transform = eval_transform(preprocessing)
    tensors, read, errors = [], [], []
    for file in files:
        try:
            tensors.append(transform(open_image(file, preprocessing.channels)))
            read.append(file)
        except ImageError as error:
            errors.append(error)
    if not tensors:
        return torch.empty(0, preprocessing.channels, *preprocessing.image_size), read, errors
    return Normalise(preprocessing.mean, preprocessing.std)(torch.stack(tensors)), read, errors
