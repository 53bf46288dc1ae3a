"""Does pretraining help when the time is the same? The same labels, and all the time for training from scratch."""

from __future__ import annotations

from pathlib import Path

from vitrail.config import replace
from vitrail.papers.grid import Column, Figures, Filled, Row, Table, Work
from vitrail.papers.mae import as_recipe, encoded, first, learned
from vitrail.papers.small import training
from vitrail.settings import PaperSettings, PretrainSettings, TrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.recipes import find_recipe

# Share of the labels, and passes over them when fine-tuning.
SHARES = {0.01: 400, 0.1: 200, 1.0: 60}
PRETRAINING_EPOCHS = 120


def table(settings: PaperSettings) -> Table:
    """Pretrain once on all images, and fine-tune with more and more labels; from scratch in the same time."""
    pretraining = first(replace(settings, epochs=settings.epochs or PRETRAINING_EPOCHS))
    rows = []
    for share, epochs in SHARES.items():
        base = training(replace(settings, epochs=None), epochs, labels=share, batch_size=32)
        after, scratch = by_recipe(base, "finetune_small_long"), by_recipe(base, "scratch")
        rows += [
            Row(row_name(share, pretrained=True), _pretrained(pretraining, after)),
            Row(row_name(share, pretrained=False), _as_long(pretraining, after, scratch)),
        ]
    return Table(
        title="MAE: fine-tuning, and training from scratch as long as pretraining and fine-tuning take",
        rows=tuple(rows),
        columns=(
            Column("top1", "top-1, %"),
            Column("seconds", "seconds in all", scale=1, digits=0),
            Column("epochs", "epochs over the labels", scale=1, digits=0),
        ),
        source="it has no such table: its models from scratch get no more time than fine-tuning",
        conclude=conclude,
    )


def row_name(share: float, *, pretrained: bool) -> str:
    """Return the name of a row."""
    return f"{share:.0%} of the labels, {'pretrained' if pretrained else 'from scratch'}".replace("%", " %")


def by_recipe(base: ClassifySettings, name: str) -> ClassifySettings:
    """Return settings with the rate, regularisation, pooling and mixing of a recipe; crops are the table's choice."""
    recipe = find_recipe(TrainSettings, name)
    mixing = replace(base.augment, mixup=recipe.augment.mixup, cutmix=recipe.augment.cutmix)
    return replace(as_recipe(base, recipe), augment=mixing)


def _pretrained(pretraining: PretrainSettings, after: ClassifySettings) -> Work:
    """Pretrain, once for all shares, and fine-tune; every share counts the whole time of the pretraining."""

    def work(seed: int, folder: Path) -> Figures:
        encoder, out = encoded(pretraining, seed, folder), folder / "train"
        run = replace(after.run, seed=seed)
        top1, seconds = learned(replace(after, weights=str(encoder.folder), out=str(out), run=run), out)
        return {"top1": top1, "seconds": encoder.summary["seconds"] + seconds, "epochs": after.epochs}

    return work


def _as_long(pretraining: PretrainSettings, after: ClassifySettings, scratch: ClassifySettings) -> Work:
    """Train from scratch for as many epochs as fit into the time of the pretrained row, which is done before."""

    def work(seed: int, folder: Path) -> Figures:
        beside = folder.parents[1] / folder.parent.name.replace("from_scratch", "pretrained") / folder.name
        whole = _pretrained(pretraining, after)(seed, beside)["seconds"]
        fine = whole - encoded(pretraining, seed, folder).summary["seconds"]
        # A step costs the same from scratch: the same model, batch and images.
        epochs = round(after.epochs * whole / fine)
        run = replace(scratch.run, seed=seed, evaluate_every=epochs / 20, save_every=epochs / 4)
        settings = replace(scratch, epochs=epochs, out=str(folder / "train"), run=run)
        settings = replace(settings, schedule={"warmup_epochs": min(5.0, epochs / 10)})
        top1, seconds = learned(settings, folder / "train")
        return {"top1": top1, "seconds": seconds, "epochs": epochs}

    return work


def conclude(filled: Filled) -> str:
    """Say for each share of the labels what pretraining is worth."""
    said = []
    for share in SHARES:
        names = [row_name(share, pretrained=pretrained) for pretrained in (True, False)]
        gain = 100 * (filled.mean(names[0], "top1") - filled.mean(names[1], "top1"))
        noise = 100 * max(filled.deviation(name, "top1") for name in names)
        said.append(f"{gain:+.1f} with {share:.0%}".replace("%", " %") + f" of the labels (seeds ± {noise:.1f})")
    return f"Points won by pretraining in the same time: {', '.join(said)}."
