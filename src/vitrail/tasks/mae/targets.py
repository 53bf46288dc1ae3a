"""Targets that have to be found before they can be predicted: principal components, and tokenizers."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vitrail.config import Preprocessing, to_json
from vitrail.data.normalise import Normalise
from vitrail.data.sources import Images
from vitrail.errors import ConfigError, WeightsError
from vitrail.models.mae import MAE
from vitrail.models.targets import patches_of, use_tokenizer
from vitrail.models.tokenizers import Tokenizer
from vitrail.output import say
from vitrail.paths import user_path
from vitrail.tasks.inputs import eval_samples
from vitrail.tasks.mae.settings import MAESettings
from vitrail.training import distributed

FILE = "target.safetensors"

IMAGES = 1000
"""About so many training images are looked at, and"""
PATCHES = 50_000
"""at most so many patches of them taken."""


def prepare_target(mae: MAE, settings: MAESettings, preprocessing: Preprocessing, images: Images, folder: Path) -> None:
    """Give a masked autoencoder what its target needs: fitted on training images, another run's, or the user's.

    What was fitted is in ``folder`` too, so that a run goes on with the same, and another one can take it.

    Raises:
        ConfigError: there are too few images, or the user's tokenizer does not work.
        WeightsError: another run's target is for other patches.
    """
    target = mae.decoder.target
    if target.is_pixels:
        if settings.target_from:
            raise ConfigError("--target-from is for --target pca or tokens; pixels need nothing that is fitted")
        return
    if target.classifies and settings.tokenizer != "kmeans":
        use_tokenizer(target, checked(tokenizer_named(settings.tokenizer), mae))
        return
    facts = _facts(mae, preprocessing)
    if settings.target_from:
        _load(mae, user_path(settings.target_from, ConfigError), facts)
    if distributed.is_main() and not (folder / FILE).is_file():
        if not target.fitted:
            target.fit(training_patches(mae, images, preprocessing))
            say(f"target {settings.target} fitted on patches of the training images: {folder / FILE}")
        save_file(target.state_dict(), folder / FILE, {"vitrail": json.dumps(facts)})
    distributed.barrier()
    _load(mae, folder / FILE, facts)


def training_patches(mae: MAE, images: Images, preprocessing: Preprocessing) -> torch.Tensor:
    """Take patches ``(M, P * P * C)``, normalised, of images spread over all; the same ones every time."""
    samples = eval_samples(images.subset(range(0, len(images), max(1, len(images) // IMAGES))), preprocessing)
    normalise = Normalise(preprocessing.mean, preprocessing.std)
    h, w = mae.grid(torch.empty(1, 1, *preprocessing.image_size))
    share = min(h * w, max(1, PATCHES // len(samples)))
    generator = torch.Generator().manual_seed(0)
    taken = []
    for number in range(len(samples)):
        image = samples.undamaged((0, number))[0]["image"]
        places = torch.randperm(h * w, generator=generator)[:share]
        taken.append(patches_of(normalise(image.unsqueeze(0)), mae.patch_size, places.unsqueeze(0))[0])
    return torch.cat(taken)


def tokenizer_named(name: str) -> Tokenizer:
    """Make the user's own tokenizer of ``MODULE:NAME``, a class or function without arguments.

    The module may lie in the folder that the command is given in, as for ``python -m``.

    Raises:
        ConfigError: there is no such thing, or it is no tokenizer.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ConfigError(f"--tokenizer is kmeans or MODULE:NAME of a class of yours, not {name!r}")
    try:
        with _working_folder_importable():
            tokenizer = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"the tokenizer {name} cannot be made: {error}") from None
    if not isinstance(tokenizer, Tokenizer):
        raise ConfigError(f"{name} is no tokenizer: it needs a `vocabulary`, and to be called with images")
    return tokenizer


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    here = str(Path.cwd())
    if here in sys.path:  # and shall stay there
        yield
        return
    # Last, so that a file of the user's cannot stand in for an installed module of the same name.
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


@torch.no_grad()
def checked(tokenizer: Tokenizer, mae: MAE) -> Tokenizer:
    """Return a tokenizer if it tells one token for each patch.

    Raises:
        ConfigError: it does not.
    """
    config = mae.encoder.config
    image = torch.zeros(1, config.channels, *config.image_size)
    h, w = mae.grid(image)
    tokens = tokenizer(image)
    if tokens.shape != (1, h * w) or tokens.dtype != torch.int64:
        raise ConfigError(
            f"the tokenizer made {tuple(tokens.shape)} {tokens.dtype} of one image; this model needs (1, {h * w}) "
            "torch.int64, one token for each patch"
        )
    return tokenizer


def _facts(mae: MAE, preprocessing: Preprocessing) -> dict[str, Any]:
    """Return all that two runs must share for the one to take the other's target."""
    config = mae.config
    count = {"components": config.components} if config.target == "pca" else {"vocabulary": config.vocabulary}
    shape = {"target": config.target, **count, "patch_size": mae.patch_size}
    seen = {"channels": mae.encoder.config.channels, "mean": preprocessing.mean, "std": preprocessing.std}
    return to_json(shape | seen)


def _load(mae: MAE, path: Path, facts: dict[str, Any]) -> None:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(f"{file} does not exist; give a run with --target pca or tokens, or its {FILE}")
    try:
        with safe_open(file, "pt") as opened:
            theirs = json.loads((opened.metadata() or {})["vitrail"])
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{file} holds no target of vitrail's ({error})") from None
    for name, ours in facts.items():
        if theirs.get(name) != ours:
            raise WeightsError(f"{file} was fitted for {name} {theirs.get(name)}; this run has {ours}")
    mae.decoder.target.load_state_dict(state)
