"""Masked patch prediction: does it learn, and does its encoder help? (ViT, section 4.6 and appendix B.1.2)."""

from __future__ import annotations

from vitrail.config import replace
from vitrail.papers.grid import Column, Filled, Row, Table, pretrained, trained
from vitrail.papers.small import pretraining, training
from vitrail.settings import PaperSettings

SCRATCH, PRETRAINED = "from scratch", "after masked patch prediction"

# ViT-B/16: 79.9 % after predicting patches of JFT, two points above training from scratch.
PAPER = {SCRATCH: 0.779, PRETRAINED: 0.799}

# Fine-tuning sees this share of the labels: the question is what images without labels are worth.
LABELS = 0.1


def table(settings: PaperSettings) -> Table:
    """Pretrain on all images, then train with few labels, and compare with training from scratch as long."""
    first = pretraining(settings, epochs=50, objective="mpp", mask_ratio=0.5)
    then = training(replace(settings, epochs=None), epochs=40, labels=LABELS, batch_size=32, lr=5e-4)
    return Table(
        title=f"ViT: masked patch prediction, then {LABELS:.0%} of the labels",
        rows=(
            Row(SCRATCH, trained(then), {"top1": PAPER[SCRATCH]}),
            Row(PRETRAINED, pretrained(first, then), {"top1": PAPER[PRETRAINED]}),
        ),
        columns=(
            Column("top1", "top-1, %"),
            Column("loss", "loss, nats", scale=1, digits=3),
            Column("pretrain_accuracy", "colours right, %"),
            Column("pretrain_majority_accuracy", "guessing the most frequent, %"),
            Column("pretrain_copy_accuracy", "copying a neighbour, %"),
            Column("pretrain_neighbour_accuracy", "the neighbours' mean, %"),
        ),
        paper_columns=(Column("top1", "ImageNet, %"),),
        source="ViT, section 4.6 (ViT-B/16 pretrained on JFT, fine-tuned with all of ImageNet's labels)",
        conclude=conclude,
    )


def conclude(filled: Filled) -> str:
    """Say whether the colours are told better than by the baselines, and whether the encoder is worth anything."""
    figures = {
        name: 100 * filled.mean(PRETRAINED, f"pretrain_{name}")
        for name in ("accuracy", "majority_accuracy", "copy_accuracy", "neighbour_accuracy")
    }
    accuracy = figures.pop("accuracy")
    best = max(figures.values())
    learns = "It learns" if accuracy > best else "It does not learn more than the best baseline"
    gain = 100 * (filled.mean(PRETRAINED, "top1") - filled.mean(SCRATCH, "top1"))
    noise = 100 * max(filled.deviation(name, "top1") for name in PAPER)
    worth = "as in the paper, it helps" if gain > noise else "no gain beyond the noise"
    return (
        f"{learns}: {accuracy:.1f} % of the hidden patches' colours are right, {best:.1f} % by the best baseline. "
        f"Fine-tuned with few labels its encoder is {gain:+.1f} points from scratch (standard deviation between seeds "
        f"up to {noise:.1f}): {worth}."
    )
