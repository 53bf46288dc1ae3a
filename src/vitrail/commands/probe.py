"""``vitrail probe``: what an encoder is worth, by its nearest neighbours, linear classifiers and its last blocks."""

from __future__ import annotations

import contextlib
import io
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.commands import train
from vitrail.config import Preprocessing, make, replace, to_json
from vitrail.console import percent
from vitrail.data.sources import Images, Source, open_source, stratified, with_validation
from vitrail.errors import ConfigError, DataError
from vitrail.meaning import check_meant
from vitrail.models.backbone import Backbone
from vitrail.models.registry import build_backbone
from vitrail.output import say, say_table
from vitrail.paths import user_path
from vitrail.runs.choose_model import Start, choose_model
from vitrail.runs.extract_features import Extraction, features_folder
from vitrail.runs.measured import HELD_OUT, divided_as
from vitrail.runs.next_steps import after_probe, say_next
from vitrail.runs.place import check_place
from vitrail.runs.run_folder import short_name
from vitrail.runs.tune import EVALUATION_AUGMENT, Tuning
from vitrail.seeding import preserved
from vitrail.serialize import dumps
from vitrail.settings import Architecture, ProbeSettings, TrainSettings
from vitrail.settings.inputs import normalization_name, with_options
from vitrail.tasks.find_preprocessing import settle_weights
from vitrail.tasks.recipes import find_recipe
from vitrail.training.linear_probe import accuracies, train_probes
from vitrail.training.neighbours import nearest_neighbours
from vitrail.training.runtime import Runtime
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import WeightsFile, open_weights

HELD_OUT_SHARE = 0.2
"""Share of the training images that settings are chosen by, where the data has no further split for that."""


@dataclass(frozen=True)
class Score:
    """One measure of an encoder.

    Attributes:
        name: what was measured.
        top1: share of the held-out images whose class is predicted right.
        chosen_by: the same share of the images that a setting was chosen by; None where nothing was.
        lr: learning rate, where there is one.
        seconds: what it took once the features were there.
    """

    name: str
    top1: float
    chosen_by: float | None
    lr: float | None
    seconds: float


@dataclass(frozen=True)
class Probed:
    """What an encoder is worth.

    Attributes:
        weights: whose.
        data: the images.
        split: the images it was measured on, and how many they are.
        images: likewise.
        labels: how many labelled images were learned from.
        width: of the features.
        seconds: what computing the features took, or reading them again.
        scores: one for each measure.
        normalization: of the images, as ``--normalization`` names it.
    """

    weights: str
    data: str
    split: str
    images: int
    labels: int
    width: int
    seconds: float
    scores: tuple[Score, ...]
    normalization: str = ""


@dataclass(frozen=True)
class Parts:
    """The images of a probe: to learn from, to choose settings by, and to measure on."""

    train: Images
    choose: Images
    test: Images
    split: str


@dataclass(frozen=True)
class Table:
    """Features and labels of a `Parts`' images, by its names, and how these were prepared."""

    features: dict[str, Tensor]
    labels: dict[str, Tensor]
    preprocessing: Preprocessing


def probe(weights: str | Path, data: str | Path, **settings: Any) -> Probed:
    """Measure an encoder on labelled images without changing it, and with only its last blocks changed.

    Args:
        weights: a run folder, a checkpoint or a weights file; of any backbone.
        data: the images, as for `vitrail.train`.
        **settings: any other field of `vitrail.settings.ProbeSettings`.

    Raises:
        VitrailError: the weights or the data cannot be used.
    """
    asked = make(ProbeSettings, weights=weights, data=data, **settings)
    check_meant(asked)
    return _probe(asked)


def run(settings: ProbeSettings) -> None:
    """Probe and print."""
    with contextlib.redirect_stdout(sys.stderr) if settings.json else contextlib.nullcontext():
        result = _probe(settings)
    if settings.json:
        print(dumps(to_json(result)))
        return
    rows = [(s.name, percent(s.top1), percent(s.chosen_by), s.lr, round(s.seconds, 1)) for s in result.scores]
    title = f"{result.weights}: {result.labels:,} labels, {result.images:,} {result.split} images"
    say_table(title, ("measure", "top-1", "where chosen", "lr", "seconds"), rows)
    say(f"features of width {result.width}: {result.seconds:.1f} seconds, normalization {result.normalization}")
    say_next(after_probe(settings, _channels(settings)))


def _probe(settings: ProbeSettings) -> Probed:
    _check_numbers(settings)
    check_place(settings.out, "" if settings.out else _folder(settings), [settings.data])
    weights = WeightsFile(settings.weights, accept_license=settings.accept_license)
    source = _open(settings, weights)
    for note in source.notes:
        say(note)
    if len(source.class_names) < 2:
        raise DataError(f"{settings.data} has {len(source.class_names)} classes; a probe needs two or more")
    parts = split(source, settings)
    began = time.monotonic()
    table, backbone = _features(settings, weights, parts)
    seconds = time.monotonic() - began
    scores = [_neighbours(settings, table, len(source.class_names))]
    scores += _linear(settings, table, len(source.class_names))
    if backbone.splits_between_blocks:
        scores += [_tuned(settings, weights, parts, source, blocks) for blocks in settings.tune_blocks]
    elif settings.tune_blocks:
        say(f"no blocks are tuned: a {type(backbone).__name__} cannot be cut between blocks as a ViT can")
    held_out = len(table.labels["test"])
    labels, width = len(parts.train), backbone.width
    name = normalization_name(table.preprocessing)
    return Probed(settings.weights, settings.data, parts.split, held_out, labels, width, seconds, tuple(scores), name)


def _open(settings: ProbeSettings, weights: WeightsFile) -> Source:
    """Open the images; where the encoder's run knew them, what it held out is held out here too."""
    pool = open_source(settings.data, validation_share=0.0)
    if weights.is_own:
        known = divided_as(settings.weights, weights.description, settings.data, pool)
        if known.is_own and known.count(*HELD_OUT):
            return known.to_probe()
        if known.is_own:
            say("the encoder has learned from every one of these images, those that it is measured on too")
    return with_validation(pool, HELD_OUT_SHARE, settings.seed)


def _check_numbers(settings: ProbeSettings) -> None:
    for name in ("neighbours", "epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise ConfigError(f"{name} must be 1 or more, not {getattr(settings, name)}")
    for name, value in (("temperature", settings.temperature), *(("a rate", rate) for rate in settings.rates)):
        if not 0.0 < value < math.inf:
            raise ConfigError(f"{name} must be a number above 0, not {value}")


def split(source: Source, settings: ProbeSettings) -> Parts:
    """Return what is learned from, chosen by and measured on: settings are never chosen by what is measured on.

    Raises:
        DataError: the data has no images for one of them.
    """
    if source.train is None or source.train.labels is None or not (source.test or source.validation):
        raise DataError(f"{source.name} needs images to learn from and held-out ones, both with labels")
    if settings.labels != 1.0:
        share_or_count = int(settings.labels) if settings.labels > 1 else settings.labels
        source = source.labelled_subset(share_or_count, settings.seed)
    learned: Any = source.train
    if source.test is not None and source.validation is not None:
        return Parts(learned, source.validation, source.test, "test")
    name, measured = ("test", source.test) if source.test is not None else ("validation", source.validation)
    assert measured is not None
    held = set(stratified(learned.labels, round(HELD_OUT_SHARE * len(learned)), settings.seed, leave=1))
    kept = learned.subset(n for n in range(len(learned)) if n not in held)
    return Parts(kept, learned.subset(sorted(held)), measured, name)


def _features(settings: ProbeSettings, weights: WeightsFile, parts: Parts) -> tuple[Table, Backbone]:
    """Describe all images by the encoder, or read again what was computed before; return the encoder too."""
    found_out = settle_weights(weights, settings, parts.train)
    start = _start(settings, weights, parts.train)
    for note in (*found_out, *start.notes):
        say(note)
    with preserved():
        backbone = build_backbone(start.backbone.backbone, start.backbone.backbone_options)
    say(f"{settings.weights}: {load_weights(backbone, weights, adapt=('classes', 'channels'))}")
    runtime = Runtime.of(settings).prepared()
    extraction = Extraction(
        what=f"embed-{start.backbone.backbone_options.get('pool', 'own')}",
        model=backbone,
        weights=backbone.state_dict(),
        extract=backbone.embed,
        preprocessing=with_options(start.preprocessing, settings),
        folder=_folder(settings),
        runtime=runtime,
        workers=settings.workers,
    )
    features, labels = {}, {}
    for name in ("train", "choose", "test"):
        images = getattr(parts, name)
        if len(images):
            found = extraction.features(images, f"{settings.data} {name}")
            features[name], labels[name] = found.all().to(runtime.device), found.labels(images).to(runtime.device)
    return Table(features, labels, extraction.preprocessing), backbone


def _start(settings: ProbeSettings, weights: WeightsFile, images: Images) -> Start:
    """Decide on the backbone and its input as `vitrail train` does; a checkpoint keeps its own size and channels."""
    size, channels = settings.image_size, settings.channels
    if weights.is_own:
        own = weights.description.preprocessing
        size, channels = size or own.image_size, channels or own.channels
    return choose_model(settings.model, weights, _pooled(settings), images, size, channels or 3)


def _channels(settings: ProbeSettings) -> int:
    """Return the channels that were asked for, else those of a checkpoint, else 3."""
    weights = open_weights(settings.weights)
    return settings.channels or (weights.description.preprocessing.channels if weights.is_own else 3)


def _pooled(settings: ProbeSettings) -> Architecture:
    return Architecture(pool=None if settings.pool == "auto" else settings.pool)


def _folder(settings: ProbeSettings) -> Path:
    out = settings.out or f"runs/probe-{short_name(settings.weights)}"
    return user_path(out, ConfigError) / "features" if settings.out else features_folder(settings.weights, Path(out))


def _neighbours(settings: ProbeSettings, table: Table, classes: int) -> Score:
    began = time.monotonic()
    known, labels = table.features["train"], table.labels["train"]
    votes = nearest_neighbours(
        known, labels, table.features["test"], classes, settings.neighbours, settings.temperature
    )
    top1 = accuracies(votes.unsqueeze(0), table.labels["test"])[0]
    return Score(f"{settings.neighbours} nearest neighbours", top1, None, None, time.monotonic() - began)


def _linear(settings: ProbeSettings, table: Table, classes: int) -> list[Score]:
    """Train linear classifiers at the published rate and at all others, and choose the best of them."""
    began = time.monotonic()
    if not settings.rates:
        return []
    batch_size = min(settings.batch_size, len(table.features["train"]))
    probes = train_probes(
        table.features["train"],
        table.labels["train"],
        classes,
        [rate * batch_size / 256 for rate in settings.rates],
        epochs=settings.epochs,
        batch_size=batch_size,
        warmup_epochs=settings.epochs / 9,
        seed=settings.seed,
    )
    # Without images to choose by, the ones that were learned from have to do.
    chooser = "choose" if "choose" in table.features else "train"
    with torch.no_grad():
        chosen_by, top1 = (accuracies(probes(table.features[name]), table.labels[name]) for name in (chooser, "test"))
    seconds = time.monotonic() - began
    best = max(range(len(top1)), key=lambda number: chosen_by[number])
    named = {f"linear probe, rate {settings.rates[0]:g} x batch / 256": 0}
    named[f"linear probe, best of {len(settings.rates)} rates"] = best
    return [Score(name, top1[n], chosen_by[n], settings.rates[n], seconds) for name, n in named.items()]


def _tuned(settings: ProbeSettings, weights: WeightsFile, parts: Parts, source: Source, blocks: float) -> Score:
    """Train the last blocks from features of the others; the best epoch is chosen as everywhere."""
    began = time.monotonic()
    source = replace(source, train=parts.train, validation=parts.choose, test=None)
    # What a training says of itself is said of the probe already, and its folder does not stay.
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        plan = train.prepare(_tuning_settings(settings, weights, blocks, out), source, weights)
        tuning = Tuning.of(plan, _folder(settings))
        result = tuning.run_training()
        measure: Callable[[Any], dict[str, float]] | None = tuning.evaluator(parts.test, "test")
        assert measure is not None
        load_weights(plan.task.model, result.folder)  # type: ignore[arg-type]
        found = measure(plan.task)
    name = f"last {blocks:g} block{'s' if blocks > 1 else ''} tuned" if blocks else "head alone tuned"
    seconds = time.monotonic() - began
    return Score(name, found["top1"], result.metrics.get("top1"), plan.settings.lr, seconds)


def _tuning_settings(settings: ProbeSettings, weights: WeightsFile, blocks: float, out: str) -> TrainSettings:
    preprocessing = _start(settings, weights, Images((), (), ())).preprocessing
    recipe = find_recipe(TrainSettings, "finetune_small")
    epochs = settings.tune_epochs
    return replace(
        recipe,
        data=settings.data,
        model=settings.model,
        weights=settings.weights,
        out=out,
        epochs=epochs,
        batch_size=min(recipe.batch_size, settings.batch_size),
        image_size=preprocessing.image_size,
        channels=preprocessing.channels,
        normalization=settings.normalization,
        resize=settings.resize,
        crop_fraction=settings.crop_fraction,
        interpolation=settings.interpolation,
        augment=EVALUATION_AUGMENT,
        tune_blocks=blocks,
        cache_features="on",
        architecture=replace(recipe.architecture, drop_path=0.0),
        schedule={"warmup_epochs": epochs / 10},
        loader={"workers": settings.workers},
        run={
            "seed": settings.seed,
            "device": settings.device,
            "precision": settings.precision,
            "evaluate_every": max(1.0, epochs / 10),
            "save_every": epochs,
        },
    )
