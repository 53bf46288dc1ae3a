"""The page about a run: what it reached, what it sees, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.console import figure
from vitrail.heads.dense import dense_of
from vitrail.heads.registry import is_dense
from vitrail.output import shown
from vitrail.runs.next_steps import after_training
from vitrail.settings.inputs import normalization_name
from vitrail.tasks.find_preprocessing import in_words
from vitrail.tasks.registry import task_of
from vitrail.training.checkpoint import pointed, resolve
from vitrail.visualize.figure import Figure
from vitrail.visualize.report import Section, write_report
from vitrail.weights.description import Description, describe
from vitrail.weights.named import find_model
from vitrail.weights.open_any import is_own_checkpoint

CAPTIONS = {
    "curves": "Curves\nWhat was measured along the run.",
    "reconstruction": "Reconstruction\nMost of each image hidden, and what the model fills in.",
    "reconstruction_true_statistics": (
        "The predicted patterns alone\nThe same predictions with the hidden patches' true brightness and contrast, "
        "which the model does not know."
    ),
    "mask_ratios": "Mask ratios\nMore and more of the same images hidden.",
    "maskings": "Kinds of masks\nHidden at random, in blocks and on a grid.",
    "answers": "Answers\nWhat the model says.",
    "attention": "Attention\nWhere the model looks.",
    "windows": "Windows\nInside which tokens attend to each other, stage by stage, and how they shift.",
    "bias": "Relative position bias\nWhat each head adds to its scores for how far apart two places are.",
    "segments": "Segments\nWhat the model says each pixel shows and, where masks are known, the truth and the errors.",
    "objects": "Objects\nWhat the model finds and, where annotations are known, below it what is there.",
    "pyramid": "Pyramid\nThe maps of each stride, by their main directions.",
    "anchors": "Anchors\nThe boxes from which each object is learned, in the colour of their stride.",
    "maps": "Maps\nWhat the head gets from the backbone, finest first, by main directions.",
}
"""Of each figure: a heading and what is drawn. Whose images they are is known only where they were chosen."""

WITHOUT_IMAGES = ("curves", "bias")
"""Figures that show no images."""


def caption(name: str, what: str = "") -> str:
    """Return the caption of a figure; ``what`` says which images it shows and what is known of them."""
    text = CAPTIONS.get(name) or _caption_of_layer(name)
    return text if name in WITHOUT_IMAGES or not what else f"{text} {what}"


def _caption_of_layer(name: str) -> str:
    stem, _, layer = name.rpartition("_")
    return f"{CAPTIONS[stem]} Heads of layer {layer}." if stem in CAPTIONS else name


def report_run(folder: Path, drawn: Mapping[str, Image.Image], what: str = "") -> Path:
    """Write ``report.html`` of a run and return its path.

    Args:
        folder: the run.
        drawn: its figures, by name.
        what: which images they show and what is known of them, a sentence.
    """
    description = describe(folder)
    summary = json.loads((folder / "summary.json").read_text())
    settings = json.loads((folder / "config.json").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    return write_report(
        folder / "report.html",
        title=folder.name,
        subtitle=_subtitle(description, settings, summary),
        facts=_facts(summary),
        images=[(caption(name, what), image) for name, image in drawn.items()],
        sections=[
            Section("Settings", settings, folded=True),
            *_model_sections(description),
            Section("Environment", environment, folded=True),
        ],
        next_steps=after_training(folder, description),
    )


def write_look(path: Path, checkpoint: str, description: Description, what: str, figures: Mapping[str, Figure]) -> Path:
    """Write the page of ``vitrail look`` and return its path.

    Args:
        path: the page.
        checkpoint: what the user named; of a run its best checkpoint is drawn.
        description: of the checkpoint.
        what: which images the figures show and what is known of them, a sentence.
        figures: of the checkpoint and of the whole run, by name.
    """
    found = find_model(checkpoint)
    which = f"commit {found.origin.commit[:7]}" if found.origin else checkpoint_name(found.path)
    return write_report(
        path,
        title=f"A look at {found.origin or found.path.resolve().name}",
        subtitle=f"{description.name}, {which}. {what} {prepared(description)}",
        images=[
            (figure.caption if figure.title else caption(name, what), figure.image) for name, figure in figures.items()
        ],
        sections=_model_sections(description),
        next_steps=after_training(checkpoint, description),
    )


def prepared(description: Description) -> str:
    """Say in a sentence how images become a model's input: their size, and how they are normalised."""
    preprocessing = description.preprocessing
    if not is_dense(description.model):
        return f"Images are prepared so: {in_words(preprocessing)}."
    dense, side = dense_of(description.model), min(preprocessing.image_size)
    if task_of(description).spec.name == "detect":
        size = f"their shorter side scaled to {side} pixels, the longer one to at most {round(side * dense.longest)}"
    elif dense.short_side is not None:
        size = f"their shorter side scaled to {dense.short_side} pixels"
    else:
        size = "in their own size"
    return f"Images are shown whole, {size}, normalization {normalization_name(preprocessing)}."


def checkpoint_name(source: Path) -> str:
    """Say which checkpoint a path means: of a run "checkpoint step_00000080, the best"."""
    if not is_own_checkpoint(source):
        return f"the weights in {source.name}"
    folder = resolve(source)
    pointers = [name for name in ("best", "last") if pointed(folder.parent, name) == folder]
    return f"checkpoint {folder.name}{', the ' + ' and '.join(pointers) if pointers else ''}"


def _model_sections(description: Description) -> list[Section]:
    model = description.model
    parts = {"Backbone": {"name": model.backbone, **model.backbone_options}}
    if model.head:
        parts["Head"] = {"name": model.head, **model.head_options}
    return [Section(title, content, folded=True) for title, content in parts.items()]


def _subtitle(description: Description, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    h, w = description.preprocessing.image_size
    start = f", from {settings['weights']}" if settings.get("weights") else ""
    return f"{description.name} on {settings['data']}{start}: {shown(summary['epochs'])} epochs at {h}x{w} pixels"


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    best = [(f"validation {name}", figure(name, value)) for name, value in summary["best"].items()]
    steps = shown(summary["steps"])
    chosen = f"step {shown(summary['best_step'])} of {steps}" if best else f"step {steps}"
    left_out = summary.get("damaged") or ()
    return [
        *best,
        ("best checkpoint" if best else "last checkpoint", chosen),
        ("images per second while training", shown(round(summary["images_per_second"]))),
        ("time in training steps", f"{summary['seconds'] / 60:.1f} min"),
        *([("unreadable images left out", shown(len(left_out)))] if left_out else []),
        ("computed on", f"{summary['device']}, {summary['precision']}"),
    ]
