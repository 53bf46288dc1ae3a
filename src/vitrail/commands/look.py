"""``vitrail look``: what a model sees, as images and one page of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vitrail.config import check_choices, replace
from vitrail.data.requested import requested_images
from vitrail.data.sources import Images
from vitrail.errors import ConfigError, DataError
from vitrail.live.open import check_live, live_model, open_shown, predicting, samples_of, side_by_side
from vitrail.live.serve import check_installed, listen, serve
from vitrail.live.session import Session
from vitrail.meaning import check_meant
from vitrail.output import say, warn
from vitrail.runs.measured import known_split
from vitrail.runs.metrics_file import read_metrics
from vitrail.runs.next_steps import after_look, say_next
from vitrail.runs.place import check_place
from vitrail.runs.report import write_look
from vitrail.runs.run_folder import output_folder
from vitrail.runs.shown import Shown, held_out_of, named_images
from vitrail.settings import LookSettings
from vitrail.settings.inputs import InputOptions
from vitrail.tasks.find_preprocessing import items_of, settle_preprocessing
from vitrail.tasks.inside import chart_names
from vitrail.tasks.registry import task_of
from vitrail.tasks.task import Task
from vitrail.training.distributed import check_alone
from vitrail.training.runtime import Runtime
from vitrail.visualize.curves import draw_curves
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description
from vitrail.weights.named import find_model
from vitrail.weights.open_any import OpenedModel, open_any


def look(checkpoint: str | Path, images: Any = (), **settings: Any) -> list[Path]:
    """Draw what a model sees.

    Attention maps have one colour scale in every image: multiples of an even share of the attention, from 1x, which
    is transparent, to 16x and more. What else is drawn is all that has a meaning for the model: its filters, positions,
    attention distance, patch tokens and blocks; with ``explain`` also why it gives a class, and whether that is true.

    Args:
        checkpoint: a run folder (of a run, the best checkpoint), a checkpoint, or anybody's weights of a known layout.
        images: images as `vitrail.predict` takes them, one or several; by default some that the run held out.
        **settings: any other field of `vitrail.settings.LookSettings`.

    Returns:
        The files written: PNG images, the numbers of most beside them (``.json`` or ``.npz``), and ``look.html`` with
        all figures and what they show. A run's own
        ``report.html`` is left as it is. Nothing with ``live``, which serves a page until Ctrl-C.

    Raises:
        VitrailError: the checkpoint or an image cannot be used, or an option means nothing to the model.
    """
    named = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in settings.items()}
    if isinstance(named.get("compare"), str):
        named["compare"] = (named["compare"],)
    requested = () if isinstance(images, (tuple, list)) and not images else requested_images(images)
    asked = replace(LookSettings(str(checkpoint), tuple(image.name for image in requested)), **named)
    check_choices(asked)
    check_meant(asked)
    return _look(asked, requested)


def run(settings: LookSettings) -> list[Path]:
    """Look as the settings say, and print what was written; `look` explains."""
    return _look(settings, requested_images(settings.images) if settings.images else ())


def _look(settings: LookSettings, images: Any) -> list[Path]:
    if settings.live:
        _show_live(settings, images)
        return []
    root = find_model(settings.checkpoint, accept_license=settings.accept_license).path
    place = output_folder(settings.checkpoint, "look")
    out = check_place(settings.out, place, settings.images if settings.out else ())
    opened = open_any(settings.checkpoint)
    model, description = opened.model, opened.description
    task = task_of(description)
    task.check_look(model, description, settings)
    device = Runtime.named(settings.device, "fp32").device
    model.to(device)
    shown = named_images(images, settings.count, description) if images else _held_out(description, settings)
    opened = settle_preprocessing(opened, settings, items_of(shown.images), device)
    description = opened.description
    for note in (*opened.sentences, *shown.notes):
        say(note)
    others = [open_any(name, accept_license=settings.accept_license) for name in settings.compare]
    searched = _searched(task, opened, images, settings) if settings.shortcuts else {}
    figures = searched | task.figures(model, description, shown.images, settings, others) | _curves(root)
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = []
        for name, figure in figures.items():
            written.append(out / f"{name}.png")
            figure.image.save(written[-1])
            written += [path for path in (figure.write_data(out / name), figure.write_table(out / name)) if path]
        written.append(write_look(out / "look.html", settings.checkpoint, description, shown.what, figures))
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written ({error.strerror or error}); choose another folder with --out"
        ) from None
    for path in written:
        say(str(path))
    say_next(after_look(settings, description))
    return written


def _show_live(settings: LookSettings, images: Any) -> None:
    """Open models and images, and serve the page on which they are tried, until Ctrl-C."""
    check_alone("look --live")
    check_installed()
    check_live(settings)
    names = chart_names(settings.checkpoint, *settings.compare)
    with listen(settings.host, settings.port) as server:  # before anything that takes long
        named = (settings.checkpoint, *settings.compare)
        opened = [open_shown(name, accept_license=settings.accept_license) for name in named]
        device = Runtime.named(settings.device, "fp32").device
        shown = _to_choose_from(settings, images, opened[0].description)
        items = items_of(shown.images) if shown else ()
        options = (settings, InputOptions())  # what is said of images is said of the first model's
        settled = [settle_preprocessing(one, asked, items, device) for one, asked in zip(opened, options, strict=False)]
        models = [
            live_model(name, one, predicting(one, settings.device)) for name, one in zip(names, settled, strict=True)
        ]
        for note in (*(note for one in settled for note in one.sentences), *(shown.notes if shown else ())):
            say(note)
        samples = samples_of(shown.images if shown else None, models[0].description.class_names)
        serve(Session(side_by_side(models), samples), server, settings.host, settings.browser)


def _to_choose_from(settings: LookSettings, images: Any, description: Description) -> Shown | None:
    """Take the images that the page offers; None where there are none, as one can be dragged in all the same."""
    if images:
        return named_images(images, settings.count, description)
    if not description.settings.get("data"):
        return None
    try:
        return _held_out(description, settings)
    except DataError as error:
        warn(f"no image of the run is offered: {error}")
        return None


def _curves(root: Path) -> dict[str, Figure]:
    rows = read_metrics(root) if (root / "metrics.jsonl").is_file() else []
    return {"curves": Figure(draw_curves(rows, title=root.name), data={"rows": rows})} if rows else {}


def _searched(task: Task, opened: OpenedModel, images: Any, settings: LookSettings) -> dict[str, Figure]:
    pool = _pool(images, opened.description, settings)
    return task.search(opened.model, opened.description, pool, settings)


def _pool(images: Any, description: Description, settings: LookSettings) -> Images:
    """Return all the images that are to be searched: those named, else all that the run held out.

    Raises:
        DataError: there are none.
    """
    if images:
        return named_images(images, len(images), description).images
    known = known_split(settings.checkpoint, description)
    found = known.part("validation", "test") or known.part("train")
    if found is None:
        raise DataError(f"{known.data} has no images any more; name images to search")
    return found


def _held_out(description: Description, settings: LookSettings) -> Shown:
    """Take some images that the run held out, spread over all of them.

    Raises:
        DataError: the run's data cannot be found any more.
    """
    return held_out_of(known_split(settings.checkpoint, description).to_show(), settings.count)
