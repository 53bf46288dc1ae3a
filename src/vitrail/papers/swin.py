"""The tables of "Swin Transformer": what shifting the windows and telling positions are worth."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.cells import DIGITS_SIZE, IMAGE_SIZE, LOSS, TOP1, each_trained, training
from vitrail.papers.grid import Column, Filled, PaperTable, Variant
from vitrail.settings import Architecture, PaperSettings, TrainSettings

UNSHIFTED, NO_POSITIONS, ABSOLUTE, ALONE, FULL = (
    "without shift",
    "no positions",
    "absolute",
    "relative alone (w/o app.)",
    "relative",
)

# Four blocks over a map of 8x8 tokens in four windows, which only shifting joins; two blocks over one of 4x4.
NARROW = Architecture(patch_size=8, embed_width=48, depths=(4, 2), head_width=16, window=(4, 4))
DIGITS = replace(NARROW, patch_size=4)


def _variant(changes: dict[str, object], top1: float, box_ap: float, miou: float) -> Variant:
    return Variant({"architecture": changes}, {"top1": top1, "box_ap": box_ap, "miou": miou})


# Section 4.4, table 4: what differs from the default, and the paper's Swin-T on ImageNet, COCO and ADE20K.
VARIANTS = {
    UNSHIFTED: _variant({"shift": False}, 0.802, 0.477, 0.433),
    NO_POSITIONS: _variant({"positions": "none"}, 0.801, 0.492, 0.438),
    ABSOLUTE: _variant({"positions": "absolute"}, 0.805, 0.490, 0.432),
    "absolute + relative": _variant({"positions": "both"}, 0.813, 0.502, 0.440),
    ALONE: _variant({"positions": "relative_alone"}, 0.793, 0.482, 0.441),
    FULL: _variant({}, 0.813, 0.505, 0.461),
}


def _shared(settings: PaperSettings) -> TrainSettings:
    """Return the settings that all rows share: of a Swin, narrow unless the user names a model."""
    base = training(replace(settings, model=settings.model or "swin_t"), epochs=12)
    if settings.model is not None:
        return base
    digits = settings.data == "digits"
    size = settings.image_size or (DIGITS_SIZE if digits else IMAGE_SIZE)
    return replace(base, architecture=DIGITS if digits else NARROW, image_size=size)


def conclude_ablation(filled: Filled) -> str:
    """Say which of the paper's gains are there beyond the noise between seeds."""
    found = "; ".join(
        f"{what} {_points(filled, without):+.1f} points (the paper's ImageNet: {_paper_points(without):+.1f})"
        for what, without in (
            ("shifting the windows is worth", UNSHIFTED),
            ("the bias, against no positions,", NO_POSITIONS),
            ("against absolute ones", ABSOLUTE),
            ("and the product of query and key, beside the bias,", ALONE),
        )
    )
    return f"Top-1: {found}. The standard deviation between seeds is up to {filled.noise('top1'):.1f} points."


def _points(filled: Filled, without: str) -> float:
    return 100 * (filled.mean(FULL, "top1") - filled.mean(without, "top1"))


def _paper_points(without: str) -> float:
    return 100 * (VARIANTS[FULL].paper["top1"] - VARIANTS[without].paper["top1"])


ABLATION = PaperTable(
    help="Swin, table 4: shifted windows, and five kinds of positions",
    title="Swin: shifted windows and positions",
    rows=each_trained(VARIANTS, _shared),
    columns=(TOP1, LOSS),
    paper_columns=(
        Column("top1", "ImageNet, %"),
        Column("box_ap", "COCO box AP, %"),
        Column("miou", "ADE20K mIoU, %"),
    ),
    source="Swin, table 4 (Swin-T; its last row is also its row with shifted windows)",
    conclude=conclude_ablation,
)

TABLES = {"swin-ablation": ABLATION}
