"""What to predict: pixels, normalised pixels, principal components or tokens (MAE, table 1d)."""

from __future__ import annotations

from typing import Any

from vitrail.papers.grid import Row, Table
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

PAPER = {
    "pixels": (0.849, 0.735),
    "normalized": (0.854, 0.739),
    "pca": (0.846, 0.723),
    "tokens": (0.853, 0.716),
}

# The paper keeps 96 of a patch's 768 coefficients, an eighth; its tokens are those of DALL-E's dVAE, ours k-means'.
SHARE_OF_COEFFICIENTS = 1 / 8
VOCABULARY = 64


def table(settings: PaperSettings) -> Table:
    """Pretrain with each target."""
    base = first(settings)
    numbers = (base.architecture.patch_size or 16) ** 2 * base.channels
    own: dict[str, dict[str, Any]] = {
        "pca": {"components": max(1, round(numbers * SHARE_OF_COEFFICIENTS))},
        "tokens": {"vocabulary": VOCABULARY},
    }
    rows = tuple(
        Row(
            target,
            cell(first(settings, target=target, **own.get(target, {})), then(settings)),
            {"top1": finetuned, "probe": probed},
        )
        for target, (finetuned, probed) in PAPER.items()
    )
    return Table(
        title="MAE: what is predicted",
        rows=rows,
        columns=(FINETUNED, PROBED, NEIGHBOURS, MINUTES),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED),
        source=SOURCE.format("MAE, table 1d"),
        conclude=compare,
    )
