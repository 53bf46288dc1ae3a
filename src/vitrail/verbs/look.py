"""``vitrail look``: what a model sees, as pictures and one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vitrail.config import from_json
from vitrail.console import percent
from vitrail.data.sources import Pictures, open_source
from vitrail.data.transforms import eval_transform
from vitrail.errors import ConfigError, DataError
from vitrail.figures import attention
from vitrail.figures.curves import draw_curves
from vitrail.models.mae import MAE
from vitrail.models.simmim import SimMIM
from vitrail.models.swin import Swin
from vitrail.models.zoo import backbone_of
from vitrail.settings import LookSettings, TrainSettings
from vitrail.tasks.inputs import Normalise
from vitrail.verbs.carry_out import training_pictures
from vitrail.verbs.kinds import kind_of
from vitrail.verbs.pictures import find_pictures, read_inputs
from vitrail.verbs.reconstructions import draw_reconstructions
from vitrail.verbs.report import report_run
from vitrail.verbs.say import say
from vitrail.verbs.swin_pictures import draw_simmim, draw_swin
from vitrail.weights.checkpoint import Description, open_checkpoint


@dataclass(frozen=True)
class Chosen:
    """Pictures to look at: ``images`` (B, C, H, W) normalised, and a caption for each."""

    images: Tensor
    captions: tuple[str, ...]


def look(checkpoint: str, pictures: Sequence[str] = (), **settings: Any) -> list[Path]:
    """Draw what a model sees.

    Args:
        checkpoint: a run folder or a checkpoint.
        pictures: files, folders or globs; by default some that the run held out.
        **settings: any other field of `vitrail.settings.LookSettings`.

    Returns:
        The files written: PNG pictures, and ``report.html`` for a run folder.

    Raises:
        VitrailError: the checkpoint or a picture cannot be used.
    """
    return run(LookSettings(checkpoint=checkpoint, pictures=tuple(pictures), **settings))


def run(settings: LookSettings) -> list[Path]:
    """Look as the settings say; `look` explains."""
    if settings.count < 1:
        raise ConfigError(f"count must be 1 or more, not {settings.count}")
    model, description = open_checkpoint(settings.checkpoint)
    _check_meant(model, settings)
    root = Path(settings.checkpoint).expanduser()
    out = Path(settings.out).expanduser() if settings.out else (root if root.is_dir() else Path()) / "look"
    out.mkdir(parents=True, exist_ok=True)
    if description.task == "classify":
        drawn = draw(model, description, _chosen(settings, description), settings)
    else:
        drawn = _draw_dense(model, description, settings)
    if (root / "metrics.jsonl").is_file():
        drawn["curves"] = draw_curves(read_metrics(root), title=root.name)
    written = []
    for name, picture in drawn.items():
        written.append(out / f"{name}.png")
        picture.save(written[-1])
    if (root / "summary.json").is_file():
        written.append(report_run(root, drawn))
    for path in written:
        say(str(path))
    return written


def _check_meant(model: Any, settings: LookSettings) -> None:
    """Refuse what is asked for and has no meaning for the model, instead of drawing something else."""
    if isinstance(model, MAE):
        meant = {"mask_ratio", "masking", "mask", "seeds"}
    elif isinstance(model, SimMIM):
        meant = {"mask_ratio", "seeds"}
    else:
        meant = {"layers", "pixel"} if isinstance(backbone_of(model), Swin) else {"layers"}
    for name in ("mask_ratio", "masking", "mask", "seeds", "pixel", "layers"):
        if name not in meant and getattr(settings, name) != getattr(LookSettings, name):
            raise ConfigError(f"--{name.replace('_', '-')} means nothing to the model in {settings.checkpoint}")


def draw(
    model: nn.Module,
    description: Description,
    chosen: Chosen,
    settings: LookSettings | None = None,
) -> dict[str, Image.Image]:
    """Draw all that fits a model, by name: reconstructions, or attention with the model's answers."""
    if isinstance(model, MAE):
        return draw_reconstructions(model, description, chosen.images, chosen.captions, settings)
    if isinstance(model, SimMIM):
        return draw_simmim(model, description, chosen.images, chosen.captions, settings)
    mean, std = description.preprocessing.mean, description.preprocessing.std
    captions = [
        f"{caption}\n{answer}".strip()
        for caption, answer in zip(chosen.captions, _answers(model, chosen.images, description), strict=True)
    ]
    if isinstance(backbone_of(model), Swin):
        return draw_swin(model, description, chosen.images, captions, settings)
    layers = settings.layers if settings else ()
    return {
        f"attention_{layer}" if layers else "attention": attention.panel(
            model, chosen.images, mean, std, captions=captions, layer=layer
        )
        for layer in layers or (-1,)
    }


def held_out(description: Description, count: int) -> Chosen:
    """Take some pictures that the run did not train on, spread over its validation set.

    Raises:
        DataError: the run's data cannot be found any more, or nothing of it was held out.
    """
    settings = description.settings
    data = settings.get("data")
    if not data:
        raise DataError("this checkpoint does not say what it was trained on; name pictures to look at")
    source = open_source(
        data,
        seed=settings.get("run", {}).get("seed", 0),
        validation_share=settings.get("validation_share", 0.2),
        labels=description.is_classifier,
    )
    pictures = source.validation or source.test or source.train
    if pictures is None or not len(pictures):
        raise DataError(f"{data} has no pictures any more; name pictures to look at")
    return choose(pictures, description, count)


def choose(pictures: Pictures, description: Description, count: int) -> Chosen:
    """Take ``count`` pictures, evenly spread over all of them."""
    from vitrail.data.samples import Samples

    preprocessing = description.preprocessing
    samples = Samples(pictures, eval_transform(preprocessing), 0, preprocessing.channels, cache="off")
    count = min(count, len(pictures))
    numbers = [int((i + 0.5) * len(pictures) / count) for i in range(count)]
    shown = [samples.undamaged((0, number))[0] for number in numbers]
    images = Normalise(preprocessing.mean, preprocessing.std)(torch.stack([s["image"] for s in shown]))
    names = description.class_names
    return Chosen(images, tuple(names[s["label"]] if names and "label" in s else "" for s in shown))


def _draw_dense(model: nn.Module, description: Description, settings: LookSettings) -> dict[str, Image.Image]:
    """Draw what a detector or segmenter makes of the named pictures, or of those the run held out."""
    kind = kind_of(description.task)
    if settings.pictures:
        files = find_pictures(settings.pictures)[: settings.count]
        pictures = Pictures(tuple(files), None, tuple(file.name for file in files))
    else:
        source = kind.open(from_json(TrainSettings, description.settings))
        pictures = source.validation or source.test or training_pictures(source)
    return kind.draw(model, description, pictures, settings.count)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's ``metrics.jsonl``."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if line.strip()]


def _chosen(settings: LookSettings, description: Description) -> Chosen:
    if not settings.pictures:
        return held_out(description, settings.count)
    files = find_pictures(settings.pictures)[: settings.count]
    images, read, errors = read_inputs(files, description.preprocessing)
    for error in errors:
        say(f"left out: {error}")
    if not read:
        raise DataError(f"none of the {len(files)} pictures can be read; the first: {errors[0]}")
    return Chosen(images, tuple(file.name for file in read))


@torch.inference_mode()
def _answers(model: nn.Module, images: Tensor, description: Description) -> list[str]:
    if not description.is_classifier:
        return [""] * len(images)
    best = model(images).softmax(dim=1).max(dim=1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [f"model: {description.class_names[i]} {percent(share)}" for i, share in pairs]
