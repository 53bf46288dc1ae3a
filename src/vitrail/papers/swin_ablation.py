"""What shifting the windows and telling positions are worth (Swin, section 4.4, table 4)."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Column, Filled, Row, Table, trained
from vitrail.papers.small import DIGITS_SIZE, IMAGE_SIZE, training
from vitrail.settings import Architecture, PaperSettings

UNSHIFTED, FULL = "without shift", "relative"

# Four blocks over a map of 8x8 tokens in four windows, which only shifting joins; two blocks over one of 4x4.
NARROW = Architecture(patch_size=8, embed_width=48, depths=(4, 2), head_width=16, window=(4, 4))
DIGITS = replace(NARROW, patch_size=4)

# What differs from the default, and the paper's Swin-T: ImageNet top-1, COCO box AP, ADE20K mIoU.
ROWS: dict[str, tuple[dict[str, object], tuple[float, float, float]]] = {
    UNSHIFTED: ({"shift": False}, (0.802, 0.477, 0.433)),
    "no positions": ({"positions": "none"}, (0.801, 0.492, 0.438)),
    "absolute": ({"positions": "absolute"}, (0.805, 0.490, 0.432)),
    "absolute + relative": ({"positions": "both"}, (0.813, 0.502, 0.440)),
    "relative alone (w/o app.)": ({"positions": "relative_alone"}, (0.793, 0.482, 0.441)),
    FULL: ({}, (0.813, 0.505, 0.461)),
}
PAPER_COLUMNS = (Column("top1", "ImageNet, %"), Column("box_ap", "COCO box AP, %"), Column("miou", "ADE20K mIoU, %"))


def table(settings: PaperSettings) -> Table:
    """Train the same model with one thing changed at a time."""
    base = training(replace(settings, model=settings.model or "swin_t"), epochs=12)
    if settings.model is None:
        digits = settings.data == "digits"
        size = settings.image_size or (DIGITS_SIZE if digits else IMAGE_SIZE)
        base = replace(base, architecture=DIGITS if digits else NARROW, image_size=size)
    names = tuple(column.figure for column in PAPER_COLUMNS)
    return Table(
        title="Swin: shifted windows and positions",
        rows=tuple(
            Row(
                name,
                trained(replace(base, architecture=replace(base.architecture, **changes))),
                dict(zip(names, figures, strict=True)),
            )
            for name, (changes, figures) in ROWS.items()
        ),
        columns=(Column("top1", "top-1, %"), Column("loss", "loss, nats", scale=1, digits=3)),
        paper_columns=PAPER_COLUMNS,
        source="Swin, table 4 (Swin-T; its last row is also its row with shifted windows)",
        conclude=conclude,
    )


def conclude(filled: Filled) -> str:
    """Say which of the paper's gains are there beyond the noise between seeds."""
    noise = 100 * max(filled.deviation(name, "top1") for name in ROWS)
    found = "; ".join(
        f"{what} {_points(filled, without):+.1f} points (the paper's ImageNet: {_paper_points(without):+.1f})"
        for what, without in (
            ("shifting the windows is worth", UNSHIFTED),
            ("the bias, against no positions,", "no positions"),
            ("against absolute ones", "absolute"),
            ("and the product of query and key, beside the bias,", "relative alone (w/o app.)"),
        )
    )
    return f"Top-1: {found}. The standard deviation between seeds is up to {noise:.1f} points."


def _points(filled: Filled, without: str) -> float:
    return 100 * (filled.mean(FULL, "top1") - filled.mean(without, "top1"))


def _paper_points(without: str) -> float:
    return 100 * (ROWS[FULL][1][0] - ROWS[without][1][0])
