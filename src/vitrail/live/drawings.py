"""Maps, images and colour scales in the form in which they travel to the page."""

from __future__ import annotations

import base64
import functools
import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.visualize.scales import ATTENTION_COLOURS, BIAS_COLOURS, FULL_SHARE, coloured

Scale = Literal["share", "cosine", "signed", "positive"]
"""share: multiples of an even share, 1 to 16, by their log; cosine: -1 to 1; signed: about 0; positive: from 0 up."""

RAMP = 64
"""Colours of a scale that travel; the page takes the nearest."""

COLOUR_MAPS: dict[Scale, str] = {
    "share": ATTENTION_COLOURS,
    "cosine": "cividis",
    "signed": BIAS_COLOURS,
    "positive": "viridis",
}
"""Perceptually uniform or diverging, and legible to colour-blind eyes."""


@dataclass(frozen=True)
class LiveMap:
    """A map over an image.

    Attributes:
        values: ``(h, w)``, or ``(K, h, w)`` of which the page shows one or the mean; nan where a patch is not there.
        scale: how values become colours.
        unit: what they count.
        even: of shares, what each place would get of an even share.
        facts: what else the page says of it.
    """

    values: Tensor
    scale: Scale
    unit: str
    even: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it with the values as base64 of little-endian float32."""
        values = self.values.detach().float().cpu().numpy().astype("<f4")
        return {
            "shape": list(values.shape),
            "values": base64.b64encode(values.tobytes()).decode(),
            "scale": self.scale,
            "unit": self.unit,
            "even": self.even,
            **self.facts,
        }


@functools.cache
def scales() -> dict[str, Any]:
    """Return the colours of every scale from its first value to its last, and where that of attention ends."""
    places = np.linspace(0, 1, RAMP)
    ramps = {scale: (coloured(name, places) * 255).round().astype(int).tolist() for scale, name in COLOUR_MAPS.items()}
    return {"ramps": ramps, "full_share": FULL_SHARE}


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG file, packed for speed."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(image: Image.Image) -> str:
    """Return an image as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


__all__ = ["LiveMap", "Scale", "data_url", "png", "scales"]
