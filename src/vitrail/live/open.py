"""Models and images to a session; what the page cannot show is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitrail.data.sources import Images
from vitrail.errors import ConfigError
from vitrail.live.images import Sample
from vitrail.live.seen import LiveModel
from vitrail.settings import LookSettings
from vitrail.tasks.find_preprocessing import in_words
from vitrail.tasks.registry import task_of
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import OpenedModel, open_any

WINDOW = {"live", "port", "host", "browser"}
"""Options of the window itself."""

HONOURED = WINDOW | {
    *("checkpoint", "images", "accept_license", "count", "compare", "device"),
    *("normalization", "resize", "crop_fraction", "interpolation"),
}
"""Options of ``vitrail look`` that the window follows; what else may be asked for is chosen on the page, or drawn."""

UNSHOWN = {"detect": "a detector", "segment": "a segmenter"}
"""Tasks whose models the window does not show."""


def check_live(settings: LookSettings) -> None:
    """Refuse options that the window would not follow.

    Raises:
        ConfigError: one is given.
    """
    for field in dataclasses.fields(settings):
        if field.name not in HONOURED and getattr(settings, field.name) != field.default:
            option = f"--{field.name.replace('_', '-')}"
            raise ConfigError(
                f"{option} is of the figures that look draws into a folder, and --live draws none; leave one out (the "
                "page has its own choices)"
            )
    if len(settings.compare) > 1:
        raise ConfigError(f"--live shows two models side by side, and --compare names {len(settings.compare)} more")


def open_shown(name: str, *, accept_license: bool = False) -> OpenedModel:
    """Open a model that the window shows; arguments and other errors are those of `open_any`.

    Raises:
        ConfigError: the window does not show models of this task.
    """
    opened = open_any(name, accept_license=accept_license)
    if opened.description.task in UNSHOWN:
        raise ConfigError(
            f"{opened.source} is {UNSHOWN[opened.description.task]}, and --live shows classifiers, encoders and masked "
            "autoencoders; look at it without --live"
        )
    return opened


def predicting(opened: OpenedModel, device: str) -> Runtime:
    """Return where a model computes, in the precision in which ``vitrail predict`` answers.

    Raises:
        ConfigError: there is no such device.
    """
    return Runtime.named(device, "auto" if opened.is_own else "fp32")


def live_model(name: str, opened: OpenedModel, runtime: Runtime) -> LiveModel:
    """Return a model of the window.

    Args:
        name: what it is called on the page.
        opened: the model, its preprocessing settled.
        runtime: where it computes.

    """
    description = opened.description
    model: Any = opened.model.to(runtime.device).eval()
    predictor = None
    if description.is_classifier:
        predictor = task_of(description).predictor(model, description, runtime)
    words = in_words(description.preprocessing)
    prepared = opened.prepared or f"Images are prepared so: {words} ({opened.reason})."
    return LiveModel(name, model, description, predictor, opened.notes, prepared)


def side_by_side(models: Sequence[LiveModel]) -> list[LiveModel]:
    """Let a model whose squares are filled have those of one beside it that sees images of the same size.

    So the same paint hides the same pixels from both.
    """
    sizes = {model.description.preprocessing.image_size: model.cells.side for model in models if model.takes_out}
    return [
        model
        if model.takes_out
        else dataclasses.replace(model, side=sizes.get(model.description.preprocessing.image_size))
        for model in models
    ]


def samples_of(images: Images | None, class_names: Sequence[str]) -> list[Sample]:
    """Return images to choose from; labels are named where the model knows them."""
    if images is None:
        return []
    labels = images.labels if class_names and images.labels is not None else [None] * len(images)
    return [
        Sample(images.item(number), Path(images.names[number]).name, "" if label is None else class_names[label])
        for number, label in enumerate(labels)
    ]


__all__ = ["HONOURED", "WINDOW", "check_live", "live_model", "open_shown", "predicting", "samples_of", "side_by_side"]
