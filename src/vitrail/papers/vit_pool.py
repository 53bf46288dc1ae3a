"""Class token or mean of the patches, and the learning rate each of them wants (ViT, appendix D.3, figure 9)."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Column, Filled, Row, Table, trained
from vitrail.papers.small import training
from vitrail.settings import PaperSettings

POOLS = ("class", "mean")

# The paper's two rates lie a factor of 2.7 apart; these span a factor of ten around the tables' usual one.
RATES = (3e-4, 1e-3, 3e-3)


def table(settings: PaperSettings) -> Table:
    """Train the same model with either pooling at each rate."""
    base = training(settings, epochs=20)
    rows = tuple(
        Row(
            row_name(pool, rate),
            trained(replace(base, lr=rate, architecture=replace(base.architecture, pool=pool))),
        )
        for pool in POOLS
        for rate in RATES
    )
    return Table(
        title="ViT: class token or mean of the patches",
        rows=rows,
        columns=(Column("top1", "top-1, %"), Column("loss", "loss, nats", scale=1, digits=3)),
        source=(
            "ViT, figure 9, has curves and no figures: the class token at 8e-4 and the mean at 3e-4 end alike, "
            "the mean at 8e-4 ends lower"
        ),
        conclude=conclude,
    )


def row_name(pool: str, rate: float) -> str:
    """Return the name of a row."""
    return f"{pool}, lr {rate:g}"


def conclude(filled: Filled) -> str:
    """Say which rate is best for either pooling, and how far apart they are at their best."""
    best = {pool: max(RATES, key=lambda rate: filled.mean(row_name(pool, rate), "top1")) for pool in POOLS}
    means = {pool: 100 * filled.mean(row_name(pool, best[pool]), "top1") for pool in POOLS}
    alike = abs(means["class"] - means["mean"])
    noise = 100 * max(filled.deviation(row_name(pool, best[pool]), "top1") for pool in POOLS)
    same = "alike, as in the paper" if alike <= noise else "not alike, unlike the paper's"
    wants = "a lower rate than the class token, as in the paper"
    if best["mean"] >= best["class"]:
        wants = "no lower rate than the class token, unlike in the paper"
    return (
        f"At their best rates (class token {best['class']:g}, mean {best['mean']:g}) they are {alike:.1f} points apart "
        f"with a standard deviation of up to {noise:.1f} between seeds: {same}. The mean wants {wants}."
    )
