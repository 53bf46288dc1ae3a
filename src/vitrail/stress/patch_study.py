"""Adversarial patches of several areas, trained on each model and tried on all of them, beside random ones."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitrail.errors import DataError
from vitrail.serialize import write_whole
from vitrail.stress.answers import AnswerFile, Unit
from vitrail.stress.chosen import ChosenImages
from vitrail.stress.curves import Curve
from vitrail.stress.image import StressImage
from vitrail.stress.measure import CLEAN, Variant, answers_to
from vitrail.stress.model import StressedModel
from vitrail.stress.patch import (
    PatchPlan,
    PatchState,
    fitted,
    learned,
    pasted,
    random_patch,
    train_patch,
)
from vitrail.stress.randomness import rank_of
from vitrail.trust.intervals import accuracy_interval

LEARNED_FROM = 0.8
"""Share of the images that patches learn from, at most `MOST`; they are measured on the others."""
MOST = 200
FEWEST = 2
"""Images that there have to be: one to learn from, and one to measure."""
SAVED_EVERY = 10
"""Steps between two times that a patch under way is kept."""
PLACES = 2
"""Places at which a patch is tried on each image."""


@dataclass(frozen=True)
class PatchFigures:
    """What one patch does to one model.

    Attributes:
        trained_on: the model that the patch was trained on.
        model: the model it was tried on.
        area: share of the image.
        target: the class it was to bring up; "" for any other than the right one.
        clean, random, adversarial: accuracy without a patch, with a random one of its size and with it, each with its
            95 % interval over images and places.
        hit: share of the images of other classes that are named as the target; None without one.
        images: measured on.
        learned_from: images that the patch was trained on.
    """

    trained_on: str
    model: str
    area: float
    target: str
    clean: tuple[float, float, float]
    random: tuple[float, float, float]
    adversarial: tuple[float, float, float]
    hit: tuple[float, float, float] | None
    images: int
    learned_from: int


@dataclass(frozen=True)
class TrainedPatch:
    """A patch and what it was trained for.

    Attributes:
        trained_on: the model.
        area: share of the image.
        target: the class that it is to bring up; "" for none.
        pixels: uint8 ``(C, s, s)``.
    """

    trained_on: str
    area: float
    target: str
    pixels: np.ndarray

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{100 * self.area:g} %{f', for {self.target}' if self.target else ''}"


@dataclass(frozen=True)
class Contestant:
    """A model with its images and what it answered to them.

    Attributes:
        model: the model.
        images: the images.
        file: its answers to patches.
        batch_size: images in a forward pass.
    """

    model: StressedModel
    images: ChosenImages
    file: AnswerFile
    batch_size: int


def divided(images: ChosenImages) -> tuple[list[int], list[int]]:
    """Return the numbers of the images that patches learn from, and of those they are measured on.

    Raises:
        DataError: there are too few.
    """
    count = len(images)
    if count < FEWEST:
        raise DataError(f"an adversarial patch learns from some images and is measured on others; {count} is too few")
    order = sorted(range(count), key=lambda number: (rank_of(images.identities[number], "patch split"), number))
    learning = min(MOST, max(1, int(LEARNED_FROM * count)))
    return sorted(order[:learning]), sorted(order[learning:])


def trained_patch(
    contestant: Contestant, plan: PatchPlan, folder: Path, say: Callable[[PatchState], None]
) -> np.ndarray:
    """Return the patch of a plan, uint8 ``(C, s, s)``: the one in the folder, or a new one that is kept."""
    path = _path(contestant, plan, folder)
    state = _read(path)

    def keep(state: PatchState) -> None:
        if state.step % SAVED_EVERY == 0 or state.step == plan.steps:
            _write(path, state)
        say(state)

    if state is None or state.step < plan.steps:
        numbers, _ = divided(contestant.images)
        state = train_patch(contestant.model, contestant.images.read(numbers), plan, state, keep)
    return learned(state)


def steps_done(contestant: Contestant, plan: PatchPlan, folder: Path) -> int:
    """Return how far the patch of a plan has come that is kept in the folder."""
    state = _read(_path(contestant, plan, folder))
    return state.step if state else 0


def tried_on(contestant: Contestant, patch: np.ndarray, plan: PatchPlan, name: str, target: str) -> PatchFigures:
    """Measure what a patch does to a model.

    Args:
        contestant: the model.
        patch: uint8 ``(C, s, s)``; brought to the side that is the same area here.
        plan: what it learned.
        name: the model that it was trained on.
        target: the name of the class that it is to bring up; "" for none.
    """
    learning, numbers = divided(contestant.images)
    images = contestant.images.read(numbers)
    side = plan.side(contestant.model.size)
    noise = random_patch(side, contestant.model.channels, plan.seed)
    labels = np.array([image.label for image in images])
    clean = _right(contestant, images, None, labels)
    random = _right(contestant, images, noise, labels)
    predicted = _predicted(contestant, images, fitted(patch, side))
    others = labels != plan.target
    hit = accuracy_interval(predicted[:, others] == plan.target) if plan.target is not None and others.any() else None
    return PatchFigures(
        name,
        contestant.model.name,
        plan.area,
        target,
        accuracy_interval(clean),
        accuracy_interval(random),
        accuracy_interval(predicted == labels),
        hit,
        len(images),
        len(learning),
    )


def _right(
    contestant: Contestant, images: Sequence[StressImage], patch: np.ndarray | None, labels: np.ndarray
) -> np.ndarray:
    return _predicted(contestant, images, patch) == labels


def _predicted(contestant: Contestant, images: Sequence[StressImage], patch: np.ndarray | None) -> np.ndarray:
    """Return what is said of images with a patch at each of its places, ``(S, N)``; asked only once of any patch."""
    name = CLEAN if patch is None else f"patch {hashlib.blake2b(patch.tobytes(), digest_size=8).hexdigest()}"
    rows = []
    for seed in range(1 if patch is None else PLACES):
        unit = Unit(name, 0.0, seed, 0)
        if unit not in contestant.file:
            variant = None if patch is None else Variant(_curve_of(patch, seed), 1.0, seed)
            answers = answers_to(contestant.model, images, variant, contestant.batch_size)
            contestant.file.add(unit, answers)
        rows.append(contestant.file[unit].predicted)
    return np.stack(rows)


def _curve_of(patch: np.ndarray, seed: int) -> Curve:
    return Curve(
        "patch",
        "patch",
        "adversarial patch",
        "there or not",
        (0.0, 1.0),
        0.0,
        change=lambda image, level, random: pasted(image, patch, seed),
    )


def _path(contestant: Contestant, plan: PatchPlan, folder: Path) -> Path:
    """Return where a patch is kept: under a name of all that decides what it becomes."""
    numbers, _ = divided(contestant.images)
    learning = [contestant.images.identities[number] for number in numbers]
    runtime = contestant.model.predictor.runtime
    about = repr((contestant.model.digest, learning, plan, runtime.device.type, runtime.precision.name))
    return folder / f"patch-{hashlib.blake2b(about.encode(), digest_size=8).hexdigest()}.npz"


def _read(path: Path) -> PatchState | None:
    """Return what is kept of a patch; None where there is nothing that can be used."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            return PatchState(kept["values"], kept["momentum"], int(kept["step"]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it to train the patch anew") from None


def _write(path: Path, state: PatchState) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, values=state.values, momentum=state.momentum, step=np.array(state.step))
    write_whole(path, buffer.getvalue())


__all__ = ["Contestant", "PatchFigures", "TrainedPatch", "divided", "steps_done", "trained_patch", "tried_on"]
