"""Telling classes apart: what the verbs do for a classifier."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn

from vitrail.config import replace, to_json
from vitrail.console import figure, percent
from vitrail.data.batches import EvalBatches
from vitrail.data.samples import Samples
from vitrail.data.sources import Pictures, Source, open_source
from vitrail.data.transforms import eval_transform, train_transform
from vitrail.errors import ConfigError, DataError
from vitrail.models.partial import Cut
from vitrail.serialize import dumps
from vitrail.settings import EvaluateSettings, PredictSettings, TrainSettings
from vitrail.tasks.classification import Classification
from vitrail.tasks.tuning import TunedBlocks
from vitrail.training.measure import measure, to_device
from vitrail.training.precision import device as pick_device
from vitrail.training.precision import keep_large_buffers, resolve
from vitrail.verbs.carry_out import eval_samples
from vitrail.verbs.kinds import Measure
from vitrail.verbs.predictions import Prediction, best_classes, refuse_meaningless, write_csv, write_predictions
from vitrail.verbs.requested import RequestedImage, model_input
from vitrail.verbs.say import say, say_table
from vitrail.verbs.shown import Shown, inputs_of, spread
from vitrail.verbs.split import choose_split
from vitrail.verbs.start import Start
from vitrail.weights.checkpoint import Description
from vitrail.weights.load import load_weights


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

    def say(self) -> None:
        """Print a table of the classes and a closing line."""
        for path in self.damaged[:5]:
            say(f"left out: {path}")
        say_table("", ("class", "pictures", "right"), [(n, c, percent(r)) for n, c, r in self.classes])
        top5 = "" if self.top5 is None else f", top-5 {percent(self.top5)}"
        say(
            f"{self.split}: {self.pictures:,} pictures, top-1 {percent(self.top1)}{top5}, "
            f"mean over classes {percent(self.mean_class)}, loss {figure('loss', self.loss)}"
        )


class ClassificationKind:
    """The answers of `vitrail.verbs.kinds.Kind` for a classifier."""

    def open(self, settings: TrainSettings) -> Source:
        """Open labelled pictures, or as many of them as are asked for."""
        source = open_source(settings.data, seed=settings.run.seed, validation_share=settings.validation_share)
        if len(source.class_names) < 2:
            raise DataError(f"{settings.data} has {len(source.class_names)} classes; a classifier needs two or more")
        if settings.labels == 1.0:
            return source
        share_or_count = int(settings.labels) if settings.labels > 1 else settings.labels
        return source.labelled_subset(share_or_count, settings.run.seed)

    def describe(self, settings: TrainSettings, start: Start, source: Source) -> Description:
        """Describe the model with a head for the data's classes."""
        model = replace(start.model, options={**start.model.options, "num_classes": len(source.class_names)})
        return Description(model, start.preprocessing, source.class_names, to_json(settings))

    def load(self, model: Any, weights: str) -> str:
        """Load weights; other channels are asked for by saying so, and classes are those of the data."""
        return str(load_weights(model, weights, adapt=("classes", "channels")))

    def task(self, settings: TrainSettings, model: Any, description: Description) -> nn.Module:
        """Return cross-entropy with smoothed and, if asked, mixed labels; of all blocks or of the last ones."""
        if settings.tune_blocks is not None:
            cut = Cut(model, settings.tune_blocks, description.preprocessing.image_size)
            return TunedBlocks(cut, description.preprocessing, settings.smoothing, settings.augment)
        return Classification(model, description.preprocessing, settings.smoothing, settings.augment)

    def samples(self, settings: TrainSettings, pictures: Pictures, description: Description, training: bool) -> Samples:
        """Return pictures with their labels, augmented for training."""
        preprocessing = description.preprocessing
        transform = train_transform(settings.augment, preprocessing) if training else eval_transform(preprocessing)
        seed, views = (settings.run.seed, settings.loader.views) if training else (0, 0)
        return Samples(pictures, transform, seed, preprocessing.channels, cache=settings.loader.cache, views=views)

    def measure(self, pictures: Pictures | None, description: Description) -> Measure:
        """Return what adds up sums and counts; the pictures themselves do not matter."""
        return measure

    def evaluate(self, settings: EvaluateSettings, model: Any, description: Description) -> Evaluation:
        """Score every picture and count."""
        _check_classifier(settings.checkpoint, description)
        split, pictures = _pictures(settings, description)
        device = pick_device(settings.device)
        keep_large_buffers()
        task = Classification(model, description.preprocessing).to(device).eval()
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

    def predict(
        self, settings: PredictSettings, images: Sequence[RequestedImage], model: Any, description: Description
    ) -> Iterator[Prediction]:
        """Name the best classes of each image, in the order of the request; damaged ones say why."""
        _check_classifier(settings.checkpoint, description)
        refuse_meaningless(settings)
        device = pick_device(settings.device)
        model.to(device)
        precision = resolve(settings.precision, device)
        kept: list[Prediction] = []
        for start in range(0, len(images), settings.batch_size):
            batch = images[start : start + settings.batch_size]
            pixels, errors = model_input(batch, description.preprocessing)
            with torch.inference_mode(), precision.autocast():
                shares = model(pixels.to(device)).float().softmax(dim=1).cpu() if len(pixels) else pixels
            answers = iter(best_classes(shares, settings.top, description.class_names))
            for image, error in zip(batch, errors, strict=True):
                answer = Prediction(image.name, error=error.reason) if error else Prediction(image.name, next(answers))
                kept += [answer] if settings.out else []
                yield answer
        if settings.out:
            write_predictions(kept, settings)

    def print(self, settings: PredictSettings, predictions: Iterator[Prediction]) -> None:
        """Print a table, or picture after picture where the format allows."""
        form = "json" if settings.json else settings.format
        if form == "json":
            for prediction in predictions:
                print(dumps(vars(prediction)), flush=True)
        elif form == "csv":
            write_csv(sys.stdout, predictions, settings.top)
        else:
            rows = [(p.file, *_shown(p, settings.top)) for p in predictions]
            width = max(len(row) for row in rows)
            columns = ("picture", *(f"{n}." for n in range(1, width)))
            say_table("", columns, [(*row, *[""] * (width - len(row))) for row in rows])

    def draw(self, model: Any, description: Description, pictures: Pictures, count: int) -> dict[str, Image.Image]:
        """Draw where the model looks."""
        from vitrail.verbs.look import draw

        return draw(model, description, inputs_of(Shown(spread(pictures, count), ""), description))


KIND = ClassificationKind()


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


def _check_classifier(checkpoint: str, description: Description) -> None:
    if not description.is_classifier:
        raise ConfigError(
            f"{checkpoint} is a {description.model.name}, which knows no classes; fine-tune it first: "
            f"vitrail train DATA --weights {checkpoint}"
        )


def _pictures(settings: EvaluateSettings, description: Description) -> tuple[str, Pictures]:
    whole = settings.split == "all"
    # The share the run itself held out, so that the same pictures are held out here.
    share = 0.0 if whole else float(description.settings.get("validation_share", 0.2))
    source = open_source(settings.data, validation_share=share)
    split, found = choose_split(source, settings.split, settings.data)
    return split, with_labels_of(found, source.class_names, description.class_names, settings.data)


def _shown(prediction: Prediction, top: int) -> list[str]:
    if prediction.error:
        return [f"not read: {prediction.error}", *[""] * (top - 1)]
    return [f"{name} {percent(share)}" for name, share in prediction.classes]
