"""Does a ViT need to be told where its patches are, and does it matter how? (ViT, appendix D.4, table 8)."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Column, Filled, Row, Table, trained
from vitrail.papers.small import training
from vitrail.settings import PaperSettings

NONE = "none"

# ViT-B/16, accuracy of a linear classifier with five labelled ImageNet images a class; positions at the stem.
PAPER = {
    NONE: 0.61382,
    "learned": 0.64206,
    "learned_2d": 0.64001,
    "relative": 0.64032,
}


def table(settings: PaperSettings) -> Table:
    """Train the same model with each kind of positions."""
    base = training(settings, epochs=50)
    rows = tuple(
        Row(
            positions,
            trained(replace(base, architecture=replace(base.architecture, positions=positions))),
            {"top1": figure},
        )
        for positions, figure in PAPER.items()
    )
    return Table(
        title="ViT: positions",
        rows=rows,
        columns=(Column("top1", "top-1, %"), Column("loss", "loss, nats", scale=1, digits=3)),
        paper_columns=(Column("top1", "5-shot ImageNet, %", digits=2),),
        source="ViT, table 8 (ViT-B/16, positions at the stem)",
        conclude=conclude,
    )


def conclude(filled: Filled) -> str:
    """Say whether any positions are better than none, and how far the kinds of them lie apart."""
    kinds = [name for name in PAPER if name != NONE]
    means = {name: 100 * filled.mean(name, "top1") for name in PAPER}
    worst = min(kinds, key=lambda name: means[name])
    spread = max(means[name] for name in kinds) - means[worst]
    gain = means[worst] - means[NONE]
    noise = 100 * max(filled.deviation(name, "top1") for name in PAPER)
    verdict = "as in the paper" if gain > max(spread, noise) else "not the paper's image at this scale"
    return (
        f"The weakest kind of positions ({worst}) is {gain:+.1f} points from none, the kinds lie {spread:.1f} points "
        f"apart (standard deviation between seeds up to {noise:.1f}): {verdict}."
    )
