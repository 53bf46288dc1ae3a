"""Which curves share a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.stress.corruptions.catalogue import CORRUPTIONS
from vitrail.stress.figures import MEAN, ModelFigures
from vitrail.stress.suite import PIXEL_GRIDS, grid_curve


@dataclass(frozen=True)
class Panel:
    """A chart.

    Attributes:
        title: above it.
        curves: names of curves, and what each is called beside the others of this chart.
        logarithmic: the axis.
        measure: which figure of a point is drawn.
        patches: the curves are those of the patches of any model, of grids that no other chart has.
    """

    title: str
    curves: tuple[tuple[str, str], ...]
    logarithmic: bool = False
    measure: str = "accuracy"
    patches: bool = False

    def shown(self, models: Sequence[ModelFigures]) -> list[tuple[str, str]]:
        """Return those of its curves that any model has."""
        curves = _of_patches(models) if self.patches else self.curves
        return [(name, label) for name, label in curves if any(model.curve(name) for model in models)]


def _of_patches(models: Sequence[ModelFigures]) -> list[tuple[str, str]]:
    """Return the curves of the patches of models, but for grids that are measured of every model."""
    known = {(side, side) for side in PIXEL_GRIDS}
    grids = dict.fromkeys(model.patches for model in models if model.patches and model.patches not in known)
    return [(grid_curve(*grid), f"{grid[0]}x{grid[1]}") for grid in grids]


def _title(name: str) -> str:
    return "JPEG" if name == "jpeg" else name.replace("_", " ").capitalize()


ORDERS = (("random", "at random"), ("salient", "what matters first"), ("non_salient", "what matters least first"))

PANELS: dict[str, tuple[Panel, ...]] = {
    "occlusion": (
        Panel("Patches of a 14x14 grid blacked out", tuple((f"occlusion_{name}", label) for name, label in ORDERS)),
        Panel("A transformer's own patches, at random", (), patches=True),
        Panel("Tokens removed", tuple((f"tokens_{name}", label) for name, label in ORDERS)),
        Panel(
            "Cells of several sizes, at random",
            (
                *((f"occlusion_random_grid{side}", f"{side}x{side}") for side in PIXEL_GRIDS if side < 14),
                ("occlusion_random", "14x14"),
                ("occlusion_random_grid16", "16x16"),
            ),
        ),
    ),
    "shuffle": (Panel("Patches shuffled", (("shuffle", ""),), logarithmic=True),),
    "texture": (
        Panel(
            "Texture taken away",
            (
                ("texture_smoothed", "smoothed, edges kept"),
                ("texture_edges", "edges alone"),
                ("texture_silhouette", "silhouette"),
            ),
        ),
    ),
    "shift": (
        Panel("Moved", (("shift_translation", ""),)),
        Panel("Moved: the same answer as unmoved", (("shift_translation", ""),), measure="same"),
        Panel("Turned", (("shift_rotation", ""),)),
        Panel("Scaled", (("shift_scale", ""),), logarithmic=True),
    ),
    "corruptions": (
        Panel("Mean of all", ((MEAN, ""),)),
        *(Panel(_title(name), ((f"corruption_{name}", ""),)) for name in CORRUPTIONS),
    ),
}

__all__ = ["PANELS", "Panel"]
