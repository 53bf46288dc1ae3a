"""Curves and charts are a second's work: where they are drawn by the dozen and not looked at, a blank stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

PLOTS = ("vitrail.visualize.curves._plot", "vitrail.visualize.chart._rendered")


@pytest.fixture(scope="package", autouse=True)
def blank_curves() -> Iterator[None]:
    """Draw no curves and charts in the tests of a package; those of its session's runs are drawn before."""
    with pytest.MonkeyPatch.context() as patch:
        for plot in PLOTS:
            patch.setattr(plot, _blank)
        yield


def _blank(*plotted: Any) -> Image.Image:
    return Image.new("RGB", (64, 48), "white")
