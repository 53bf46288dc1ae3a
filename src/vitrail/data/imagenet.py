"""The thousand classes of ImageNet-1k: their WordNet ids and their names, in the order of a classifier's outputs."""

from __future__ import annotations

import ast
import functools
import importlib.util
from importlib import resources
from pathlib import Path
from typing import Any

CLASSES = 1000
"""Of the ImageNet Large Scale Visual Recognition Challenge, 2012 to 2017 (Russakovsky et al. 2015)."""


@functools.cache
def imagenet_ids() -> tuple[str, ...]:
    """Return the WordNet 3.0 ids (``n01440764``): sorted, which is the order in which the classes are numbered."""
    return tuple(resources.files("vitrail.data").joinpath("imagenet_ids.txt").read_text().split())


@functools.cache
def imagenet_names() -> tuple[str, ...]:
    """Return the names that torchvision gives the classes, all different; the ids where it has none.

    They are read from its source as text: importing torchvision for a list of words would take seconds.
    """
    found = importlib.util.find_spec("torchvision")
    folder = Path(found.origin).parent if found and found.origin else Path()
    try:
        tree = ast.parse((folder / "models" / "_meta.py").read_text(encoding="utf-8"))
        names = next(value for node in tree.body if (value := _assigned(node, "_IMAGENET_CATEGORIES")) is not None)
    except (OSError, SyntaxError, ValueError, StopIteration):  # another version of torchvision keeps them elsewhere
        return imagenet_ids()
    whole = len(names) == len(set(names)) == CLASSES and all(isinstance(name, str) for name in names)
    return tuple(names) if whole else imagenet_ids()


def _assigned(node: ast.stmt, name: str) -> Any:
    """Return the literal that a statement gives a name; None where it does something else."""
    if not isinstance(node, ast.Assign):
        return None
    is_it = any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    return ast.literal_eval(node.value) if is_it else None


__all__ = ["CLASSES", "imagenet_ids", "imagenet_names"]
