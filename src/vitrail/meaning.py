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
    for rule in rules_of(type(settings)):
        for name in sorted(changed):
            if any(name == one or name.startswith(f"{one}.") for one in rule.names) and rule.idle(settings):
                raise ConfigError(f"{spelt(name)} {rule.reason}")


def rules_of(kind: type) -> tuple[Rule, ...]:
    """Return the rules of a settings class: its own, as ``RULES``, else the table's."""
    return getattr(kind, "RULES", RULES.get(kind.__name__, ()))


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


LICENSE = Rule(("accept_license",), lambda s: s.weights is None, "is for a model that --weights names; give that too")

OF_TRAINING = (
    LICENSE,
    Rule(("optim.betas",), lambda s: s.optim.kind != "adamw", "is for --optim.kind adamw; sgd and lars have momentum"),
    Rule(("optim.momentum",), lambda s: s.optim.kind == "adamw", "is for --optim.kind sgd or lars; adamw has betas"),
    Rule(
        ("schedule.min_factor",),
        lambda s: s.schedule.kind == "constant",
        "is where a falling rate ends, and --schedule.kind constant does not fall",
    ),
)
"""Of every run that trains."""

NO_JITTER = Rule(("dense.jitter_scale",), lambda s: s.dense.jitter == "none", "has no effect with --dense.jitter none")
"""Of runs that learn from parts of images."""

OF_WHOLE_IMAGES = (
    Rule(
        ("augment.rand_augment_ops",),
        lambda s: not s.augment.rand_augment,
        "is for RandAugment, which is off; give --augment.rand-augment too",
    ),
    Rule(
        ("augment.crop_scale", "augment.crop_ratio"),
        lambda s: s.augment.crop != "random",
        "is for --augment.crop random",
    ),
)
"""Of runs that learn from images as a whole."""

OF_MIXING = (
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
)
"""Of runs that may mix images and their labels."""

RULES: dict[str, tuple[Rule, ...]] = {
    "ProbeSettings": (
        Rule(("epochs",), lambda s: not s.rates, "is of the linear probe, and --rates names none"),
        Rule(("tune_epochs",), lambda s: not s.tune_blocks, "is of tuning, and --tune-blocks names no blocks"),
    ),
    "PlanSettings": (LICENSE,),
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
        Rule(
            ("flops", "image_sizes", "figure", "recipes"),
            lambda s: s.pretrained,
            "says nothing about published encoders; leave one out",
        ),
        Rule(("flops", "image_sizes", "figure"), lambda s: s.recipes, "says nothing about recipes; leave one out"),
        Rule(("pattern",), lambda s: s.recipes, "is part of a model's name; recipes are listed all"),
        Rule(("image_sizes",), lambda s: s.flops, "is fixed with --flops, which goes from 224 to 1024"),
        Rule(("figure",), lambda s: not s.flops, "draws what --flops counts; give that too"),
    ),
    "LookSettings": (
        Rule(("port", "host", "browser"), lambda s: not s.live, "is of the live window; give --live too"),
        Rule(
            ("against", "method", "permutations", "drop_outliers", "sanity"),
            lambda s: s.explain is None,
            "is about explaining a class; add --explain CLASS, or --explain predicted",
        ),
        Rule(
            ("fill", "cell"),
            lambda s: s.explain is None and not s.counterfactual and not s.shortcuts,
            "is about what is removed; add --explain CLASS or predicted, --counterfactual REGION or --shortcuts",
        ),
        Rule(
            ("counterfactual", "shortcuts"),
            lambda s: s.fill is None,
            "fills in what it hides; add --fill with the run of a masked autoencoder of such images (vitrail pretrain "
            "makes one), or --fill mean or --fill blur",
        ),
        Rule(("fillings",), lambda s: not s.counterfactual, "is for regions filled in; add --counterfactual REGION"),
        Rule(("shortcut_images",), lambda s: not s.shortcuts, "is for a search for shortcuts; add --shortcuts"),
        Rule(("permutations",), lambda s: "shapley" not in s.method, "is for Shapley values; add --method shapley"),
    ),
    "WeightsSettings": (
        Rule(("to",), lambda s: s.action not in ("convert", "push"), "is for convert and push"),
        Rule(("out", "num_heads", "encoder_only"), lambda s: s.action != "convert", "is for convert"),
        Rule(("source", "image"), lambda s: s.action != "verify", "is for verify"),
        Rule(("image",), lambda s: s.source is None, "is what the file and its --source are both shown; give that"),
        Rule(("private",), lambda s: s.action != "push", "is for push"),
    ),
}
"""Of each settings class, what means nothing where. Those of runs that train are in the classes themselves."""


__all__ = ["NO_JITTER", "OF_MIXING", "OF_TRAINING", "OF_WHOLE_IMAGES", "RULES", "Rule", "check_meant", "rules_of"]
