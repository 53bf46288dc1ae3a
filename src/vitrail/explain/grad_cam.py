"""Grad-CAM: where the last map of a model speaks for a class."""

from __future__ import annotations

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.target import Target
from vitrail.heads.classifier import ImageClassifier

IMAGES_AT_ONCE = 16


def grad_cam(model: ImageClassifier, images: Tensor, target: Target) -> Tensor:
    """Map what speaks for a class (Selvaraju et al. 2017, Grad-CAM, equations 1 and 2).

    The channels of the last map are weighed by the mean gradient of the class's logit, added up, and what speaks
    against is set to 0. The last map is what `Backbone.last_map` says: of a ViT that pools its class token the patch
    tokens before the last block, since after it the answer depends on none of them.

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: the classes.

    Returns:
        ``(B, h, w)`` on the CPU, 0 or above.

    Raises:
        ConfigError: the last map is a single place.
    """
    maps, device = [], device_of(model)
    for number, some in enumerate(images.split(IMAGES_AT_ONCE)):
        chosen = target.part(slice(number * IMAGES_AT_ONCE, (number + 1) * IMAGES_AT_ONCE))
        with evaluating(model):
            places, rest = model.backbone.last_map(some.to(device))
        if places[0, 0].numel() == 1:
            size = "x".join(map(str, images.shape[-2:]))
            raise ConfigError(
                f"the last map of {size} pixels is a single place, on which Grad-CAM says nothing; choose "
                "larger images or another method"
            )
        with evaluating(model, gradients=True):
            score = chosen.score(model.score(rest(places.requires_grad_()))).sum()
            (gradient,) = torch.autograd.grad(score, places)
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        maps.append((weights * places).sum(dim=1).relu().detach().cpu())
    return torch.cat(maps)
