"""Settings for masked patch prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vitrail.ranges import HIDDEN, Range
from vitrail.settings.training import PretrainSettings


@dataclass(frozen=True)
class MPPSettings(PretrainSettings):
    """Pretrain by masked patch prediction on images without labels."""

    FIRST: ClassVar[tuple[str, ...]] = (*PretrainSettings.FIRST, "mask_ratio", "target")
    RANGES: ClassVar[dict[str, Range]] = {"mask_ratio": HIDDEN}

    objective: str = "mpp"
    """mae: fill in hidden patches; mpp: ViT's masked patch prediction; simmim: the pixels of hidden squares, also of a
    Swin."""
    mask_ratio: float = 0.75
    """Share of the patches that is corrupted."""
    target: Literal["auto", "color", "downsized", "full"] = "auto"
    """The patch's mean colour of 3 bits a channel (auto), the colours of a 4x4 copy of it, or all its pixels."""
