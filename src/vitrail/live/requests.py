"""What the page may ask for, each value checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from vitrail.coerce import from_json
from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.masking import Masking

View = Literal["image", "attention", "rollout", "similarity", "explanation", "reconstruction"]

LONGEST_NAME = 200
"""Letters of a file's name that are kept."""


@dataclass(frozen=True)
class Asked:
    """What every request about an image says.

    Attributes:
        image: the key of an image that was opened.
        model: the number of the model, from 0.
        hidden: the cells that are painted away, from 0 in reading order.
        client: the page that asks; only its newest request of a kind is answered. "": each is.
        number: of the request, rising.
    """

    image: str
    model: int = 0
    hidden: tuple[int, ...] = ()
    client: str = ""
    number: int = 0


@dataclass(frozen=True)
class AnswerRequest(Asked):
    """What a model makes of an image, and one view of it.

    Attributes:
        view: what is drawn over the image.
        layer: whose attention, from 0, or negative from the end.
        patch: the cell to which the others' similarity is drawn, or whose attention; None for the answer's.
        method: by which a class is explained.
        label: the class that is explained; None for the one that the model gives.
        shown: of a reconstruction, ``pasted`` among the visible patches, or all ``predicted``.
    """

    view: View = "image"
    layer: int = -1
    patch: int | None = None
    method: Literal["chefer", "grad-cam"] = "chefer"
    label: int | None = None
    shown: Literal["pasted", "predicted"] = "pasted"


@dataclass(frozen=True)
class RemovalRequest(Asked):
    """What a class loses without each of some cells alone.

    Attributes:
        label: the class.
        cells: numbers of cells that are still there.
    """

    label: int = 0
    cells: tuple[int, ...] = ()


@dataclass(frozen=True)
class MaskRequest:
    """Which patches a masked autoencoder hides.

    Attributes:
        model: the number of the model, from 0.
        ratio: share that is hidden, in (0, 1).
        seed: of what is drawn at random.
        masking: how patches are chosen.
    """

    model: int = 0
    ratio: float = 0.75
    seed: int = 0
    masking: Masking = "random"


R = TypeVar("R", AnswerRequest, RemovalRequest, MaskRequest)


def read_request(kind: type[R], body: bytes) -> R:
    """Read a request.

    Raises:
        ConfigError: it is no JSON, or lacks something, or a value cannot be.
    """
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the request is no JSON ({str(error).splitlines()[0]})") from None
    asked = from_json(kind, data)
    check_choices(asked)
    return asked


def plain_name(text: str) -> str:
    """Return what a user called a file, without what lies before its last slash; never empty."""
    return text.replace("\\", "/").rpartition("/")[2].strip()[-LONGEST_NAME:] or "image"


__all__ = ["AnswerRequest", "MaskRequest", "RemovalRequest", "View", "plain_name", "read_request"]
