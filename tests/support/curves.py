"""The curves of a run are a second's work: where runs are trained by the dozen and not looked at, a blank stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

PLOT = "vitrail.visualize.curves._plot"


@pytest.fixture(scope="package", autouse=True)
def blank_curves() -> Iterator[None]:
    """Draw no curves in the tests of a package; those of its session's runs are drawn before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PLOT, _blank)
        yield


def _blank(*plotted: Any) -> Image.Image:
    return Image.new("RGB", (64, 48), "white")
