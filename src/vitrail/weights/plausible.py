"""Whether a checkpoint's description can be that of the tensors beside it: asked before anything is built or allocated.

A ``config.json`` is a few bytes that may ask for any amount of memory. The names and shapes of the tensors stand at the
beginning of their own file, which cannot be larger than it is.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import Preprocessing
from vitrail.errors import WeightsError
from vitrail.weights.infer_spec import Sizes

LARGEST_CONFIG = 64 * 2**20
"""Bytes of a ``config.json``; the names of a million classes take fewer."""

LARGEST_SIDE = 8192
"""Pixels of a side of a model's input."""

MOST_CHANNELS = 4096

# Numbers of modules: each has tensors of its own in the file.
MODULE_COUNTS = ("depth", "depths", "stem_depths", "decoder_depth", "layers")

MORE_THAN_THE_FILE = 2
FREE_VALUES = 2**22
"""A model may hold this many values more than its file: what is computed and not stored, and what older files lack."""


def read_config(file: Path) -> Any:
    """Read a ``config.json``.

    Raises:
        ValueError: it is no ordinary file, too large, too deep, or no JSON.
        OSError: it cannot be read.
    """
    if not file.is_file():
        raise ValueError("there is no such file" if not file.exists() else "it is no ordinary file")
    if file.stat().st_size > LARGEST_CONFIG:
        raise ValueError(f"it has {file.stat().st_size:,} bytes")
    try:
        return json.loads(file.read_bytes().decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_preprocessing(preprocessing: Preprocessing) -> None:
    """Refuse preprocessing that no image can go through.

    Raises:
        ValueError: a number is out of its range.
    """
    p = preprocessing
    if not all(1 <= side <= LARGEST_SIDE for side in p.image_size):
        raise ValueError(f"image_size must be 1 to {LARGEST_SIDE} pixels, not {p.image_size[0]}x{p.image_size[1]}")
    if not 1 <= p.channels <= MOST_CHANNELS or len(p.mean) != p.channels or len(p.std) != p.channels:
        raise ValueError(f"{p.channels} channels have {len(p.mean)} values of mean and {len(p.std)} of std")
    if not all(map(math.isfinite, (*p.mean, *p.std))) or min(p.std) <= 0:
        raise ValueError("mean and std must be finite, and std above 0")
    if not 0 < p.crop_fraction <= 1:
        raise ValueError(f"crop_fraction is a share, above 0 and at most 1, not {p.crop_fraction:g}")


def header_of(file: Path) -> Sizes:
    """Return the shape of each tensor in a safetensors file, from its beginning alone.

    Raises:
        WeightsError: it is damaged, or no such file.
    """
    from safetensors import safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:  # its own errors, and whatever the system says
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(f"{file} is a damaged safetensors file ({reason}); fetch it again") from None


def check_counts(options: dict[str, Any], sizes: Sizes, file: Path) -> None:
    """Refuse options that ask for more modules than the file has tensors for.

    Args:
        options: of the model or its head.
        sizes: the shapes in the file.
        file: the tensors, for error messages.

    Raises:
        WeightsError: they do.
    """
    for name in MODULE_COUNTS:
        value = options.get(name, 0)
        numbers = value if isinstance(value, (list, tuple)) else [value]
        whole = [number for number in numbers if isinstance(number, (int, float))]
        if len(numbers) > len(sizes) or sum(whole) > len(sizes):
            raise WeightsError(
                f"config.json beside {file} says {name} {str(value)[:40]}, and {file.name} holds {len(sizes)} tensors"
            )


def check_size(model: nn.Module, sizes: Sizes, file: Path) -> None:
    """Refuse a model that would take far more memory than its file.

    Args:
        model: built on the meta device.
        sizes: the shapes in the file.
        file: the tensors, for error messages.

    Raises:
        WeightsError: it would.
    """
    wanted = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    held = sum(math.prod(shape) for shape in sizes.values())
    if wanted > MORE_THAN_THE_FILE * held + FREE_VALUES:
        raise WeightsError(
            f"config.json beside {file} describes a model of {wanted:,} values, and {file.name} holds {held:,}; they "
            "do not belong together"
        )
