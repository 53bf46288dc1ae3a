"""Parts of what an evaluation found: images that are wrong, and another model beside."""

from __future__ import annotations

from dataclasses import dataclass

from vitrail.trust.comparison import Paired


@dataclass(frozen=True)
class Wrong:
    """An image that is called something else than it is.

    Attributes:
        file: the image.
        label: its class.
        said: what it is called.
        probability: of that class, in (0, 1].
    """

    file: str
    label: str
    said: str
    probability: float


@dataclass(frozen=True)
class Comparison:
    """The classifier beside another one, on the images that neither of them learned from.

    Attributes:
        other: the other model, as the user named it.
        paired: how often each is right, the difference with its interval, and McNemar's test; "first" is the classifier
            that is evaluated, "second" the other one.
        only_first, only_second: the images that one of them gets right, by name.
        notes: which images were left out, each a sentence.
    """

    other: str
    paired: Paired
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    notes: tuple[str, ...] = ()


__all__ = ["Comparison", "Wrong"]
