"""How much to hide (MAE, figure 5)."""

from __future__ import annotations

from vitrail.papers.grid import Filled, Row, Table
from vitrail.papers.mae import (
    FINETUNED,
    NEIGHBOURS,
    PROBED,
    SOURCE,
    THEIRS_FINETUNED,
    THEIRS_PROBED,
    cell,
    compare,
    first,
    then,
)
from vitrail.settings import PaperSettings

# Fine-tuned and probed, by the share that is hidden; every other point of the figure.
PAPER = {
    0.1: (0.832, 0.546),
    0.3: (0.834, 0.617),
    0.5: (0.849, 0.699),
    0.75: (0.849, 0.735),
    0.9: (0.830, 0.661),
}
LOW, HIGH = ("10 %", "30 %"), ("50 %", "75 %")


def table(settings: PaperSettings) -> Table:
    """Pretrain at each ratio."""
    rows = tuple(
        Row(
            f"{ratio:.0%}".replace("%", " %"),
            cell(first(settings, mask_ratio=ratio), then(settings)),
            {"top1": finetuned, "probe": probed},
        )
        for ratio, (finetuned, probed) in PAPER.items()
    )
    return Table(
        title="MAE: how much is hidden",
        rows=rows,
        columns=(FINETUNED, PROBED, NEIGHBOURS),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED),
        source=SOURCE.format("MAE, figure 5"),
        conclude=conclude,
    )


def conclude(filled: Filled) -> str:
    """Say whether high ratios are better, as the paper found."""
    gains = []
    for figure, name in (("top1", "fine-tuning"), ("probe", "the probe")):
        low, high = (sum(filled.mean(row, figure) for row in rows) / len(rows) for rows in (LOW, HIGH))
        gains.append(f"{100 * (high - low):+.1f} points in {name}")
    return f"{compare(filled)} Hiding 50 or 75 % instead of 10 or 30 % is worth {' and '.join(gains)}."
