"""What of its accuracy a classifier keeps when images are changed, from the figures of ``vitrail stress``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitrail.card.sections import DATA, MODEL, CardTable, Section, share_with_interval
from vitrail.console import percent

NAME, TITLE = "stress", "Under stress"

POINTS = (
    ("occlusion_random", 0.5, "half of the patches black, at random"),
    ("occlusion_salient", 0.5, "half of the patches black, what matters first"),
    ("shuffle", 4.0, "shuffled on a grid of 4 x 4"),
    ("texture_edges", 1.0, "edges alone"),
    ("shift_translation", 16.0, "moved by 16 pixels"),
    ("shift_rotation", 45.0, "turned by 45 degrees"),
    ("corruption_mean", 3.0, "common corruptions at severity 3, mean of all"),
)
"""Curves and strengths that the card names; --quick measures them too."""


def robustness_section(study: Mapping[str, Any], command: str, where: str) -> Section:
    """Return the section of what ``stress.json`` holds of its first model.

    Args:
        study: its content.
        command: what measured it.
        where: the page with the curves, as the user can open it.
    """
    model = study["models"][0]
    curves = {curve["name"]: curve for curve in model["curves"]}
    facts = [("as they are", share_with_interval(model["clean"]))]
    for name, level, words in POINTS:
        point = _at(curves.get(name), level)
        if point is not None:
            facts.append((words, share_with_interval((point["accuracy"], point["low"], point["high"]))))
    rows = tuple(
        (f"{curve['group']}: {curve['title']}", percent(curve["area"]), percent(curve["kept"]))
        for curve in model["curves"]
    )
    areas = CardTable("Area under each curve", ("curve", "mean accuracy", "of the accuracy as they are"), rows)
    sentences = (
        f"Accuracy with its 95 % interval on {study['images']:,} images ({study['split']}), each changed; all curves "
        f"are on {where}.",
        "Corruptions are written anew from the paper's description: figures published for the ImageNet-C files are "
        "others.",
        *study["notes"][-1:],  # where and in which precision it was computed
    )
    return Section(NAME, TITLE, tuple(facts), sentences, (areas,), {"models": [model]}, command)


def robustness_headline(section: Section) -> tuple[tuple[str, str], ...]:
    """Return what the top of the card says of it."""
    found = dict(section.facts).get(POINTS[0][2])
    return (("right with half of the patches black", found.partition(" (")[0]),) if found else ()


def stress_command(options: Sequence[str]) -> str:
    """Return the command of the section, with some options."""
    return " ".join(("vitrail stress", MODEL, DATA, *options))


def _at(curve: Mapping[str, Any] | None, level: float) -> Mapping[str, Any] | None:
    points = curve["points"] if curve else ()
    return next((point for point in points if abs(point["level"] - level) < 1e-9), None)


__all__ = ["robustness_headline", "robustness_section", "stress_command"]
