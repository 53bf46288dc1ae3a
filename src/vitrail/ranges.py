"""What every number of the settings may be, in one table; nothing here imports torch.

The command line and the Python functions check all of them before anything else happens (`vitrail.config.check`), so
that no number is refused, or worse taken, halfway through a run. What depends on the model or the data, such as a
number of blocks, is checked where both are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitrail.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``.

    Attributes:
        low, high: both belong to it unless ``above`` or ``below`` say otherwise; neither can be infinite.
        above: ``low`` itself does not belong to it.
        below: ``high`` itself does not belong to it.
        rising: of several numbers, none may be smaller than the one before.
        whole_from: numbers above this have to be whole.
    """

    low: float
    high: float
    above: bool = False
    below: bool = False
    rising: bool = False
    whole_from: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number belongs to it; what is no number, or not finite, never does."""
        inside = self.low <= value <= self.high
        return inside and not (self.above and value == self.low) and not (self.below and value == self.high)

    def __str__(self) -> str:
        if self.above:
            return f"above {_number(self.low)} and {'below' if self.below else 'at most'} {_number(self.high)}"
        return f"from {_number(self.low)} to {'below ' if self.below else ''}{_number(self.high)}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


MOST = 2**31 - 1
"""The largest of what is counted."""

SEED = Range(0, 2**32 - 1)
"""What all generators of random numbers take: torch's, numpy's, scikit-learn's."""

SHARE = Range(0, 1)
PROBABILITY = Range(0, 1, below=True)
"""Of what is left out while training: with 1, nothing would be left."""
COUNT = Range(1, MOST)
CHANNELS = Range(1, 65_536)
DEPTH = Range(1, 1_000)
SIDE = Range(1, 16_384)
"""Pixels; a larger image does not fit into any memory as activations."""
WORKERS = Range(-1, 1_024)
EPOCHS = Range(0, 1_000_000, above=True)
EPOCHS_BETWEEN = Range(0, 1_000_000)
RATE = Range(0, 1_000, above=True)
LABELS = Range(0, MOST, above=True, whole_from=1)
PART = Range(0, 1, above=True, below=True)
"""A share that is neither nothing nor all."""
HIDDEN = PART
FACTOR = Range(0, 100, above=True)
BLOCKS = Range(0, 1_000)

RANGES: dict[str, dict[str, Range]] = {
    "BackboneArchitecture": {
        "patch_size": Range(1, 1_024),
        "width": CHANNELS,
        "depth": DEPTH,
        "num_heads": Range(1, 1_024),
        "mlp_ratio": FACTOR,
        "depths": DEPTH,
        "widen": Range(1, 64),
        "registers": Range(0, 1_024),
        "layer_scale": Range(0, 1_000),
        "stem_depths": DEPTH,
        "embed_width": CHANNELS,
        "window": Range(1, 1_024),
        "pretrained_windows": Range(0, 1_024),
        "head_width": CHANNELS,
        "dropout": PROBABILITY,
        "attention_dropout": PROBABILITY,
        "drop_path": PROBABILITY,
    },
    "Architecture": {"representation": Range(0, 65_536)},
    "Scoring": {"window": SIDE, "overlap": PROBABILITY, "scales": FACTOR},
    "JointAugment": {"flip": SHARE, "color_jitter": Range(0, 10)},
    "ImageAugment": {
        "crop_scale": Range(0, 1, above=True, rising=True),
        "crop_ratio": Range(0, 100, above=True, rising=True),
        "rand_augment": Range(0, 30),
        "rand_augment_ops": Range(1, 100),
        "erasing": SHARE,
    },
    "Augment": {
        "mixup": Range(0, 1_000),
        "cutmix": Range(0, 1_000),
        "mix_probability": SHARE,
        "mix_switch": SHARE,
    },
    "ImageLoader": {"workers": WORKERS, "views": Range(0, 1_000_000)},
    "Optim": {
        "betas": PROBABILITY,
        "momentum": PROBABILITY,
        "weight_decay": Range(0, 100),
        "layer_decay": Range(0, 1, above=True),
        "clip": Range(0, 1_000_000),
        "ema": PROBABILITY,
    },
    "Schedule": {"warmup_epochs": EPOCHS_BETWEEN, "min_factor": SHARE},
    "Run": {
        "seed": SEED,
        "micro_batch": Range(0, MOST),
        "evaluate_every": EPOCHS_BETWEEN,
        "save_every": EPOCHS_BETWEEN,
        "save_minutes": Range(0, 1_000_000),
        "keep": Range(1, 1_000_000),
        "draw_every": EPOCHS_BETWEEN,
        "patience": Range(0, MOST),
        "timeout": Range(1, 1_000_000),
    },
    "EvaluateSettings": {"workers": WORKERS},
    "ProbeSettings": {
        "image_size": SIDE,
        "labels": LABELS,
        "neighbours": COUNT,
        "temperature": Range(0, 1_000, above=True),
        "rates": Range(0, 1_000_000, above=True),
        "epochs": Range(1, 1_000_000),
        "batch_size": COUNT,
        "tune_blocks": BLOCKS,
        "tune_epochs": EPOCHS,
        "seed": SEED,
        "workers": WORKERS,
    },
    "PlanSettings": {
        "hours": Range(0, 1_000_000, above=True),
        "image_size": SIDE,
        "batch_size": COUNT,
        "seconds": Range(0, 86_400, above=True),
        "workers": WORKERS,
    },
    "LookSettings": {
        "cell": Range(1, 4_096),
        "fillings": Range(1, 1_000),
        "shortcut_images": Range(1, 100_000),
        "count": Range(1, 10_000),
        "permutations": Range(1, 100_000),
        "mask_ratio": HIDDEN,
        "seeds": SEED,
        "pixel": Range(0, 16_383),
        "layers": Range(-1_000, 999),
        "port": Range(1, 65_535),
    },
    "TourSettings": {
        "labels": LABELS,
        "pretrain_epochs": EPOCHS,
        "train_epochs": EPOCHS,
        "seed": SEED,
    },
    "PaperSettings": {"seeds": Range(1, 1_000), "epochs": EPOCHS, "image_size": SIDE, "workers": WORKERS},
    "ModelsSettings": {"image_sizes": Range(32, 16_384)},
    "WeightsSettings": {"num_heads": Range(1, 1_024)},
}
"""Of each settings class, the range of each number; of several numbers, that of each. Those of runs that train and of
tasks are in the classes themselves, as ``RANGES``."""


def range_of(kind: type, name: str) -> Range | None:
    """Return the range of a setting of a class: one that the class or one below it states, else the table's."""
    for cls in kind.__mro__:
        own = cls.__dict__.get("RANGES", RANGES.get(cls.__name__, {}))
        if name in own:
            return own[name]
    return None


def check_range(kind: type, name: str, value: Any, called: str) -> None:
    """Check one setting of a settings class; None and what is no number are left alone.

    Args:
        kind: the class.
        name: the setting's.
        value: a number, or several.
        called: what the setting is called in a message.

    Raises:
        ConfigError: the number, or one of several, is out of range.
    """
    allowed = range_of(kind, name)
    numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if _is_number(one)]
    if allowed is None or not numbers:
        return
    for number in numbers:
        if not allowed.holds(number):
            each = "each number of " if len(numbers) > 1 else ""
            raise ConfigError(f"{each}{called} must be a number {allowed}, not {number}")
        if allowed.whole_from is not None and number > allowed.whole_from and number != int(number):
            raise ConfigError(f"{called} above {_number(allowed.whole_from)} must be a whole number, not {number}")
    if allowed.rising and list(numbers) != sorted(numbers):
        raise ConfigError(f"the numbers of {called} must not fall: {' '.join(map(str, sorted(numbers)))}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


__all__ = ["RANGES", "Range", "check_range", "range_of"]
