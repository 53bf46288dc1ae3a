"""What the curves say, in sentences: of each model, of two of them, and of what the paper found."""

from __future__ import annotations

from vitrail.console import percent, points
from vitrail.stress.compare import HALF, Difference
from vitrail.stress.figures import ModelFigures
from vitrail.stress.published import PUBLISHED
from vitrail.stress.study import Study
from vitrail.stress.suite import grid_curve

CONVOLUTIONAL = frozenset({"bit"})
"""Families that the paper's convolutional networks stand for."""


def conclusions(study: Study) -> list[str]:
    """Return a few sentences about each model and, of several, about how they differ."""
    return [*about_occlusion(study), *about_conflicts(study)]


def about_occlusion(study: Study) -> list[str]:
    """Say what each model keeps when half of the patches are black, and how models differ: on each grid of patches."""
    sentences = []
    for name, cells in patch_curves(study).items():
        for model in study.models:
            half = model.accuracy_at(name, HALF[1])
            if half is not None and model.clean[0]:
                kept = percent(half / model.clean[0])
                sentences.append(f"{_who(model, study)} keeps {kept} of its accuracy when half of {cells} are black.")
        sentences += [_compared(one, cells) for one in study.differences if (one.curve, one.level) == (name, HALF[1])]
    return sentences


def patch_curves(study: Study) -> dict[str, str]:
    """Return the curves of random occlusion by the patches of any of the models, and what these cells are called.

    Of models without patches, and those that have 14x14 of them as the paper's, it is the curve of that grid.
    """
    grids = dict.fromkeys(model.patches for model in study.models if model.patches is not None)
    named = {grid_curve(*grid): f"the {grid[0]}x{grid[1]} patches" for grid in grids}
    if named.keys() <= {HALF[0]}:
        return {HALF[0]: "the patches"}
    return {HALF[0]: "the cells of a 14x14 grid", **named}


def about_conflicts(study: Study) -> list[str]:
    """Say whose class each model names where shape and texture disagree."""
    sentences = []
    for model in study.models:
        if model.conflict:
            last = model.conflict[-1]
            sentences.append(
                f"Wholly in another class's texture, {percent(last.shape[0])} of the images are named by their shape "
                f"and {percent(last.texture[0])} by the texture{f' ({model.name})' if len(study.models) > 1 else ''}."
            )
    return sentences


def _who(model: ModelFigures, study: Study) -> str:
    return model.name if len(study.models) > 1 else "The model"


def _compared(one: Difference, cells: str) -> str:
    more, less = (one.first, one.second) if one.kept >= 0 else (one.second, one.first)
    sign = 1 if one.kept >= 0 else -1
    low, high = sorted((sign * one.low + 0.0, sign * one.high + 0.0))  # 0.0, and not -0.0
    said = (
        f"At half of {cells} {more} keeps {points(sign * one.kept)} more of its own accuracy than {less} "
        f"(95 % interval {points(low)} to {points(high)})"
    )
    return f"{said}." if one.is_told else f"{said}, which these images cannot tell from no difference."


def findings(study: Study) -> list[list[str]]:
    """Return what the paper found, and what was found here: rows of three cells.

    Its findings about transformers against convolutional networks ask for one model of each kind.
    """
    rows = []
    for one in PUBLISHED:
        for model in study.models:
            value = model.accuracy_at(one.curve, one.level)
            if value is not None:
                rows.append([f"{one.what}: {percent(one.accuracy)} ({one.where})", model.name, percent(value)])
    first = study.models[0]
    for second in study.models[1:]:
        if (first.family in CONVOLUTIONAL) == (second.family in CONVOLUTIONAL):
            continue
        rows += _against(study, first, second)
    return rows


def _against(study: Study, first: ModelFigures, second: ModelFigures) -> list[list[str]]:
    """Set a transformer against a convolutional network."""
    transformer, other = (second, first) if first.family in CONVOLUTIONAL else (first, second)
    who, rows = f"{transformer.name} against {other.name}", []
    half = (grid_curve(*transformer.patches) if transformer.patches else HALF[0], HALF[1])
    for one in study.differences:
        if (one.curve, one.level) == half and {one.first, one.second} == {transformer.name, other.name}:
            ahead = one.kept > 0 if one.first == transformer.name else one.kept < 0
            verdict = "cannot be told here" if not one.is_told else "so it is here" if ahead else "not so here"
            said = "Transformers keep more of their accuracy under occlusion (abstract), at half of the patches"
            rows.append([said, who, verdict])
    if transformer.conflict and other.conflict:
        biases = [model.conflict[-1].bias for model in (transformer, other)]
        if None not in biases:
            said = f"shape bias {percent(biases[0])} and {percent(biases[1])}"
            rows.append(["Transformers go less by local texture (abstract)", who, said])
    return rows


__all__ = ["about_conflicts", "about_occlusion", "conclusions", "findings", "patch_curves"]
