"""The models and images of one window."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from vitrail import __version__
from vitrail.console import printable
from vitrail.data.normalise import Normalise
from vitrail.errors import ConfigError
from vitrail.layers.masking import draw_mask
from vitrail.live.answers import explained_class, prediction_of, view_of
from vitrail.live.caches import Newest
from vitrail.live.drawings import png, scales
from vitrail.live.facts import facts_of
from vitrail.live.images import HeldImage, ImageStore, Sample
from vitrail.live.requests import AnswerRequest, Asked, MaskRequest, RemovalRequest
from vitrail.live.seen import LiveModel, Seen
from vitrail.ranges import SEED
from vitrail.visualize.draw import to_image

MOST_SEEN = 8
"""Masked images whose maps are kept, for each model: a few megabytes each."""

MOST_CELLS = 64
"""Cells that one request may remove one by one, so that others do not wait for long."""


class Session:
    """What one window is about.

    Args:
        models: one, or two that stand side by side.
        samples: images that are offered to choose.
    """

    def __init__(self, models: Sequence[LiveModel], samples: Sequence[Sample] = ()) -> None:
        self.models = tuple(models)
        self.images = ImageStore([model.description.preprocessing for model in models], samples)
        self._seen: Newest[Seen] = Newest(MOST_SEEN * len(self.models))

    def facts(self) -> dict[str, Any]:
        """Return all that the page has to know before an image is opened."""
        samples = [{"name": printable(one.name), "label": printable(one.label)} for one in self.images.samples]
        models = [facts_of(model) for model in self.models]
        return {"version": __version__, "models": models, "samples": samples, "scales": scales()}

    def opened(self, image: HeldImage) -> dict[str, Any]:
        """Return what the page has to know of an image."""
        return {"image": image.key, "name": printable(image.name), "size": image.size, "boxes": image.boxes}

    def input_png(self, key: str, number: int) -> bytes:
        """Return an image as a model sees it, as a PNG file.

        Raises:
            NotHeld: the image is no longer held.
            ConfigError: there is no such model.
        """
        model, image = self._model(number), self.images.held(key)
        preprocessing = model.description.preprocessing
        normalised = Normalise(preprocessing.mean, preprocessing.std)(image.pixels[number])[0]
        return png(to_image(normalised, preprocessing.mean, preprocessing.std))

    def answer(self, asked: AnswerRequest) -> dict[str, Any]:
        """Return a model's prediction and one view; where a view has no meaning, ``note`` says why.

        Raises:
            NotHeld: the image is no longer held.
            ConfigError: there is no such model or patch.
        """
        began = time.perf_counter()
        whole, seen = self._see(asked, ()), self._see(asked, asked.hidden)
        said: dict[str, Any] = {"note": "", "prediction": None}
        try:
            said["prediction"] = prediction_of(seen, whole)
            said |= view_of(seen, asked)
        except ConfigError as error:
            said["note"] = str(error)
        return {**said, "milliseconds": 1000 * (time.perf_counter() - began)}

    def removal(self, asked: RemovalRequest) -> dict[str, Any]:
        """Return what a class loses without each of some cells alone.

        Raises:
            NotHeld: the image is no longer held.
            ConfigError: there is no such model, class or cell, or there are too many cells at once.
        """
        if not 0 < len(asked.cells) <= MOST_CELLS:
            raise ConfigError(f"1 to {MOST_CELLS} patches are removed one by one in a request, not {len(asked.cells)}")
        seen = self._see(asked, asked.hidden)
        label = explained_class(seen, asked.label)
        return {"cells": asked.cells, "falls": seen.removal(label, asked.cells).tolist()}

    def mask(self, asked: MaskRequest) -> dict[str, Any]:
        """Return which patches are hidden at a ratio.

        Raises:
            ConfigError: there is no such model, or the ratio or seed cannot be.
        """
        grid = self._model(asked.model).cells.grid
        if not SEED.holds(asked.seed):
            raise ConfigError(f"the seed must be a whole number {SEED}, not {asked.seed}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(asked.seed)
            mask = draw_mask(asked.masking, grid, asked.ratio)
        return {"hidden": mask.nonzero().flatten().tolist()}

    def _model(self, number: int) -> LiveModel:
        if not 0 <= number < len(self.models):
            raise ConfigError(f"there is no model {number}; this window has {len(self.models)}, counted from 0")
        return self.models[number]

    def _see(self, asked: Asked, hidden: Sequence[int]) -> Seen:
        model, image = self._model(asked.model), self.images.held(asked.image)
        key = (asked.image, asked.model, tuple(sorted(set(hidden))))
        return self._seen.made(key, lambda: Seen(model, image.pixels[asked.model], hidden))


__all__ = ["Session"]
