"""What patches mean to a model, as images: tokens as colours, in groups, their norms, and the nearest of a patch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from vitrail.console import percent
from vitrail.explain.outlier_tokens import FACTOR, OutlierTokens
from vitrail.explain.patch_tokens import Neighbour, TokenColours
from vitrail.visualize.draw import Tile, enlarge, sheet
from vitrail.visualize.scales import coloured, scale_legend
from vitrail.visualize.segments import palette

SIDE = 260
NORM_COLOURS = "cividis"
MARK = (255, 210, 60)


def draw_tokens(
    images: Sequence[Image.Image], captions: Sequence[str], colours: TokenColours, groups: Tensor
) -> Image.Image:
    """Draw each image beside its tokens as colours and in groups ``(B, h, w)``, which mean the same in all images."""
    hues = palette(int(groups.max()) + 1)
    rows: list[list[Tile | None]] = []
    for number, image in enumerate(images):
        shown = enlarge(image, SIDE, SIDE)
        painted = np.array(hues, np.uint8)[groups[number].numpy()]
        rows.append(
            [
                Tile(shown, captions[number]),
                Tile(_over(shown, (colours.colours[number].numpy() * 255).round().astype(np.uint8))),
                Tile(_mixed(shown, _over(shown, painted))),
            ]
        )
    shares = ", ".join(percent(float(share)) for share in colours.shares)
    note = (
        f"Middle: the first three principal components of the foreground's patch tokens as red, green and blue, common "
        f"to all images ({shares} of their variance); black is what the first component of all tokens sets apart as "
        f"background. Right: {len(hues)} groups of like tokens (k-means over directions). The same colour means the "
        "same in every image: parts of one kind should share one."
    )
    return sheet(rows, note=note, columns=["image", "components", "groups"])


def _over(image: Image.Image, pixels: np.ndarray) -> Image.Image:
    """Bring a grid of colours, uint8 ``(h, w, 3)``, to the size of an image, without smoothing."""
    return Image.fromarray(pixels).resize(image.size, Image.Resampling.NEAREST)


def _mixed(image: Image.Image, colours: Image.Image) -> Image.Image:
    return Image.blend(image.convert("L").convert("RGB"), colours, 0.6)


def draw_norms(
    images: Sequence[Image.Image], captions: Sequence[str], tokens: OutlierTokens, found: str = ""
) -> Image.Image:
    """Draw the norms of each image's tokens in multiples of the median; outliers are framed.

    Args:
        images, captions: the images.
        tokens: of these.
        found: what was found in all images, a sentence; by default in these.
    """
    multiples = tokens.norms / (tokens.threshold / FACTOR)
    rows: list[list[Tile | None]] = []
    tiles: list[Tile | None] = []
    for number, image in enumerate(images):
        shown = enlarge(image, SIDE, SIDE)
        heat = (multiples[number] / FACTOR).clamp(0, 1).numpy()
        drawn = _over(shown, (255 * coloured(NORM_COLOURS, heat)).round().astype(np.uint8))
        _frame(drawn, tokens.found[number])
        caption = f"{captions[number]}\nlargest {float(multiples[number].max()):.1f}x the median"
        tiles += [Tile(shown), Tile(drawn, caption)]
    rows = [tiles[start : start + 4] for start in range(0, len(tiles), 4)]
    legend = scale_legend(NORM_COLOURS, ["0x", "1x", "2x", "3x and more"], "norm of a token, in medians of all patches")
    note = (
        f"The norms of patch tokens after the last block. {found or tokens.sentence()} Such tokens keep what belongs "
        "to the whole image and draw attention to places that mean nothing (Darcet et al. 2024); --drop-outliers "
        "leaves them out of explanations."
    )
    return sheet(rows, note=note, legend=legend)


def _frame(image: Image.Image, found: Tensor) -> None:
    """Frame the patches ``(h, w)`` that are outliers."""
    pen, (h, w) = ImageDraw.Draw(image), found.shape
    for y, x in found.nonzero().tolist():
        box = (x * image.width / w, y * image.height / h, (x + 1) * image.width / w - 1, (y + 1) * image.height / h - 1)
        pen.rectangle(box, outline=(226, 60, 60), width=3)


def draw_neighbours(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    place: tuple[int, int, int],
    found: Sequence[Neighbour],
    grid: tuple[int, int],
) -> Image.Image:
    """Draw a patch (image, row, column) and the patches of other images that are nearest to it, each framed."""
    first = Tile(_marked(images[place[0]], place[1], place[2], grid), f"{captions[place[0]]}\nthis patch")
    tiles: list[Tile | None] = [first]
    for one in found:
        drawn = _marked(images[one.image], one.row, one.column, grid)
        tiles.append(Tile(drawn, f"{captions[one.image]}\ncosine {one.similarity:.2f}"))
    rows = [tiles[start : start + 4] for start in range(0, len(tiles), 4)]
    note = (
        "The framed patch of the first image, and of every other image the patch whose token points most nearly in "
        "the same direction. Where the model knows parts of things, they show the same part."
    )
    return sheet(rows, note=note)


def _marked(image: Image.Image, row: int, column: int, grid: tuple[int, int]) -> Image.Image:
    """Frame one patch of an image."""
    shown = enlarge(image, SIDE, SIDE).convert("RGB")
    pen = ImageDraw.Draw(shown)
    (h, w), (width, height) = grid, shown.size
    box = [column * width / w, row * height / h, (column + 1) * width / w, (row + 1) * height / h]
    pen.rectangle([box[0] - 3, box[1] - 3, box[2] + 2, box[3] + 2], outline=(20, 20, 20), width=6)
    pen.rectangle([box[0] - 2, box[1] - 2, box[2] + 1, box[3] + 1], outline=MARK, width=3)
    return shown
