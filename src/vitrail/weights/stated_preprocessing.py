"""How images must be prepared for weights, where it is written in their file or beside it: read exactly, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from vitrail.config import Preprocessing, from_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.weights.plausible import check_preprocessing
from vitrail.weights.sidecars import CONFIG, PROCESSOR, read_stated

Reasoned = tuple[Preprocessing, str]
"""Preprocessing, and how it is known: half a sentence for people."""

Interpolation = Literal["bicubic", "bilinear"]

PILLOWS: dict[Any, str] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers of interpolations, by which transformers' processors name them."""

PIXEL_SCALE = 255.0


def stated_preprocessing(notes: dict[str, Any], config: dict[str, Any], folder: Path) -> Reasoned | None:
    """Return the preprocessing that is written in a weights file or beside it; None where nobody wrote it.

    Args:
        notes: of vitrail's in the file.
        config: what ``config.json`` beside it holds.
        folder: where the file lies.

    Raises:
        WeightsError: it is written in a way that no image can be prepared by.
    """
    processor, pretrained = folder / PROCESSOR, config.get("pretrained_cfg", config)
    sources: tuple[tuple[str, Callable[[Any], Preprocessing | None], Any, str], ...] = (
        ("the weights file", _from_own, notes.get("preprocessing"), "the file says so"),
        (str(folder / CONFIG), _from_own, config.get("preprocessing"), f"{CONFIG} beside it says so"),
        (str(processor), _from_transformers, read_stated(processor), f"{PROCESSOR} beside it says so"),
        (str(folder / CONFIG), _from_timm, pretrained, f"{CONFIG} beside it says so"),
    )
    for where, read, said, reason in sources:
        if isinstance(said, Mapping) and (found := _read(where, read, said)):
            return found, reason + _stand_in(said)
    return None


def _read(where: str, read: Callable[[Any], Preprocessing | None], said: Mapping[str, Any]) -> Preprocessing | None:
    try:
        found = read(said)
        if found is not None:
            check_preprocessing(found)
        return found
    except (VitrailError, TypeError, ValueError, KeyError, ArithmeticError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0][:200]
        raise WeightsError(
            f"{where} says how images are to be prepared, and nothing can be prepared so ({reason}); mend it, or "
            "remove it and say it yourself with --normalization"
        ) from None


def _from_own(said: Mapping[str, Any]) -> Preprocessing:
    return from_json(Preprocessing, dict(said))


def _from_transformers(config: Mapping[str, Any]) -> Preprocessing | None:
    """Read ``preprocessor_config.json``; one that names neither mean nor deviation says nothing of them."""
    if config.get("do_normalize") is False:
        mean, std = [0.0] * 3, [1.0] * 3
    elif "image_mean" in config and "image_std" in config:
        mean, std = config["image_mean"], config["image_std"]
    else:
        return None
    if "size" not in config and "crop_size" not in config:
        return None
    scale = PIXEL_SCALE * float(config.get("rescale_factor", 1 / PIXEL_SCALE) if config.get("do_rescale", True) else 1)
    size, resize, fraction = _fit(config)
    return Preprocessing(
        image_size=size,
        channels=len(mean),
        # Of values that are scaled otherwise than to [0, 1]: (scale * x - mean) / std.
        mean=tuple(float(value) / scale for value in mean),
        std=tuple(float(value) / scale for value in std),
        resize=resize,
        crop_fraction=fraction,
        interpolation=_interpolation(config),
    )


def _fit(config: Mapping[str, Any]) -> tuple[tuple[int, int], Literal["crop", "squash"], float]:
    """Return size, way of resizing and fraction of the crop of transformers' processors."""
    size = config.get("size", config.get("crop_size"))
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else None
    if config.get("do_center_crop"):
        height, width = _sides(config.get("crop_size", size))
        if shortest is None:
            return (height, width), "squash", 1.0
        return (height, width), "crop", min(1.0, min(height, width) / int(shortest))
    if shortest is not None:
        return (int(shortest), int(shortest)), "crop", float(config.get("crop_pct") or 1.0)
    return _sides(size), "squash", 1.0


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        return (int(size["height"]), int(size["width"])) if "height" in size else 2 * (int(size["shortest_edge"]),)  # type: ignore[return-value]
    if isinstance(size, (list, tuple)):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)


def _from_timm(config: Mapping[str, Any]) -> Preprocessing | None:
    """Read timm's ``pretrained_cfg``; one that lacks the size, the mean or the deviation says nothing."""
    if not all(name in config for name in ("input_size", "mean", "std")):
        return None
    channels, height, width = config["input_size"]
    squash = config.get("crop_mode") == "squash"
    return Preprocessing(
        image_size=(int(height), int(width)),
        channels=int(channels),
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        resize="squash" if squash else "crop",
        crop_fraction=float(config.get("crop_pct", 0.875)),
        interpolation=_interpolation(config),
    )


def _stated_interpolation(config: Mapping[str, Any]) -> str:
    """Return how images are resized, as transformers or timm say it; "" where they do not."""
    said = config.get("resample", config.get("interpolation"))
    name = PILLOWS.get(said, said) if isinstance(said, (int, str)) else ""
    return str(name)


def _interpolation(config: Mapping[str, Any]) -> Interpolation:
    return "bilinear" if _stated_interpolation(config) == "bilinear" else "bicubic"


def _stand_in(config: Mapping[str, Any]) -> str:
    """Say where images are not resized here as they were; "" where they are."""
    said = _stated_interpolation(config)[:20]
    odd = said not in ("", "bicubic", "bilinear", "random")  # timm's random is bicubic or bilinear, in training
    crop = str(config.get("crop_mode", "center"))[:20]
    differs = [f"for its interpolation {said} stands bicubic"] if odd else []
    differs += [f"for its crop_mode {crop} stands a centre crop"] if crop not in ("center", "squash") else []
    return f" ({' and '.join(differs)})" if differs else ""


__all__ = ["Reasoned", "stated_preprocessing"]
