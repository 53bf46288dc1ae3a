"""What training verbs share: samples, batches, evaluation, the run itself and what is left behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import to_json
from vitrail.data.batches import EvalBatches, Loading, TrainBatches
from vitrail.data.image_list import FILE
from vitrail.data.samples import Samples
from vitrail.data.sources import Images, Source, training_images
from vitrail.errors import ConfigError
from vitrail.layers.attention_cpu import ready
from vitrail.runs.run_folder import given_back
from vitrail.runs.summary import say_start
from vitrail.settings import LearningSettings, peak_lr
from vitrail.training import distributed
from vitrail.training.interfaces import Batch, Batches, Draw, Evaluate
from vitrail.training.loop import Training, fit
from vitrail.training.measure import measure
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description, description_json


@dataclass(frozen=True)
class Result:
    """What a training verb returns.

    Attributes:
        folder: the run folder, which `evaluate`, `predict` and `look` take.
        metrics: of the best evaluation, by name.
        summary: all of ``summary.json``.
    """

    folder: Path
    metrics: dict[str, float]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that is needed to train: the images, the task, and what to say about the model afterwards.

    Attributes:
        samples: makes samples of images, for training or not.
        measure: turns a task and its batches into metrics; by default sums and counts add up.
        balanced: every class is drawn equally often.
        draw: draws what the task makes of images, every ``run.draw_every`` epochs.
        notes: what was found and decided on the way, each a sentence, said once training does start.
    """

    settings: LearningSettings
    source: Source
    folder: Path
    task: nn.Module
    description: Description
    samples: Callable[[Images, bool], Samples]
    measure: Callable[[nn.Module, Iterable[Batch]], dict[str, float]] = measure
    draw: Draw | None = None
    balanced: bool = False
    notes: tuple[str, ...] = ()


def run_training(plan: Plan, batches: Batches | None = None, evaluate: Evaluate | None = None) -> Result:
    """Train what is planned, or go on where it was.

    Args:
        plan: what to train.
        batches: what to train on in place of the plan's training images: their features, say.
        evaluate: with ``batches``, what measures the task; None leaves evaluation out.

    Raises:
        ConfigError: nothing can be learned in so many epochs or at such a rate.
    """
    with given_back(plan.folder):
        return _run_training(plan, batches, evaluate)


def _run_training(plan: Plan, batches: Batches | None, evaluate: Evaluate | None) -> Result:
    settings, run = plan.settings, plan.settings.run
    _check_effort(settings)
    runtime = Runtime.of(run).prepared()
    if batches is None:
        batches, evaluate = train_batches(plan, pin_memory=runtime.pins_memory), evaluator(plan)
    if run.patience and evaluate is None:
        raise ConfigError("run.patience counts evaluations, and nothing is held out to evaluate; leave it at 0")
    say_start(plan, batches, runtime)
    training = Training(
        runtime.compiled(plan.task),
        batches,
        evaluate,
        epochs=settings.epochs,
        lr=peak_lr(settings),
        optim=settings.optim,
        schedule=settings.schedule,
        run=run,
        folder=plan.folder,
        config=description_json(plan.description),
        draw=plan.draw,
        files=_files(plan.source),
        kernel=_kernel(runtime),
        runtime=runtime,
    )
    summary = fit(training)
    return Result(plan.folder, dict(summary.best), to_json(summary))


def _files(source: Source) -> dict[str, bytes]:
    """Return what every checkpoint holds of the run's images; only the main process writes it."""
    return {FILE: source.images.pack()} if source.images is not None and distributed.is_main() else {}


def _kernel(runtime: Runtime) -> str:
    """Return what computes attention, in a few words."""
    if runtime.device.type != "cpu" or runtime.precision.name != "bf16":
        return "torch's own"
    return "one kernel" if ready() else "torch's own"


def _check_effort(settings: LearningSettings) -> None:
    for name in ("epochs", "lr"):
        if not 0.0 < getattr(settings, name) < math.inf:
            raise ConfigError(f"{name} must be a number above 0, not {getattr(settings, name)}")


def train_batches(plan: Plan, pin_memory: bool = False) -> TrainBatches:
    """Return the global batches of a plan's training images, this process's share of them."""
    settings = plan.settings
    return TrainBatches(
        plan.samples(training_images(plan.source), True),
        settings.batch_size,
        settings.run.micro_batch,
        settings.run.seed,
        plan.balanced,
        _loading(plan, pin_memory),
    )


def _loading(plan: Plan, pin_memory: bool = False) -> Loading:
    """Return how this process loads its share of the batches of a plan."""
    workers, timeout = plan.settings.loader.workers, plan.settings.run.timeout
    return Loading(workers, distributed.rank(), distributed.world(), pin_memory, timeout)


def evaluator(plan: Plan) -> Callable[[Any], dict[str, float]] | None:
    """Return what measures the task on the validation images, or None where there are none."""
    images = plan.source.validation
    if images is None or not len(images):
        return None
    batches = EvalBatches(plan.samples(images, False), plan.settings.batch_size, _loading(plan))
    return lambda task: plan.measure(task, batches)
