"""Whether the encoder should see mask tokens, and what that costs (MAE, tables 1c and 2)."""

from __future__ import annotations

from vitrail.papers.grid import Column, Filled, Row, Table
from vitrail.papers.mae import (
    FINETUNED,
    MINUTES,
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

WITH, WITHOUT = "encoder with mask tokens", "encoder without"


def table(settings: PaperSettings) -> Table:
    """Pretrain with mask tokens in the encoder, and without."""
    return Table(
        title="MAE: mask tokens in the encoder",
        rows=(
            Row(
                WITH,
                cell(first(settings, mask_tokens_in="encoder"), then(settings)),
                {"top1": 0.842, "probe": 0.596, "hours": 42.4},
            ),
            Row(WITHOUT, cell(first(settings), then(settings)), {"top1": 0.849, "probe": 0.735, "hours": 15.4}),
        ),
        columns=(FINETUNED, PROBED, NEIGHBOURS, MINUTES),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED, Column("hours", "hours, 128 TPU-v3 cores", scale=1)),
        source=SOURCE.format("MAE, tables 1c and 2"),
        conclude=conclude,
    )


def conclude(filled: Filled) -> str:
    """Say what the mask tokens do to accuracy and time."""
    slower = filled.mean(WITH, "minutes") / filled.mean(WITHOUT, "minutes")
    return f"{compare(filled)} Pretraining takes {slower:.2f} times as long with them; the paper's 2.8 times."
