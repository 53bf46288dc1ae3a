"""What sibling folders are, by their names taken together: splits of one set, or parts of one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from vitrail.data.file_rules import FILLERS, SPLIT_WORD, SPLIT_WORDS, YEAR, named, split_of
from vitrail.errors import DataError

PART_WORDS = frozenset(
    {"part", "batch", "fold", "kfold", "shard", "chunk", "subset", "image", "images", "img", "imgs", *SPLIT_WORDS}
)
"""What stands before the number of a part: ``images_001``, ``HAM10000_images_part_2``, ``fold3``."""


def splits_in(names: Collection[str]) -> dict[str, str]:
    """Return the split of each of some sibling folders that is one; the others are left out.

    Besides folders that are called as splits on their own (`split_of`), and only where none of these is for training,
    those count that share all their other words: ``asl_alphabet_train`` beside ``asl_alphabet_test``.

    Raises:
        DataError: there are several such groups.
    """
    alone = {name: split for name in names if (split := split_of(name))}
    if "train" in alone.values():
        return alone
    groups: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        if name not in alone and (found := _split_and_rest(name)):
            groups[found[1]][name] = found[0]
    together = [group for group in groups.values() if "train" in group.values() and len(set(group.values())) > 1]
    if len(together) > 1:
        raise DataError(
            f"several folders may be for training ({named(_of_training(together))}); "
            "put the classes into folders 'train', 'val' and 'test', each with a folder for every class"
        )
    return {**alone, **together[0]} if together else alone


def are_parts(names: Sequence[str]) -> bool:
    """Whether folders are called as numbered parts of one set are, and so are no classes."""
    numbered = [_number_left_out(name) for name in names]
    return len(names) > 1 and None not in numbered and len(set(numbered)) == 1


def _of_training(groups: Iterable[dict[str, str]]) -> list[str]:
    return [name for group in groups for name, split in group.items() if split == "train"]


def _words(name: str) -> list[str]:
    """Part a name into words, in lower case: at what is no letter and no digit, and where a capital follows."""
    return [word for word in re.split(r"[-_ .]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()) if word]


def _split_and_rest(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the split that one word of a name stands for, and the other words; None where it is not one word."""
    splits, rest = [], []
    for word in _words(name):
        bare = YEAR.sub("", word)
        letters = bare.rstrip("0123456789")
        match = SPLIT_WORD.fullmatch(letters)
        if match:
            splits.append(SPLIT_WORDS[match[1]])
            rest.append(bare[len(letters) :])
        elif word not in FILLERS:
            rest.append(word)
    return (splits[0], tuple(filter(None, rest))) if len(splits) == 1 else None


def _number_left_out(name: str) -> tuple[str, ...] | None:
    """Return the words of ``images_001`` without the number; None where none stands at the end of such a word."""
    words = _words(name)
    match = re.fullmatch(r"([a-z]*?)(\d+)", words[-1]) if words else None
    before = (*words[:-1], *filter(None, [match[1]])) if match else ()
    return before if before and before[-1] in PART_WORDS else None


__all__ = ["are_parts", "splits_in"]
