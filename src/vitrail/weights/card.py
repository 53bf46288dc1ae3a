"""The card of a model: what it is, what it was trained on, how good it is, what it needs, how to use it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitrail.console import printable
from vitrail.heads.registry import build, is_dense
from vitrail.heads.spec import ModelSpec
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.cost import cost
from vitrail.weights.description import Description
from vitrail.weights.trusted import TrustPart

CARD = "README.md"
TEMPLATE = "card.md.j2"

# What hubs call the tasks; what is pretrained without labels gives features.
PIPELINES = {
    "classify": "image-classification",
    "detect": "object-detection",
    "segment": "image-segmentation",
}
FEATURES = "image-feature-extraction"

SHOWN_SETTINGS = ("epochs", "batch_size", "lr", "recipe", "labels", "objective", "mask_ratio")


def model_card(
    description: Description,
    metrics: Mapping[str, float] | None = None,
    repository: str = "OWNER/NAME",
    trust: Sequence[TrustPart] = (),
) -> str:
    """Write the card of a model as Markdown, with the header that hubs read.

    Args:
        description: what the checkpoint says about itself.
        metrics: what it reached on held-out images, by name.
        repository: where it will be found on a hub.
        trust: the sections of its trust card; empty where there is none.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vitrail.weights", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    trained = bool(description.class_names)
    return environment.get_template(TEMPLATE).render(
        name=description.name,
        size=_size(description),
        pipeline=PIPELINES.get(description.task, FEATURES) if trained else FEATURES,
        classes=tuple(safe(name) for name in description.class_names),
        preprocessing=description.preprocessing,
        mean=_numbers(description.preprocessing.mean),
        std=_numbers(description.preprocessing.std),
        metrics={safe(name): f"{value:.4g}" for name, value in (metrics or {}).items()},
        # Where the data lay is nobody's business, and of no use to others.
        data=safe(data := Path(str(description.settings.get("data", ""))).name),
        code=printable(data)[:LONGEST_TEXT].replace("`", "'"),
        repository=repository,
        trust=[_trusted(part) for part in trust],
        settings={name: safe(value) for name in SHOWN_SETTINGS if (value := description.settings.get(name))},
    )


def _trusted(part: TrustPart) -> tuple[str, list[tuple[str, str]], str]:
    """Return title, facts and command of a section of the trust card, safe to be shown."""
    facts = [(safe(name), safe(value)) for name, value in part.facts]
    return safe(part.title), facts, printable(part.command).replace("`", "'")


LONGEST_TEXT = 200
"""Characters of a class name or a setting on a card."""

# What Markdown takes for more than text; the rest of it needs a line break before it, which `printable` writes out.
MARKUP = re.compile(r"([\\`*_\[\]|~#])")


def safe(text: object) -> str:
    """Write text of others so that neither HTML nor Markdown nor a terminal takes it for more than text."""
    shown = printable(text)[:LONGEST_TEXT]
    return MARKUP.sub(r"\\\1", html.escape(shown, quote=False))


def _size(description: Description) -> str:
    """Say how large the model is; of a detector or segmenter, its backbone."""
    model = description.model
    if is_dense(model):
        model = ModelSpec(model.backbone, model.backbone_options)
    with shapes_only():
        counted: Any = cost(build(model), description.preprocessing.image_size)
    return f"{counted.parameters / 1e6:.2f} million parameters, {counted.multiply_accumulates / 1e9:.2f} GMAC an image"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
