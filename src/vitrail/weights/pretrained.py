"""Encoders that others have published and that can be fetched by name: a table, with where each line was confirmed."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

from vitrail.errors import ConfigError
from vitrail.heads.names import canonical_name
from vitrail.weights.licences import must_accept

TABLE = "pretrained.csv"

_TIMM = "https://github.com/huggingface/pytorch-image-models/blob/main"
SOURCES = {
    "timm-vit": f"{_TIMM}/timm/models/vision_transformer.py",
    "timm-deit": f"{_TIMM}/timm/models/deit.py",
    "timm-beit": f"{_TIMM}/timm/models/beit.py",
    "timm-eva": f"{_TIMM}/timm/models/eva.py",
    "timm-swin": f"{_TIMM}/timm/models/swin_transformer.py",
    "timm-swin2": f"{_TIMM}/timm/models/swin_transformer_v2.py",
    "timm-bit": f"{_TIMM}/timm/models/resnetv2.py",
    "timm-hybrid": f"{_TIMM}/timm/models/vision_transformer_hybrid.py",
    "timm-results": f"{_TIMM}/results/results-imagenet.csv",
    "google-vit": "https://github.com/google-research/vision_transformer/blob/main/LICENSE",
    "deit": "https://github.com/facebookresearch/deit/blob/main/README_deit.md",
    "mae": "https://github.com/facebookresearch/mae/blob/main/LICENSE",
    "mae-finetune": "https://github.com/facebookresearch/mae/blob/main/FINETUNE.md",
    "dino": "https://github.com/facebookresearch/dino/blob/main/README.md",
    "dinov2": "https://github.com/facebookresearch/dinov2/blob/main/README.md",
    "dinov3": "https://github.com/facebookresearch/dinov3/blob/main/README.md",
    "unilm": "https://github.com/microsoft/unilm/blob/master/LICENSE",
    "clip": "https://github.com/openai/CLIP/blob/main/LICENSE",
    "open-clip": "https://github.com/mlfoundations/open_clip/blob/main/docs/openclip_results.csv",
    "open-clip-licence": "https://github.com/mlfoundations/open_clip/blob/main/LICENSE",
    "siglip2": (
        "https://github.com/google-research/big_vision/blob/main/big_vision/configs/proj/image_text/README_siglip2.md"
    ),
}
"""Where lines of the table were confirmed: a name and its address."""


@dataclass(frozen=True)
class Pretrained:
    """A published encoder.

    Attributes:
        name: timm's name for it; on the hub it is ``timm/NAME``.
        parameters: how many there are, those of its head included.
        image_size: side of its input, in pixels.
        trained_on: the data.
        licence: of the weights.
        licence_source: address where that stands.
        listed_in: address of the code that names the repository.
        measure: what ``accuracy`` is: top-1 of the model itself, linear (a linear probe), zero-shot; "" for none.
        accuracy: on ImageNet-1k's validation set, in per cent; None where none was confirmed.
        accuracy_source: address where that stands; "" for none.
    """

    name: str
    parameters: int
    image_size: int
    trained_on: str
    licence: str
    licence_source: str
    listed_in: str
    measure: str
    accuracy: float | None
    accuracy_source: str

    @property
    def repository(self) -> str:
        """``OWNER/NAME`` on the Hugging Face hub."""
        return f"timm/{self.name}"

    @property
    def model(self) -> str:
        """The model of `vitrail.list_models` that opens it; "" where this version has none."""
        architecture, _, tag = self.name.partition(".")
        if tag == "openai":  # with QuickGELU, which timm says in the name of the architecture, not of the repository
            architecture = architecture.replace("_clip_", "_clip_quickgelu_")
        try:
            return canonical_name(architecture)
        except ConfigError:
            return ""

    @property
    def must_accept(self) -> bool:
        """Whether its licence has conditions that are to be accepted before it is fetched."""
        return must_accept(self.licence)


@functools.cache
def pretrained() -> dict[str, Pretrained]:
    """Return all published encoders by name."""
    text = resources.files("vitrail.weights").joinpath(TABLE).read_text(encoding="utf-8")
    rows = [_read(row) for row in csv.DictReader(text.splitlines())]
    return {row.name: row for row in rows}


def _read(row: dict[str, str]) -> Pretrained:
    accuracy = float(row["accuracy"]) if row["accuracy"] else None
    return Pretrained(
        name=row["name"],
        parameters=int(row["parameters"]),
        image_size=int(row["image_size"]),
        trained_on=row["trained_on"],
        licence=row["licence"],
        licence_source=SOURCES[row["licence_source"]],
        listed_in=SOURCES[row["listed_in"]],
        measure=row["measure"],
        accuracy=accuracy,
        accuracy_source=SOURCES[row["accuracy_source"]] if accuracy is not None else "",
    )


def licence_in_table(repository: str) -> str:
    """Return the licence of a repository that is in the table; "" for others."""
    owner, _, name = repository.partition("/")
    found = pretrained().get(name) if owner == "timm" else None
    return found.licence if found else ""


__all__ = ["Pretrained", "licence_in_table", "pretrained"]
