"""Which options of ``vitrail look`` have a meaning for a model; the others are refused, not passed over."""

from __future__ import annotations

from vitrail.errors import ConfigError
from vitrail.settings import LookSettings

SPECIAL = (
    "mask_ratio",
    "masking",
    "mask",
    "seeds",
    "pixel",
    "layers",
    "compare",
    "explain",
    "counterfactual",
    "shortcuts",
)
"""Options that some models have no use for."""

LARGEST_SEED = 2**63 - 1


def check_options(what: str, meant: tuple[str, ...], settings: LookSettings) -> None:
    """Check that everything asked for can be drawn of a model.

    Args:
        what: the model is, with its article.
        meant: those of `SPECIAL` that it has a use for.
        settings: what was asked for.

    Raises:
        ConfigError: an option means nothing to it, contradicts another, or is out of range.
    """
    if settings.count < 1:
        raise ConfigError(f"count must be 1 or more, not {settings.count}")
    for name in SPECIAL:
        if name not in meant and is_given(settings, name):
            can = f"; it takes {_listed(meant)}" if meant else ""
            raise ConfigError(f"{_option(name)} means nothing to the model in {settings.checkpoint}, {what}{can}")
    if not settings.seeds or not all(0 <= seed <= LARGEST_SEED for seed in settings.seeds):
        raise ConfigError(f"--seeds takes one or more whole numbers from 0 on, not {list(settings.seeds)}")


def is_given(settings: LookSettings, name: str) -> bool:
    """Whether an option has another value than its default."""
    return getattr(settings, name) != getattr(LookSettings, name)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(map(_option, names[:-1])), _option(names[-1])]) if names[1:] else _option(names[0])
