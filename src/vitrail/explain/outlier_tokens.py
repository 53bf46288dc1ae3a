"""Patch tokens of far larger norm than the others: artefacts that maps should not be judged by.

Darcet et al. 2024, Vision Transformers Need Registers, section 2: large models keep what they know of the whole image
in patches that have little to say, which then have several times the norm of the others and draw attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.models.backbone import backbone_of

FACTOR = 3.0
"""Times the median norm of all patches, from which on a token is an outlier."""

IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class OutlierTokens:
    """The norms of patch tokens after the last block.

    Attributes:
        norms: ``(B, h, w)``.
        threshold: the norm from which on a token is an outlier.
        found: ``(B, h, w)`` bool.
    """

    norms: Tensor
    threshold: float

    @property
    def found(self) -> Tensor:
        """Which tokens are outliers."""
        return self.norms >= self.threshold

    def sentence(self) -> str:
        """Say how many there are, and where those of the largest norm lie."""
        count, total = int(self.found.sum()), self.found.numel()
        if not count:
            return f"None of {total:,} patch tokens has {FACTOR:g} times the median norm or more."
        median = self.threshold / FACTOR
        order = self.norms.flatten().argsort(descending=True)[: min(3, count)].tolist()
        h, w = self.norms.shape[1:]
        places = [f"image {n // (h * w) + 1}, row {n // w % h}, column {n % w}" for n in order]
        multiples = [f"{float(self.norms.flatten()[n]) / median:.1f}x" for n in order]
        named = "; ".join(f"{place} ({multiple})" for place, multiple in zip(places, multiples, strict=True))
        return f"{count:,} of {total:,} patch tokens have {FACTOR:g} times the median norm or more: {named}."


def outlier_tokens(model: nn.Module, images: Tensor) -> OutlierTokens:
    """Find the patch tokens of far larger norm than the median over all images.

    Args:
        model: a model whose blocks all work at one resolution, as a ViT's.
        images: ``(B, C, H, W)``, normalised.

    Raises:
        ConfigError: it has no tokens that stay patches through all blocks.
    """
    backbone = backbone_of(model)
    if not backbone.is_plain or not backbone.attention_layers():
        raise ConfigError(f"outlier tokens are found among the patches of a ViT, not in a {type(backbone).__name__}")
    norms = []
    with evaluating(backbone):
        for some in images.split(IMAGES_AT_ONCE):
            (tokens,) = backbone.feature_maps(some.to(device_of(backbone)), after=[backbone.depth - 1])
            norms.append(tokens.float().norm(dim=1).cpu())
    found = torch.cat(norms)
    return OutlierTokens(found, FACTOR * float(found.median()))


def without_outliers(values: Tensor, found: Tensor) -> Tensor:
    """Set a map ``(B, ..., h, w)`` to the least of what is left of it where tokens ``(B, h, w)`` are outliers."""
    covered = found.view(len(found), *[1] * (values.ndim - found.ndim), *found.shape[1:]).expand_as(values)
    least = values.masked_fill(covered, torch.inf).amin(dim=(-2, -1), keepdim=True)
    return torch.where(covered & least.isfinite(), least, values)
