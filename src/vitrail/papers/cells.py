"""What the cells of a table run: training, or pretraining and what measures the encoder, and with which settings.

The settings that all tables begin with are those of a narrow model that learns from a few thousand small images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vitrail.commands import pretrain, train
from vitrail.commands.evaluate import evaluate
from vitrail.commands.probe import probe
from vitrail.config import Augment, Loader, Optim, Run, Schedule, replace, to_json
from vitrail.papers.grid import Column, Figures, Row, Variant, Work
from vitrail.runs.run_training import Result, run_training
from vitrail.runs.split import run_split
from vitrail.settings import Architecture, PaperSettings, PretrainSettings, TrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.recipes import find_recipe
from vitrail.tasks.registry import find_spec

TOP1, LOSS = Column("top1", "top-1, %"), Column("loss", "loss, nats", scale=1, digits=3)

# 64 tokens of 64 pixels a side; wide enough to learn, narrow enough for one processor core.
NARROW = Architecture(patch_size=8, width=96, depth=4, num_heads=3)
IMAGE_SIZE = 64

# Digits are 8x8 grey images with strokes: smaller patches, and nothing may be mirrored or cropped away.
DIGITS = Architecture(patch_size=4, width=64, depth=4, num_heads=4)
DIGITS_SIZE = 32

FEW_LABELS = 0.1
"""Share of the labels that fine-tuning sees: with all of them every encoder is as good as the next."""

PRETRAIN_EPOCHS, TUNE_EPOCHS, PROBE_EPOCHS = 16, 40, 40


def training(settings: PaperSettings, epochs: float, **changes: Any) -> ClassifySettings:
    """Return the settings of a classifier from scratch at the scale that is asked for.

    Args:
        settings: what the user said; what was not said is chosen for small images.
        epochs: passes over the training images where the user says nothing.
        **changes: fields of `ClassifySettings` that the table itself decides on.
    """
    return replace(_common(ClassifySettings(data=settings.data), settings, epochs), **changes)


def pretraining(settings: PaperSettings, epochs: float, objective: str = "mae", **changes: Any) -> PretrainSettings:
    """Return the settings of a pretraining at the scale that is asked for; arguments as for `training`."""
    return replace(_common(find_spec(objective).settings(data=settings.data), settings, epochs), **changes)


def _common(base: Any, settings: PaperSettings, epochs: float) -> Any:
    epochs = settings.epochs or epochs
    digits = settings.data == "digits"
    narrow = settings.model is None
    strokes = Augment(crop_scale=(0.6, 1.0), flip=0.0)
    return replace(
        base,
        model=settings.model or "vit_ti16",
        epochs=epochs,
        batch_size=64,
        lr=1e-3,
        image_size=settings.image_size or (DIGITS_SIZE if digits else IMAGE_SIZE if narrow else None),
        channels=1 if digits else 3,
        architecture=(DIGITS if digits else NARROW) if narrow else Architecture(),
        augment=strokes if digits else Augment(crop_scale=(0.35, 1.0)),
        loader=Loader(workers=settings.workers),
        optim=Optim(weight_decay=0.05),
        schedule=Schedule(warmup_epochs=min(5.0, epochs / 10)),
        run=Run(evaluate_every=max(1.0, epochs / 10), save_every=max(1.0, epochs / 4), device=settings.device),
    )


def trained(settings: TrainSettings) -> Work:
    """Return a cell that trains a classifier and measures its best checkpoint.

    Its figures are those of `vitrail.evaluate` on images the run never saw: ``top1``, ``mean_class``, ``loss``.
    """
    return lambda seed, folder: _train(settings, seed, folder)


def each_trained(
    variants: Mapping[str, Variant], shared: Callable[[PaperSettings], TrainSettings]
) -> Callable[[PaperSettings], list[Row]]:
    """Return the rows of a table that trains a classifier for each variant.

    Args:
        variants: what each row changes, by its name.
        shared: returns the settings that all rows share, at the scale that is asked for.
    """
    return lambda settings: [Row(name, trained(v.of(shared(settings))), v.paper) for name, v in variants.items()]


def pretrained(settings: PretrainSettings, then: TrainSettings) -> Work:
    """Return a cell that pretrains without labels and then trains a classifier from that.

    Its figures are those of `trained` and, with ``pretrain_`` before them, the best ones of the pretraining.
    """

    def work(seed: int, folder: Path) -> Figures:
        run = replace(settings.run, seed=seed)
        before = replace(settings, out=str(folder / "pretrain"), run=run)
        first = pretrain.learn(before, run_split(before, as_for=replace(then, run=replace(then.run, seed=seed))))
        started = replace(then, weights=str(first.folder))
        figures = {f"pretrain_{name}": value for name, value in first.metrics.items()}
        return figures | dict(_train(started, seed, folder))

    return work


def _train(settings: TrainSettings, seed: int, folder: Path) -> Figures:
    result = train.run(replace(settings, out=str(folder / "train"), run=replace(settings.run, seed=seed)))
    measured = evaluate(str(result.folder), settings.data)
    return {"top1": measured.top1, "mean_class": measured.mean_class, "loss": measured.loss}


def mae_pretraining(settings: PaperSettings, **changes: Any) -> PretrainSettings:
    """Return the pretraining that all rows of MAE's tables vary: the paper's choices, and a decoder to scale."""
    base = pretraining(settings, PRETRAIN_EPOCHS, batch_size=32, target="pixels", decoder_width=32, decoder_depth=2)
    return replace(base, optim=find_recipe(PretrainSettings, "mae_small").optim, **changes)


def fine_tuning(settings: PaperSettings, labels: float = FEW_LABELS, epochs: float = TUNE_EPOCHS) -> ClassifySettings:
    """Return the fine-tuning that follows a pretraining, as `finetune_small` does it."""
    base = training(replace(settings, epochs=None), epochs, labels=labels, batch_size=32)
    return as_recipe(base, find_recipe(TrainSettings, "finetune_small"))


def as_recipe(base: ClassifySettings, recipe: ClassifySettings) -> ClassifySettings:
    """Return settings with the rate, the regularisation and the pooling of a recipe."""
    shape = {"pool": recipe.architecture.pool, "drop_path": recipe.architecture.drop_path}
    return replace(base, lr=recipe.lr, optim=recipe.optim, smoothing=recipe.smoothing, architecture=shape)


def by_recipe(base: ClassifySettings, name: str) -> ClassifySettings:
    """Return settings with the rate, regularisation, pooling and mixing of a recipe; crops are the table's choice."""
    recipe = find_recipe(TrainSettings, name)
    mixing = replace(base.augment, mixup=recipe.augment.mixup, cutmix=recipe.augment.cutmix)
    return replace(as_recipe(base, recipe), augment=mixing)


def probed_and_tuned(settings: PretrainSettings, after: ClassifySettings) -> Work:
    """Return a cell that pretrains, probes and fine-tunes.

    Its figures: ``top1``, ``probe``, ``knn`` on the held-out images, ``minutes`` and ``loss`` of the pretraining.
    """

    def work(seed: int, folder: Path) -> Figures:
        encoder = encoded(settings, seed, folder)
        probed = probe(str(encoder.folder), settings.data, tune_blocks=(), epochs=PROBE_EPOCHS, seed=seed)
        return {
            "top1": fine_tuned(after, seed, encoder.folder, folder / "train")[0],
            "probe": probed.scores[-1].top1,
            "knn": probed.scores[0].top1,
            "minutes": encoder.summary["seconds"] / 60,
            "loss": encoder.metrics["loss"],
        }

    return work


def each_measured(variants: Mapping[str, Variant]) -> Callable[[PaperSettings], list[Row]]:
    """Return the rows of a table that pretrains a MAE with each variant, probes and fine-tunes."""
    return lambda settings: [
        Row(name, probed_and_tuned(v.of(mae_pretraining(settings)), fine_tuning(settings)), v.paper)
        for name, v in variants.items()
    ]


def encoded(settings: PretrainSettings, seed: int, folder: Path) -> Result:
    """Pretrain, or take the same encoder from another row or table that has done so.

    Args:
        settings: of the pretraining; its folder is chosen here.
        seed: of the run.
        folder: of a cell; encoders lie beside the folders of all tables.
    """
    key = hashlib.blake2b(json.dumps(to_json(settings), sort_keys=True).encode(), digest_size=6).hexdigest()
    out = folder.parents[2] / "paper-mae-encoders" / key / f"seed_{seed}"
    settings = replace(settings, out=str(out), run=replace(settings.run, seed=seed))
    after = ClassifySettings(data=settings.data, run=settings.run)
    return run_training(replace(pretrain.prepare(settings, run_split(settings, as_for=after)), draw=None))


def fine_tuned(settings: ClassifySettings, seed: int, weights: Path, out: Path) -> tuple[float, float]:
    """Train a classifier from an encoder; what it returns is that of `learned`."""
    return learned(replace(settings, weights=str(weights), run=replace(settings.run, seed=seed)), out)


def learned(settings: ClassifySettings, out: Path) -> tuple[float, float]:
    """Train a classifier; return its accuracy on the held-out images, and the seconds it took."""
    settings = replace(settings, out=str(out))
    result = train.learn(settings, run_split(settings))
    return evaluate(str(out), settings.data).top1, result.summary["seconds"]
