"""Options that mean nothing beside others are refused, never passed over in silence; nothing here imports torch.

What depends on a model or the data is refused where these are known (`vitrail.models.registry`, `vitrail.tasks`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vitrail.errors import ConfigError


@dataclass(frozen=True)
class Rule:
    """Settings that mean nothing where others have certain values.

    Attributes:
        names: the settings, dotted; ``dense`` stands for all below it.
        idle: whether they mean nothing beside all the others.
        reason: why, and what to do.
    """

    names: tuple[str, ...]
    idle: Callable[[Any], bool]
    reason: str


def check_meant(settings: Any, baseline: Any = None, spelt: Callable[[str], str] = str) -> None:
    """Check that every setting that was changed means something beside the others.

    Args:
        settings: what was asked for.
        baseline: what would hold had nothing been said: a recipe; by default the defaults of the class.
        spelt: writes a dotted name as the user does.

    Raises:
        ConfigError: one means nothing; the message says why.
    """
    changed = set(_changed(settings, baseline if baseline is not None else _defaults(settings)))
    for rule in RULES.get(type(settings).__name__, ()):
        for name in sorted(changed):
            if any(name == one or name.startswith(f"{one}.") for one in rule.names) and rule.idle(settings):
                raise ConfigError(f"{spelt(name)} {rule.reason}")


def _changed(settings: Any, baseline: Any, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(settings):
        value, before = getattr(settings, field.name), getattr(baseline, field.name)
        if dataclasses.is_dataclass(value) and dataclasses.is_dataclass(before):
            yield from _changed(value, before, f"{prefix}{field.name}.")
        elif value != before:
            yield f"{prefix}{field.name}"


def _defaults(settings: Any) -> Any:
    """Return the settings with every one that has a default at it."""
    needed = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.default is field.default_factory is dataclasses.MISSING
    }
    return type(settings)(**needed)


_OF_TRAINING = (
    Rule(
        ("augment.rand_augment_ops",),
        lambda s: not s.augment.rand_augment,
        "is for RandAugment, which is off; give --augment.rand-augment too",
    ),
    Rule(
        ("augment.mix_probability",),
        lambda s: not (s.augment.mixup or s.augment.cutmix),
        "is for mixup and cutmix, which are off; give --augment.mixup or --augment.cutmix too",
    ),
    Rule(
        ("augment.mix_switch",),
        lambda s: not (s.augment.mixup and s.augment.cutmix),
        "chooses between mixup and cutmix; give both --augment.mixup and --augment.cutmix",
    ),
    Rule(("optim.betas",), lambda s: s.optim.kind != "adamw", "is for --optim.kind adamw; sgd and lars have momentum"),
    Rule(("optim.momentum",), lambda s: s.optim.kind == "adamw", "is for --optim.kind sgd or lars; adamw has betas"),
    Rule(
        ("schedule.min_factor",),
        lambda s: s.schedule.kind == "constant",
        "is where a falling rate ends, and --schedule.kind constant does not fall",
    ),
)

_CROPPED = Rule(
    ("augment.crop_scale", "augment.crop_ratio"),
    lambda s: s.augment.crop != "random" and getattr(s, "task", "classify") == "classify",
    "is for --augment.crop random",
)

RULES: dict[str, tuple[Rule, ...]] = {
    "TrainSettings": (
        *_OF_TRAINING,
        _CROPPED,
        Rule(("dense",), lambda s: s.task == "classify", "is for --task detect or segment, not to classify"),
        Rule(("cache_features",), lambda s: s.tune_blocks is None, "goes with --tune-blocks; give that too"),
        Rule(
            ("freeze",),
            lambda s: s.tune_blocks is not None and s.freeze > 0,
            "and --tune-blocks exclude each other: tuning the last blocks freezes all below them; give one",
        ),
    ),
    "PretrainSettings": (
        *_OF_TRAINING,
        _CROPPED,
        Rule(("loader.balanced",), lambda s: s.loader.balanced, "needs labels, and pretraining looks at none"),
        Rule(
            ("normalize_target",),
            lambda s: s.objective != "mae",
            "is a setting of mae; of the other objectives --target says all",
        ),
        Rule(
            ("normalize_target",),
            lambda s: not s.normalize_target and s.target not in ("auto", "normalized", "pixels"),
            "is for pixels; with this --target it says nothing",
        ),
        Rule(("components",), lambda s: s.target != "pca", "is for --target pca"),
        Rule(("vocabulary", "tokenizer"), lambda s: s.target != "tokens", "is for --target tokens"),
        Rule(("vocabulary",), lambda s: s.tokenizer != "kmeans", "is that of the tokenizer; leave it out"),
        Rule(("mask_ratio",), lambda s: s.mask is not None, "is that of --mask, which hides the same patches always"),
        Rule(("masking",), lambda s: s.mask is not None, "and --mask exclude each other; give one"),
    ),
    "PredictSettings": (
        Rule(("json",), lambda s: s.json and s.format == "csv", "and --format csv contradict each other; give one"),
    ),
    "ProbeSettings": (
        Rule(("epochs",), lambda s: not s.rates, "is of the linear probe, and --rates names none"),
        Rule(("tune_epochs",), lambda s: not s.tune_blocks, "is of tuning, and --tune-blocks names no blocks"),
    ),
    "TourSettings": (
        Rule(
            ("labels", "pretrain_epochs"),
            lambda s: s.task != "classify",
            "is for the tour of a classifier; to detect and segment there is --train-epochs",
        ),
    ),
    "PaperSettings": (
        Rule(
            ("data", "seeds", "out", "epochs", "model", "image_size", "workers", "device"),
            lambda s: not s.name,
            "is for running a table; name one (vitrail paper lists them)",
        ),
        Rule(
            ("model",),
            lambda s: s.name == "vit-resnets",
            "cannot be chosen for vit-resnets, which compares three models of equal compute",
        ),
    ),
    "ModelsSettings": (
        Rule(("flops", "image_sizes", "figure"), lambda s: s.recipes, "says nothing about recipes; leave one out"),
        Rule(("pattern",), lambda s: s.recipes, "is part of a model's name; recipes are listed all"),
        Rule(("image_sizes",), lambda s: s.flops, "is fixed with --flops, which goes from 224 to 1024"),
        Rule(("figure",), lambda s: not s.flops, "draws what --flops counts; give that too"),
    ),
    "WeightsSettings": (
        Rule(("to",), lambda s: s.action not in ("convert", "push"), "is for convert and push"),
        Rule(("out", "num_heads", "encoder_only"), lambda s: s.action != "convert", "is for convert"),
        Rule(("source", "picture"), lambda s: s.action != "verify", "is for verify"),
        Rule(("picture",), lambda s: s.source is None, "is what the file and its --source are both shown; give that"),
        Rule(("private",), lambda s: s.action != "push", "is for push"),
    ),
    "DoctorSettings": (Rule(("ignore",), lambda s: not s.data, "is of masks; name the data set to check"),),
}
"""Of each settings class, what means nothing where."""


__all__ = ["RULES", "Rule", "check_meant"]
