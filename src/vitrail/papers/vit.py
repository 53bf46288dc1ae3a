"""The tables of "An Image is Worth 16x16 Words" (ViT): positions, pooling, ResNets and hybrids, patch prediction."""

from __future__ import annotations

from collections.abc import Callable

from vitrail.config import replace
from vitrail.papers.cells import LOSS, TOP1, each_trained, pretrained, pretraining, trained, training
from vitrail.papers.grid import Column, Filled, PaperTable, Row, Variant
from vitrail.settings import Architecture, PaperSettings, TrainSettings


def _for_epochs(epochs: float) -> Callable[[PaperSettings], TrainSettings]:
    """Return what gives the settings of a classifier that is trained for so many epochs by default."""
    return lambda settings: training(settings, epochs)


# Appendix D.4, table 8: does a ViT need to be told where its patches are, and does it matter how?


def _positions(positions: str, top1: float) -> Variant:
    return Variant({"architecture": {"positions": positions}}, {"top1": top1})


def conclude_positions(filled: Filled) -> str:
    """Say whether any positions are better than none, and how far the kinds of them lie apart."""
    means = {name: 100 * filled.mean(name, "top1") for name in filled.figures}
    none = means.pop("none")
    worst = min(means, key=lambda name: means[name])
    spread = max(means.values()) - means[worst]
    gain, noise = means[worst] - none, filled.noise("top1")
    verdict = "as in the paper" if gain > max(spread, noise) else "not what the paper found, at this scale"
    return (
        f"The weakest kind of positions ({worst}) is {gain:+.1f} points from none, the kinds lie {spread:.1f} points "
        f"apart (standard deviation between seeds up to {noise:.1f}): {verdict}."
    )


POSITIONS = PaperTable(
    help="ViT, table 8: no positions, 1-D, 2-D, relative",
    title="ViT: positions",
    rows=each_trained(
        # ViT-B/16, accuracy of a linear classifier with five labelled ImageNet images a class; positions at the stem.
        {
            "none": _positions("none", 0.61382),
            "learned": _positions("learned", 0.64206),
            "learned_2d": _positions("learned_2d", 0.64001),
            "relative": _positions("relative", 0.64032),
        },
        _for_epochs(50),
    ),
    columns=(TOP1, LOSS),
    paper_columns=(Column("top1", "5-shot ImageNet, %", digits=2),),
    source="ViT, table 8 (ViT-B/16, positions at the stem)",
    conclude=conclude_positions,
)


# Appendix D.3, figure 9: class token or mean of the patches, and the learning rate each of them wants.

POOLS = ("class", "mean")

# The paper's two rates lie a factor of 2.7 apart; these span a factor of ten around the tables' usual one.
RATES = (3e-4, 1e-3, 3e-3)


def _pool_row(pool: str, rate: float) -> str:
    """Return the name of a row."""
    return f"{pool}, lr {rate:g}"


def conclude_pool(filled: Filled) -> str:
    """Say which rate is best for either pooling, and how far apart they are at their best."""
    best = {pool: max(RATES, key=lambda rate: filled.mean(_pool_row(pool, rate), "top1")) for pool in POOLS}
    rows = {pool: _pool_row(pool, best[pool]) for pool in POOLS}
    gap = abs(100 * filled.mean(rows["class"], "top1") - 100 * filled.mean(rows["mean"], "top1"))
    noise = filled.noise("top1", rows.values())
    same = "alike, as in the paper" if gap <= noise else "not alike, unlike the paper's"
    wants = "a lower rate than the class token, as in the paper"
    if best["mean"] >= best["class"]:
        wants = "no lower rate than the class token, unlike in the paper"
    return (
        f"At their best rates (class token {best['class']:g}, mean {best['mean']:g}) they are {gap:.1f} points apart "
        f"with a standard deviation of up to {noise:.1f} between seeds: {same}. The mean wants {wants}."
    )


POOL = PaperTable(
    help="ViT, figure 9: class token or mean of the patches, at three learning rates",
    title="ViT: class token or mean of the patches",
    rows=each_trained(
        {
            _pool_row(pool, rate): Variant({"lr": rate, "architecture": {"pool": pool}})
            for pool in POOLS
            for rate in RATES
        },
        _for_epochs(20),
    ),
    columns=(TOP1, LOSS),
    source=(
        "ViT, figure 9, has curves and no figures: the class token at 8e-4 and the mean at 3e-4 end alike, "
        "the mean at 8e-4 ends lower"
    ),
    conclude=conclude_pool,
)


# Sections 4.3 and 4.4, figures 3 to 5: BiT, hybrid and ViT of equal compute on little data. The paper compares them by
# compute, and finds that with few images the ResNets are ahead: a ViT has to learn from the images what a convolution
# is built with. Hybrids are slightly better than ViTs at small compute.

BIT, HYBRID, VIT = "BiT", "hybrid", "ViT"

# 119 to 124 million multiply-accumulates for an image of 64 pixels (`vitrail.models.cost.cost`): stages of one block
# each; a ViT over the 8x8 map of two such stages; and a ViT over patches of 8 pixels.
SHAPES: dict[str, tuple[str, Architecture]] = {
    BIT: ("bit_r50x1", Architecture(depths=(1, 1, 1, 1))),
    HYBRID: ("r50_vit_b16", Architecture(stem_depths=(1, 1), patch_size=8, width=128, depth=4, num_heads=4)),
    VIT: ("vit_ti16", Architecture(patch_size=8, width=192, depth=4, num_heads=3)),
}


def conclude_resnets(filled: Filled) -> str:
    """Say in which order they end, and whether that is the paper's on little data."""
    means = {family: 100 * filled.mean(family, "top1") for family in SHAPES}
    noise = filled.noise("top1")
    order = sorted(means, key=lambda family: -means[family])
    shown = ", ".join(f"{family} {means[family]:.1f}" for family in order)
    agrees = means[BIT] > means[VIT] and means[HYBRID] > means[VIT]
    verdict = "the paper's order on little data" if agrees else "not the paper's order on little data"
    if min(abs(means[BIT] - means[VIT]), abs(means[HYBRID] - means[VIT])) < noise:
        verdict += ", but some of the gaps are within the noise"
    return f"{shown} (standard deviation between seeds up to {noise:.1f}): {verdict}."


RESNETS = PaperTable(
    help="ViT, figures 3 to 5: BiT, hybrid and ViT of equal compute on few images",
    title="ViT: BiT, hybrid and ViT of equal compute on few images",
    rows=each_trained(
        {family: Variant({"model": model, "architecture": shape}) for family, (model, shape) in SHAPES.items()},
        lambda settings: training(replace(settings, model=None), epochs=20),
    ),
    columns=(TOP1, LOSS),
    source=(
        "ViT, figures 3 to 5, are curves: on the smallest sets ResNets are ahead of ViTs, and hybrids are ahead "
        "of ViTs at small compute"
    ),
    conclude=conclude_resnets,
)


# Section 4.6 and appendix B.1.2: does masked patch prediction learn, and does its encoder help?

SCRATCH, PRETRAINED = "from scratch", "after masked patch prediction"

# Fine-tuning sees this share of the labels: the question is what images without labels are worth.
MPP_LABELS = 0.1


def mpp_rows(settings: PaperSettings) -> list[Row]:
    """Pretrain on all images, then train with few labels, and compare with training from scratch as long."""
    first = pretraining(settings, epochs=50, objective="mpp", mask_ratio=0.5)
    then = training(replace(settings, epochs=None), epochs=40, labels=MPP_LABELS, batch_size=32, lr=5e-4)
    # ViT-B/16: 79.9 % after predicting patches of JFT, two points above training from scratch.
    return [
        Row(SCRATCH, trained(then), {"top1": 0.779}),
        Row(PRETRAINED, pretrained(first, then), {"top1": 0.799}),
    ]


def conclude_mpp(filled: Filled) -> str:
    """Say whether the colours are predicted better than by the baselines, and whether the encoder is worth anything."""
    accuracy, *baselines = (
        100 * filled.mean(PRETRAINED, f"pretrain_{name}")
        for name in ("accuracy", "majority_accuracy", "copy_accuracy", "neighbour_accuracy")
    )
    learns = "It learns" if accuracy > max(baselines) else "It does not learn more than the best baseline"
    gain = 100 * (filled.mean(PRETRAINED, "top1") - filled.mean(SCRATCH, "top1"))
    noise = filled.noise("top1")
    worth = "as in the paper, it helps" if gain > noise else "no gain beyond the noise"
    return (
        f"{learns}: {accuracy:.1f} % of the hidden patches' colours are right, {max(baselines):.1f} % by the best "
        f"baseline. Fine-tuned with few labels its encoder is {gain:+.1f} points from scratch (standard deviation "
        f"between seeds up to {noise:.1f}): {worth}."
    )


MPP = PaperTable(
    help="ViT, section 4.6: masked patch prediction, and fine-tuning its encoder",
    title=f"ViT: masked patch prediction, then {MPP_LABELS:.0%} of the labels",
    rows=mpp_rows,
    columns=(
        TOP1,
        LOSS,
        Column("pretrain_accuracy", "colours right, %"),
        Column("pretrain_majority_accuracy", "guessing the most frequent, %"),
        Column("pretrain_copy_accuracy", "copying a neighbour, %"),
        Column("pretrain_neighbour_accuracy", "the neighbours' mean, %"),
    ),
    paper_columns=(Column("top1", "ImageNet, %"),),
    source="ViT, section 4.6 (ViT-B/16 pretrained on JFT, fine-tuned with all of ImageNet's labels)",
    conclude=conclude_mpp,
)

TABLES = {"vit-positions": POSITIONS, "vit-pool": POOL, "vit-resnets": RESNETS, "vit-mpp": MPP}
