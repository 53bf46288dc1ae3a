"""Everything that can go wrong through no fault of the code: one clear sentence each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class VitrailError(Exception):
    """A mistake a user can mend. The message says what is wrong, where, and what to do."""


class ConfigError(VitrailError):
    """A setting has a value that cannot work."""


class DataError(VitrailError):
    """A data set is missing, empty, or not laid out in any known way."""


class ImageError(VitrailError):
    """One image cannot be used.

    Attributes:
        path: the file, or a short description of where the bytes came from.
        reason: why it cannot be used, half a sentence.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        # Data workers send exceptions to the main process by pickling them.
        return type(self), (self.path, self.reason)


class InputError(VitrailError, ValueError):
    """A model was given what it cannot compute with: another shape or type than it takes."""


class WeightsError(VitrailError):
    """A weights file cannot be read, or does not belong to the model."""


class TrainingError(VitrailError):
    """A training run cannot go on; what was saved before is untouched."""


class MissingExtra(VitrailError):
    """An optional dependency is needed; the message holds the install command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}; install it with: pip install "vitrail[{extra}]"')


class Interrupted(Exception):
    """Training was asked to stop; everything is saved and the same command goes on.

    Attributes:
        exit_code: what the process should exit with (128 + the signal's number).
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def none_readable(count: int, first: object = "", data: str = "") -> str:
    """Say that not one of the images can be read.

    Args:
        count: how many there are.
        first: why the first cannot; "" where that has been said already.
        data: what the user called them; "" where it goes without saying.
    """
    of = f" of {data}" if data else ""
    if count == 1:
        return f"the only image{of} cannot be read{f': {first}' if first else ''}"
    return f"none of the {count:,} images{of} can be read{f'; the first: {first}' if first else ''}"


def nearest(name: str, choices: Iterable[str], limit: int = 3) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for the choices nearest to ``name``, or ``""``."""
    found = difflib.get_close_matches(name, list(choices), n=limit, cutoff=0.55)
    if not found:
        return ""
    return f"; did you mean {' or '.join(repr(choice) for choice in found)}?"
