"""What *Intriguing Properties of Vision Transformers* (Naseer et al. 2021, arXiv 2105.10497) prints in its text.

Only what was found in the paper's own words is here; most of its figures are drawn and not printed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPoint:
    """A figure that the paper prints.

    Attributes:
        curve: the curve of ours that measures the same.
        level: its strength.
        accuracy: in [0, 1].
        what: what it is of.
        where: in the paper.
    """

    curve: str
    level: float
    accuracy: float
    what: str
    where: str


PUBLISHED = (
    PublishedPoint(
        "occlusion_random",
        0.8,
        0.60,
        "top-1 on ImageNet of its most robust transformer, 80 % of the image occluded at random",
        "abstract",
    ),
)

__all__ = ["PUBLISHED", "PublishedPoint"]
