"""All curves of one or several models on the same images, measured or taken from what is kept, and put together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail import __version__
from vitrail.errors import ConfigError, nearest
from vitrail.stress.answers import AnswerFile, Unit
from vitrail.stress.chosen import ChosenImages
from vitrail.stress.compare import Difference, differences
from vitrail.stress.figures import ModelFigures, figures_of
from vitrail.stress.measure import Measurement
from vitrail.stress.model import StressedModel
from vitrail.stress.patch import PatchPlan
from vitrail.stress.patch_study import (
    FEWEST,
    Contestant,
    PatchFigures,
    TrainedPatch,
    steps_done,
    trained_patch,
    tried_on,
)
from vitrail.stress.progress import Progress
from vitrail.stress.saliency import Saliency, saliency_of
from vitrail.stress.suite import GROUPS, Suited, curves_of

FORMAT = 1
"""Of the answers; another one is never mixed with them."""
PATCH = "patch"
"""What the adversarial patch is called among the families of curves."""


@dataclass(frozen=True)
class StudyPlan:
    """What is to be measured.

    Attributes:
        groups: families of curves, and `PATCH`.
        quick: fewer points.
        seeds: of random changes.
        batch_size: images in a forward pass.
        saliency: how each model says what matters; see `saliency_of`.
        encoder: what says it for all models alike, in its stead.
        areas: of patches, as shares of the image.
        steps: of a patch's training.
        target: the class that patches are to bring up besides; "" for none.
        patch_grids: as for `Suited`.
    """

    groups: tuple[str, ...]
    quick: bool = False
    seeds: int = 2
    batch_size: int = 50
    saliency: str = "auto"
    encoder: Saliency | None = None
    areas: tuple[float, ...] = ()
    steps: int = 0
    target: str = ""
    patch_grids: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Entrant:
    """A model with the images it is measured on, whose labels are its own numbers of classes."""

    model: StressedModel
    images: ChosenImages


@dataclass(frozen=True)
class Study:
    """What was found.

    Attributes:
        data: what the user called the images.
        split: which of them were measured.
        images: how many.
        images_digest: 32 hexadecimal digits of which images they are, and of their classes.
        classes: how many classes they have.
        damaged: files that could not be read and were left out.
        notes: what must be known, each a sentence.
        models: the figures of each.
        patches: what patches do.
        differences: how much more of its accuracy the first model keeps than each other one.
        settings: the plan, for the record.
    """

    data: str
    split: str
    images: int
    images_digest: str
    classes: int
    damaged: tuple[str, ...]
    notes: tuple[str, ...]
    models: tuple[ModelFigures, ...]
    patches: tuple[PatchFigures, ...]
    differences: tuple[Difference, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A model, what is measured of it, and its answers."""

    measurement: Measurement
    file: AnswerFile


def prepare(entrant: Entrant, plan: StudyPlan, folder: Path) -> Measured:
    """Return what is to be measured of a model, with the answers that are kept of it.

    Families that were measured before and are not asked for now are among it: the page shows all there is.

    Args:
        entrant: the model and its images.
        plan: what is asked.
        folder: where answers are kept.
    """
    saliency = plan.encoder or saliency_of(entrant.model, plan.saliency)
    file, facts = AnswerFile(*_place(entrant, plan, folder)), suited(entrant, plan, saliency)
    everything = Measurement(entrant.model, entrant.images, curves_of(tuple(GROUPS), facts), saliency, plan.batch_size)
    kept = [name for name in GROUPS if name not in plan.groups and everything.part([name]).is_measured(file)]
    return Measured(everything.part([*plan.groups, *kept]), file)


def suited(entrant: Entrant, plan: StudyPlan, saliency: Saliency) -> Suited:
    """Return what decides which curves a model can have."""
    model = entrant.model
    return Suited(
        model.size,
        model.token_grid,
        model.backbone.pools_class_token,
        len(set(entrant.images.labels)) > 1,
        plan.quick,
        plan.seeds,
        saliency.key,
        plan.patch_grids,
    )


def measure_all(measured: Sequence[Measured]) -> None:
    """Measure what the files lack, and say how long the rest may take."""
    todo = sum(unit not in one.file for one in measured for unit in one.measurement.units())
    progress = Progress(todo)
    for one in measured:
        titles = {curve.key: curve.title for curve in one.measurement.curves}

        def done(unit: Unit, name: str = one.measurement.model.name, titles: dict[str, str] = titles) -> None:
            progress.step(f"{name}, {titles.get(unit.curve, 'as they are')}")

        one.measurement.run(one.file, done)


def curve_figures(measured: Sequence[Measured]) -> tuple[ModelFigures, ...]:
    """Return the figures of models that are measured."""
    return tuple(figures_of(one.measurement, one.file) for one in measured)


def curve_differences(measured: Sequence[Measured]) -> tuple[Difference, ...]:
    """Compare the first of the models with each other one."""
    return differences([(one.measurement, one.file) for one in measured])


Patches = tuple[tuple[TrainedPatch, ...], tuple[PatchFigures, ...]]


def trained_patches(entrants: Sequence[Entrant], plan: StudyPlan, folder: Path) -> Patches:
    """Train patches on each model, or take those that are kept, and try each on all models.

    Where patches are not asked for, those of the plan are returned if all of them are kept.

    Raises:
        DataError: there are too few images.
        ConfigError: a model has no such class as the target.
    """
    if PATCH not in plan.groups and any(len(one.images) < FEWEST for one in entrants):
        return (), ()
    contestants = [
        Contestant(one.model, one.images, AnswerFile(*_place(one, plan, folder, "patch-answers")), plan.batch_size)
        for one in entrants
    ]
    targets = tuple(dict.fromkeys(("", plan.target)))
    asked = [(one, area, target) for one in contestants for area in plan.areas for target in targets]
    plans = [(source, target, PatchPlan(area, _number(source, target), plan.steps)) for source, area, target in asked]
    steps = sum(plan.steps - steps_done(source, one, folder) for source, _, one in plans)
    if PATCH not in plan.groups and steps:
        return (), ()
    progress, patches, found = Progress(steps), [], []
    for source, target, one in plans:
        said = f"{source.model.name}, patch of {one.area:.0%}{f' for {target}' if target else ''}"
        patch = trained_patch(source, one, folder, lambda state, said=said: progress.step(said))
        patches.append(TrainedPatch(source.model.name, one.area, target, patch))
        for model in contestants:
            here = PatchPlan(one.area, _number(model, target), plan.steps)
            found.append(tried_on(model, patch, here, source.model.name, target))
    return tuple(patches), tuple(found)


def _number(contestant: Contestant, target: str) -> int | None:
    """Return the number that a class has in a model.

    Raises:
        ConfigError: it has no such class.
    """
    names = contestant.model.predictor.description.class_names
    if not target:
        return None
    if target not in names:
        raise ConfigError(f"--patch-target {target!r} is no class of {contestant.model.name}{nearest(target, names)}")
    return names.index(target)


def _place(entrant: Entrant, plan: StudyPlan, folder: Path, kind: str = "answers") -> tuple[Path, dict[str, Any]]:
    """Return the file of a model's answers, and what they are of: all that could change one of them."""
    images, runtime = entrant.images, entrant.model.predictor.runtime
    about = {
        "format": FORMAT,
        "version": __version__,
        "model": entrant.model.digest,
        "images": images.digest,
        "batch_size": plan.batch_size,
        "device": runtime.device.type,
        "precision": runtime.precision.name,
    }
    digest = hashlib.blake2b(repr(sorted(about.items())).encode(), digest_size=6).hexdigest()
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", entrant.model.name)[:40]
    return folder / f"{kind}-{slug}-{digest}.jsonl", about


__all__ = [
    "PATCH",
    "Entrant",
    "Measured",
    "Study",
    "StudyPlan",
    "curve_differences",
    "curve_figures",
    "measure_all",
    "prepare",
    "trained_patches",
]
