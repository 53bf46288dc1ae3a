"""What was measured of each image that can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitrail.audit.background import FrameFigures
from vitrail.audit.descriptors import Descriptors
from vitrail.audit.label_errors import LabelDoubts


@dataclass(frozen=True)
class Rows:
    """Of N images.

    Attributes:
        number: ``(N,)`` the image's number in the data's list.
        descriptors: of pixels.
        sizes: ``(N, 2)`` width and height.
        label: ``(N,)`` number of the class, or -1.
        outlier: ``(N,)`` cosine distance to the k-th nearest other; None without an encoder.
        doubts: of labels; None where these cannot be judged.
        frame: how far the frame alone gives the class; likewise.
    """

    number: np.ndarray
    descriptors: Descriptors
    sizes: np.ndarray
    label: np.ndarray
    outlier: np.ndarray | None = None
    doubts: LabelDoubts | None = None
    frame: FrameFigures | None = None


__all__ = ["Rows"]
