"""What a training says of itself before it begins, in eight lines: the last one, its time, once steps were timed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vitrail.console import command, quoted
from vitrail.heads.registry import title_of
from vitrail.output import say
from vitrail.settings import LearningSettings, PretrainSettings, peak_lr
from vitrail.tasks.recipes import recipe_name
from vitrail.tasks.registry import names, task_to_learn
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description

WIDTH = 14
"""Letters before what is said of each thing."""


def say_start(plan: Any, batches: Any, runtime: Runtime) -> None:
    """Say what is about to be trained, before the first step.

    Args:
        plan: a `vitrail.runs.run_training.Plan`.
        batches: what is trained on.
        runtime: where.
    """
    lines = [f"{name:<{WIDTH}}{value}" for name, value in start_lines(plan, batches, runtime)]
    for line in (*plan.notes, *lines):
        say(line)


def start_lines(plan: Any, batches: Any, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Give the name of each line and what it says."""
    settings, source = plan.settings, plan.source
    splits = {"train": source.train, "validation": source.validation, "test": source.test}
    counts = (f"{name} {len(images):,}" for name, images in splits.items() if images is not None and len(images))
    yield "images", f"{', '.join(counts)} of {quoted(settings.data)}"
    yield "classes", task_to_learn(settings).learns(settings, plan.description)
    yield "model", _model(plan.task, plan.description)
    yield "weights", _weights(settings)
    yield "recipe", _recipe(settings, batches.steps_per_epoch)
    yield "device", str(runtime)
    goes_on = (plan.folder / "checkpoints" / "last").exists()
    yield "run folder", f"{quoted(plan.folder)}{' (goes on where it was)' if goes_on else ''}"


def _model(task: Any, description: Description) -> str:
    parameters = list(task.parameters())
    total, learning = (sum(p.numel() for p in ps) for ps in (parameters, [p for p in parameters if p.requires_grad]))
    part = "" if learning == total else f", {learning:,} of them learn"
    height, width = description.preprocessing.image_size
    grey = ", grey" if description.preprocessing.channels == 1 else ""
    return f"{title_of(description.model)}, {total:,} parameters{part}, input {height}x{width}{grey}"


SUGGESTED = "vit_small_patch16_224.augreg_in21k_ft_in1k"
"""A name of `vitrail models --pretrained`: 22 million parameters, trained on ImageNet-21k, free for any use."""

# The README's figures of both, on the same photos.
WITHOUT = (
    "from random weights: nothing pretrained was named. It costs: 3,068 photos of clothes lead to 26 % right after 8 "
    "epochs from nothing, to 90 % after 5 from a pretrained DeiT-Ti. To start from one: "
)


def _weights(settings: LearningSettings) -> str:
    if settings.weights is not None:
        return f"from {quoted(settings.weights)}"
    if isinstance(settings, PretrainSettings):
        return "from random weights: nothing pretrained was named (--weights FILE, or a run of vitrail pretrain)"
    spec = task_to_learn(settings).spec
    task = [] if spec.name == names("train")[0] else ["--task", spec.name]
    grey = ["--channels", 1] if settings.channels == 1 else []
    return WITHOUT + command("vitrail", "train", settings.data, *task, "--weights", SUGGESTED, *grey)


def _recipe(settings: LearningSettings, steps_per_epoch: int) -> str:
    if getattr(settings, "fit_head", False):
        return f"{_recipe_name(settings)}: frozen features, the head by cross-validated logistic regression"
    epochs = f"{settings.epochs:g} {'epoch' if settings.epochs == 1 else 'epochs'}"
    steps = f"{steps_per_epoch:,} {'step' if steps_per_epoch == 1 else 'steps'}"
    effort = f"{epochs} of {steps}, batch {settings.batch_size:,}"
    rate = f"rate {peak_lr(settings):g} ({settings.optim.kind}, {settings.schedule.kind})"
    return f"{_recipe_name(settings)}: {effort}, {rate}"


def _recipe_name(settings: LearningSettings) -> str:
    objective, task = getattr(settings, "objective", None), getattr(settings, "task", None)
    return recipe_name(type(settings), settings.recipe, settings.weights, objective, task)


__all__ = ["say_start", "start_lines"]
