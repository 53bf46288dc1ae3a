"""A run's images: which it learns from, which it holds out, and the same again for every later command.

A new run divides its data here, by its seed where they have no split for validation, and keeps the list in each of its
checkpoints (`vitrail.data.image_list`). A run that goes on divides them as it did when it began, and
`vitrail.runs.measured` answers from the same list for every later command.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vitrail.config import replace
from vitrail.data.changes import check_classes, compare
from vitrail.data.image_list import (
    LEARNED_FROM,
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    ImageList,
    concatenated,
    list_images,
    parts_of,
    read_list,
    root_of,
)
from vitrail.data.sources import Images, Source, with_validation
from vitrail.errors import DataError
from vitrail.runs.run_folder import is_same_run, run_folder
from vitrail.settings import LearningSettings, TrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.registry import task_to_learn
from vitrail.training import distributed
from vitrail.training.checkpoint import is_checkpoint, newest_described, resolve
from vitrail.weights.description import Description, describe
from vitrail.weights.named import find_model

NO_LIST = "The run kept no list of its images"


def run_split(settings: LearningSettings, as_for: TrainSettings | None = None) -> Source:
    """Open the data of a run, divided: anew, or as the run in its folder has divided them when it began.

    Whatever has changed since is said in the source's notes: images that are new are left out of the run.

    Args:
        settings: of the run.
        as_for: of a pretraining the settings of the training that follows on the same data: what that will hold out
            is held out of the pretraining too.

    Raises:
        DataError: the data cannot be used, their classes are others than when the run began, or nothing is left of
            the images it learns from or holds out.
    """
    verb = "train" if isinstance(settings, TrainSettings) else "pretrain"
    folder = run_folder(settings.out, verb, settings.data)
    pool = open_undivided(as_for or settings)
    begun = newest_described(folder)
    if begun is None and is_checkpoint(folder):
        begun = resolve(folder, prefer="last")  # damaged: what reads it says so
    if begun is None or not is_same_run(describe(begun).settings, settings):
        return _with_warnings(divide(pool, settings) if as_for is None else _for_training(pool, as_for), settings)
    pool = pool if as_for is None else _bare(pool)
    known = read_list(begun)
    if known is None:
        check_classes(describe(begun).class_names, pool.class_names, str(folder), settings.data)
        note = f"{NO_LIST} so far: what has changed in them cannot be told. It keeps one from now on."
        source = divide(pool, settings)
        return dataclasses.replace(source, notes=(*source.notes, note))
    return _as_begun(pool, known, str(folder), settings.data)


def open_undivided(settings: LearningSettings) -> Source:
    """Open the data of a run as they are, with the splits they have themselves."""
    return task_to_learn(settings).open(replace(settings, validation_share=0.0))


def divide(pool: Source, settings: LearningSettings) -> Source:
    """Divide data as a new run does: hold images out by the seed, and keep as many labels as are asked for."""
    labels = settings.labels if isinstance(settings, ClassifySettings) else 1.0
    return divide_by(pool, settings.data, settings.run.seed, settings.validation_share, labels)


def with_images(description: Description, source: Source) -> Description:
    """Add to a checkpoint's description what it says of the run's images."""
    return description if source.images is None else replace(description, data=source.images.summary())


def divide_by(pool: Source, data: str, seed: int, share: float, labels: float) -> Source:
    """Divide data by the settings of a run, and list the images."""
    source = with_validation(pool, share, seed)
    whole = source.train
    if labels != 1.0:
        source = source.labelled_subset(int(labels) if labels > 1 else labels, seed)
    parts = parts_of(source)
    if whole is not None and source.train is not None and len(source.train) < len(whole):
        kept = set(map(id, source.train.items))
        rest = [place for place, item in enumerate(whole.items) if id(item) not in kept]
        parts.append((UNUSED, whole.subset(rest)))
    images = listed(parts, data, source.class_names)
    chosen = pool.validation is None and source.validation is not None
    return dataclasses.replace(source, images=dataclasses.replace(images, chosen_by_seed=chosen))


def listed(parts: Sequence[tuple[str, Images]], data: str, class_names: Sequence[str]) -> ImageList:
    """List images; the main process reads them, and the others are told."""
    root = root_of(data)
    images = list_images(parts, root, class_names) if distributed.is_main() else None
    found = distributed.gather(images)[0]
    assert found is not None
    if not all(distributed.gather({split: len(part) for split, part in parts} == found.counts())):
        raise DataError(f"the processes see different images in {data}; give every machine the same files")
    return found


def _for_training(pool: Source, settings: TrainSettings) -> Source:
    """Divide data as a training does, whatever part of the labels it uses, and forget the labels."""
    return _bare(divide(pool, replace(settings, labels=1.0)))


def _bare(source: Source) -> Source:
    """Return data without their labels."""
    parts = {split: dataclasses.replace(part, labels=None) for split, part in parts_of(source)}
    images = source.images and dataclasses.replace(source.images, labels=(0,) * len(source.images), class_names=())
    return dataclasses.replace(source, **parts, images=images, class_names=())


def _with_warnings(source: Source, settings: LearningSettings) -> Source:
    """Say which held-out images are seen in training all the same."""
    images = source.images
    if images is None:
        return source
    notes = [*source.notes]
    learned = images.contents(LEARNED_FROM)
    held = [content for content, split in zip(images.prints, images.splits, strict=True) if split in (VALIDATION, TEST)]
    if copies := sum(content in learned for content in held):
        notes.append(f"{copies:,} of {len(held):,} held-out images are copies of images to train on (vitrail doctor).")
    before = _labels_seen(settings)
    if before is not None and (seen := sum(content in before for content in held)):
        notes.append(
            f"{seen:,} of {len(held):,} held-out images were trained on by the run of {settings.weights}, which had "
            "another split: figures on them will be too good. Take --run.seed and --validation-share as there."
        )
    return dataclasses.replace(source, notes=tuple(notes))


def _labels_seen(settings: LearningSettings) -> set[int] | None:
    """Return the contents of the images that the weights' run has learned from with their labels."""
    if settings.weights is None:
        return None
    path = find_model(settings.weights, accept_license=settings.accept_license).path
    if not is_checkpoint(path):
        return None
    if not describe(path).class_names:
        return None
    images = read_list(resolve(path))
    return None if images is None else images.contents(LEARNED_FROM)


def _as_begun(pool: Source, known: ImageList, run: str, data: str) -> Source:
    """Divide data as a run has divided them when it began."""
    check_classes(known.class_names, pool.class_names, run, data)
    parts = parts_of(pool)
    changes = compare(known, listed(parts, data, pool.class_names))
    divided = {split: part_of(parts, changes.splits, split) for split in (TRAIN, VALIDATION, TEST)}
    for split, what in ((TRAIN, "learned from"), (VALIDATION, "held out")):
        if divided[split] is None and split in known.splits:
            raise DataError(
                f"none of the images that {run} has {what} is in {data} any more ({changes}); give another --out to "
                "train anew, or the data as they were to go on"
            )
    notes = pool.notes
    if changes:
        notes = (*notes, f"The data have changed since the run began: {changes}. What was held out stays held out.")
    return dataclasses.replace(pool, **divided, notes=notes, images=changes.images if changes else known)


def part_of(parts: Sequence[tuple[str, Images]], splits: Sequence[str | None], wanted: str | None) -> Images | None:
    """Return all images that belong to a split, wherever they lie in the data; None where there are none."""
    found = []
    start = 0
    for _, images in parts:
        own = splits[start : start + len(images)]
        start += len(images)
        if places := [place for place, split in enumerate(own) if split == wanted]:
            found.append(images.subset(places))
    return concatenated(*found) if found else None


__all__ = ["divide", "divide_by", "listed", "open_undivided", "part_of", "run_split", "with_images"]
