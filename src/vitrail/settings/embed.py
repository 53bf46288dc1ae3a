"""What ``vitrail embed`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import tyro

from vitrail.meaning import Rule
from vitrail.ranges import WORKERS, Range
from vitrail.settings.inputs import InputOptions


@dataclass(frozen=True)
class EmbedSettings(InputOptions):
    """Describe images by vectors (embeddings), kept in a file; or search such a file for the images most like one."""

    RANGES: ClassVar[dict[str, Range]] = {**InputOptions.RANGES, "top": Range(1, 10_000), "workers": WORKERS}
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("features", "top"), lambda s: s.search is None, "is of a search; add --search IMAGE"),
        Rule(
            ("pool", "normalization", "resize", "crop_fraction", "interpolation"),
            lambda s: s.search is not None,
            "is known from the features file that is searched; leave it out",
        ),
        Rule(
            ("patch_tokens", "workers"),
            lambda s: s.search is not None,
            "means nothing to a search, which computes one vector; leave it out",
        ),
        Rule(("token_dtype",), lambda s: s.patch_tokens is None, "is of patch tokens; add --patch-tokens FILE.npy"),
    )

    model: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="MODEL")]] = ""
    """A run folder, a checkpoint, anybody's weights of a known layout, or hf:OWNER/NAME; a search may leave it out."""
    data: tyro.conf.Positional[tuple[str, ...]] = ()
    """The images, with labels or without: a folder, a CSV, "digits", or files and globs."""
    out: str | None = None
    """The file to write: .parquet, .npz or .csv; of a search, the drawing (.png)."""
    pool: Literal["auto", "class", "mean", "both"] = "auto"
    """The vector: class token, mean of the patch tokens, or the one after the other; auto: what a head would get."""
    patch_tokens: str | None = None
    """Write the patch tokens of all images into this .npy file, too: (images, patches, width)."""
    token_dtype: Literal["float16", "float32"] = "float16"
    """Of the patch tokens."""
    search: str | None = None
    """An image: print and draw the images of a features file that are most like it."""
    features: str | None = None
    """The features file to search."""
    top: int = 9
    """How many images a search shows."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    workers: int = -1
    """Processes that load images; -1 chooses by the machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: fp32; of a search, that of the features file."""
    json: bool = False
    """Print one JSON object instead of sentences."""


__all__ = ["EmbedSettings"]
