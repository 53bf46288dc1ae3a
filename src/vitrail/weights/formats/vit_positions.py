"""Fit the less common positions of a ViT to another grid of patches: those of rows and columns, and relative ones."""

from __future__ import annotations

from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.layers.positions import resize_positions
from vitrail.layers.relative_position import fit_bias_table, square_grid, stretch_keys
from vitrail.models.backbone import Backbone


def is_fitted(name: str) -> bool:
    """Whether a plain name belongs to a tensor that `fit` can fit to another grid."""
    return name in ("pos_embed.x", "pos_embed.y") or name.startswith("relative.")


def fit(backbone: Backbone, name: str, tensor: Tensor) -> Tensor:
    """Fit positions of rows or columns, relative keys or a table of relative biases to the backbone's grid.

    Args:
        backbone: the model it is for.
        name: the tensor's plain name; `is_fitted` tells which.
        tensor: what the file has; a table must be for a square grid.

    Raises:
        WeightsError: a table was made for no square grid.
    """
    h, w = backbone.token_grid(*backbone.config.image_size) or (0, 0)
    prefix = backbone.prefix_tokens
    if name.startswith("pos_embed."):
        wanted = w if name.endswith(".x") else h
        return resize_positions(tensor, (1, tensor.shape[1]), (1, wanted), 0, backbone.config.position_resize)
    if name.endswith(".keys"):
        return stretch_keys(tensor, 2 * h * w - 1, prefix)
    own = square_grid(tensor[: len(tensor) - 3 * prefix])
    if own is None:
        raise WeightsError(
            f"{name} has {len(tensor)} rows, which belong to no square grid; build the model with the image_size of "
            "the weights, which then takes images of any size"
        )
    return fit_bias_table(tensor, own, (h, w))
