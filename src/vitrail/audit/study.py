"""The whole audit: from rows of numbers for each image to what it suggests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.audit.advice import ACROSS, advice
from vitrail.audit.background import frame_figures
from vitrail.audit.descriptors import Descriptors
from vitrail.audit.images import AuditedData, sizes_of
from vitrail.audit.label_errors import FOLDS, cross_validated, doubts, rare
from vitrail.audit.near_duplicates import Pair, candidates, groups, verified
from vitrail.audit.outliers import outlier_scores
from vitrail.audit.rows import Rows
from vitrail.audit.suggestions import Suggestion
from vitrail.data.vector_chunks import Chunk, Chunks, begin
from vitrail.output import Progress

IMBALANCED = 4
"""Times that the largest class may have the images of the smallest."""


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of the images that can be read.

    Attributes:
        name: of the encoder.
        vectors: ``(N, D)`` of whole images.
        frames: ``(N, D)`` of their frames, the centre covered.
        digest: of all that decides these.
    """

    name: str
    vectors: np.ndarray
    frames: np.ndarray
    digest: str = ""


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        data: the data set, and which labels it has.
        damaged: images that cannot be read, each with the reason.
        encoder: its name; None where none was given.
        pairs: images that are one, by their numbers in the data's list.
        suggestions: the table, the gravest first.
        rows: what was measured of each image.
        sentences: what could not be looked for and why, and what else must be known.
        classes: how many images there are of each class, by split.
    """

    data: AuditedData
    damaged: tuple[str, ...]
    encoder: str | None
    pairs: tuple[Pair, ...]
    suggestions: tuple[Suggestion, ...]
    rows: Rows
    sentences: tuple[str, ...]
    classes: Mapping[str, Mapping[str, int]]

    @property
    def leaks(self) -> int:
        """How many images are copies of one in another split."""
        return sum(one.what == ACROSS for one in self.suggestions)

    @property
    def wrong(self) -> bool:
        """Whether something has to be mended: copies in two splits, and damaged images. Suspicions are none."""
        return bool(self.leaks or self.damaged)

    def with_sentences(self, first: Sequence[str]) -> Audit:
        """Return the same with sentences put before its own."""
        return replace(self, sentences=(*first, *self.sentences))

    def counts(self) -> dict[str, int]:
        """Return how many suggestions there are of each kind."""
        return dict(Counter(one.what for one in self.suggestions))

    def summary(self) -> dict[str, Any]:
        """Return all but the numbers of each image, as JSON values."""
        names, frame, label = self.data.class_names, self.rows.frame, self.rows.doubts
        return {
            "data": self.data.name,
            "labels": self.data.kind,
            "images": len(self.data.listed.items),
            "damaged": self.damaged,
            "encoder": self.encoder,
            "counts": self.counts(),
            "leaks": self.leaks,
            "cross_validated_accuracy": None if label is None else label.accuracy,
            "frame_mean_class_accuracy": None if frame is None else frame.accuracy,
            "whole_mean_class_accuracy": None if frame is None else frame.whole,
            "frame_and_whole_by_class": {} if frame is None else dict(zip(names, frame.by_class, strict=True)),
            "classes": self.classes,
            "pairs": self.pairs,
            "suggestions": self.suggestions,
            "sentences": self.sentences,
        }


def audit(data: AuditedData, described: Chunk, encoded: Encoded | None, folder: Path | None, digest: str) -> Audit:
    """Look for all that is suspicious.

    Args:
        data: the images.
        described: descriptors of those that can be read, with their numbers.
        encoded: vectors of the same images, in the same order; None where there is no encoder.
        folder: where the second look at near duplicates is kept; it is there. None: nowhere.
        digest: of the images.
    """
    index = described.index
    items = [data.listed.items[number] for number in index.tolist()]
    rows = Rows(index, Descriptors.of(described.values), sizes_of(items), data.labels()[index])
    worth = candidates(rows.descriptors, None if encoded is None else encoded.vectors)
    about = {"images": digest, "candidates": len(worth), "encoder": "" if encoded is None else encoded.digest}
    chunks = Chunks() if folder is None else begin(folder, about)
    pairs = verified(worth, items, chunks, Progress("likely near duplicates").reached)
    group = groups(len(index), ((pair.first, pair.second) for pair in pairs))
    rows, sentences = _judged(rows, encoded, data, group)
    counts = _class_counts(data)
    known = tuple(replace(pair, first=int(index[pair.first]), second=int(index[pair.second])) for pair in pairs)
    missing = np.setdiff1d(np.arange(len(data.listed.items)), index).tolist()
    unread = list(zip(missing, described.damaged, strict=True))
    return Audit(
        data=data,
        damaged=described.damaged,
        encoder=None if encoded is None else encoded.name,
        pairs=known,
        suggestions=tuple(advice(data, unread, known, rows)),
        rows=rows,
        sentences=(*data.listed.notes, *_about_imbalance(counts), *sentences),
        classes=counts,
    )


def _judged(rows: Rows, encoded: Encoded | None, data: AuditedData, group: np.ndarray) -> tuple[Rows, list[str]]:
    """Add what an encoder shows, and say what cannot be judged."""
    if encoded is None:
        return rows, ["Label errors, outliers and backgrounds are looked for with an encoder's vectors alone."]
    rows = replace(rows, outlier=outlier_scores(encoded.vectors, group, Progress("images compared").reached))
    reason = _why_no_label_errors(data, rows.label, group)
    if reason:
        return rows, [reason]
    classes = len(data.class_names)
    folds = Progress("folds of cross-validation")
    whole = cross_validated(
        encoded.vectors, rows.label, classes, group, reached=lambda done, _: folds.reached(done, 2 * FOLDS)
    )
    frame = cross_validated(
        encoded.frames, rows.label, classes, group, reached=lambda done, _: folds.reached(FOLDS + done, 2 * FOLDS)
    )
    judged = replace(rows, doubts=doubts(whole, rows.label), frame=frame_figures(frame, whole, rows.label))
    return judged, _about_unjudged(whole, data)


def _why_no_label_errors(data: AuditedData, labels: np.ndarray, group: np.ndarray) -> str:
    """Say why labels cannot be judged; empty where they can."""
    if data.kind == "unlabelled":
        return "The images have no labels: nothing is said of label errors and backgrounds."
    if data.kind != "classes":
        what = "boxes" if data.kind == "objects" else "pixels"
        return f"Labels are of {what}, not of whole images: label errors and backgrounds are not looked for."
    if len(np.unique(labels)) < 2:
        return "There is one class alone: nothing is said of label errors and backgrounds."
    if rare(labels, group, len(data.class_names)).all():
        none = f"No class has {FOLDS} different images, one for each fold of a cross-validation"
        return f"{none}: nothing is said of label errors and backgrounds."
    return ""


def _about_unjudged(probabilities: np.ndarray, data: AuditedData) -> list[str]:
    """Say how many labels could not be judged, their class being in no other fold."""
    unjudged = int((~np.isfinite(probabilities[:, 0])).sum())
    if not unjudged:
        return []
    return [
        f"{unjudged:,} images are of classes with fewer than {FOLDS} different images: their labels are not judged."
    ]


def _class_counts(data: AuditedData) -> dict[str, dict[str, int]]:
    splits = dict.fromkeys(split or "" for split in data.listed.splits)
    counts = {name: dict.fromkeys(splits, 0) for name in data.class_names}
    for label, split in zip(data.listed.labels, data.listed.splits, strict=True):
        if label is not None:
            counts[label][split or ""] += 1
    return counts


def _about_imbalance(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say where the largest class has more than `IMBALANCED` times the images of the smallest, over all splits."""
    total = {name: sum(of_split.values()) for name, of_split in counts.items()}
    if len(total) < 2 or max(total.values()) <= IMBALANCED * min(total.values()):
        return []
    least, most = min(total, key=total.__getitem__), max(total, key=total.__getitem__)
    return [f"Imbalanced: {total[least]:,} images of {least!r} to {total[most]:,} of {most!r}, all splits together."]


__all__ = ["Audit", "Encoded", "audit"]
