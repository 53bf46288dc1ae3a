"""The page about a run: what it reached, what it sees, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.console import figure
from vitrail.figures.report import Section, write_report
from vitrail.verbs.say import shown
from vitrail.weights.checkpoint import Description, describe

CAPTIONS = {
    "curves": "Curves\nWhat was measured along the run.",
    "reconstruction": "Reconstruction\nPictures that were held out, most of each hidden.",
    "reconstruction_true_statistics": (
        "The predicted patterns alone\nThe same predictions with the hidden patches' true brightness and contrast."
    ),
    "mask_ratios": "Mask ratios\nThe same pictures with more and more hidden.",
    "maskings": "Kinds of masks\nHidden at random, in blocks and on a grid.",
    "attention": "Attention\nHeld-out pictures, and where the model looks.",
    "windows": "Windows\nInside which tokens attend to each other, stage by stage, and how they shift.",
    "bias": "Relative position bias\nWhat each head adds to its scores for how far apart two places are.",
    "segments": "Segments\nHeld-out pictures, what each pixel shows, what the model says, and where it errs.",
    "objects": "Objects\nHeld-out pictures with what is found in them, and below what is there.",
    "pyramid": "Pyramid\nWhere the maps of each stride answer.",
    "anchors": "Anchors\nThe boxes from which each object is learned, in the colour of their stride.",
    "maps": "Maps\nWhat the head gets from the backbone, finest first.",
}


def report_run(folder: Path, drawn: Mapping[str, Image.Image]) -> Path:
    """Write ``report.html`` of a run with these pictures, by name, and return its path."""
    description = describe(folder)
    summary = json.loads((folder / "summary.json").read_text())
    settings = json.loads((folder / "config.json").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    return write_report(
        folder / "report.html",
        title=folder.name,
        subtitle=_subtitle(description, settings, summary),
        facts=_facts(summary),
        pictures=[(CAPTIONS.get(name, name), picture) for name, picture in drawn.items()],
        sections=[
            Section("Settings", settings, folded=True),
            Section("Model", {"name": description.model.name, **description.model.options}, folded=True),
            *([Section("Head", description.dense, folded=True)] if description.dense else []),
            Section("Environment", environment, folded=True),
        ],
        next_steps=next_steps(folder, description),
    )


def next_steps(folder: Path, description: Description) -> list[str]:
    """Return the commands that make sense after a run, the most likely first."""
    data = description.settings.get("data", "DATA")
    if not description.class_names:
        return [
            f"vitrail train {data} --weights {folder}  # fine-tune the encoder on labelled pictures",
            f"vitrail look {folder} PICTURES  # what it makes of other pictures",
        ]
    return [
        f"vitrail evaluate {folder} {data}  # figures for every class",
        f"vitrail predict {folder} PICTURES  # what is in other pictures",
        f"vitrail look {folder} PICTURES  # where it looks",
    ]


def _subtitle(description: Description, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    h, w = description.preprocessing.image_size
    start = f", from {settings['weights']}" if settings.get("weights") else ""
    return f"{description.model.name} on {settings['data']}{start}: {shown(summary['epochs'])} epochs at {h}x{w} pixels"


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    best = [(f"validation {name}", figure(name, value)) for name, value in summary["best"].items()]
    return [
        *best,
        ("steps", shown(summary["steps"])),
        ("images per second", shown(round(summary["images_per_second"]))),
        ("training time", f"{summary['seconds'] / 60:.1f} min"),
        ("computed on", f"{summary['device']}, {summary['precision']}"),
    ]
