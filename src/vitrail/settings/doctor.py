"""What ``vitrail doctor`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import tyro

from vitrail.meaning import Rule
from vitrail.ranges import WORKERS, Range
from vitrail.settings.inputs import InputOptions


@dataclass(frozen=True)
class DoctorSettings(InputOptions):
    """Say what is installed and used here, and check a data set before anyone waits for it."""

    RANGES: ClassVar[dict[str, Range]] = {**InputOptions.RANGES, "ignore": Range(0, 65_535), "workers": WORKERS}
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("ignore", "deep"), lambda s: not s.data, "is about images; name the data set to check"),
        Rule(("encoder", "out", "write", "workers"), lambda s: not s.deep, "is of an audit; add --deep"),
        Rule(("hard_links",), lambda s: s.write is None, "is about the files of a clean folder; add --write FOLDER"),
        Rule(
            (
                *("normalization", "resize", "crop_fraction", "interpolation"),
                *("pool", "device", "precision", "accept_license"),
            ),
            lambda s: s.encoder is None,
            "is about an encoder; add --deep --encoder MODEL",
        ),
    )

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[DATA]")]] = ""
    """A data set to check: a folder, a CSV, or "digits"."""
    ignore: int = 255
    """The value in masks that means void; 255 always does."""
    deep: bool = False
    """Audit the images as well: near duplicates, odd ones, and with an encoder label errors, outliers, backgrounds."""
    encoder: str | None = None
    """Whose vectors tell what images show: a run folder, a checkpoint, anybody's weights, or hf:OWNER/NAME."""
    out: str | None = None
    """Where the audit's page and tables go; runs/doctor-DATA by default. What was computed there is not again."""
    write: str | None = None
    """A new folder for the data without damaged images and without copies of images in another split."""
    hard_links: bool = False
    """Files in the new folder are hard links and no copies: quick and small, and a change to one changes both."""
    pool: Literal["auto", "class", "mean", "both"] = "auto"
    """The encoder's vector: class token, mean of the patch tokens, or both; auto: what a head would get."""
    accept_license: bool = False
    """Accept the licence of an encoder that is fetched by name, where it asks for that; remembered."""
    workers: int = -1
    """Processes that load images; -1 chooses by the machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: fp32."""
    json: bool = False
    """Print one JSON object instead of tables."""


__all__ = ["DoctorSettings"]
