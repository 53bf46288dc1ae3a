"""Which class of a model each class of a data set is: by its name, its WordNet id, or its number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from vitrail.console import shortened
from vitrail.data.imagenet import CLASSES, imagenet_ids, imagenet_names
from vitrail.errors import DataError

WORDNET_ID = re.compile(r"n\d{8}")
NUMBER = re.compile(r"\d{1,7}")
UNNAMED = re.compile(r"class \d+")
"""What `vitrail.weights.open_any` calls the classes of a model that nobody named."""

TRAIN_A_HEAD = "to learn these, train a head: vitrail train DATA --weights MODEL"

IMAGENET_SHARE = 0.8
"""So many of a thousand names at their places make a model one of ImageNet-1k's; lists differ in spelling."""


def match_classes(names: Sequence[str], known: Sequence[str], data: str) -> tuple[tuple[int, ...], str]:
    """Say for each class of a data set which output of a model it is.

    Args:
        names: the classes of the data.
        known: the classes of the model, in the order of its outputs.
        data: what the data are called, for messages.

    Returns:
        The numbers, and how they were found: a sentence for the user, "" where the names are just the same.

    Raises:
        DataError: a class of the data is none of the model's, or may be several.
    """
    places = {name: number for number, name in enumerate(known)}
    if len(places) == len(known) and names and all(name in places for name in names):
        return tuple(places[name] for name in names), ""
    for match in (_by_wordnet_id, _by_name, _by_number):
        if found := match(names, known, data):
            return found
    unknown = [name for name in names if name not in places]
    raise DataError(
        f"{data} has classes the model was not trained on: {shortened(unknown, 5) or 'none at all'}; "
        f"it knows {len(known):,}: {shortened(known)}; {TRAIN_A_HEAD}"
    )


def is_imagenet(known: Sequence[str]) -> bool:
    """Whether a model's classes are those of ImageNet-1k in their usual order, by names or WordNet ids."""
    if len(known) != CLASSES:
        return False
    right = sum(name == own for name, own in zip(known, imagenet_ids(), strict=True))
    words = zip(known, imagenet_names(), strict=True)
    right = max(right, sum(bool(_spellings(name) & _spellings(own)) for name, own in words))
    return right >= IMAGENET_SHARE * CLASSES


Matched = tuple[tuple[int, ...], str] | None


def _by_wordnet_id(names: Sequence[str], known: Sequence[str], data: str) -> Matched:
    """Match folders called n01440764 with a model of ImageNet-1k whose classes have names."""
    if not (names and all(map(WORDNET_ID.fullmatch, names)) and is_imagenet(known)):
        return None
    places = {name: number for number, name in enumerate(imagenet_ids())}
    if unknown := [name for name in names if name not in places]:
        raise DataError(
            f"{data} has classes the model was not trained on: the WordNet ids {shortened(unknown, 5)} are none of "
            "ImageNet-1k's thousand"
        )
    return tuple(places[name] for name in names), _sentence(names, known, "by WordNet id")


def _by_name(names: Sequence[str], known: Sequence[str], data: str) -> Matched:
    """Match names that are spelled otherwise, or one of several for the same class (``tench, Tinca tinca``)."""
    if all(map(WORDNET_ID.fullmatch, known)) and is_imagenet(known):
        known = imagenet_names()
    spelled: dict[str, set[int]] = {}
    for number, name in enumerate(known):
        for spelling in _spellings(name):
            spelled.setdefault(spelling, set()).add(number)
    counts = Counter(known)
    exact = {name: number for number, name in enumerate(known) if counts[name] == 1}
    found = [{exact[name]} if name in exact else _meant(name, spelled) for name in names]
    if not any(found):
        return None
    missing = [name for name, places in zip(names, found, strict=True) if not places]
    doubtful = [name for name, places in zip(names, found, strict=True) if len(places) > 1]
    if missing or doubtful:
        what = f"{shortened(missing, 5)} are none of them" if missing else f"{shortened(doubtful, 5)} may be several"
        raise DataError(f"{data} has classes the model was not trained on: it knows {len(known):,}, and by name {what}")
    numbers = tuple(next(iter(places)) for places in found)
    if twice := [known[number] for number, count in Counter(numbers).items() if count > 1]:
        raise DataError(f"{data} has several classes that are one of the model's, {shortened(twice, 5)}; merge them")
    return numbers, _sentence(names, known, "by name")


def _meant(name: str, spelled: dict[str, set[int]]) -> set[int]:
    """Return the classes of a name: those spelled as a whole like it, else those that share one of its names."""
    whole = spelled.get(_plain(name))
    return whole if whole else set().union(*(spelled.get(one, set()) for one in _spellings(name)))


def _by_number(names: Sequence[str], known: Sequence[str], data: str) -> Matched:
    """Match numbers with the places of a model's outputs, from 0."""
    if not (names and all(map(NUMBER.fullmatch, names)) and (is_imagenet(known) or _is_unnamed(known))):
        return None
    numbers = tuple(map(int, names))
    if max(numbers) >= len(known):
        from_one = "; numbers begin with 0 here" if min(numbers) == 1 and max(numbers) == len(known) else ""
        raise DataError(f"{data} numbers classes up to {max(numbers):,}, and the model has {len(known):,}{from_one}")
    if len(set(numbers)) != len(numbers):
        raise DataError(f"{data} has classes that are the same number in two spellings, as 7 and 07; merge them")
    if sorted(numbers) == list(range(len(numbers))) and len(numbers) < len(known):
        raise DataError(
            f"{data} has {len(numbers):,} classes, numbered by themselves, and the model {len(known):,} others "
            f"({shortened(known, 3)}); {TRAIN_A_HEAD}"
        )
    return numbers, _sentence(names, known, "by number, from 0")


def _is_unnamed(known: Sequence[str]) -> bool:
    return all(map(UNNAMED.fullmatch, known))


def _sentence(names: Sequence[str], known: Sequence[str], how: str) -> str:
    whose = "ImageNet-1k's" if is_imagenet(known) else "the model's"
    return f"The {len(names):,} classes of the data are matched with {whose} {len(known):,} {how}."


def _spellings(name: str) -> frozenset[str]:
    """Return a name as a whole and each of the names that commas part, in plain letters."""
    return frozenset(_plain(part) for part in (name, *name.split(",")))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


__all__ = ["is_imagenet", "match_classes"]
