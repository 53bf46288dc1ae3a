"""What ``vitrail trust`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import tyro

from vitrail.meaning import Rule
from vitrail.ranges import Range
from vitrail.settings.inputs import InputOptions

EXPLAINED = 12
"""Images that explanations are tested on where nothing else is said."""

Part = Literal["stress", "explanations", "audit"]


@dataclass(frozen=True)
class TrustSettings(InputOptions):
    """Gather on one page what a person who signs for a classifier should know of it."""

    RANGES: ClassVar[dict[str, Range]] = {**InputOptions.RANGES, "explained": Range(2, 1000)}
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("explained",),
            lambda s: "explanations" in s.skip,
            "is how many images explanations are tested on, and --skip leaves these out; leave out one of the two",
        ),
        Rule(
            ("encoder",),
            lambda s: "audit" in s.skip,
            "is what the images are audited with, and --skip leaves the audit out; leave out one of the two",
        ),
    )

    model: tyro.conf.Positional[str]
    """A run folder (of a run, the best checkpoint), a checkpoint, or anybody's weights of a known layout."""
    data: tyro.conf.Positional[str]
    """The images, with labels: a folder, a CSV, or "digits"."""
    out: str | None = None
    """Where the card goes; RUN/trust by default. A card that was interrupted goes on."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """auto: test where there is one, else all images that the run did not learn from."""
    skip: tuple[Part, ...] = ()
    """Parts that are not measured now; the card takes what was measured before of the same weights and images, else it
    says how to measure them."""
    encoder: str | None = None
    """Whose vectors the images are audited with; by default the weights that the run began with, else the model."""
    explained: int = EXPLAINED
    """Images on which explanations are tested."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: as `vitrail evaluate` and `vitrail stress` choose it."""
    json: bool = False
    """Print one JSON object instead of sentences."""


__all__ = ["TrustSettings"]
