"""How images are to be prepared for a model, where the user knows it. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, replace
from vitrail.errors import ConfigError, nearest
from vitrail.ranges import Range

HALF = (0.5, 0.5, 0.5)
"""Google scales images to [-1, 1]."""

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP was trained on (Radford et al. 2021, the repository's ``clip.py``)."""

MeanAndStd = tuple[tuple[float, ...], tuple[float, ...]]

NORMALIZATIONS: dict[str, MeanAndStd] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": (HALF, HALF),
    "clip": (OPENAI_MEAN, OPENAI_STD),
    "openai": (OPENAI_MEAN, OPENAI_STD),
}
"""Mean and standard deviation of red, green and blue, of values in [0, 1], under the names people know."""


@dataclass(frozen=True, kw_only=True)
class NormalizationOption:
    """How a model's input is normalised; None leaves what is known of it."""

    normalization: str | None = None
    """imagenet, half (mean and std 0.5), clip or openai, or MEAN/STD: 0.45/0.2, or three numbers each with commas; by
    default what the weights or the files beside them say, else what is found out (docs/guides/any-checkpoint.md)."""

    def __post_init__(self) -> None:
        """Refuse what is no normalisation before anything else happens."""
        if self.normalization is not None:
            parse_normalization(self.normalization)


@dataclass(frozen=True, kw_only=True)
class InputOptions(NormalizationOption):
    """How an image becomes a model's input; None leaves what is known of it."""

    RANGES: ClassVar[dict[str, Range]] = {"crop_fraction": Range(0, 1, above=True)}

    resize: Literal["crop", "squash"] | None = None
    """crop: the centre of the image, its shorter side resized; squash: the whole image, whatever its aspect."""
    crop_fraction: float | None = None
    """Share of the resized image that the centre crop keeps."""
    interpolation: Literal["bicubic", "bilinear"] | None = None
    """How images are resized, antialiased either way."""


def parse_normalization(text: str) -> MeanAndStd:
    """Return the mean and standard deviation that a name or ``MEAN/STD`` stands for, one number or one a channel.

    Raises:
        ConfigError: it is neither, or a standard deviation is not above 0.
    """
    if text in NORMALIZATIONS:
        return NORMALIZATIONS[text]
    try:
        mean, std = (tuple(map(float, part.split(","))) for part in text.split("/"))
    except ValueError:
        known = ", ".join(NORMALIZATIONS)
        raise ConfigError(
            f"--normalization is one of {known}, or MEAN/STD such as 0.45/0.2, not {text[:60]!r}"
            f"{nearest(text, NORMALIZATIONS)}"
        ) from None
    if not (min(std) > 0 and all(abs(value) <= LARGEST for value in (*mean, *std))):
        raise ConfigError(f"--normalization {text[:60]}: mean and std are of values in [0, 1], and std is above 0")
    return mean, std


LARGEST = 10.0
"""Of a mean or standard deviation of values in [0, 1]; one of values up to 255 was meant for others."""


def normalization_name(preprocessing: Preprocessing) -> str:
    """Return what a normalisation is called, as ``--normalization`` takes it."""
    for name, known in NORMALIZATIONS.items():
        mean, std = _fitted(known, preprocessing.channels)
        if _is_close(preprocessing.mean, mean) and _is_close(preprocessing.std, std):
            return name
    return f"{_numbers(preprocessing.mean)}/{_numbers(preprocessing.std)}"


def with_options(preprocessing: Preprocessing, options: NormalizationOption) -> Preprocessing:
    """Return preprocessing as it is asked for; what nothing is said of stays.

    Raises:
        ConfigError: the normalisation is for another number of channels, or a fraction is given of what is not cropped.
    """
    changes = {}
    if options.normalization is not None:
        channels = preprocessing.channels
        mean, std = _fitted(parse_normalization(options.normalization), channels)
        if not len(mean) == len(std) == channels:
            raise ConfigError(
                f"--normalization {options.normalization} has {len(mean)} of mean and {len(std)} of std, and the "
                f"model's images have {channels} channels"
            )
        changes |= {"mean": mean, "std": std}
    if isinstance(options, InputOptions):
        changes |= {
            name: value
            for name in ("resize", "crop_fraction", "interpolation")
            if (value := getattr(options, name)) is not None
        }
    changed = replace(preprocessing, **changes)
    if changes.get("crop_fraction", 1.0) != 1.0 and changed.resize == "squash":
        raise ConfigError("--crop-fraction is of a centre crop, and these images are squashed; give --resize crop too")
    return replace(changed, crop_fraction=1.0) if changes.get("resize") == "squash" else changed


def in_options(options: NormalizationOption) -> list[str]:
    """Return the words of a command line that ask for the same."""
    names = ("normalization", "resize", "crop_fraction", "interpolation")
    given = {name: getattr(options, name, None) for name in names}
    return [
        word
        for name, value in given.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def _fitted(known: MeanAndStd, channels: int) -> MeanAndStd:
    """Fit mean and deviation to a number of channels: one number is for all, and grey has the mean of three colours."""
    return tuple(_of_channels(values, channels) for values in known)  # type: ignore[return-value]


def _of_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == 1:
        return values * channels
    return (round(sum(values) / 3, 4),) if channels == 1 and len(values) == 3 else values


def _is_close(values: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Whether numbers are the same but for what was rounded when colours became grey."""
    return len(values) == len(others) and all(abs(a - b) < 1e-4 for a, b in zip(values, others, strict=True))


def _numbers(values: tuple[float, ...]) -> str:
    shown = values[:1] if len(set(values)) == 1 else values
    return ",".join(f"{value:g}" for value in shown)


__all__ = [
    "HALF",
    "NORMALIZATIONS",
    "InputOptions",
    "NormalizationOption",
    "in_options",
    "normalization_name",
    "parse_normalization",
    "with_options",
]
