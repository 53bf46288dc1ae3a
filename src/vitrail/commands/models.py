"""``vitrail models``: what can be built, what it costs, and how good it is known to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.heads.names import build_model, list_models
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.cost import cost
from vitrail.models.published import Published, published
from vitrail.models.registry import BACKBONES
from vitrail.output import say, say_table
from vitrail.runs.growth import show_growth
from vitrail.runs.pretrained import list_pretrained
from vitrail.serialize import dumps
from vitrail.settings import ModelsSettings, TrainSettings
from vitrail.tasks.recipes import RECIPES

SMALLEST_SIZE = 32
"""Pixels; the coarsest maps of all families have one place there."""


@dataclass(frozen=True)
class Facts:
    """What is known of a model without training it.

    Attributes:
        name: of `vitrail.list_models`.
        parameters: how many there are, with 1000 classes or with what is pretrained besides.
        tokens: length of the sequence for each image size; 0 for a model without tokens.
        multiply_accumulates: of one forward pass with one image, for each image size; twice that is FLOPs.
        published: top-1 accuracy on ImageNet-1k as its authors report it, best first.
    """

    name: str
    parameters: int
    tokens: dict[int, int]
    multiply_accumulates: dict[int, int]
    published: tuple[Published, ...]


def models(pattern: str = "", image_sizes: Sequence[int] = (224, 384)) -> list[Facts]:
    """Tell what models there are and what they cost.

    Args:
        pattern: only names that contain this; all backbones when empty.
        image_sizes: sides of the images to count for, in pixels.

    Raises:
        ConfigError: no name contains the pattern, or a size is too small for any model.
    """
    if not image_sizes or min(image_sizes) < SMALLEST_SIZE:
        raise ConfigError(f"image sizes begin at {SMALLEST_SIZE} pixels; got {list(image_sizes)}")
    names = [name for name in list_models() if pattern in name] if pattern else list(BACKBONES)
    if not names:
        raise ConfigError(f"no model's name contains {pattern!r}{nearest(pattern, list_models())}")
    return [facts_of(name, image_sizes) for name in names]


def facts_of(name: str, image_sizes: Sequence[int]) -> Facts:
    """Count a model without allocating it."""
    with shapes_only():
        model: Any = build_model(name)
    costs = {size: cost(model, size) for size in image_sizes}
    return Facts(
        name,
        next(iter(costs.values())).parameters,
        {size: found.tokens for size, found in costs.items()},
        {size: found.multiply_accumulates for size, found in costs.items()},
        published(name),
    )


def run(settings: ModelsSettings) -> None:
    """List models or recipes."""
    if settings.recipes:
        _list_recipes(settings.json)
        return
    if settings.pretrained:
        list_pretrained(settings.pattern, settings.json)
        return
    if settings.flops:
        show_growth(settings)
        return
    facts = models(settings.pattern, settings.image_sizes)
    if settings.json:
        print(dumps([dataclasses.asdict(fact) for fact in facts]))
        return
    notes = list(dict.fromkeys(_note(fact.published[0]) for fact in facts if fact.published))
    at = " / ".join(str(size) for size in settings.image_sizes)
    columns = ("model", "parameters, M", "tokens", "GMAC", "top-1, %")
    say_table(f"for images of {at} pixels", columns, [_row(fact, notes) for fact in facts])
    say("GMAC: thousand million multiply-accumulates for one image, half the FLOPs. Top-1: the best published for")
    say("ImageNet-1k's validation set, and at which image size; all of them: vitrail models --json")
    for number, note in enumerate(notes, 1):
        say(f"[{number}] {note}")
    if not settings.pattern:
        say("Around every ViT: mae_NAME, a masked autoencoder, and mpp_NAME, masked patch prediction")
        say("Around every ViT and Swin: simmim_NAME, hidden squares")


def _row(fact: Facts, notes: Sequence[str]) -> tuple[Any, ...]:
    tokens = " / ".join(f"{count:,}" for count in fact.tokens.values() if count)
    counts = " / ".join(f"{count / 1e9:.2f}" for count in fact.multiply_accumulates.values())
    return (fact.name, f"{fact.parameters / 1e6:,.2f}", tokens, counts, _best(fact, notes))


def _best(fact: Facts, notes: Sequence[str]) -> str:
    if not fact.published:
        return ""
    best = fact.published[0]
    size = f" at {best.image_size}" if best.image_size else ""
    return f"{best.top1:g}{size} [{notes.index(_note(best)) + 1}]"


def _note(row: Published) -> str:
    return f"{row.training}: {row.source}"


def _list_recipes(as_json: bool) -> None:
    rows = [
        ("train" if kind is TrainSettings else "pretrain", name, r.model, r.epochs, r.batch_size, r.lr)
        for kind, recipes in RECIPES.items()
        for name, r in recipes.items()
    ]
    columns = ("verb", "recipe", "model", "epochs", "batch size", "lr")
    if as_json:
        print(dumps([dict(zip(columns, row, strict=True)) for row in rows]))
        return
    say_table("", columns, rows)
    say("every value of a recipe: vitrail train --recipe NAME --help")
