"""``vitrail stress``: how much of its accuracy a classifier keeps when images are changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitrail.arguments import option_named
from vitrail.config import make, replace, to_json
from vitrail.console import command, percent
from vitrail.data.normalise import Normalise
from vitrail.data.sources import Images
from vitrail.errors import ConfigError, DataError
from vitrail.meaning import check_meant
from vitrail.output import say, say_table
from vitrail.paths import user_path
from vitrail.runs.measured import choose_split, known_split
from vitrail.runs.next_steps import say_next
from vitrail.runs.place import check_place, kept_in
from vitrail.runs.run_folder import output_folder
from vitrail.serialize import dumps, write_json
from vitrail.settings import StressSettings
from vitrail.stress.chosen import choose_images
from vitrail.stress.conflicts import write_conflicts
from vitrail.stress.families import draw_families, draw_patches_on, write_patches
from vitrail.stress.model import StressedModel
from vitrail.stress.page import write_page
from vitrail.stress.patch_study import TrainedPatch
from vitrail.stress.saliency import Saliency, saliency_by_encoder
from vitrail.stress.study import (
    PATCH,
    Entrant,
    Measured,
    Study,
    StudyPlan,
    curve_differences,
    curve_figures,
    measure_all,
    prepare,
    trained_patches,
)
from vitrail.stress.words import conclusions
from vitrail.tasks.find_preprocessing import items_of, settle_preprocessing
from vitrail.tasks.left_out import left_out
from vitrail.tasks.registry import task_of
from vitrail.training.distributed import check_alone
from vitrail.training.precision import keep_large_buffers
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import OpenedModel, open_any

QUICK_IMAGES = 60
QUICK_PATCH = (0.1,)
QUICK_STEPS = 60


def stress_test(models: str | Path | Sequence[str | Path], data: str | Path, **settings: Any) -> Study:
    """Measure classifiers on changed images, and write a page about it.

    What was measured before in the same folder is taken from there.

    Args:
        models: a run folder, a checkpoint or anybody's weights, or several of them to compare.
        data: labelled images, as for `vitrail.evaluate`.
        **settings: any other field of `vitrail.settings.StressSettings`.

    Returns:
        All figures; they are also in ``stress.json`` beside the page.

    Raises:
        VitrailError: a model or the data cannot be used.
        Interrupted: stopped by Ctrl-C; the same call goes on.
    """
    named = (models,) if isinstance(models, str | Path) else tuple(models)
    return _stress(make(StressSettings, models_and_data=(*map(str, named), str(data)), **settings))


def run(settings: StressSettings) -> None:
    """Measure, write the page, and print."""
    study = _stress(settings)
    if settings.json:
        print(dumps(to_json(study)))
        return
    _say(study)
    say(str(_place(settings) / "stress.html"))
    if PATCH not in settings.curves:
        say_next([command("vitrail", "stress", *settings.models, settings.data, "--curves", PATCH)])


def _stress(settings: StressSettings) -> Study:
    check_meant(settings, spelt=option_named)
    check_alone("stress")
    keep_large_buffers()
    settings = _quick(settings)
    out = check_place(settings.out, _place(settings), (settings.data,))
    opened = _opened(settings)
    entrants, split, notes = _entrants(settings, opened)
    with kept_in(out):
        return _studied(settings, entrants, split, notes, out)


def _studied(
    settings: StressSettings, entrants: Sequence[Entrant], split: str, notes: tuple[str, ...], out: Path
) -> Study:
    """Measure what is not kept yet, and write page and figures."""
    plan, images = _plan(settings, entrants), entrants[0].images
    ready = [prepare(one, plan, out) for one in entrants]
    measure_all(ready)
    patches, tried = trained_patches(entrants, plan, out)
    study = Study(
        data=settings.data,
        split=split,
        images=len(images),
        images_digest=images.digest,
        classes=len(set(images.labels)),
        damaged=images.damaged,
        notes=notes,
        models=curve_figures(ready),
        patches=tried,
        differences=curve_differences(ready),
        settings=to_json(settings),
    )
    _write(out, study, ready, patches, settings)
    return study


def _quick(settings: StressSettings) -> StressSettings:
    """Return settings with what --quick stands for, where nothing else is asked for."""
    if not settings.quick:
        return settings
    default = StressSettings()
    changes = {"images": QUICK_IMAGES, "seeds": 1, "patch_areas": QUICK_PATCH, "patch_steps": QUICK_STEPS}
    asked = {name: value for name, value in changes.items() if getattr(settings, name) == getattr(default, name)}
    return replace(settings, **asked)


def _opened(settings: StressSettings) -> list[OpenedModel]:
    opened = [open_any(name, accept_license=settings.accept_license) for name in settings.models]
    for name, one in zip(settings.models, opened, strict=True):
        if not one.description.is_classifier:
            raise ConfigError(f"{name} tells no classes of whole images; vitrail stress takes classifiers")
    return opened


def _entrants(settings: StressSettings, opened: Sequence[OpenedModel]) -> tuple[list[Entrant], str, tuple[str, ...]]:
    """Return the models with the images that all of them are measured on, their split, and what must be known.

    Raises:
        DataError: there are no such images.
    """
    measured = [
        choose_split(known_split(name, one.description, settings.data), settings.split)
        for name, one in zip(settings.models, opened, strict=True)
    ]
    common, said = _common([one.images for one in measured], settings.data)
    runtime = Runtime.of(settings)
    opened = [
        settle_preprocessing(one, settings, items_of(images), runtime.device)
        for one, images in zip(opened, common, strict=True)
    ]
    notes = [note for one in opened for note in one.sentences] + [note for one in measured for note in one.notes] + said
    entrants = []
    for name, one, images in zip(_names(settings.models), opened, common, strict=True):
        predictor: Any = task_of(one.description).predictor(one.model, one.description, runtime)
        chosen = choose_images(images, one.description.preprocessing, settings.images, settings.data)
        entrants.append(Entrant(StressedModel(name, predictor), chosen))
    runtime = entrants[0].model.predictor.runtime
    notes.append(f"Computed on {runtime.device} in {runtime.precision.name} ({runtime.precision.reason}).")
    return entrants, measured[0].split, tuple(dict.fromkeys(notes))


def _common(images: Sequence[Images], data: str) -> tuple[list[Images], list[str]]:
    """Keep the images that every model is measured on: what one of them learned from is no measure for the other.

    Raises:
        DataError: there are none.
    """
    identities = [[one.item(number).identity() for number in range(len(one))] for one in images]
    shared = set(identities[0]).intersection(*identities[1:])
    kept = [
        one.subset(number for number, identity in enumerate(own) if identity in shared)
        for one, own in zip(images, identities, strict=True)
    ]
    if not kept[0]:
        raise DataError(f"no image of {data} is held out by all of these models; name others, or give --split all")
    most = max(map(len, images))
    left = (
        [f"{most - len(kept[0]):,} images are left out, as not every model holds them out."]
        if most > len(kept[0])
        else []
    )
    return kept, left


def _names(models: Sequence[str]) -> list[str]:
    """Return a short name for each model; of several alike each has its number."""
    short = [Path(name).resolve().name.removesuffix(".safetensors") or name for name in models]
    return [f"{name} ({place})" if short.count(name) > 1 else name for place, name in enumerate(short, start=1)]


def _plan(settings: StressSettings, entrants: Sequence[Entrant]) -> StudyPlan:
    names = entrants[0].model.predictor.description.class_names
    target = settings.patch_target or names[min(entrants[0].images.labels)]
    return StudyPlan(
        tuple(settings.curves),
        settings.quick,
        settings.seeds,
        settings.batch_size,
        settings.saliency,
        _encoder(settings),
        settings.patch_areas,
        settings.patch_steps,
        target,
        tuple(dict.fromkeys(grid for one in entrants if (grid := one.model.token_grid) is not None)),
    )


def _encoder(settings: StressSettings) -> Saliency | None:
    """Return the encoder that says what matters, where one is named.

    Raises:
        ConfigError: it has no attention.
    """
    if settings.saliency_encoder is None:
        return None
    opened = open_any(settings.saliency_encoder, accept_license=settings.accept_license)
    preprocessing = opened.description.preprocessing
    device = Runtime.of(settings).device
    normalise = Normalise(preprocessing.mean, preprocessing.std).to(device)
    return saliency_by_encoder(opened.model.to(device), normalise, _names([settings.saliency_encoder])[0])


def _place(settings: StressSettings) -> Path:
    return user_path(settings.out, ConfigError) if settings.out else output_folder(settings.models[0], "stress")


def _write(
    out: Path, study: Study, ready: Sequence[Measured], patches: Sequence[TrainedPatch], settings: StressSettings
) -> None:
    write_json(out / "stress.json", to_json(study))
    again = command("vitrail", "stress", *settings.models, settings.data, "--curves", PATCH)
    steps = [] if study.patches else [f"{again}  # an adversarial patch as well"]
    examples = draw_families(ready[0])
    if patches:
        write_patches(out / "patches", patches)
        examples[PATCH] = draw_patches_on(patches, ready[0])
    write_page(out / "stress.html", study, examples, steps)
    if settings.keep_conflicts:
        write_conflicts(out / "conflicts", ready[0])


def _say(study: Study) -> None:
    for line in (*left_out(study.damaged, study.images + len(study.damaged)), *study.notes):
        say(line)
    rows = [
        (model.name, f"{curve.group}: {curve.title}", percent(curve.area), percent(curve.kept))
        for model in study.models
        for curve in model.curves
    ]
    if rows:
        say_table("", ("model", "curve", "area", "of the accuracy as they are"), rows)
    for one in study.patches:
        what = f"{one.trained_on}'s patch of {one.area:.0%}{f' for {one.target}' if one.target else ''}"
        say(f"{one.model}, {what}: {percent(one.adversarial[0])}; a random one: {percent(one.random[0])}")
    for model in study.models:
        low, high = model.clean[1:]
        say(f"{model.name}: {percent(model.clean[0])} as they are ({percent(low)} to {percent(high)})")
    for sentence in conclusions(study):
        say(sentence)


__all__ = ["Study", "run", "stress_test"]
