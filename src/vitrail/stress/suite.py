"""Which curves are drawn of a model: all of them, or fewer points where it has to be quick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vitrail.stress.corruptions.catalogue import CORRUPTIONS, corruption
from vitrail.stress.corruptions.severity import WORST
from vitrail.stress.curves import Curve, Need
from vitrail.stress.grids import Grid
from vitrail.stress.occlusion import Order, dropped, kept_tokens
from vitrail.stress.shift import rotated, scaled, translated
from vitrail.stress.shuffle import shuffled
from vitrail.stress.textures import edges, silhouette, smoothed, stylised

CELLS = 14
"""Cells in each row and column in which the pixels of any model are blacked out, in all three orders: the patches of 16
pixels in an image of 224."""
PIXEL_GRIDS = (4, 8, 14, 16)
"""Cells in each row and column for blacking out at random."""
SHUFFLES = (1, 2, 4, 7, 8, 14, 16)
SMALLEST_CELL = 2
"""Pixels of a side below which a shuffled patch holds no texture."""
ORDERS: dict[Order, str] = {
    "random": "at random",
    "salient": "what matters most first",
    "non_salient": "what matters least first",
}


@dataclass(frozen=True)
class Suited:
    """What decides which curves there can be.

    Attributes:
        size: height and width of the models' input, in pixels.
        token_grid: rows and columns of a ViT's patches, where tokens can be removed; else None.
        has_prefix: whether something is left when every patch is removed.
        two_classes: whether there are images of two classes or more, so that textures can be exchanged.
        quick: fewer points.
        seeds: of random changes.
        saliency: key of what says what matters.
        patch_grids: rows and columns of the patches of each of the models that are compared, where they have any.
    """

    size: tuple[int, int]
    token_grid: tuple[int, int] | None
    has_prefix: bool
    two_classes: bool
    quick: bool = False
    seeds: int = 2
    saliency: str = ""
    patch_grids: tuple[tuple[int, int], ...] = ()


def grid_curve(rows: int, columns: int) -> str:
    """Return the name of the curve of cells of a grid that are blacked out at random."""
    if (rows, columns) == (CELLS, CELLS):
        return "occlusion_random"
    return f"occlusion_random_grid{rows}" if rows == columns else f"occlusion_random_grid{rows}x{columns}"


def occlusion(suited: Suited) -> Iterator[Curve]:
    """Give the curves of PatchDrop: in three orders, on several grids, by blacking out and by removing tokens."""
    shares = (0.0, 0.25, 0.5, 0.75, 1.0) if suited.quick else tuple(round(0.1 * n, 1) for n in range(11))
    own = Grid(*(min(CELLS, side) for side in suited.size))
    for order, said in ORDERS.items():
        yield Curve(
            f"occlusion_{order}",
            "occlusion",
            f"patches blacked out, {said}",
            "share of the patches that is gone",
            shares,
            0.0,
            change=partial(dropped, grid=own, order=order),
            stream=f"occlusion {own.rows}x{own.columns}",
            seeds=_seeds(suited, order),
            needs=_needs(order),
            basis="" if order == "random" else suited.saliency,
        )
    yield from _pixel_grids(suited, own)
    if suited.token_grid is not None:
        yield from _tokens(suited, Grid(*suited.token_grid), shares if suited.has_prefix else shares[:-1])


def _pixel_grids(suited: Suited, own: Grid) -> Iterator[Curve]:
    coarse = (0.0, 0.5, 0.9) if suited.quick else (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    sides = sorted({*((side, side) for side in PIXEL_GRIDS), *suited.patch_grids})
    for rows, columns in sides:
        grid = Grid(rows, columns)
        if grid != own and grid.fits(*suited.size):
            yield Curve(
                grid_curve(rows, columns),
                "occlusion",
                f"cells of a {rows}x{columns} grid blacked out at random",
                "share of the cells that is gone",
                coarse,
                0.0,
                change=partial(dropped, grid=grid, order="random"),
                stream=f"occlusion {rows}x{columns}",
            )


def _tokens(suited: Suited, grid: Grid, shares: Sequence[float]) -> Iterator[Curve]:
    for order, said in ORDERS.items():
        yield Curve(
            f"tokens_{order}",
            "occlusion",
            f"tokens removed, {said}",
            "share of the tokens that is gone",
            tuple(shares),
            0.0,
            keep=partial(kept_tokens, grid=grid, order=order),
            stream=f"occlusion {grid.rows}x{grid.columns}",
            seeds=_seeds(suited, order),
            needs=_needs(order),
            basis="" if order == "random" else suited.saliency,
        )


def shuffle(suited: Suited) -> Iterator[Curve]:
    """Give the curve of shuffled patches."""
    known = (1, 2, 4, 8, 16) if suited.quick else SHUFFLES
    cells = tuple(float(n) for n in known if n == 1 or n * SMALLEST_CELL <= min(suited.size))
    if len(cells) > 1:
        yield Curve(
            "shuffle",
            "shuffle",
            "patches shuffled",
            "patches in each row and column",
            cells,
            1.0,
            change=shuffled,
            seeds=suited.seeds,
            logarithmic=True,
        )


def texture(suited: Suited) -> Iterator[Curve]:
    """Give the curves of texture: smoothed away, drawn over, and exchanged for that of another class."""
    steps = (0.0, 0.5, 1.0) if suited.quick else (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    few = (0.0, 0.5, 1.0) if suited.quick else (0.0, 1 / 3, 2 / 3, 1.0)
    axis = "strength, from none to all"
    yield Curve("texture_smoothed", "texture", "texture smoothed away", axis, steps, 0.0, change=smoothed)
    yield Curve("texture_edges", "texture", "faded into edges", axis, few, 0.0, change=edges)
    yield Curve("texture_silhouette", "texture", "faded into a silhouette", axis, few, 0.0, change=silhouette)
    if suited.two_classes:
        yield Curve(
            "texture_stylised",
            "texture",
            "texture and colours of an image of another class",
            axis,
            steps,
            0.0,
            change=stylised,
            seeds=suited.seeds,
            needs=frozenset({"partner"}),
        )


def shift(suited: Suited) -> Iterator[Curve]:
    """Give the curves of translation, rotation and scale."""
    most = min(suited.size) // 2
    distances = (0, 4, 16, 31) if suited.quick else (0, 1, 2, 4, 8, 12, 16, 24, 31)
    angles = (0.0, 15.0, 45.0, 90.0) if suited.quick else (0.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0)
    factors = (0.5, 1.0, 2.0) if suited.quick else (0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0)
    near = tuple(float(n) for n in distances if n <= most)
    if len(near) > 1:
        title = "moved in one of eight directions"
        yield Curve("shift_translation", "shift", title, "pixels", near, 0.0, change=translated, seeds=suited.seeds)
    yield Curve("shift_rotation", "shift", "turned to the left or right", "degrees", angles, 0.0, change=rotated)
    yield Curve(
        "shift_scale", "shift", "scaled about the centre", "factor", factors, 1.0, change=scaled, logarithmic=True
    )


def corruptions(suited: Suited) -> Iterator[Curve]:
    """Give the curves of the fifteen common corruptions."""
    severities = (0, 1, 3, WORST) if suited.quick else range(WORST + 1)
    for name in CORRUPTIONS:
        yield Curve(
            f"corruption_{name}",
            "corruptions",
            name.replace("_", " "),
            "severity",
            tuple(float(n) for n in severities),
            0.0,
            change=corruption(name),
        )


GROUPS = {
    "occlusion": occlusion,
    "shuffle": shuffle,
    "texture": texture,
    "shift": shift,
    "corruptions": corruptions,
}
"""Families of curves by the names that ``--curves`` takes."""


def curves_of(groups: Sequence[str], suited: Suited) -> list[Curve]:
    """Return the curves of some families, in their fixed order."""
    return [curve for name, make in GROUPS.items() if name in groups for curve in make(suited)]


def _seeds(suited: Suited, order: Order) -> int:
    return suited.seeds if order == "random" else 1


def _needs(order: Order) -> frozenset[Need]:
    return frozenset() if order == "random" else frozenset({"saliency"})


__all__ = ["GROUPS", "Suited", "curves_of"]
