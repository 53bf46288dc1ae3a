"""The relative position bias of a Swin as images: which offset each pair of places has, and what each head adds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import resolve_layers, windowed_encoder_of
from vitrail.layers.relative_position import offset_array
from vitrail.layers.window_attention import WindowAttention
from vitrail.visualize.draw import MARGIN, Tile, sheet
from vitrail.visualize.scales import bias_legend, bias_map, number_map

SMALL, LARGE = 96, 300  # Sides of tiles, in pixels.

MOST_TILES = 12  # in a row

NOTE = (
    "Every two places of a window have an offset, and every offset has a row in the table (above, left: queries down, "
    "keys across). A head adds the number in that row to its scores. Below, each head's table laid out by offset: the "
    "middle is the place itself, what is above it lies above. All tables have the one scale above this text; a table "
    "without colour leaves the scores as they are."
)


def panel(
    model: nn.Module, *, layers: Sequence[int] | None = None, title: str = "Relative position bias"
) -> Image.Image:
    """Draw the relative position index and the bias of all heads.

    Args:
        model: an `ImageClassifier` with a `Swin`, a bare one, or what pretrains it.
        layers: whose heads are shown, negative from the end; the last of each stage when absent.
        title: a line on top, or none.

    Raises:
        ConfigError: the model has no windows or no bias, or there is no such layer.
    """
    swin = windowed_encoder_of(model)
    ends = torch.tensor([len(stage) for stage in swin.windows(*swin.config.image_size)]).cumsum(0) - 1
    chosen = resolve_layers(ends.tolist() if layers is None else layers, swin.depth)
    rows: list[list[Tile | None]] = []
    for layer in chosen:
        tables = bias_by_offset(model, layer)
        tiles: list[Tile | None] = [
            Tile(bias_map(table, SMALL), f"block {layer}\nhead {head}") for head, table in enumerate(tables)
        ]
        rows += _wrapped(tiles)
    above = sheet([_index_row(model, chosen[0])], title=title)
    below = sheet(rows, note=NOTE, legend=bias_legend(), least_width=above.width - 2 * MARGIN)
    return _stacked(above, below)


def bias_by_offset(model: nn.Module, layer: int) -> Tensor:
    """Return the bias of every head of a layer by offset of the key from the query: ``(K, 2 M_h - 1, 2 M_w - 1)``.

    Raises:
        ConfigError: the model has no windows or no bias, or there is no such layer.
    """
    attention = _attention(model, layer)
    h, w = attention.window
    table: Tensor = attention.bias_table()  # type: ignore[assignment]
    # Rows of the table count from key to query; an image shows what lies around the query.
    return table.detach().float().cpu().T.unflatten(1, (2 * h - 1, 2 * w - 1)).flip(1, 2)


def bias_of_pairs(model: nn.Module, layer: int, head: int) -> Tensor:
    """Return what a head adds to the score of each query and key of a window, ``(A, A)``.

    Raises:
        ConfigError: as in `bias_by_offset`, or there is no such head.
    """
    attention = _attention(model, layer)
    if not 0 <= head < attention.num_heads:
        raise ConfigError(f"there is no head {head}; layer {layer} has 0 to {attention.num_heads - 1}")
    bias: Tensor = attention.bias()  # type: ignore[assignment]
    return bias[head].detach().float().cpu()


def _attention(model: nn.Module, layer: int) -> WindowAttention:
    swin = windowed_encoder_of(model)
    attention = swin.attention_layers()[resolve_layers([layer], swin.depth)[0]]
    assert isinstance(attention, WindowAttention)
    if attention.bias_table() is None:
        raise ConfigError(f"this model has no relative position bias (its positions are {swin.config.positions!r})")
    return attention


def _index_row(model: nn.Module, layer: int) -> list[Tile | None]:
    """Draw the index of pairs, and how the first head of a layer looks through it."""
    window = _attention(model, layer).window
    index = torch.from_numpy(offset_array(window)).float()
    return [
        Tile(
            number_map(index, LARGE),
            f"relative position index\nrow 0 (dark) to {int(index.max())} (bright) of the table",
        ),
        Tile(bias_map(bias_by_offset(model, layer)[0], LARGE), f"block {layer}, head 0\nits bias by offset"),
        Tile(bias_map(bias_of_pairs(model, layer, 0), LARGE), f"block {layer}, head 0\nwhat it adds to the scores"),
    ]


def _wrapped(tiles: list[Tile | None]) -> list[list[Tile | None]]:
    return [tiles[start : start + MOST_TILES] for start in range(0, len(tiles), MOST_TILES)]


def _stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    both = Image.new("RGB", (max(above.width, below.width), above.height + below.height), "white")
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height))
    return both
