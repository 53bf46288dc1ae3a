"""The page of ``vitrail stress``: curves, examples, areas, and what the paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vitrail.console import percent, points
from vitrail.stress.charts import draw_conflict, draw_panels, draw_patches
from vitrail.stress.figures import ModelFigures
from vitrail.stress.panels import PANELS
from vitrail.stress.study import Study
from vitrail.stress.words import about_conflicts, about_occlusion, findings
from vitrail.visualize.report import Figure, Section, Table, write_report

CAPTIONS = {
    "occlusion": (
        "Occlusion\nPatches are blacked out or, of a ViT, their tokens are taken out of the sequence (Naseer et al. "
        "2021, section 3.1). Bands are 95 % intervals over images and seeds, here and below."
    ),
    "shuffle": (
        "Shuffled patches\nThe layout goes, what is local stays: each image by a permutation of its own (section 3.4)."
    ),
    "texture": "Texture taken away\nShape stays: edges, outlines, and what smoothing between edges leaves.",
    "shift": "Moved, turned, scaled\nWhat comes in from outside is the image's own mirror image.",
    "corruptions": (
        "Common corruptions\nThe fifteen kinds of ImageNet-C (Hendrycks & Dietterich 2019), written anew; how strong "
        "each severity is was chosen here, so figures cannot be compared with those published for its files."
    ),
}
CONFLICT = (
    "Shape against texture\nEach image is given the texture and the colours of one of another class: whose class is "
    "named then? A model that goes by shape keeps the upper curve up."
)
PATCHES = (
    "Adversarial patch\nOne square trained to mislead, pasted at random places on images that it was not trained on, "
    "beside noise of the same size (section 3.3)."
)
EXAMPLES = "{}: the image\nOne of the images, at three strengths of each change."


def write_page(path: Path, study: Study, examples: dict[str, Image.Image], next_steps: Sequence[str]) -> Path:
    """Write the page and return its path.

    Args:
        path: the file.
        study: what was found.
        examples: of each family of curves, an image under its changes.
        next_steps: commands.
    """
    *first, last = [model.name for model in study.models]
    names = f"{', '.join(first)} and {last}" if first else last
    return write_report(
        path,
        title=f"{names} under stress",
        subtitle=f"{study.images:,} images of {study.data} ({study.split}), {study.classes:,} classes.",
        facts=_facts(study.models),
        images=_figures(study, examples),
        tables=_tables(study),
        sections=[
            Section("What must be known", "\n".join(_notes(study))),
            Section("Settings", study.settings, folded=True),
        ],
        next_steps=next_steps,
    )


def _facts(models: Sequence[ModelFigures]) -> list[tuple[str, str]]:
    facts = []
    for model in models:
        whose = f"{model.name}: " if len(models) > 1 else ""
        facts.append((f"{whose}accuracy as they are", percent(model.clean[0])))
        for name, level, words in HEADLINES if len(models) == 1 else HEADLINES[:1]:
            value = model.accuracy_at(name, level)
            facts += [(f"{whose}{words}", percent(value))] if value is not None else []
    return facts


HEADLINES = (
    ("occlusion_random", 0.5, "half of the patches black"),
    ("shuffle", 14.0, "patches shuffled 14x14"),
    ("texture_edges", 1.0, "edges alone"),
    ("corruption_mean", 3.0, "corruptions, severity 3"),
)


def _figures(study: Study, examples: dict[str, Image.Image]) -> list[Figure]:
    figures: list[Figure] = []
    for group, panels in PANELS.items():
        drawn = draw_panels(panels, study.models)
        said = f" {' '.join(about_occlusion(study))}" if group == "occlusion" else ""
        figures += [(f"{CAPTIONS[group]}{said}", drawn)] if drawn else []
        if group == "texture" and (conflict := draw_conflict(study.models)):
            figures.append((" ".join((CONFLICT, *about_conflicts(study))), conflict))
        if group in examples:
            figures.append((EXAMPLES.format(CAPTIONS[group].partition("\n")[0]), examples[group]))
    patches = draw_patches(study.patches)
    figures += [(PATCHES, patches)] if patches else []
    figures += [(EXAMPLES.format("Adversarial patch"), examples["patch"])] if "patch" in examples else []
    return figures


def _tables(study: Study) -> list[Table]:
    tables = [_areas(study.models)] if any(model.curves for model in study.models) else []
    if any(model.conflict for model in study.models):
        tables.append(_conflicts(study.models))
    if study.patches:
        tables.append(_patches(study))
    tables += [_differences(study)] if study.differences else []
    return [*tables, *_found(study)]


def _areas(models: Sequence[ModelFigures]) -> Table:
    """Return a row for each curve: the area under it, its interval, and the share of the clean accuracy it is."""
    columns = ["curve"]
    for model in models:
        whose = f"{model.name}: " if len(models) > 1 else ""
        columns += [f"{whose}area", "95 % interval", "of the accuracy as they are"]
    named = dict.fromkeys(curve.name for model in models for curve in model.curves)
    rows = []
    for name in named:
        found = [model.curve(name) for model in models]
        title = next(f"{curve.group}: {curve.title}" for curve in found if curve)
        cells = []
        for curve in found:
            if curve is None:
                cells += ["-", "-", "-"]
            else:
                cells += [percent(curve.area), f"{percent(curve.area_low)} to {percent(curve.area_high)}"]
                cells += [percent(curve.kept)]
        rows.append([title, *cells])
    return Table("Area under each curve: the mean accuracy from the weakest to the strongest change", columns, rows)


def _conflicts(models: Sequence[ModelFigures]) -> Table:
    rows = [
        [model.name, percent(point.level), percent(point.shape[0]), percent(point.texture[0]), percent(point.bias)]
        for model in models
        for point in model.conflict
    ]
    columns = ("model", "strength", "shape's class", "texture's class", "shape bias")
    return Table("Shape against texture; the bias is shape over either (Geirhos et al. 2019)", columns, rows)


def _patches(study: Study) -> Table:
    rows = [
        [
            one.model,
            one.trained_on,
            one.target or "any other class",
            percent(one.area),
            percent(one.clean[0]),
            percent(one.random[0]),
            percent(one.adversarial[0]),
            percent(one.hit[0]) if one.hit else "-",
        ]
        for one in study.patches
    ]
    columns = ("model", "trained on", "for", "area", "no patch", "random", "adversarial", "named as its class")
    learned = study.patches[0]
    title = f"Patches, trained on {learned.learned_from:,} images and measured on {learned.images:,} others"
    return Table(title, columns, rows)


def _differences(study: Study) -> Table:
    """Return how much more the first model keeps on each curve, and whether the images can tell."""
    rows = [
        [
            f"{one.curve.replace('_', ' ')}{'' if one.level is None else f', at {100 * one.level:.0f} %'}",
            one.second,
            points(one.kept),
            f"{points(one.low)} to {points(one.high)}",
            "yes" if one.is_told else "no",
        ]
        for one in study.differences
    ]
    title = f"How much more of its own accuracy {study.differences[0].first} keeps, on the same images"
    return Table(title, ("curve", "than", "more", "95 % interval", "told apart"), rows)


def _found(study: Study) -> list[Table]:
    title = "What the paper found (Naseer et al. 2021), on other images and models"
    rows = findings(study)
    return [Table(title, ("the paper", "model", "here"), rows)] if rows else []


def _notes(study: Study) -> list[str]:
    damaged = f"{len(study.damaged):,} images could not be read and were left out: {'; '.join(study.damaged[:5])}"
    shown = dict.fromkeys(model.saliency for model in study.models if model.saliency)
    return [
        *study.notes,
        *([damaged] if study.damaged else []),
        *(f"What matters in an image is said by: {words}." for words in shown),
        "Images are changed at the model's input size, after resizing and cropping. Each image's random numbers come "
        "from its content: they depend neither on the batch nor on the order.",
        "Of the paper's figures only those are shown that its text prints.",
    ]


__all__ = ["write_page"]
