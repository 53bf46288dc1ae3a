"""``vitrail plan``: how to train on this machine in the hours there are, from steps that were measured on it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from torch import nn

from vitrail.commands import pretrain, train
from vitrail.config import make, pair, replace, to_json
from vitrail.data.sources import training_images
from vitrail.errors import ConfigError
from vitrail.output import say
from vitrail.runs.run_folder import given_back
from vitrail.runs.run_training import Plan
from vitrail.runs.split import divide, open_undivided
from vitrail.runs.throughput import Throughput, measure_throughput
from vitrail.serialize import dumps
from vitrail.settings import LearningSettings, PlanSettings, PretrainSettings, TrainSettings, peak_lr
from vitrail.tasks.recipes import find_recipe

FEWEST_STEPS = 200
"""Steps an epoch below which a larger batch is not worth having: on few images steps count (docs/papers/mae.md)."""

OVERHEAD = 0.05
"""Share of the time for evaluations, checkpoints and images."""

WARMUP = 0.05
"""Share of the epochs in which the rate rises, as of MAE's 800 (He et al. 2022, table 8)."""

# The largest batch and its rate that are published, and the epochs beyond which nothing is known: MAE (table 8; 1,600
# epochs in table 3), ViT's patch prediction (appendix B.1.2; 1,600 for want of a figure), training from scratch (MAE,
# appendix A.2) and fine-tuning a ViT-B (table 9).
PUBLISHED: dict[str, tuple[int, float, float]] = {
    "mae": (4096, 2.4e-3, 1600),
    "mpp": (4096, 2e-4, 1600),
    "scratch": (4096, 1.6e-3, 300),
    "finetune": (1024, 2e-3, 100),
}


@dataclass(frozen=True)
class Planned:
    """What to do, and what was measured to say so.

    Attributes:
        data: the images to train on, and how many they are.
        images: likewise.
        model: a name from `vitrail models`.
        parameters: those that are trained, decoder and head included.
        image_size: height and width of the input, in pixels.
        batch_size: images a step.
        micro_batch: images a forward pass; smaller than the batch where that is faster, or all that fits.
        lr: peak learning rate.
        epochs: passes over the images.
        warmup_epochs: of those, with a rising rate.
        steps: optimizer steps.
        hours: what it will take.
        throughput: what was measured.
        checkpoint_mib: of one checkpoint.
        disk_mib: of all that are kept.
        notes: what should be known, each a sentence.
        command: what to run.
    """

    data: str
    images: int
    model: str
    parameters: int
    image_size: tuple[int, int]
    batch_size: int
    micro_batch: int
    lr: float
    epochs: float
    warmup_epochs: float
    steps: int
    hours: float
    throughput: Throughput
    checkpoint_mib: float
    disk_mib: float
    notes: tuple[str, ...]
    command: str


def plan(data: str, **settings: Any) -> Planned:
    """Measure this machine, and say how to train on it.

    Args:
        data: the images to train on.
        **settings: any other field of `vitrail.settings.PlanSettings`.

    Raises:
        VitrailError: the data or the settings cannot be used.
    """
    return _plan(make(PlanSettings, data=data, **settings))


def run(settings: PlanSettings) -> None:
    """Plan and print."""
    with contextlib.redirect_stdout(sys.stderr) if settings.json else contextlib.nullcontext():
        planned = _plan(settings)
    if settings.json:
        print(dumps(to_json(planned)))
        return
    for line in sentences(planned):
        say(line)


def sentences(planned: Planned) -> list[str]:
    """Say a plan in sentences, the command last."""
    p, speed = planned, planned.throughput
    passes = math.ceil(p.batch_size / p.micro_batch)
    accumulated = "" if passes == 1 else f", in {passes} forward passes of {p.micro_batch} each (micro_batch)"
    sizes = ", ".join(f"{size}: {rate:,.0f}" for size, rate in speed.by_batch.items())
    return [
        f"{p.images:,} images of {p.image_size[0]}x{p.image_size[1]} for {p.model} ({p.parameters:,} parameters)",
        f"the model learns {speed.model:,.0f} images a second ({speed.device}, {speed.precision}; by batch {sizes})",
        f"the loader brings {speed.loader:,.0f} ({speed.workers} workers): the {speed.bottleneck} is the bottleneck",
        f"batch {p.batch_size}{accumulated}, learning rate {p.lr:g}, {p.warmup_epochs:g} epochs of warm-up",
        f"{p.epochs:g} epochs, {p.steps:,} steps: {p.hours:.2f} hours",
        f"a checkpoint takes {p.checkpoint_mib:,.0f} MiB, the run {p.disk_mib:,.0f} MiB of disk",
        *p.notes,
        f"run: {p.command}",
    ]


def _plan(settings: PlanSettings) -> Planned:
    _check_numbers(settings)
    with tempfile.TemporaryDirectory() as out:
        prepared, base = _prepare(settings, out)
        with given_back(prepared.folder):
            images = len(training_images(prepared.source))
            kind = _kind(settings)
            batch = settings.batch_size or batch_for(images, base.batch_size, PUBLISHED[kind][0])
            throughput = measure_throughput(prepared, min(batch, images), settings.seconds)
    lr = _lr(settings, base, batch)
    wanted = settings.hours * 3600 * (1 - OVERHEAD) * throughput.both / images
    most = PUBLISHED[kind][2]
    epochs = float(max(1, math.floor(min(wanted, most))))
    steps = max(1, images // batch) * epochs
    hours = epochs * images / throughput.both / 3600 / (1 - OVERHEAD)
    changes = {
        "batch_size": batch,
        "lr": lr,
        "epochs": epochs,
        "micro_batch": 0 if throughput.best >= batch else throughput.best,
    }
    changes["warmup_epochs"] = max(1.0, round(epochs * WARMUP))
    checkpoint = checkpoint_bytes(prepared.task, ema=bool(base.optim.ema)) / 2**20
    return Planned(
        data=settings.data,
        images=images,
        model=prepared.description.name,
        parameters=sum(p.numel() for p in prepared.task.parameters() if p.requires_grad),
        image_size=prepared.description.preprocessing.image_size,
        batch_size=batch,
        micro_batch=min(throughput.best, batch),
        lr=lr,
        epochs=epochs,
        warmup_epochs=changes["warmup_epochs"],
        steps=int(steps),
        hours=hours,
        throughput=throughput,
        checkpoint_mib=checkpoint,
        disk_mib=checkpoint * (base.run.keep + 1),
        notes=_notes(settings, wanted, most, throughput, hours),
        command=_command(settings, prepared, changes),
    )


def batch_for(images: int, smallest: int, largest: int) -> int:
    """Return the largest batch, a doubling of ``smallest``, that leaves an epoch `FEWEST_STEPS` steps."""
    batch = smallest
    while batch * 2 <= largest and images // (batch * 2) >= FEWEST_STEPS:
        batch *= 2
    return batch


def lr_between(batch: int, small: tuple[int, float], large: tuple[int, float]) -> float:
    """Return the rate of a batch between two known ones, on the straight line through both in logarithms."""
    (low, low_lr), (high, high_lr) = small, large
    if low == high:
        return low_lr
    share = math.log(batch / low) / math.log(high / low)
    return float(f"{low_lr * (high_lr / low_lr) ** share:.2g}")


def checkpoint_bytes(task: nn.Module, *, ema: bool) -> int:
    """Return the size of a checkpoint: weights twice, AdamW's two moments, and averaged weights if there are any."""
    trained = sum(p.numel() for p in task.parameters() if p.requires_grad)
    everything = sum(t.numel() for t in task.state_dict().values())
    return 4 * (2 * everything + (3 if ema else 2) * trained)


def _check_numbers(settings: PlanSettings) -> None:
    for name in ("hours", "seconds"):
        if not 0.0 < getattr(settings, name) < math.inf:
            raise ConfigError(f"{name} must be a number above 0, not {getattr(settings, name)}")
    if settings.batch_size is not None and settings.batch_size < 1:
        raise ConfigError(f"batch_size must be 1 or more, not {settings.batch_size}")


def _kind(settings: PlanSettings) -> str:
    if settings.objective != "classify":
        return settings.objective
    return "finetune" if settings.weights else "scratch"


def _lr(settings: PlanSettings, base: LearningSettings, batch: int) -> float:
    """Return the recipe's own rate where it says how it grows, else one between the recipe and the published."""
    if base.lr_for_batch or settings.recipe != "auto":
        return peak_lr(replace(base, batch_size=batch))
    largest, lr, _ = PUBLISHED[_kind(settings)]
    return lr_between(batch, (base.batch_size, base.lr), (largest, lr))


def _prepare(settings: PlanSettings, out: str) -> tuple[Plan, LearningSettings]:
    """Build what the command would train, in a folder that is thrown away."""
    run = {"device": settings.device, "precision": settings.precision}
    common: dict[str, Any] = {
        "data": settings.data,
        "weights": settings.weights,
        "accept_license": settings.accept_license,
        "out": out,
        "image_size": settings.image_size,
        "channels": settings.channels,
        "loader": {"workers": settings.workers},
        "run": run,
    }
    own = {name: value for name, value in dataclasses.asdict(settings.architecture).items() if value is not None}
    if settings.objective == "classify":
        base: Any = find_recipe(TrainSettings, settings.recipe, settings.weights)
        asked = replace(base, model=settings.model if settings.model != "auto" else base.model, **common)
        asked = replace(asked, architecture=replace(base.architecture, **own))
        return train.prepare(asked, divide(open_undivided(asked), asked)), base
    base = find_recipe(PretrainSettings, settings.recipe, settings.weights, settings.objective)
    asked = replace(base, model=settings.model if settings.model != "auto" else base.model, **common)
    asked = replace(asked, architecture=replace(base.architecture, **own), objective=settings.objective)
    return pretrain.prepare(asked, divide(open_undivided(asked), asked)), base


def _notes(settings: PlanSettings, wanted: float, most: float, throughput: Throughput, hours: float) -> tuple[str, ...]:
    notes = []
    if wanted > most:
        notes.append(f"{settings.hours:g} hours would do for {wanted:,.0f} epochs; beyond {most:g} nothing is known")
    if wanted < 1:
        notes.append(f"one epoch takes {hours:.1f} hours: take fewer images, a smaller model, or smaller images")
    if throughput.bottleneck == "loader":
        notes.append("a faster loader would help: more --loader.workers, --loader.cache on, or smaller files")
    if throughput.ran_out:
        notes.append(f"a batch of {throughput.ran_out} does not fit into memory")
    return tuple(notes)


def _command(settings: PlanSettings, prepared: Plan, changes: dict[str, Any]) -> str:
    """Write the command line of the plan; what the recipe says already is left out."""
    classify = settings.objective == "classify"
    words = ["vitrail", "train" if classify else "pretrain", settings.data]
    if not classify and settings.objective != "mae":
        words += ["--objective", settings.objective]
    for name in ("recipe", "model", "weights", "channels"):
        value = getattr(settings, name)
        if value is not None and value != getattr(PlanSettings(data=""), name):
            words += [f"--{name}", str(value)]
    words += ["--image-size", *map(str, dict.fromkeys(pair(prepared.description.preprocessing.image_size)))]
    for name, value in dataclasses.asdict(settings.architecture).items():
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--architecture.{name.replace('_', '-')}", *map(str, values)]
    words += ["--batch-size", str(changes["batch_size"]), "--lr", f"{changes['lr']:g}"]
    words += ["--lr-for-batch", "0"] if prepared.settings.lr_for_batch else []
    words += ["--epochs", f"{changes['epochs']:g}", "--schedule.warmup-epochs", f"{changes['warmup_epochs']:g}"]
    if changes["micro_batch"]:
        words += ["--run.micro-batch", str(changes["micro_batch"])]
    for option, value in (("run.device", settings.device), ("run.precision", settings.precision)):
        words += [f"--{option}", value] if value != "auto" else []
    words += ["--loader.workers", str(settings.workers)] if settings.workers >= 0 else []
    return shlex.join(words)


__all__ = ["Planned", "batch_for", "checkpoint_bytes", "lr_between", "plan", "run", "sentences"]
