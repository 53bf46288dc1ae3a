"""How much augmentation pretraining needs (MAE, table 1e)."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Row, Table
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
from vitrail.tasks.mae.recipes import MAE_AUGMENTS

PAPER = {
    "none": (0.840, 0.657),
    "crop, fixed size": (0.847, 0.731),
    "crop, rand size": (0.849, 0.735),
    "crop + color jit": (0.843, 0.719),
}


def table(settings: PaperSettings) -> Table:
    """Pretrain with each augmentation; of what is said of it, flips and crops are those that suit the images."""
    usual = first(settings).augment
    rows = []
    for name, (finetuned, probed) in PAPER.items():
        augment = replace(MAE_AUGMENTS[name], crop_scale=usual.crop_scale)
        augment = replace(augment, flip=min(augment.flip, usual.flip))
        work = cell(first(settings, augment=augment), then(settings))
        rows.append(Row(name, work, {"top1": finetuned, "probe": probed}))
    return Table(
        title="MAE: augmentation while pretraining",
        rows=tuple(rows),
        columns=(FINETUNED, PROBED, NEIGHBOURS),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED),
        source=SOURCE.format("MAE, table 1e"),
        conclude=compare,
    )
