"""Parts of a card that are measured, kept on the disk: an interrupted card goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.card.sections import Section, section_from_json
from vitrail.config import to_json
from vitrail.serialize import read_regular, write_json


@dataclass(frozen=True)
class Part:
    """Sections that are measured together, with their figures.

    Attributes:
        sections: in the order of the page.
        figures: for each section, by its name, images with their captions.
    """

    sections: tuple[Section, ...]
    figures: dict[str, Sequence[tuple[str, Image.Image | Path]]] = field(default_factory=dict)


def kept_part(folder: Path, name: str, about: dict[str, Any], measure: Callable[[], Part], keep: bool = True) -> Part:
    """Return a part as it is kept; measure and keep it where it is not, or is of something else.

    Args:
        folder: where parts are kept; made if need be.
        name: of the part.
        about: all that could change one of its figures.
        measure: measures it, or says that it is not measured.
        keep: what that returns is kept.

    Raises:
        OSError: the folder cannot be written to.
    """
    digest = hashlib.blake2b(repr(sorted(about.items())).encode(), digest_size=8).hexdigest()
    found = _read(folder / f"{name}.json", digest)
    if found is not None:
        return found
    part = measure()
    if not keep:
        return part
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[tuple[str, str]]] = {}
    for section, figures in part.figures.items():
        for number, (caption, image) in enumerate(figures):
            if isinstance(image, Image.Image):
                file = f"{name}-{section}-{number}.png"
                image.save(folder / file)
                files.setdefault(section, []).append((caption, file))
    write_json(folder / f"{name}.json", {"about": digest, "sections": to_json(list(part.sections)), "figures": files})
    return part


def _read(file: Path, digest: str) -> Part | None:
    """Return a part that is kept of this; None where there is none, or it is damaged."""
    try:
        content = json.loads(read_regular(file))
        if content["about"] != digest:
            return None
        sections = tuple(section_from_json(one) for one in content["sections"])
        figures: dict[str, Any] = {
            section: [(caption, file.parent / Path(name).name) for caption, name in figures]
            for section, figures in content["figures"].items()
        }
        there = all(path.is_file() for shown in figures.values() for _, path in shown)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Part(sections, figures) if there else None


__all__ = ["Part", "kept_part"]
