"""``vitrail tour --task``: outline things in drawn scenes with a small Swin and a small ViT, and look at the result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.commands import train
from vitrail.commands.evaluate import evaluate
from vitrail.config import Run, replace
from vitrail.console import command, figure, is_share
from vitrail.data.scenes import is_scenes
from vitrail.output import say, say_table
from vitrail.runs.metrics_file import read_metrics
from vitrail.runs.place import check_place
from vitrail.runs.report import caption
from vitrail.runs.run_folder import default_folder
from vitrail.runs.run_training import Result
from vitrail.runs.shown import OF_SPLIT
from vitrail.settings import Architecture, TourSettings, TrainSettings
from vitrail.tasks.recipes import find_recipe
from vitrail.visualize.curves import draw_curves
from vitrail.visualize.report import Table, write_report

# So narrow that two cores train each in minutes; shapes are some 25 pixels wide.
BACKBONES = {
    "a small Swin": ("swin_t", Architecture(embed_width=32, depths=(2, 2, 2, 2), window=8, drop_path=0.0)),
    "a small ViT": ("vit_ti16", Architecture(patch_size=8, width=128, depth=6, num_heads=4, drop_path=0.0)),
}
# Outlines are as fine as patches are small.
FINE_PATCH = 4
EPOCHS = {"segment": 7.0, "detect": 3.0}
"""Passes over the 2,000 training scenes."""

SCENES, SIDE = "scenes:64", 64
"""What is drawn, and the side of the scenes in pixels."""

# Shapes of 15 to 30 pixels in scenes of 64 are found by anchors from 16 pixels on, among few regions.
SMALL_REGIONS = {"width": 64, "hidden": 128, "anchor_size": 4.0, "proposals": 60, "regions": 16, "samples": 1}
CHANGES: dict[str, dict[str, Any]] = {
    "segment": {"lr": 1.5e-3, "batch_size": 8, "dense": {"jitter": "none"}},
    "detect": {"lr": 1.5e-3, "batch_size": 8, "dense": {"jitter": "none", **SMALL_REGIONS}},
}
"""What differs from the small-data recipe of each task."""


@dataclass(frozen=True)
class DenseTour:
    """What the tour found.

    Attributes:
        runs: of each backbone.
        figures: of each backbone, on scenes that none has seen.
        report: the page about all of it.
    """

    runs: dict[str, Result]
    figures: dict[str, Any]
    report: Path


def run(settings: TourSettings) -> DenseTour:
    """Take the tour of a dense task; `vitrail.tour` explains."""
    began = time.monotonic()
    data = SCENES if settings.data in ("digits", "scenes") else settings.data
    out = check_place(settings.out, default_folder(f"tour-{settings.task}", data), [data])
    runs, figures = {}, {}
    for number, name in enumerate(BACKBONES, start=1):
        say(f"{number}. train {name}" if number == 1 else f"\n{number}. train {name}")
        runs[name] = train.run(_training(settings, data, name, out / name.replace(" ", "-")))
        figures[name] = evaluate(str(runs[name].folder), data, device=settings.device)
    minutes = (time.monotonic() - began) / 60
    report = _report(settings, data, out, runs, figures, minutes)
    say()
    rows = _rows(figures)
    say_table(_measured_on(figures), ("figure", *figures), rows)
    say(f"report: {report} ({minutes:.1f} minutes in all)")
    say(f"next: {command('vitrail', 'look', runs[next(iter(runs))].folder)}  # what it makes of more scenes")
    return DenseTour(runs, figures, report)


def _training(settings: TourSettings, data: str, name: str, out: Path) -> TrainSettings:
    """Return the settings of one backbone: the small-data recipe on whole scenes."""
    recipe = find_recipe(TrainSettings, "auto", task=settings.task)
    model, architecture = BACKBONES[name]
    if settings.task == "segment" and architecture.patch_size:
        architecture = replace(architecture, patch_size=FINE_PATCH)
    epochs = settings.train_epochs or EPOCHS[settings.task]
    scenes: dict[str, Any] = {"image_size": SIDE} if is_scenes(data) else {}
    return replace(
        recipe,
        data=data,
        out=str(out),
        model=model,
        architecture=architecture,
        epochs=epochs,
        augment={"color_jitter": 0.0},
        optim={"layer_decay": 1.0},
        schedule={"warmup_epochs": epochs / 10},
        run=Run(seed=settings.seed, device=settings.device, evaluate_every=epochs / 3, save_every=epochs / 3),
        **CHANGES[settings.task],
        **scenes,
    )


def _rows(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Set the single figures of all backbones side by side."""
    columns = [_single_figures(found) for found in figures.values()]
    return [(name, *(figure(name.replace(" ", "_"), column.get(name)) for column in columns)) for name in columns[0]]


def _single_figures(found: Any) -> dict[str, float]:
    """Return an evaluation's figures by name; those of boxes and of masks stand in dicts of their own."""
    figures: dict[str, float] = {}
    for name, value in vars(found).items():
        parts = value if isinstance(value, dict) else {"": value}
        for part, number in parts.items():
            whole = f"{name}_{part}".strip("_")
            if isinstance(number, float) and (is_share(whole) or whole == "loss"):
                figures[whole.replace("_", " ")] = number
    return figures


def _report(
    settings: TourSettings, data: str, out: Path, runs: dict[str, Result], figures: dict[str, Any], minutes: float
) -> Path:
    """Write one page about all runs."""
    images: list[tuple[str, Image.Image | Path]] = [
        (f"{name.capitalize()}: {_caption(path.stem, result)}", path)
        for name, result in runs.items()
        for path in sorted((result.folder / "figures").glob("*.png"))
        if path.stem not in ("curves", "maps")
    ]
    images.append(("Curves", draw_curves({name: read_metrics(result.folder) for name, result in runs.items()})))
    rows = _rows(figures)
    return write_report(
        out / "report.html",
        title=f"A tour of {data}",
        subtitle=f"Two small backbones learn to {settings.task}; {minutes:.1f} minutes.",
        facts=[(f"{rows[0][0]} of {name}", value) for name, value in zip(figures, rows[0][1:], strict=True)],
        images=images,
        tables=[Table(_measured_on(figures), ("figure", *figures), rows)],
        next_steps=[
            f"{command('vitrail', 'look', result.folder)}  # what it makes of more images" for result in runs.values()
        ],
    )


def _caption(stem: str, result: Result) -> str:
    """Return a figure's caption; a run that was evaluated has drawn images of its validation split."""
    text = caption(stem, f"Images {OF_SPLIT['validation']}." if result.metrics else "")
    return text[:1].lower() + text[1:]


def _measured_on(figures: dict[str, Any]) -> str:
    found = next(iter(figures.values()))
    return f"{found.images:,} held-out images ({found.split})"
