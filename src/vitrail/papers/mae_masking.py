"""What to hide: patches at random, large blocks, or all but a regular grid (MAE, table 1f)."""

from __future__ import annotations

from typing import Any

from vitrail.papers.grid import Column, Row, Table
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

PAPER: dict[str, tuple[dict[str, Any], float, float]] = {
    "random, 75 %": ({"mask_ratio": 0.75}, 0.849, 0.735),
    "block, 50 %": ({"masking": "block", "mask_ratio": 0.5}, 0.839, 0.723),
    "block, 75 %": ({"masking": "block", "mask_ratio": 0.75}, 0.828, 0.639),
    "grid, 75 %": ({"masking": "grid", "mask_ratio": 0.75}, 0.840, 0.660),
}


def table(settings: PaperSettings) -> Table:
    """Pretrain with each kind of mask."""
    rows = tuple(
        Row(name, cell(first(settings, **changes), then(settings)), {"top1": finetuned, "probe": probed})
        for name, (changes, finetuned, probed) in PAPER.items()
    )
    return Table(
        title="MAE: which patches are hidden",
        rows=rows,
        columns=(FINETUNED, PROBED, NEIGHBOURS, Column("loss", "loss of the hidden", scale=1, digits=3)),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED),
        source=SOURCE.format("MAE, table 1f"),
        conclude=compare,
    )
