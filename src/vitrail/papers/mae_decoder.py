"""How deep and how wide the decoder has to be (MAE, tables 1a and 1b)."""

from __future__ import annotations

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

DEPTHS = {1: (0.848, 0.655), 2: (0.849, 0.700), 4: (0.849, 0.719), 8: (0.849, 0.735), 12: (0.844, 0.733)}

# The paper's widths are 1/8 to all of its encoder's 1024; ours the same shares of the narrow encoder's.
WIDTHS = {1 / 8: (0.849, 0.691), 1 / 4: (0.848, 0.713), 1 / 2: (0.849, 0.735), 3 / 4: (0.844, 0.731), 1: (0.843, 0.731)}


def depths(settings: PaperSettings) -> Table:
    """Pretrain with decoders of several depths."""
    rows = tuple(
        Row(
            f"{depth} block{'s' if depth > 1 else ''}",
            cell(first(settings, decoder_depth=depth), then(settings)),
            {"top1": finetuned, "probe": probed},
        )
        for depth, (finetuned, probed) in DEPTHS.items()
    )
    return _table("MAE: depth of the decoder", rows, "MAE, table 1a")


def widths(settings: PaperSettings) -> Table:
    """Pretrain with decoders of several widths."""
    base = first(settings)
    encoder = base.architecture.width or 192
    rows = tuple(
        Row(
            f"{share:g} of the encoder's width",
            cell(first(settings, decoder_width=round(encoder * share / 4) * 4), then(settings)),
            {"top1": finetuned, "probe": probed},
        )
        for share, (finetuned, probed) in WIDTHS.items()
    )
    return _table("MAE: width of the decoder", rows, "MAE, table 1b")


def _table(title: str, rows: tuple[Row, ...], source: str) -> Table:
    return Table(
        title=title,
        rows=rows,
        columns=(FINETUNED, PROBED, NEIGHBOURS, MINUTES),
        paper_columns=(THEIRS_FINETUNED, THEIRS_PROBED),
        source=SOURCE.format(source),
        conclude=compare,
    )
