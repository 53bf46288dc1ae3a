"""BiT, hybrid and ViT of equal compute on little data (ViT, sections 4.3 and 4.4, figures 3 to 5).

The paper compares them by compute, and finds that with few images the ResNets are ahead: a ViT has to learn from
the images what a convolution is built with. Hybrids are slightly better than ViTs at small compute.
"""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Column, Filled, Row, Table, trained
from vitrail.papers.small import training
from vitrail.settings import Architecture, PaperSettings, TrainSettings

BIT, HYBRID, VIT = "BiT", "hybrid", "ViT"

# 119 to 124 million multiply-accumulates for an image of 64 pixels (`vitrail.models.cost.cost`): stages of one block
# each; a ViT over the 8x8 map of two such stages; and a ViT over patches of 8 pixels.
SHAPES: dict[str, tuple[str, Architecture]] = {
    BIT: ("bit_r50x1", Architecture(depths=(1, 1, 1, 1))),
    HYBRID: ("r50_vit_b16", Architecture(stem_depths=(1, 1), patch_size=8, width=128, depth=4, num_heads=4)),
    VIT: ("vit_ti16", Architecture(patch_size=8, width=192, depth=4, num_heads=3)),
}


def table(settings: PaperSettings) -> Table:
    """Train one model of each family with the same budget."""
    base = training(replace(settings, model=None), epochs=20)
    return Table(
        title="ViT: BiT, hybrid and ViT of equal compute on few images",
        rows=tuple(Row(family, trained(_shaped(base, *shape))) for family, shape in SHAPES.items()),
        columns=(Column("top1", "top-1, %"), Column("loss", "loss, nats", scale=1, digits=3)),
        source=(
            "ViT, figures 3 to 5, are curves: on the smallest sets ResNets are ahead of ViTs, and hybrids are ahead "
            "of ViTs at small compute"
        ),
        conclude=conclude,
    )


def _shaped(base: TrainSettings, model: str, architecture: Architecture) -> TrainSettings:
    return replace(base, model=model, architecture=architecture)


def conclude(filled: Filled) -> str:
    """Say in which order they end, and whether that is the paper's on little data."""
    means = {family: 100 * filled.mean(family, "top1") for family in SHAPES}
    noise = 100 * max(filled.deviation(family, "top1") for family in SHAPES)
    order = sorted(means, key=lambda family: -means[family])
    shown = ", ".join(f"{family} {means[family]:.1f}" for family in order)
    agrees = means[BIT] > means[VIT] and means[HYBRID] > means[VIT]
    verdict = "the paper's order on little data" if agrees else "not the paper's order on little data"
    if min(abs(means[BIT] - means[VIT]), abs(means[HYBRID] - means[VIT])) < noise:
        verdict += ", but some of the gaps are within the noise"
    return f"{shown} (standard deviation between seeds up to {noise:.1f}): {verdict}."
