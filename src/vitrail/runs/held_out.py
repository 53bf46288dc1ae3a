"""Whether images are held out as they were asked to be."""

from __future__ import annotations

from vitrail.data.sources import NO_SPLIT, Source
from vitrail.errors import ConfigError
from vitrail.settings import LearningSettings


def check_share(settings: LearningSettings, source: Source) -> None:
    """Refuse a share of held-out images that would be passed over because the data has a validation split.

    Raises:
        ConfigError: it has, and another share than the default was asked for.
    """
    if settings.validation_share == type(settings).validation_share or source.validation is None:
        return
    chosen = source.images is not None and source.images.chosen_by_seed
    if not chosen and not any(note.startswith(NO_SPLIT) for note in source.notes):
        count = f"{len(source.validation):,} images"
        raise ConfigError(
            f"--validation-share is for data without a validation split, and {settings.data} has one of {count}; "
            "leave it out"
        )


__all__ = ["check_share"]
