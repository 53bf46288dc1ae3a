"""What the tables of MAE share: pretrain once, then measure by fine-tuning, by a linear probe and by neighbours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vitrail.commands import pretrain, train
from vitrail.commands.evaluate import evaluate
from vitrail.commands.probe import probe
from vitrail.config import replace, to_json
from vitrail.papers.grid import Column, Figures, Filled, Work
from vitrail.papers.small import pretraining, training
from vitrail.runs.run_training import Result, run_training
from vitrail.runs.split import run_split
from vitrail.settings import PaperSettings, PretrainSettings, TrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.recipes import find_recipe

LABELS = 0.1
"""Share of the labels that fine-tuning sees: with all of them every encoder is as good as the next."""

EPOCHS, TUNING_EPOCHS, PROBE_EPOCHS = 16, 40, 40

FINETUNED = Column("top1", f"fine-tuned with {LABELS:.0%} of the labels, %")
PROBED = Column("probe", "linear probe, %")
NEIGHBOURS = Column("knn", "20 nearest neighbours, %")
MINUTES = Column("minutes", "pretraining, minutes", scale=1, digits=2)

THEIRS_FINETUNED = Column("top1", "fine-tuned, %")
THEIRS_PROBED = Column("probe", "linear probe, %")
SOURCE = "{} (ViT-L/16, ImageNet-1K, 800 epochs of pretraining, all labels)"


def first(settings: PaperSettings, **changes: Any) -> PretrainSettings:
    """Return the pretraining that all rows of all tables vary: the paper's choices, and a decoder to scale."""
    base = pretraining(settings, EPOCHS, batch_size=32, target="pixels", decoder_width=32, decoder_depth=2)
    return replace(base, optim=find_recipe(PretrainSettings, "mae_small").optim, **changes)


def then(settings: PaperSettings, labels: float = LABELS, epochs: float = TUNING_EPOCHS) -> ClassifySettings:
    """Return the fine-tuning that follows, as `finetune_small` does it."""
    base = training(replace(settings, epochs=None), epochs, labels=labels, batch_size=32)
    return as_recipe(base, find_recipe(TrainSettings, "finetune_small"))


def as_recipe(base: ClassifySettings, recipe: ClassifySettings) -> ClassifySettings:
    """Return settings with the rate, the regularisation and the pooling of a recipe."""
    shape = {"pool": recipe.architecture.pool, "drop_path": recipe.architecture.drop_path}
    return replace(base, lr=recipe.lr, optim=recipe.optim, smoothing=recipe.smoothing, architecture=shape)


def cell(settings: PretrainSettings, after: ClassifySettings) -> Work:
    """Return a cell that pretrains, probes and fine-tunes.

    Its figures: ``top1``, ``probe``, ``knn`` on the held-out images, ``minutes`` and ``loss`` of the pretraining.
    """

    def work(seed: int, folder: Path) -> Figures:
        encoder = encoded(settings, seed, folder)
        probed = probe(str(encoder.folder), settings.data, tune_blocks=(), epochs=PROBE_EPOCHS, seed=seed)
        return {
            "top1": tuned(after, seed, encoder.folder, folder / "train"),
            "probe": probed.scores[-1].top1,
            "knn": probed.scores[0].top1,
            "minutes": encoder.summary["seconds"] / 60,
            "loss": encoder.metrics["loss"],
        }

    return work


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


def tuned(settings: ClassifySettings, seed: int, weights: Path, out: Path) -> float:
    """Fine-tune from an encoder; return the accuracy on the held-out images."""
    settings = replace(settings, weights=str(weights), out=str(out), run=replace(settings.run, seed=seed))
    return learned(settings, out)[0]


def learned(settings: ClassifySettings, out: Path) -> tuple[float, float]:
    """Train a classifier; return its accuracy on the held-out images, and the seconds it took."""
    result = train.learn(settings, run_split(settings))
    return evaluate(str(out), settings.data).top1, result.summary["seconds"]


def spread(filled: Filled, figure: str) -> tuple[str, str, float]:
    """Return the best row of a figure, the worst, and how many points lie between."""
    means = {row.name: filled.mean(row.name, figure) for row in filled.table.rows}
    best, worst = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    return best, worst, 100 * (means[best] - means[worst])


def noise(filled: Filled, figure: str) -> float:
    """Return the largest standard deviation of a figure between the seeds of a row, in points."""
    return 100 * max(filled.deviation(row.name, figure) for row in filled.table.rows)


def order_agrees(filled: Filled, figure: str) -> float:
    """Return how well the rows' order is the paper's: Spearman's rank correlation, -1 to 1; 0 where all are equal."""
    rows = [row for row in filled.table.rows if figure in row.paper]
    ours, theirs = (
        _ranks(values)
        for values in ([filled.mean(row.name, figure) for row in rows], [row.paper[figure] for row in rows])
    )
    mean = (len(rows) - 1) / 2
    covariance = sum((a - mean) * (b - mean) for a, b in zip(ours, theirs, strict=True))
    size = (sum((a - mean) ** 2 for a in ours) * sum((b - mean) ** 2 for b in theirs)) ** 0.5
    return covariance / size if size else 0.0


def _ranks(values: list[float]) -> list[float]:
    """Return the rank of each value; equal ones share theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values
    ]


def compare(filled: Filled) -> str:
    """Say for fine-tuning and for the probe which row is best, how far apart they are, and what the paper says."""
    said = []
    for figure, name in (("top1", "Fine-tuned"), ("probe", "The linear probe")):
        best, worst, gap = spread(filled, figure)
        within = f", within the seeds' {noise(filled, figure):.1f}" if gap <= noise(filled, figure) else ""
        said.append(
            f"{name}: best {best}, worst {worst}, {gap:.1f} points apart{within}; rank correlation with the "
            f"paper's order {order_agrees(filled, figure):+.2f}."
        )
    return " ".join(said)
