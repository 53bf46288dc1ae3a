"""What images were to a checkpoint's run, whatever became of them since, and which of them are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vitrail.data.changes import seen_as
from vitrail.data.image_list import TEST, TRAIN, UNUSED, VALIDATION, ImageList, parts_of, read_list
from vitrail.data.sources import Images, Source
from vitrail.errors import DataError
from vitrail.paths import user_path
from vitrail.runs.split import NO_LIST, divide_by, listed, part_of
from vitrail.tasks.registry import task_of
from vitrail.tasks.task import Measured
from vitrail.training.checkpoint import is_checkpoint, resolve
from vitrail.weights.description import Description
from vitrail.weights.named import find_model

SHARE = 0.2
"""Share held out by runs that do not say."""

NEW = "new"
"""An image that the run has never seen, and that is in no split of the data's own but that for training."""

HELD_OUT = {TEST, VALIDATION, NEW}


@dataclass(frozen=True)
class KnownSplit:
    """Images, divided by what they were to a checkpoint's run.

    Attributes:
        data: what the user called them.
        pool: the images as they lie, in the splits they have themselves.
        splits: for each image of the pool's splits, one after the other, "train" if the run learned from it; else the
            split of the data's own in which it lies; else what it was to the run: "validation", "test" or "unused";
            "new" where it was nothing.
        is_own: whether the run knew any of them.
        notes: what the user must know of them, each a sentence.
    """

    data: str
    pool: Source
    splits: tuple[str, ...]
    is_own: bool
    notes: tuple[str, ...] = ()

    def part(self, *splits: str) -> Images | None:
        """Return the images of some splits; None where there are none."""
        wanted = [TRAIN if split in splits else None for split in self.splits]
        return part_of(parts_of(self.pool), wanted, TRAIN)

    def count(self, *splits: str) -> int:
        """Return how many images there are of some splits."""
        return sum(split in splits for split in self.splits)

    def to_show(self) -> Source:
        """Return the images as the run's data: what it learned from and what it held out; new ones are left out."""
        parts = {split: self.part(split) for split in (TRAIN, VALIDATION, TEST)}
        return dataclasses.replace(self.pool, **parts)

    def to_probe(self) -> Source:
        """Return the images as data on which the run's encoder is probed: measured is what it did not learn from."""
        has_own = self.pool.validation is not None
        return dataclasses.replace(
            self.pool,
            train=self.part(TRAIN, UNUSED, *([NEW] if has_own else [])),
            validation=self.part(VALIDATION, *([] if has_own else [NEW])),
            test=self.part(TEST),
        )


def known_split(checkpoint: str | Path, description: Description, data: str | None = None) -> KnownSplit:
    """Open images that are to be measured or shown, divided by what they were to a checkpoint's run.

    Args:
        checkpoint: a run folder or a checkpoint.
        description: what it says of itself.
        data: the images; by default those of its run.

    Raises:
        DataError: the images cannot be used, have classes that the model does not know, or it cannot be known which of
            them the run learned from.
    """
    named = data or description.settings.get("data")
    if not named:
        raise DataError(f"{checkpoint} does not say which images it was trained on; name images")
    return divided_as(checkpoint, description, named, task_of(description).reopen(description, str(named)))


def divided_as(checkpoint: str | Path, description: Description, data: str, pool: Source) -> KnownSplit:
    """Divide images that are open already by what they were to a checkpoint's run; `known_split` explains."""
    now = listed(parts_of(pool), data, pool.class_names)
    try:
        known, note = _list_of(checkpoint, description, data, pool, now)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"config.json of {checkpoint} is damaged in what it says of images ({error!r})") from None
    seen = seen_as(known, now)
    is_own = any(seen)
    splits = [own if own != TRAIN and was != TRAIN else was or NEW for was, own in zip(seen, now.splits, strict=True)]
    moved = [name for name, was, own in zip(now.names, seen, now.splits, strict=True) if was == TRAIN != own]
    notes = [note] if note else []
    if moved:
        notes.append(
            f"{len(moved):,} images of the data's own {_of(now, seen)} split are ones the run learned from, such as "
            f"{moved[0]}: they are not measured as held out."
        )
    return KnownSplit(data, pool, tuple(splits), is_own, tuple(notes))


def choose_split(known: KnownSplit, split: str) -> Measured:
    """Return the images that are measured.

    Args:
        known: the images, divided.
        split: train, validation, test, all; or auto: test where there is one, else all that the run did not learn
            from, else everything.

    Raises:
        DataError: there are no such images.
    """
    asked, wanted = split, {split}
    if split == "all":
        wanted = set(known.splits)
    elif split == TRAIN and not known.is_own:
        wanted = {NEW}  # as the data themselves call them
    elif split == "auto":
        split, wanted = _best(known)
    images = known.part(*wanted)
    if images is None:
        there = [
            f"{known.count(name):,} of {name}" for name in (TRAIN, VALIDATION, TEST, UNUSED, NEW) if known.count(name)
        ]
        raise DataError(f"{known.data} has no {asked} images; it has {', '.join(there) or 'none at all'}")
    matched = [known.pool.matched] if known.pool.matched else []
    notes = (*known.notes, *matched, *_said(known, wanted))
    held_out = None if VALIDATION in wanted else known.part(VALIDATION)
    holds = frozenset(split for split in wanted if known.count(split))
    return Measured(known.data, split, images, notes, known.pool.notes, held_out, holds)


def _best(known: KnownSplit) -> tuple[str, Collection[str]]:
    """Return what is measured unless something else is asked for: its name, and the splits it consists of."""
    if known.count(TEST):
        return TEST, {TEST}
    if known.pool.validation is not None and known.count(VALIDATION):
        return VALIDATION, {VALIDATION}
    if not known.is_own:
        return "all", {NEW}
    if not known.count(*HELD_OUT):
        return TRAIN, {TRAIN}
    names = [split for split in (VALIDATION, NEW) if known.count(split)]
    return " and ".join(names), set(names)


def _said(known: KnownSplit, wanted: Collection[str]) -> list[str]:
    """Say what is measured where it is not what the data's own splits or the run's say."""
    learned = known.count(TRAIN)
    if TRAIN in wanted and known.is_own and learned:
        return [f"The run learned from {learned:,} of these images: figures on them say nothing about others."]
    if NEW in wanted and known.is_own:
        held = sum(known.count(split) for split in (VALIDATION, TEST) if split in wanted)
        measured = f"Measured are {held:,} images that the run held out and {known.count(NEW):,} that it has never seen"
        return [f"{measured}; the {learned:,} it learned from are left out." if learned else f"{measured}."]
    return []


def _of(now: ImageList, seen: list[str | None]) -> str:
    return next(own for own, was in zip(now.splits, seen, strict=True) if was == TRAIN != own)


# --- the list of a checkpoint ------------------------------------------------------------------------------


def _list_of(
    checkpoint: str | Path, description: Description, data: str, pool: Source, now: ImageList
) -> tuple[ImageList, str]:
    """Return the list of a checkpoint's images, and a sentence about it or "".

    A checkpoint without the file divides the data again, and believes that only where its digests agree. One of an
    older version has no digests: it believes that where the data are called the same.

    Raises:
        DataError: they are the run's own images, but no longer the same ones.
    """
    nothing, path = ImageList((), (), (), ()), find_model(checkpoint).path
    if not is_checkpoint(path) or not (description.data or description.settings):
        return nothing, ""  # no run of vitrail's wrote it
    known = read_list(resolve(path))
    if known is not None:
        return known, ""
    if not description.data:
        if not _same_place(data, description.settings.get("data")):
            return nothing, f"{NO_LIST}; as it was not trained on {data} by its name, all of them count as new."
        again = _again(description, data, pool)
        return again or nothing, f"{NO_LIST}: what it held out is found again by its seed, as if nothing had changed."
    sketch = {int(content, 16) for content in description.data["sketch"]}
    if sketch.isdisjoint(now.prints):
        return nothing, ""
    again = _again(description, data, pool)
    if again is None or again.summary()["images"] != description.data["images"]:
        raise DataError(
            f"{data} holds images that {checkpoint} was trained on, but not the same as then, and this copy of the "
            "checkpoint lacks the list of them (images.tsv.gz): give the run folder, or the whole checkpoint folder"
        )
    return again, ""


def _again(description: Description, data: str, pool: Source) -> ImageList | None:
    """Divide data by the settings of a run once more; None where they cannot be divided so."""
    known = description.settings
    seed, share = known.get("run", {}).get("seed", 0), known.get("validation_share", SHARE)
    try:
        return divide_by(pool, data, seed, float(share), known.get("labels", 1.0)).images
    except DataError:
        return None


def _same_place(data: str, before: str | None) -> bool:
    """Whether two names mean the same data; where the second leads nowhere any more, the last part of both decides."""
    if before is None or data == before:
        return data == before
    one, other = user_path(data), user_path(before)
    if other.exists():
        return one.resolve() == other.resolve()
    return one.resolve().name == other.name


__all__ = ["KnownSplit", "Measured", "choose_split", "divided_as", "known_split"]
