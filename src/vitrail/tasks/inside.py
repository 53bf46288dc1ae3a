"""What is inside a backbone, as figures: all that has a meaning for it, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.sources import Images
from vitrail.errors import ConfigError
from vitrail.explain.attention_distance import attention_reach
from vitrail.explain.filters import principal_filters
from vitrail.explain.layers import LEAST_IMAGES, layer_vectors, neighbour_accuracy, similarities
from vitrail.explain.outlier_tokens import OutlierTokens, outlier_tokens
from vitrail.explain.patch_tokens import nearest_patches, patch_tokens, token_colours, token_groups
from vitrail.explain.position_similarity import position_similarity
from vitrail.models.backbone import Backbone, backbone_of
from vitrail.settings import LookSettings
from vitrail.tasks.inputs import ShownInputs, inputs_of
from vitrail.visualize import filters, layer_charts, positions, reach, tokens
from vitrail.visualize.draw import to_image
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description
from vitrail.weights.open_any import OpenedModel

GROUPS = 6
"""Into which patches are parted."""

SEED = 0
"""Of the first centres of the groups."""

MOST_NEIGHBOURS = 7
MOST_DRAWN = 8
"""Images that stand in a figure of all of them; the numbers beside it are of all."""

LEAST_PATCHES = 16
"""That colours and groups of patches need: fewer have no components worth a name."""

MOST_COMPARED = 5
"""Models beside the first in a chart: there are colours for six."""

LEAST_LABELLED = 10
"""Labelled images from which on a share of them that are named correctly says anything."""


@dataclass(frozen=True)
class Inspected:
    """A model and the images it is inspected at with.

    Attributes:
        name: what the model is called in charts.
        model: the module; its backbone is inspected into.
        images: ``(B, C, H, W)``, normalised.
        captions: a line for each.
        preprocessing: how they became the model's input.
        labels: ``(B,)`` classes; None where they are not known.
        pixel: row and column of the patch whose nearest ones are drawn; by default that in the middle.
    """

    name: str
    model: Any
    images: Tensor
    captions: Sequence[str]
    preprocessing: Preprocessing
    labels: Tensor | None = None
    pixel: tuple[int, int] | None = None

    @property
    def backbone(self) -> Backbone:
        """The model's backbone."""
        return backbone_of(self.model)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[-2], self.images.shape[-1]

    @functools.cached_property
    def tokens(self) -> Tensor:
        """What the model makes of each place of each image, ``(B, D, h, w)``."""
        return patch_tokens(self.model, self.images)

    @functools.cached_property
    def vectors(self) -> list[Tensor]:
        """The images as each block describes them, ``(B, D)`` each."""
        return layer_vectors(self.model, self.images)

    @property
    def shown(self) -> list[Image.Image]:
        """The images as they are drawn."""
        return [to_image(image, self.preprocessing.mean, self.preprocessing.std) for image in self.images]


def inspected(name: str, model: Any, description: Description, images: Images, inputs: ShownInputs) -> Inspected:
    """Put a model and the images it is looked at with together.

    Args:
        name: what the model is called in charts.
        model: the module.
        description: of the model.
        images: the images, with labels where they are known.
        inputs: the same images as the model takes them.
    """
    labels = None if images.labels is None else torch.tensor(images.labels)
    return Inspected(name, model, inputs.images, inputs.captions, description.preprocessing, labels)


def without_images(model: Any, description: Description) -> Inspected:
    """Return a model to look at without any image: what is drawn of its weights needs their size alone."""
    preprocessing = description.preprocessing
    empty = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    return Inspected(description.name, model, empty, ("",), preprocessing)


def draw_weights(inspected: Inspected) -> dict[str, Figure]:
    """Draw what can be seen of a backbone without any image, by name."""
    return _drawn(
        inspected, {"filters": _filters, "positions": _positions, "position_bias": _biases, "rotary": _rotary}
    )


def draw_inside(inspected: Inspected, others: Sequence[Inspected] = ()) -> dict[str, Figure]:
    """Draw what a backbone makes of images, by name, beside that of other models where there are any."""
    models = [inspected, *others]
    drawn = _drawn(
        inspected,
        {
            "attention_distance": lambda _: _reach(models),
            "outlier_tokens": _outliers,
            "patch_tokens": _tokens,
            "nearest_patches": _neighbours,
            "layer_similarity": lambda _: _similarity(models),
            "layer_neighbours": lambda _: _layer_neighbours(models),
        },
    )
    return drawn


def draw_all_inside(
    one: Inspected, images: Images, settings: LookSettings, others: Sequence[OpenedModel]
) -> dict[str, Figure]:
    """Draw a model's weights and what it makes of images, with other models in the same charts where there are any."""
    names = chart_names(settings.checkpoint, *settings.compare)
    one = dataclasses.replace(one, name=names[0], pixel=settings.pixel)
    unlabelled = Images(images.items, None, images.names)  # the labels are of this model's classes
    beside = [
        inspected(name, other.model, other.description, unlabelled, inputs_of(unlabelled, other.description))
        for name, other in zip(names[1:], others, strict=True)
    ]
    return draw_weights(one) | draw_inside(one, beside)


def chart_names(*given: str) -> list[str]:
    """Return what models are called in charts: the last part of each name, or all of it where two have the same.

    Raises:
        ConfigError: two of them are the same one, or they are too many for one chart.
    """
    if len(given) > MOST_COMPARED + 1:
        raise ConfigError(f"--compare takes {MOST_COMPARED} models at most, so that their colours can be told apart")
    for number, name in enumerate(given):
        if name in given[:number]:
            whose = "the model itself" if name == given[0] else "named twice"
            raise ConfigError(f"--compare {name} is {whose}; name another one")
    short = [Path(name).name or name for name in given]
    return short if len(set(short)) == len(short) else list(given)


def _drawn(inspected: Inspected, figures: dict[str, Callable[[Inspected], Figure | None]]) -> dict[str, Figure]:
    return {name: figure for name, draw in figures.items() if (figure := draw(inspected)) is not None}


def _filters(inspected: Inspected) -> Figure:
    found = inspected.backbone.input_filters()
    if found.shape[-1] == inspected.backbone.strides[0]:  # each patch is met by each filter once
        principal = principal_filters(found)
        text = (
            "What the patch embedding is made of: the first principal components of its filters, as colours. The same "
            "as figure 7 (left) of the ViT paper (Dosovitskiy et al. 2021)."
        )
        data = {"components": principal.components, "shares": principal.shares}
        return Figure(filters.draw_principal(principal), "Patch-embedding filters", text, data)
    text = (
        "The filters that the image meets first, as colours. Convolutions often learn edges, spots and waves of one "
        "direction there; noise is what they began as."
    )
    return Figure(filters.draw_filters(found), "First filters", text, {"filters": found})


def _positions(inspected: Inspected) -> Figure | None:
    backbone = inspected.backbone
    table, grid = backbone.position_table(*inspected.size), backbone.token_grid(*inspected.size)
    if table is None or grid is None or not table.any():
        return None
    values = position_similarity(table[0], grid)
    where = "" if len(table) == 1 else " of the first block"
    text = (
        f"How alike the position embeddings{where} of any two places are. The same as figure 7 (centre) of the ViT "
        "paper (Dosovitskiy et al. 2021)."
    )
    return Figure(positions.draw_similarity(values), "Position embeddings", text, {"similarity": values})


def _biases(inspected: Inspected) -> Figure | None:
    tables = [] if inspected.backbone.has_windows else inspected.backbone.position_biases()
    if not tables:
        return None
    text = (
        "What each head adds to its scores by where a key lies from its query. These tables take the place of position "
        "embeddings (Swin, Liu et al. 2021, equation 4; BEiT, Bao et al. 2022)."
    )
    return Figure(positions.draw_biases(tables), "Relative position bias", text, {"bias": torch.stack(tables)})


def _rotary(inspected: Inspected) -> Figure | None:
    turns, grid = inspected.backbone.rotary_turns(), inspected.backbone.token_grid(*inspected.size)
    if turns is None or grid is None:
        return None
    text = (
        "By what angle queries and keys are turned at each place, for every pair of channels: slow pairs tell far "
        "places apart, fast ones near places (RoFormer, Su et al. 2021; DINOv3, Siméoni et al. 2025)."
    )
    return Figure(positions.draw_frequencies(turns, max(grid)), "Rotary positions", text, {"turns": turns})


def _reach(models: Sequence[Inspected]) -> Figure | None:
    found = {one.name: attention_reach(one.model, one.images) for one in models if one.backbone.attention_layers()}
    if not found:
        return None
    text = (
        "How far from its own place each head looks, weighted by its attention and averaged over all patches, and how "
        "evenly. The same as figure 7 (right) of the ViT paper, and figure 11 for hybrids (Dosovitskiy et al. 2021)."
    )
    data = {name: reach.reach_data(one) for name, one in found.items()}
    return Figure(reach.draw_reach(found), "Mean attention distance", text, data)


def _outliers(inspected: Inspected) -> Figure | None:
    if not inspected.backbone.is_plain or not inspected.backbone.attention_layers():
        return None
    found = outlier_tokens(inspected.model, inspected.images)
    text = (
        f"{found.sentence()} Such artefacts are what register tokens remove (Darcet et al. 2024, Vision Transformers "
        "Need Registers, figure 3)."
    )
    drawn = OutlierTokens(found.norms[:MOST_DRAWN], found.threshold)
    image = tokens.draw_norms(inspected.shown[:MOST_DRAWN], inspected.captions, drawn, found.sentence())
    return Figure(image, "Norms of patch tokens", text, {"norms": found.norms, "outlier": found.found})


def _tokens(inspected: Inspected) -> Figure | None:
    features = inspected.tokens
    if features[:, 0].numel() < LEAST_PATCHES:
        return None
    colours, groups = token_colours(features), token_groups(features, GROUPS, SEED)
    text = (
        "What the model takes for the same thing: patches of one colour have like tokens, in all images. The "
        "components follow figure 1 of DINOv2 (Oquab et al. 2023)."
    )
    data = {"colours": colours.colours, "foreground": colours.foreground, "shares": colours.shares, "groups": groups}
    image = tokens.draw_tokens(inspected.shown[:MOST_DRAWN], inspected.captions, colours, groups)
    return Figure(image, "Patch tokens", text, data)


def _neighbours(inspected: Inspected) -> Figure | None:
    features = inspected.tokens
    count, _, h, w = features.shape
    if count < 2:
        return None
    height, width = inspected.size
    y, x = inspected.pixel or (height // 2, width // 2)
    if not (0 <= y < height and 0 <= x < width):
        raise ConfigError(f"there is no pixel {y}, {x} in an image of {height}x{width}")
    place = (0, y * h // height, x * w // width)
    found = nearest_patches(features, place, MOST_NEIGHBOURS)
    text = (
        "The patches of other images whose tokens are most like that of one patch of the first image: what it means to "
        "the model. --pixel ROW COLUMN chooses another patch."
    )
    data = {"patch": list(place), "nearest": [vars(one) for one in found]}
    image = tokens.draw_neighbours(inspected.shown, inspected.captions, place, found, (h, w))
    return Figure(image, "Nearest patches", text, data)


def _similarity(models: Sequence[Inspected]) -> Figure | None:
    if len(models[0].images) < LEAST_IMAGES:
        return None
    vectors = {one.name: one.vectors for one in models}
    first = models[0].name
    tables = {(first, name): similarities(vectors[first], layers) for name, layers in vectors.items()}
    text = (
        "How alike what two blocks make of the same images is, from 0 to 1 (linear CKA, Kornblith et al. 2019; figure "
        "1 of Raghu et al. 2021, Do Vision Transformers See Like CNNs?). Blocks of like colour do like things."
    )
    data = {f"{down} against {across}": table for (down, across), table in tables.items()}
    return Figure(layer_charts.draw_similarities(tables, len(models[0].images)), "Similarity of blocks", text, data)


def _layer_neighbours(models: Sequence[Inspected]) -> Figure | None:
    labels = models[0].labels
    if labels is None or len(labels) < LEAST_LABELLED or len(labels.unique()) < 2:
        return None
    shares = {one.name: neighbour_accuracy(one.vectors, labels) for one in models}
    classes = len(labels.unique())
    text = (
        f"The share of the {len(labels)} images that their nearest neighbours among the others name correctly, by what "
        "each block makes of them: where in the model classes come apart. Few images make it coarse."
    )
    data = {name: values.tolist() for name, values in shares.items()}
    return Figure(layer_charts.draw_neighbours(shares, len(labels), classes), "k-NN accuracy by block", text, data)
