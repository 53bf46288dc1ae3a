"""Whether a model's explanations are true of it, from what deletion and insertion found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitrail.card.sections import CardTable, Section
from vitrail.explain.methods import METHODS
from vitrail.trust.intervals import FEWEST, Estimate, mean_estimate

NAME, TITLE = "explanations", "Whether its explanations are true"

DIFFERENCES = (
    ("deletion_area", -1, "falls faster than at random"),
    ("insertion_area", 1, "rises faster than at random"),
)


def explanations_section(found: Mapping[str, Any], command: str, where: str) -> Section:
    """Return the section of what ``faithfulness.json`` holds.

    Args:
        found: for each method the areas under the curves of each image, in the map's order and in random ones.
        command: what measured it.
        where: what the figures are of, a sentence.
    """
    facts, rows, values = [], [], {}
    for name, test in found.items():
        title = METHODS[name].title if name in METHODS else name
        gains = {area: gain(test, area, sign) for area, sign, _ in DIFFERENCES}
        facts.append((title, _verdict(gains)))
        rows.append((title, *(_signed(gains[area]) for area, _, _ in DIFFERENCES), len(test["named"]["deletion_area"])))
        values[name] = {area: vars(one) for area, one in gains.items()}
    columns = ("method", "deletion: better than random by", "insertion: better than random by", "images")
    title = "Area between the curves of the map's order and of random ones, with its 95 % interval over images"
    sentences = (
        "A true map names the patches the answer rests on: as they are removed the probability of the class falls "
        "faster than at random, and as they are put in it rises faster (Petsiuk et al. 2018).",
        where,
    )
    return Section(NAME, TITLE, tuple(facts), sentences, (CardTable(title, columns, tuple(rows)),), values, command)


def gain(test: Mapping[str, Any], area: str, sign: int) -> Estimate:
    """Return by how much a map does better than random orders, the mean over images with its interval.

    Args:
        test: of a method.
        area: under which curve.
        sign: 1 where a larger area is better, -1 where a smaller one is.
    """
    named, random = (np.asarray(test[orders][area], dtype=np.float64) for orders in ("named", "random"))
    return mean_estimate(sign * (named - random))


def _verdict(gains: Mapping[str, Estimate]) -> str:
    """Say whether a map does better than random ones on both counts, and whether the images can tell."""
    if any(one.low is None for one in gains.values()):
        return f"not known: it takes {FEWEST} images to tell, and some that differ"
    if all(one.low is not None and one.low > 0 for one in gains.values()):
        return "better than random maps"
    if any(one.high is not None and one.high < 0 for one in gains.values()):
        return "worse than random maps"
    return "not told apart from random maps on these images"


def _signed(found: Estimate) -> str:
    if found.value is None:
        return "-"
    ends = "" if found.low is None else f" ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.value:+.3f}{ends}"


__all__ = ["explanations_section", "gain"]
