"""Images of what a transformer attends to: rollout, and attention of the pooled answer head by head."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.rollout import AttentionMaps
from vitrail.visualize.draw import Tile, enlarge, sheet, to_image
from vitrail.visualize.scales import attention_legend, attention_map


def panel(
    maps: AttentionMaps,
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    captions: Sequence[str] = (),
    heads: Sequence[int] | None = None,
    title: str = "What the model attends to",
) -> Image.Image:
    """Draw each image beside its rollout and the attention of single heads.

    Args:
        maps: what a model attended to in these images, as `attention_maps` returns it.
        images: ``(B, C, H, W)``, normalised.
        mean, std: per channel, with which the images were normalised.
        captions: a line for each image, such as its class and the model's answer.
        heads: which heads to show, from 0; all when absent.
        title: a line on top, or none.

    Returns:
        One image with a block of tiles for each of ``images``, and a colour legend.
    """
    count = maps.heads.shape[1]
    shown = range(count) if heads is None else heads
    for head in shown:
        if not 0 <= head < count:
            raise ConfigError(f"there is no head {head}; this model's go from 0 to {count - 1}")
    names = ["rollout", *(f"head {head}" for head in shown)]
    rows: list[list[Tile | None]] = []
    for index, pixels in enumerate(images):
        image = enlarge(to_image(pixels, mean, std))
        drawn = [maps.rollout[index], *(maps.heads[index, head] for head in shown)]
        tiles: list[Tile | None] = [Tile(image, captions[index] if captions else "")]
        tiles += [
            Tile(attention_map(image, values * maps.tokens), f"{name}\n{peak_of(values * maps.tokens)}")
            for name, values in zip(names, drawn, strict=True)
        ]
        rows += _balanced(tiles, at_most=8)
    whose = "the class token attends" if maps.by == "class" else "the patches attend, on average,"
    return sheet(
        rows,
        title=title,
        note=(
            f"How strongly {whose} to each place: rollout through all layers, and single heads of layer {maps.layer} "
            f"(layers count from 0 to {maps.layers - 1}). An even share is 1 of {maps.tokens:,}, "
            "the number of tokens. All maps have the one scale above: without colour, no place gets more than an even "
            "share."
        ),
        legend=attention_legend(),
    )


def peak_of(multiples: Tensor) -> str:
    """Write the peak of a map in multiples of an even share, which its colours cannot show beyond 16x."""
    peak = float(multiples.max())
    return f"peak {peak:.{0 if peak >= 10 else 1}f}x"


def _balanced(tiles: list[Tile | None], at_most: int) -> list[list[Tile | None]]:
    """Break tiles into as few rows as fit, all but the last equally long."""
    rows = -(-len(tiles) // at_most)
    columns = -(-len(tiles) // rows)
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
