"""``vitrail tour``: the whole line on one set of images, and an honest comparison at its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.commands import dense_tour, pretrain, train
from vitrail.commands.evaluate import Evaluation, evaluate
from vitrail.config import Augment, Run, make, replace, to_json
from vitrail.console import command, figure, percent, points
from vitrail.data.sources import Source, open_source, training_images
from vitrail.meaning import check_meant
from vitrail.output import say, say_table
from vitrail.runs.metrics_file import read_metrics
from vitrail.runs.place import check_place
from vitrail.runs.report import caption
from vitrail.runs.run_folder import default_folder
from vitrail.runs.run_training import Result
from vitrail.runs.shown import OF_SPLIT, split_to_show
from vitrail.runs.split import run_split
from vitrail.settings import Architecture, PretrainSettings, TourSettings, TrainSettings
from vitrail.tasks.recipes import find_recipe, recipe_name
from vitrail.visualize.curves import draw_curves
from vitrail.visualize.report import Table, cell, flattened, write_report

LABELS_PER_CLASS = 10
IMAGES_PRETRAINED = 50_000
IMAGES_TRAINED = 6_000
PRETRAINED, SCRATCH = "from the pretrained encoder", "from scratch"
SAME_RECIPE = "from scratch, with the recipe for fine-tuning"
OWN = ("weights", "out")
"""Settings in which the runs of the tour are meant to differ."""

# Digits are 8x8 grey: enlarged so that a patch is one stroke's width, and nothing is lost by a crop or a flip.
DIGITS = Architecture(patch_size=4, width=128, depth=6, num_heads=4)
DIGITS_CROP = (0.6, 1.0)


@dataclass(frozen=True)
class Tour:
    """What the tour found.

    Attributes:
        pretrained: the run of the masked autoencoder.
        finetuned: figures of the classifier that started from it.
        scratch: figures of the one that started from nothing, trained as long with the same labels by the recipe for
            random weights, which differs from that for fine-tuning.
        same_recipe: figures of the one that started from nothing and was trained by the recipe for fine-tuning.
        report: the page about all of it.
    """

    pretrained: Result
    finetuned: Evaluation
    scratch: Evaluation
    same_recipe: Evaluation
    report: Path


def tour(data: str | Path = "digits", **settings: Any) -> Tour | dense_tour.DenseTour:
    """Pretrain on images, fine-tune with few labels, train the same from scratch, compare and look.

    Args:
        data: images with labels; "digits" are embedded.
        **settings: any other field of `vitrail.settings.TourSettings`.
    """
    asked = make(TourSettings, data=data, **settings)
    check_meant(asked)
    return run(asked)


def run(settings: TourSettings) -> Tour | dense_tour.DenseTour:
    """Take the tour; `tour` explains."""
    if settings.task != "classify":
        return dense_tour.run(settings)
    out = check_place(settings.out, default_folder("tour", settings.data), [settings.data])
    began = time.monotonic()
    source = open_source(settings.data, seed=settings.seed)
    say(f"1. pretrain on {len(training_images(source)):,} images, without their labels")
    labels = settings.labels or LABELS_PER_CLASS * len(source.class_names)
    pretraining = _pretraining(settings, source, out)
    scratch_settings = _training(settings, labels, out / "scratch", None, recipe_for=None)
    pretrained = pretrain.learn(pretraining, run_split(pretraining, as_for=scratch_settings))
    say(f"\n2. fine-tune the pretrained encoder with {_labels(labels)}")
    tuning = str(pretrained.folder)
    plans = {
        PRETRAINED: _training(settings, labels, out / "finetune", tuning, recipe_for=tuning),
        SCRATCH: scratch_settings,
        SAME_RECIPE: _training(settings, labels, out / "scratch-same-recipe", None, recipe_for=tuning),
    }
    runs = {PRETRAINED: train.run(plans[PRETRAINED])}
    say("\n3. train the same model from scratch: same labels, same steps, the recipe for random weights")
    runs[SCRATCH] = train.run(plans[SCRATCH])
    say("\n4. once more from scratch, by the recipe for fine-tuning: only the weights at the start differ")
    runs[SAME_RECIPE] = train.run(plans[SAME_RECIPE])
    say("\n5. evaluate all three on images none of them was trained on")
    figures = {
        name: evaluate(str(result.folder), settings.data, device=settings.device) for name, result in runs.items()
    }
    minutes = (time.monotonic() - began) / 60
    recipes = _differences(plans)
    report = _report(settings, source, out, pretrained, runs, figures, recipes, minutes)
    _conclude(figures, recipes, report, pretrained, settings, minutes)
    return Tour(pretrained, figures[PRETRAINED], figures[SCRATCH], figures[SAME_RECIPE], report)


def _pretraining(settings: TourSettings, source: Source, out: Path) -> PretrainSettings:
    images = len(training_images(source))
    epochs = settings.pretrain_epochs or max(5, round(IMAGES_PRETRAINED / images))
    recipe = find_recipe(PretrainSettings, "auto")
    changes: dict[str, Any] = {"decoder_width": 64} if settings.data == "digits" else {}
    return replace(
        recipe,
        data=settings.data,
        out=str(out / "pretrain"),
        epochs=epochs,
        schedule={"warmup_epochs": epochs / 20},
        run=_run(settings, epochs),
        **_images(settings, recipe.augment),
        **changes,
    )


def _training(
    settings: TourSettings, labels: float, out: Path, weights: str | None, recipe_for: str | None
) -> TrainSettings:
    """Return the settings of a classifier, by the small-data recipe for a start from ``recipe_for``."""
    count = labels if labels > 1 else None
    epochs = settings.train_epochs or (max(5, round(IMAGES_TRAINED / count)) if count else 20)
    recipe = find_recipe(TrainSettings, "auto", recipe_for)
    return replace(
        recipe,
        recipe=recipe_name(TrainSettings, "auto", recipe_for),
        data=settings.data,
        out=str(out),
        weights=weights,
        labels=labels,
        epochs=epochs,
        batch_size=32,
        schedule={"warmup_epochs": epochs / 20},
        run=_run(settings, epochs),
        **_images(settings, recipe.augment),
    )


def _differences(plans: dict[str, TrainSettings]) -> list[tuple[Any, ...]]:
    """Return the settings in which runs differ, each with its value in every run."""
    columns = [dict(flattened(to_json(plan))) for plan in plans.values()]
    names = [name for name in columns[0] if name not in OWN]
    rows = [(name, *(column[name] for column in columns)) for name in names]
    return [row for row in rows if any(value != row[1] for value in row[2:])]


def _images(settings: TourSettings, augment: Augment) -> dict[str, Any]:
    """Return what depends on the kind of images: the model's shape, input size and augmentation."""
    if settings.data != "digits":
        return {"model": "vit_ti16"}
    strokes = replace(augment, crop_scale=DIGITS_CROP, flip=0.0, rand_augment=0)
    return {"model": "vit_ti16", "architecture": DIGITS, "image_size": 32, "channels": 1, "augment": strokes}


def _run(settings: TourSettings, epochs: float) -> Run:
    return Run(seed=settings.seed, device=settings.device, evaluate_every=epochs / 10, save_every=epochs / 5)


def _labels(labels: float) -> str:
    return f"{labels:,.0f} labels" if labels > 1 else f"{percent(labels)} of the labels"


def _report(
    settings: TourSettings,
    source: Source,
    out: Path,
    pretrained: Result,
    runs: dict[str, Result],
    figures: dict[str, Evaluation],
    recipes: list[tuple[Any, ...]],
    minutes: float,
) -> Path:
    """Write one page about all four runs."""
    found = split_to_show(source)
    what = f"Images {OF_SPLIT[found[0]]}." if found else ""
    tested = next(iter(figures.values()))
    images: list[tuple[str, Image.Image | Path]] = [
        (caption("reconstruction", what), pretrained.folder / "figures" / "reconstruction.png"),
        (caption("attention", what), next(iter(runs.values())).folder / "figures" / "attention.png"),
        (
            "From the pretrained encoder and from scratch\nThe same model, labels and number of steps. The recipes of "
            "the first two differ, as the table of recipes below says; the third has the recipe of the first.",
            draw_curves({name: read_metrics(result.folder) for name, result in runs.items()}),
        ),
        ("Pretraining", pretrained.folder / "figures" / "curves.png"),
    ]
    return write_report(
        out / "report.html",
        title=f"A tour of {settings.data}",
        subtitle=f"Pretrain without labels, fine-tune with few, compare with scratch; {minutes:.1f} minutes.",
        facts=[
            *((f"accuracy {name}", percent(found.top1)) for name, found in figures.items()),
            ("held-out images", f"{tested.images:,} ({tested.split})"),
            *((f"pretraining {name.replace('_', ' ')}", figure(name, v)) for name, v in pretrained.metrics.items()),
        ],
        images=images,
        tables=[
            Table(
                f"Accuracy on {tested.images:,} held-out images",
                ("class", "images", *figures),
                [
                    (name, count, *(percent(found.classes[number][2]) for found in figures.values()))
                    for number, (name, count, _) in enumerate(tested.classes)
                ],
            ),
            Table("Recipes: the settings in which the runs differ", ("setting", *runs), recipes),
        ],
        next_steps=_next_steps(settings, pretrained),
    )


def _next_steps(settings: TourSettings, pretrained: Result) -> list[str]:
    own = [] if settings.data != "digits" else ["vitrail tour --data FOLDER  # the same with images of your own"]
    # Digits are grey, and so is the encoder.
    options = ["--channels", 1] if settings.data == "digits" else []
    train_all = command("vitrail", "train", settings.data, "--weights", pretrained.folder, *options)
    look = command("vitrail", "look", pretrained.folder, "--mask-ratio", 0.5, 0.75, 0.9)
    return [*own, f"{train_all}  # fine-tune with all labels", f"{look}  # how much can be hidden"]


def _conclude(
    figures: dict[str, Evaluation],
    recipes: list[tuple[Any, ...]],
    report: Path,
    pretrained: Result,
    settings: TourSettings,
    minutes: float,
) -> None:
    """Say what came out, whichever way it went."""
    tested = next(iter(figures.values()))
    rows = [(name, percent(f.top1), percent(f.mean_class), figure("loss", f.loss)) for name, f in figures.items()]
    say_table(
        f"{tested.images:,} held-out images ({tested.split})",
        ("start", "top-1", "mean over classes", "loss"),
        rows,
    )
    differing = ", ".join(f"{name} {cell(tuned)} and {cell(random)}" for name, tuned, random, _ in recipes)
    say(f"the recipes for fine-tuning and for random weights differ: {differing}")
    for name in (SCRATCH, SAME_RECIPE):
        gap = figures[PRETRAINED].top1 - figures[name].top1
        say(f"{PRETRAINED}: {_compared(gap)} {name}")
    say(f"report: {report} ({minutes:.1f} minutes in all)")
    for step in _next_steps(settings, pretrained):
        say(f"next: {step}")


def _compared(gap: float) -> str:
    return f"{points(abs(gap))} {'better' if gap > 0 else 'worse'} than" if gap else "as good as"
