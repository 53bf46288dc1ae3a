"""``vitrail evaluate``: how good a trained model is on labelled pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch

from vitrail.data.batches import EvalBatches
from vitrail.data.sources import Pictures, Source, open_source
from vitrail.errors import ConfigError, DataError
from vitrail.settings import EvaluateSettings
from vitrail.tasks.classification import Classification
from vitrail.training.measure import to_device
from vitrail.training.precision import device as pick_device
from vitrail.training.precision import keep_large_buffers, resolve
from vitrail.verbs.carry_out import eval_samples
from vitrail.verbs.say import say, say_table
from vitrail.weights.checkpoint import Description, open_checkpoint


@dataclass(frozen=True)
class Evaluation:
    """What a classifier gets right.

    Attributes:
        split: the pictures measured on.
        pictures: how many they are.
        top1: share whose best-scored class is right.
        top5: share whose right class is among the best five; None with five classes or fewer.
        mean_class: mean over the classes of the share that is right, so that small classes count as much.
        loss: mean cross-entropy, in nats.
        classes: for each class its name, its pictures, and the share of them that is right.
        confusion: ``confusion[i][j]`` pictures of class i called class j.
        damaged: files that could not be read and were left out.
    """

    split: str
    pictures: int
    top1: float
    top5: float | None
    mean_class: float
    loss: float
    classes: tuple[tuple[str, int, float], ...]
    confusion: tuple[tuple[int, ...], ...]
    damaged: tuple[str, ...]


def evaluate(checkpoint: str, data: str, **settings: Any) -> Evaluation:
    """Measure a trained classifier on labelled pictures.

    Args:
        checkpoint: a run folder or a checkpoint.
        data: the pictures, as for `vitrail.train`.
        **settings: any other field of `vitrail.settings.EvaluateSettings`.

    Raises:
        VitrailError: the checkpoint or the data cannot be used, or their classes differ.
    """
    return _evaluate(EvaluateSettings(checkpoint=checkpoint, data=data, **settings))


def run(settings: EvaluateSettings) -> None:
    """Evaluate and print."""
    result = _evaluate(settings)
    if settings.json:
        print(json.dumps(vars(result)))
        return
    for path in result.damaged[:5]:
        say(f"left out: {path}")
    say_table("", ("class", "pictures", "right"), [(n, c, f"{r:.3f}") for n, c, r in result.classes])
    top5 = "" if result.top5 is None else f", top-5 {result.top5:.4f}"
    say(
        f"{result.split}: {result.pictures:,} pictures, top-1 {result.top1:.4f}{top5}, "
        f"mean over classes {result.mean_class:.4f}, loss {result.loss:.4f}"
    )


def _evaluate(settings: EvaluateSettings) -> Evaluation:
    model, description = open_checkpoint(settings.checkpoint)
    if not description.is_classifier:
        raise ConfigError(
            f"{settings.checkpoint} is a {description.model.name}, which knows no classes; fine-tune it first: "
            f"vitrail train DATA --weights {settings.checkpoint}"
        )
    split, pictures = _pictures(settings, description)
    device = pick_device(settings.device)
    keep_large_buffers()
    task = Classification(model, description.preprocessing).to(device).eval()  # type: ignore[arg-type]
    precision = resolve(settings.precision, device)
    batches = EvalBatches(eval_samples(pictures, description.preprocessing), settings.batch_size, settings.workers)
    logits, labels = [], []
    for batch in batches:
        with torch.no_grad(), precision.autocast():
            logits.append(task.logits(to_device(batch, device)).cpu())
        labels.append(batch["label"])
    if not logits:
        raise DataError(f"none of the {len(pictures)} pictures of {settings.data} can be read")
    return summarise(split, torch.cat(logits), torch.cat(labels), description.class_names, batches.damaged)


def summarise(
    split: str, logits: torch.Tensor, labels: torch.Tensor, class_names: tuple[str, ...], damaged: list[str]
) -> Evaluation:
    """Make the figures of an evaluation from scores ``(N, K)`` and labels ``(N,)``."""
    count = len(class_names)
    best = logits.argmax(dim=1)
    confusion = torch.zeros(count, count, dtype=torch.int64)
    confusion.index_put_((labels, best), torch.ones_like(labels), accumulate=True)
    sizes = confusion.sum(dim=1)
    right = confusion.diagonal() / sizes.clamp(min=1)
    top5 = (logits.topk(5).indices == labels.unsqueeze(1)).any(dim=1).float().mean().item() if count > 5 else None
    return Evaluation(
        split=split,
        pictures=len(labels),
        top1=(best == labels).float().mean().item(),
        top5=top5,
        mean_class=right[sizes > 0].mean().item(),
        loss=torch.nn.functional.cross_entropy(logits, labels).item(),
        classes=tuple(zip(class_names, sizes.tolist(), right.tolist(), strict=True)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        damaged=tuple(damaged),
    )


def _pictures(settings: EvaluateSettings, description: Description) -> tuple[str, Pictures]:
    whole = settings.split == "all"
    source = open_source(settings.data, validation_share=0.0 if whole else _share(description))
    return _split(source, settings.split, settings.data, description)


def _share(description: Description) -> float:
    """Return the share the run itself held out, so that the same pictures are held out here."""
    return float(description.settings.get("validation_share", 0.2))


def _split(source: Source, split: str, data: str, description: Description) -> tuple[str, Pictures]:
    parts = {"test": source.test, "validation": source.validation, "train": source.train}
    if split == "auto":
        split = next((name for name, part in parts.items() if part is not None and len(part)), "train")
    found = parts["train"] if split == "all" else parts[split]
    if found is None or not len(found):
        there = ", ".join(name for name, part in parts.items() if part is not None and len(part))
        raise DataError(f"{data} has no {split} pictures; it has {there}")
    return split, with_labels_of(found, source.class_names, description.class_names, data)


def with_labels_of(pictures: Pictures, names: tuple[str, ...], wanted: tuple[str, ...], data: str) -> Pictures:
    """Number the labels as a model does, which may know more classes or know them in another order.

    Raises:
        DataError: the pictures have a class that the model was not trained on.
    """
    unknown = [name for name in names if name not in wanted]
    if unknown or pictures.labels is None:
        raise DataError(
            f"{data} has classes the model was not trained on: {', '.join(unknown[:5]) or 'none at all'}; "
            f"it knows {', '.join(wanted[:8])}{', ...' if len(wanted) > 8 else ''}"
        )
    numbers = [wanted.index(name) for name in names]
    return Pictures(pictures.items, tuple(numbers[label] for label in pictures.labels), pictures.names)
