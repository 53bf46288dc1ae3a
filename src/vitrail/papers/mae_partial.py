"""How many of the last blocks have to be tuned (MAE, figure 9)."""

from __future__ import annotations

from pathlib import Path

from vitrail.commands.probe import probe
from vitrail.config import replace
from vitrail.papers.grid import Column, Figures, Filled, Row, Table, Work
from vitrail.papers.mae import SOURCE, encoded, first, learned, then
from vitrail.runs.tune import STILL
from vitrail.settings import PaperSettings, PretrainSettings
from vitrail.tasks.classification.settings import ClassifySettings

PROBE, HALF, ALL = "0 (linear probe)", "0.5 (one MLP)", "all"

# Of the paper's 24 blocks; what it calls half a block is told in section 4.3.
PAPER = {PROBE: 0.735, HALF: 0.791, "1": 0.810, "2": 0.831, "4": 0.842, ALL: 0.849}

LABELS = 1.0
EPOCHS = 15


def table(settings: PaperSettings) -> Table:
    """Tune more and more of one encoder, all on images as they are, so that features can be kept."""
    base = first(settings)
    depth = base.architecture.depth or 12
    after = replace(then(settings, LABELS, EPOCHS), augment=STILL, batch_size=64)
    counts = [count for count in ("1", "2", "4") if int(count) < depth]
    rows = [Row(PROBE, _probed(base), {"top1": PAPER[PROBE]})]
    rows += [Row(HALF, _tuned(base, replace(after, tune_blocks=0.5)), {"top1": PAPER[HALF]})]
    rows += [Row(c, _tuned(base, replace(after, tune_blocks=float(c))), {"top1": PAPER[c]}) for c in counts]
    rows += [Row(ALL, _tuned(base, after), {"top1": PAPER[ALL]})]
    return Table(
        title=f"MAE: tuning the last blocks of {depth}",
        rows=tuple(rows),
        columns=(Column("top1", "top-1, %"), Column("seconds", "seconds", scale=1)),
        paper_columns=(Column("top1", "top-1, %"),),
        source=SOURCE.format("MAE, figure 9 and section 4.3"),
        conclude=conclude,
    )


def _probed(base: PretrainSettings) -> Work:
    def work(seed: int, folder: Path) -> Figures:
        encoder = encoded(base, seed, folder)
        best = probe(str(encoder.folder), base.data, tune_blocks=(), seed=seed).scores[-1]
        return {"top1": best.top1, "seconds": best.seconds}

    return work


def _tuned(base: PretrainSettings, after: ClassifySettings) -> Work:
    def work(seed: int, folder: Path) -> Figures:
        encoder, out = encoded(base, seed, folder), folder / "train"
        run = replace(after.run, seed=seed)
        top1, seconds = learned(replace(after, weights=str(encoder.folder), out=str(out), run=run), out)
        return {"top1": top1, "seconds": seconds}

    return work


def conclude(filled: Filled) -> str:
    """Say what the first half block is worth, and how much is left for all the others."""
    half = 100 * (filled.mean(HALF, "top1") - filled.mean(PROBE, "top1"))
    one = 100 * (filled.mean(ALL, "top1") - filled.mean("1", "top1"))
    noise = 100 * max(filled.deviation(row.name, "top1") for row in filled.table.rows)
    verdict = (
        "as in the paper, most of the way is made by the first block" if half > one else "unlike the paper's curve"
    )
    return (
        f"Tuning one MLP is {half:+.1f} points from the linear probe (the paper's +5.6), all blocks {one:+.1f} from "
        f"one (the paper's +3.9); standard deviation between seeds up to {noise:.1f}: {verdict}."
    )
