"""The tables of "Masked Autoencoders Are Scalable Vision Learners" (MAE).

Most of them change one thing of the pretraining, and measure by fine-tuning, by a linear probe and by neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitrail.commands.probe import probe
from vitrail.config import replace
from vitrail.papers.cells import (
    FEW_LABELS,
    by_recipe,
    each_measured,
    encoded,
    fine_tuned,
    fine_tuning,
    learned,
    mae_pretraining,
    training,
)
from vitrail.papers.grid import Changes, Column, Figures, Filled, PaperTable, Row, Variant, Work, order_agrees
from vitrail.runs.tune import EVALUATION_AUGMENT
from vitrail.settings import PaperSettings, PretrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.mae.recipes import MAE_AUGMENTS

MEASURES = (
    Column("top1", f"fine-tuned with {FEW_LABELS:.0%} of the labels, %"),
    Column("probe", "linear probe, %"),
    Column("knn", "20 nearest neighbours, %"),
)
MINUTES = Column("minutes", "pretraining, minutes", scale=1, digits=2)
HIDDEN_LOSS = Column("loss", "loss of the hidden", scale=1, digits=3)
PAPER_MEASURES = (Column("top1", "fine-tuned, %"), Column("probe", "linear probe, %"))
SOURCE = "{} (ViT-L/16, ImageNet-1K, 800 epochs of pretraining, all labels)"


def _variant(changes: Changes | Callable[[Any], Changes], fine_tuned: float, probed: float, **paper: float) -> Variant:
    """Return what a row changes, with the paper's accuracy when fine-tuned and with the linear probe, in [0, 1]."""
    return Variant(changes, {"top1": fine_tuned, "probe": probed, **paper})


def compare(filled: Filled) -> str:
    """Say for fine-tuning and for the probe which row is best, how far apart they are, and what the paper says."""
    return f"Fine-tuned: {_compared(filled, 'top1')} The linear probe: {_compared(filled, 'probe')}"


def _compared(filled: Filled, figure: str) -> str:
    means = {row: filled.mean(row, figure) for row in filled.figures}
    best, worst = max(means, key=lambda row: means[row]), min(means, key=lambda row: means[row])
    gap, noise = 100 * (means[best] - means[worst]), filled.noise(figure)
    within = f", within the seeds' {noise:.1f}" if gap <= noise else ""
    agrees = f"rank correlation with the paper's order {order_agrees(filled, figure):+.2f}"
    return f"best {best}, worst {worst}, {gap:.1f} points apart{within}; {agrees}."


# Figure 5: how much to hide; every other point of the figure.


def conclude_ratio(filled: Filled) -> str:
    """Say whether high ratios are better, as the paper found."""
    gains = []
    for figure, name in (("top1", "fine-tuning"), ("probe", "the probe")):
        low = (filled.mean("10 %", figure) + filled.mean("30 %", figure)) / 2
        high = (filled.mean("50 %", figure) + filled.mean("75 %", figure)) / 2
        gains.append(f"{100 * (high - low):+.1f} points in {name}")
    return f"{compare(filled)} Hiding 50 or 75 % instead of 10 or 30 % is worth {' and '.join(gains)}."


RATIO = PaperTable(
    help="MAE, figure 5: hiding 10 to 90 % of the patches",
    title="MAE: how much is hidden",
    rows=each_measured(
        {
            "10 %": _variant({"mask_ratio": 0.1}, 0.832, 0.546),
            "30 %": _variant({"mask_ratio": 0.3}, 0.834, 0.617),
            "50 %": _variant({"mask_ratio": 0.5}, 0.849, 0.699),
            "75 %": _variant({"mask_ratio": 0.75}, 0.849, 0.735),
            "90 %": _variant({"mask_ratio": 0.9}, 0.830, 0.661),
        }
    ),
    columns=MEASURES,
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, figure 5"),
    conclude=conclude_ratio,
)


# Tables 1a and 1b: how deep and how wide the decoder has to be.

DEPTH = PaperTable(
    help="MAE, table 1a: depth of the decoder",
    title="MAE: depth of the decoder",
    rows=each_measured(
        {
            "1 block": _variant({"decoder_depth": 1}, 0.848, 0.655),
            "2 blocks": _variant({"decoder_depth": 2}, 0.849, 0.700),
            "4 blocks": _variant({"decoder_depth": 4}, 0.849, 0.719),
            "8 blocks": _variant({"decoder_depth": 8}, 0.849, 0.735),
            "12 blocks": _variant({"decoder_depth": 12}, 0.844, 0.733),
        }
    ),
    columns=(*MEASURES, MINUTES),
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, table 1a"),
    conclude=compare,
)


def _share_of_width(share: float) -> Callable[[Any], Changes]:
    """Return the width of the decoder as a share of the encoder's, a multiple of 4 channels."""
    return lambda shared: {"decoder_width": round((shared.architecture.width or 192) * share / 4) * 4}


WIDTH = PaperTable(
    help="MAE, table 1b: width of the decoder",
    title="MAE: width of the decoder",
    # The paper's widths are 1/8 to all of its encoder's 1024; ours the same shares of the narrow encoder's.
    rows=each_measured(
        {
            "0.125 of the encoder's width": _variant(_share_of_width(1 / 8), 0.849, 0.691),
            "0.25 of the encoder's width": _variant(_share_of_width(1 / 4), 0.848, 0.713),
            "0.5 of the encoder's width": _variant(_share_of_width(1 / 2), 0.849, 0.735),
            "0.75 of the encoder's width": _variant(_share_of_width(3 / 4), 0.844, 0.731),
            "1 of the encoder's width": _variant(_share_of_width(1), 0.843, 0.731),
        }
    ),
    columns=(*MEASURES, MINUTES),
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, table 1b"),
    conclude=compare,
)


# Tables 1c and 2: whether the encoder should see mask tokens, and what that costs.

WITH, WITHOUT = "encoder with mask tokens", "encoder without"


def conclude_tokens(filled: Filled) -> str:
    """Say what the mask tokens do to accuracy and time."""
    slower = filled.mean(WITH, "minutes") / filled.mean(WITHOUT, "minutes")
    return f"{compare(filled)} Pretraining takes {slower:.2f} times as long with them; the paper's 2.8 times."


TOKENS = PaperTable(
    help="MAE, tables 1c and 2: mask tokens in the encoder",
    title="MAE: mask tokens in the encoder",
    rows=each_measured(
        {
            WITH: _variant({"mask_tokens_in": "encoder"}, 0.842, 0.596, hours=42.4),
            WITHOUT: _variant({}, 0.849, 0.735, hours=15.4),
        }
    ),
    columns=(*MEASURES, MINUTES),
    paper_columns=(*PAPER_MEASURES, Column("hours", "hours, 128 TPU-v3 cores", scale=1)),
    source=SOURCE.format("MAE, tables 1c and 2"),
    conclude=conclude_tokens,
)


# Table 1d: what to predict. The paper keeps 96 of a patch's 768 coefficients, an eighth; its tokens are those of
# DALL-E's dVAE, ours k-means'.


def _eighth_of_coefficients(shared: Any) -> Changes:
    numbers = (shared.architecture.patch_size or 16) ** 2 * shared.channels
    return {"target": "pca", "components": max(1, round(numbers / 8))}


TARGET = PaperTable(
    help="MAE, table 1d: pixels, normalised pixels, principal components, tokens",
    title="MAE: what is predicted",
    rows=each_measured(
        {
            "pixels": _variant({"target": "pixels"}, 0.849, 0.735),
            "normalized": _variant({"target": "normalized"}, 0.854, 0.739),
            "pca": _variant(_eighth_of_coefficients, 0.846, 0.723),
            "tokens": _variant({"target": "tokens", "vocabulary": 64}, 0.853, 0.716),
        }
    ),
    columns=(*MEASURES, MINUTES),
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, table 1d"),
    conclude=compare,
)


# Table 1e: how much augmentation pretraining needs.


def _augment(name: str) -> Callable[[Any], Changes]:
    """Return a published augmentation; of its flips and crops those that suit the images."""

    def changes(shared: Any) -> Changes:
        published, usual = MAE_AUGMENTS[name], shared.augment
        return {"augment": replace(published, crop_scale=usual.crop_scale, flip=min(published.flip, usual.flip))}

    return changes


AUGMENT = PaperTable(
    help="MAE, table 1e: augmentation while pretraining",
    title="MAE: augmentation while pretraining",
    rows=each_measured(
        {
            "none": _variant(_augment("none"), 0.840, 0.657),
            "crop, fixed size": _variant(_augment("crop, fixed size"), 0.847, 0.731),
            "crop, rand size": _variant(_augment("crop, rand size"), 0.849, 0.735),
            "crop + color jit": _variant(_augment("crop + color jit"), 0.843, 0.719),
        }
    ),
    columns=MEASURES,
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, table 1e"),
    conclude=compare,
)


# Table 1f: what to hide: patches at random, large blocks, or all but a regular grid.

MASKING = PaperTable(
    help="MAE, table 1f: random, block and grid masks",
    title="MAE: which patches are hidden",
    rows=each_measured(
        {
            "random, 75 %": _variant({"mask_ratio": 0.75}, 0.849, 0.735),
            "block, 50 %": _variant({"masking": "block", "mask_ratio": 0.5}, 0.839, 0.723),
            "block, 75 %": _variant({"masking": "block", "mask_ratio": 0.75}, 0.828, 0.639),
            "grid, 75 %": _variant({"masking": "grid", "mask_ratio": 0.75}, 0.840, 0.660),
        }
    ),
    columns=(*MEASURES, HIDDEN_LOSS),
    paper_columns=PAPER_MEASURES,
    source=SOURCE.format("MAE, table 1f"),
    conclude=compare,
)


# Figure 9: how many of the last blocks have to be tuned. Of the paper's 24 blocks; section 4.3 says
# what half a block is.

PROBE, HALF, ALL = "0 (linear probe)", "0.5 (one MLP)", "all"
PARTIAL_TOP1 = {PROBE: 0.735, HALF: 0.791, "1": 0.810, "2": 0.831, "4": 0.842, ALL: 0.849}
TUNED_BLOCKS = {HALF: 0.5, "1": 1.0, "2": 2.0, "4": 4.0}


def _depth(settings: PaperSettings) -> int:
    return mae_pretraining(settings).architecture.depth or 12


def partial_rows(settings: PaperSettings) -> list[Row]:
    """Tune more and more of one encoder, all on images as they are, so that features can be kept."""
    base, depth = mae_pretraining(settings), _depth(settings)
    after = replace(fine_tuning(settings, labels=1.0, epochs=15), augment=EVALUATION_AUGMENT, batch_size=64)
    work = {PROBE: _probed(base)}
    work |= {
        name: _tuned(base, replace(after, tune_blocks=blocks))
        for name, blocks in TUNED_BLOCKS.items()
        if blocks < depth
    }
    work[ALL] = _tuned(base, after)
    return [Row(name, one, {"top1": PARTIAL_TOP1[name]}) for name, one in work.items()]


def _probed(base: PretrainSettings) -> Work:
    def work(seed: int, folder: Path) -> Figures:
        encoder = encoded(base, seed, folder)
        best = probe(str(encoder.folder), base.data, tune_blocks=(), seed=seed).scores[-1]
        return {"top1": best.top1, "seconds": best.seconds}

    return work


def _tuned(base: PretrainSettings, after: ClassifySettings) -> Work:
    def work(seed: int, folder: Path) -> Figures:
        top1, seconds = fine_tuned(after, seed, encoded(base, seed, folder).folder, folder / "train")
        return {"top1": top1, "seconds": seconds}

    return work


def conclude_partial(filled: Filled) -> str:
    """Say what the first half block is worth, and how much is left for all the others."""
    half = 100 * (filled.mean(HALF, "top1") - filled.mean(PROBE, "top1"))
    one = 100 * (filled.mean(ALL, "top1") - filled.mean("1", "top1"))
    verdict = (
        "as in the paper, most of the way is made by the first block" if half > one else "unlike the paper's curve"
    )
    return (
        f"Tuning one MLP is {half:+.1f} points from the linear probe (the paper's +5.6), all blocks {one:+.1f} from "
        f"one (the paper's +3.9); standard deviation between seeds up to {filled.noise('top1'):.1f}: {verdict}."
    )


PARTIAL = PaperTable(
    help="MAE, figure 9: tuning only the last blocks",
    title=lambda settings: f"MAE: tuning the last blocks of {_depth(settings)}",
    rows=partial_rows,
    columns=(Column("top1", "top-1, %"), Column("seconds", "seconds", scale=1)),
    paper_columns=(Column("top1", "top-1, %"),),
    source=SOURCE.format("MAE, figure 9 and section 4.3"),
    conclude=conclude_partial,
)


# Beyond the paper: does pretraining help when the time is the same? The same labels, and all the time for training from
# scratch. For each share of the labels, passes over them when fine-tuning:
SHARES = {0.01: 400, 0.1: 200, 1.0: 60}


def labels_rows(settings: PaperSettings) -> list[Row]:
    """Pretrain once on all images, and fine-tune with more and more labels; from scratch in the same time."""
    encoder = mae_pretraining(replace(settings, epochs=settings.epochs or 120))
    rows = []
    for share, epochs in SHARES.items():
        base = training(replace(settings, epochs=None), epochs, labels=share, batch_size=32)
        after, scratch = by_recipe(base, "finetune_small_long"), by_recipe(base, "scratch")
        rows += [
            Row(labels_row(share, pretrained=True), _pretrained(encoder, after)),
            Row(labels_row(share, pretrained=False), _as_long(encoder, after, scratch)),
        ]
    return rows


def labels_row(share: float, *, pretrained: bool) -> str:
    """Return the name of a row."""
    return f"{share:.0%} of the labels, {'pretrained' if pretrained else 'from scratch'}".replace("%", " %")


def _pretrained(before: PretrainSettings, after: ClassifySettings) -> Work:
    """Pretrain, once for all shares, and fine-tune; every share counts the whole time of the pretraining."""

    def work(seed: int, folder: Path) -> Figures:
        encoder = encoded(before, seed, folder)
        top1, seconds = fine_tuned(after, seed, encoder.folder, folder / "train")
        return {"top1": top1, "seconds": encoder.summary["seconds"] + seconds, "epochs": after.epochs}

    return work


def _as_long(before: PretrainSettings, after: ClassifySettings, scratch: ClassifySettings) -> Work:
    """Train from scratch for as many epochs as fit into the time of the pretrained row, which is done before."""

    def work(seed: int, folder: Path) -> Figures:
        pretrained_row = folder.parents[1] / folder.parent.name.replace("from_scratch", "pretrained") / folder.name
        whole = _pretrained(before, after)(seed, pretrained_row)["seconds"]
        fine = whole - encoded(before, seed, folder).summary["seconds"]
        # A step costs the same from scratch: the same model, batch and images.
        epochs = round(after.epochs * whole / fine)
        run = replace(scratch.run, seed=seed, evaluate_every=epochs / 20, save_every=epochs / 4)
        schedule = {"warmup_epochs": min(5.0, epochs / 10)}
        top1, seconds = learned(replace(scratch, epochs=epochs, run=run, schedule=schedule), folder / "train")
        return {"top1": top1, "seconds": seconds, "epochs": epochs}

    return work


def conclude_labels(filled: Filled) -> str:
    """Say for each share of the labels what pretraining is worth."""
    gains = []
    for share in SHARES:
        names = [labels_row(share, pretrained=pretrained) for pretrained in (True, False)]
        gain = 100 * (filled.mean(names[0], "top1") - filled.mean(names[1], "top1"))
        noise = filled.noise("top1", names)
        gains.append(f"{gain:+.1f} with {share:.0%}".replace("%", " %") + f" of the labels (seeds ± {noise:.1f})")
    return f"Points won by pretraining in the same time: {', '.join(gains)}."


LABELS = PaperTable(
    help="MAE against training from scratch for as long, with 1, 10, 100 % of labels",
    title="MAE: fine-tuning, and training from scratch as long as pretraining and fine-tuning take",
    rows=labels_rows,
    columns=(
        Column("top1", "top-1, %"),
        Column("seconds", "seconds in all", scale=1, digits=0),
        Column("epochs", "epochs over the labels", scale=1, digits=0),
    ),
    source="it has no such table: its models from scratch get no more time than fine-tuning",
    conclude=conclude_labels,
)

TABLES = {
    "mae-ratio": RATIO,
    "mae-depth": DEPTH,
    "mae-width": WIDTH,
    "mae-tokens": TOKENS,
    "mae-target": TARGET,
    "mae-augment": AUGMENT,
    "mae-masking": MASKING,
    "mae-partial": PARTIAL,
    "mae-labels": LABELS,
}
