"""What is done when a run ends: figures, report, and the line that says what to run next."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from vitrail.console import figures
from vitrail.data.sources import Source
from vitrail.errors import VitrailError
from vitrail.output import say
from vitrail.runs.metrics_file import read_metrics
from vitrail.runs.next_steps import after_training, say_next
from vitrail.runs.report import report_run
from vitrail.runs.run_training import Result
from vitrail.runs.shown import held_out_of, split_to_show, spread
from vitrail.tasks.registry import task_of
from vitrail.training import distributed
from vitrail.training.interfaces import Draw
from vitrail.visualize.curves import draw_curves
from vitrail.weights.checkpoint import open_checkpoint
from vitrail.weights.description import Description, describe

IMAGES = 6
IMAGES_DURING = 3


def finish_run(result: Result, what: str, source: Source) -> None:
    """Draw a finished run, write its report, and say how good it is and what to run next."""
    if not distributed.is_main():
        return
    say(f"{what} done: {figures(result.metrics.items())}")
    say(f"report: {draw_run(result.folder, source)}")
    say_next(after_training(result.folder, describe(result.folder)))


def drawer(folder: Path, description: Description, source: Source) -> Draw | None:
    """Return what draws a run while it goes on, into ``folder/figures``; None where there are no images to draw."""
    found = split_to_show(source)
    if found is None:
        return None
    _, images = found

    def draw(task: Any, step: int) -> None:
        (folder / "figures").mkdir(exist_ok=True)
        try:
            # On the CPU, as at the end of a run, wherever the model learns.
            model = copy.deepcopy(task.model).cpu()
            drawn = task_of(description).draw(model, description, spread(images, IMAGES_DURING))
        except VitrailError as error:
            say(f"no image of what the model sees: {error}")
            return
        name, figure = next(iter(drawn.items()))
        figure.image.save(folder / "figures" / f"{name}_{step:08d}.png")

    return draw


def draw_run(folder: Path, source: Source) -> Path:
    """Draw curves and what the best checkpoint makes of held-out images into ``folder/figures``; return the report."""
    model, description = open_checkpoint(folder)
    drawn = {"curves": draw_curves(read_metrics(folder), title=folder.name)}
    what = ""
    if split_to_show(source) is not None:
        try:
            shown = held_out_of(source, IMAGES)
            found = task_of(description).draw(model, description, shown.images)
            drawn |= {name: figure.image for name, figure in found.items()}
            what = shown.what
        except VitrailError as error:
            say(f"no images of what the model sees: {error}")
    (folder / "figures").mkdir(exist_ok=True)
    for name, image in drawn.items():
        image.save(folder / "figures" / f"{name}.png")
    return report_run(folder, drawn, what)
