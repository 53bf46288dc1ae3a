"""From what was measured to what is suggested: which of several copies stays, and who should look at what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vitrail.audit.background import SURE
from vitrail.audit.image_statistics import oddities
from vitrail.audit.images import AuditedData
from vitrail.audit.near_duplicates import Pair, groups
from vitrail.audit.outliers import is_far
from vitrail.audit.rows import Rows
from vitrail.audit.suggestions import Suggestion

DAMAGED = "damaged"
ACROSS, TWO_CLASSES, WITHIN = "near duplicate in two splits", "near duplicate in two classes", "near duplicate"
LABEL, OUTLIER, BACKGROUND = "label", "outlier", "background"

KEPT_FIRST = ("test", "validation", "train")
"""Of copies in several splits those in the first of these stay: figures measured before stay comparable."""


def advice(data: AuditedData, unread: Sequence[tuple[int, str]], pairs: Sequence[Pair], rows: Rows) -> list[Suggestion]:
    """List all suggestions, the gravest kind first, and within a kind the surest.

    Args:
        data: the images.
        unread: numbers of those that cannot be read, with the reason.
        pairs: images that are one, by their numbers in the data's list.
        rows: what was measured of each image that can be read.
    """
    return [
        *(_one(data, number, DAMAGED, f"replace or leave out: {why}", leave_out=True) for number, why in unread),
        *_of_pairs(data, pairs),
        *_of_labels(data, rows),
        *_of_outliers(data, rows),
        *_of_frames(data, rows),
        *(
            _one(data, int(rows.number[odd.number]), odd.what, f"look at it, {odd.what}: {odd.said}", score=odd.score)
            for odd in oddities(rows.descriptors, rows.sizes)
        ),
    ]


def _one(data: AuditedData, number: int, what: str, suggestion: str, **more: Any) -> Suggestion:
    listed = data.listed
    split, label = listed.splits[number] or "", listed.labels[number] or ""
    return Suggestion(number, data.called(number), split, label, what, suggestion, **more)


def _of_pairs(data: AuditedData, pairs: Sequence[Pair]) -> Iterator[Suggestion]:
    """Of images that are one: those that another split holds too, then those of two classes, then the others.

    Each image is named once for each of these, with the copy that it agrees with most.
    """
    group = groups(len(data.listed.items), ((pair.first, pair.second) for pair in pairs))
    stays = _split_that_stays(data, group, pairs)
    found: dict[tuple[str, int], Suggestion] = {}
    for pair in pairs:
        what, number, one = _of_pair(data, pair)
        found.setdefault((what, number), one)
    for number, split in stays.items():  # copies of copies that are in another split
        if (ACROSS, number) not in found and data.listed.splits[number] != split:
            said = f"leave out of {data.listed.splits[number]}: a copy of a copy is in {split}"
            found[ACROSS, number] = _one(data, number, ACROSS, said, leave_out=True)
    for what in (ACROSS, TWO_CLASSES, WITHIN):
        yield from (one for (kind, _), one in found.items() if kind == what)


def _of_pair(data: AuditedData, pair: Pair) -> tuple[str, int, Suggestion]:
    """Return what two images that are one are to each other, which of both is named for it, and the suggestion."""
    stays, number = _by_split(data, pair)
    copy = {"other": data.called(stays), "other_number": stays, "score": pair.agreement}
    kind = "mirrored copy" if pair.mirrored else "copy"
    own, other = data.listed.splits[number], data.listed.splits[stays]
    if own != other:
        said = f"leave out of {own}: a {kind} is in {other}"
        return ACROSS, number, _one(data, number, ACROSS, said, leave_out=True, **copy)
    label = data.listed.labels[stays]
    if data.listed.labels[number] != label:
        return (
            TWO_CLASSES,
            number,
            _one(data, number, TWO_CLASSES, f"decide on one class: a {kind} is of {label}", **copy),
        )
    return WITHIN, number, _one(data, number, WITHIN, f"keep one of both: a {kind}", **copy)


def _by_split(data: AuditedData, pair: Pair) -> tuple[int, int]:
    """Return the one of two images that stays, by its split and then by its place, and the other."""
    first, second = sorted((pair.first, pair.second), key=lambda number: (_rank(data.listed.splits[number]), number))
    return first, second


def _rank(split: str | None) -> int:
    return KEPT_FIRST.index(split) if split in KEPT_FIRST else len(KEPT_FIRST)


def _split_that_stays(data: AuditedData, group: np.ndarray, pairs: Sequence[Pair]) -> dict[int, str | None]:
    """Return for each image with copies the split in which they stay: the first of `KEPT_FIRST` that has one."""
    members = sorted({number for pair in pairs for number in (pair.first, pair.second)})
    best: dict[int, str | None] = {}
    for number in members:
        split, root = data.listed.splits[number], int(group[number])
        if root not in best or _rank(split) < _rank(best[root]):
            best[root] = split
    return {number: best[int(group[number])] for number in members}


def _of_labels(data: AuditedData, rows: Rows) -> Iterator[Suggestion]:
    """Images that are predicted with confidence to be of another class, those of the least probable label first."""
    if rows.doubts is None:
        return
    for row in _ordered(np.flatnonzero(rows.doubts.suggested >= 0), rows.doubts.confidence):
        name = data.class_names[int(rows.doubts.suggested[row])]
        own = float(rows.doubts.confidence[row])
        yield _one(data, int(rows.number[row]), LABEL, f"check the label: {name} is likelier", other=name, score=own)


def _of_outliers(data: AuditedData, rows: Rows) -> Iterator[Suggestion]:
    """Images that are far from all others, the farthest first."""
    if rows.outlier is None:
        return
    for row in _ordered(np.flatnonzero(is_far(rows.outlier)), -rows.outlier):
        said = "look whether it belongs here"
        yield _one(data, int(rows.number[row]), OUTLIER, said, score=float(rows.outlier[row]))


def _of_frames(data: AuditedData, rows: Rows) -> Iterator[Suggestion]:
    """Images whose frame alone gives their class, the surest first."""
    if rows.frame is None:
        return
    own = np.nan_to_num(rows.frame.own, nan=-1.0)
    for row in _ordered(np.flatnonzero(own >= SURE), -own):
        said = "look at the background: the frame alone gives the class"
        yield _one(data, int(rows.number[row]), BACKGROUND, said, score=float(own[row]))


def _ordered(places: np.ndarray, key: np.ndarray) -> list[int]:
    return places[np.argsort(key[places], kind="stable")].tolist()


__all__ = ["ACROSS", "BACKGROUND", "DAMAGED", "LABEL", "OUTLIER", "TWO_CLASSES", "WITHIN", "advice"]
