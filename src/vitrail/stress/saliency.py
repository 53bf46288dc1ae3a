"""What matters in an image: by a model's attention, by another encoder's, or by an explanation of the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.data.normalise import Normalise
from vitrail.errors import ConfigError
from vitrail.explain.fill import mean_fill
from vitrail.explain.methods import Request, explain, find_method
from vitrail.explain.rollout import attention_maps
from vitrail.explain.stitched import window_rollout
from vitrail.explain.target import Target, target_of
from vitrail.models.backbone import Backbone, backbone_of
from vitrail.stress.image import StressImage
from vitrail.stress.model import StressedModel, digest_of

IMAGES_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Saliency:
    """What says what matters.

    Attributes:
        words: what it is, for people.
        key: what it is, to the last weight that the model under stress does not have itself.
        maps: normalised images ``(B, C, H, W)`` to maps ``(B, h, w)`` on the CPU.
        normalise: uint8 images to normalised ones.
    """

    words: str
    key: str
    maps: Callable[[Tensor], Tensor]
    normalise: Normalise

    def put_on(self, images: Sequence[StressImage]) -> list[StressImage]:
        """Return images with their maps, computed in batches of `IMAGES_AT_ONCE`."""
        found: list[StressImage] = []
        for start in range(0, len(images), IMAGES_AT_ONCE):
            some = images[start : start + IMAGES_AT_ONCE]
            pixels = torch.from_numpy(np.stack([image.pixels for image in some]))
            maps = self.maps(self.normalise(pixels.to(self.normalise.mean.device))).numpy()
            found += [dataclasses.replace(image, saliency=one) for image, one in zip(some, maps, strict=True)]
        return found


def saliency_of(model: StressedModel, method: str = "auto") -> Saliency:
    """Return what says what matters, by the model that is put under stress.

    Args:
        model: the model.
        method: one of `vitrail.explain.methods.METHODS`; of those that explain a class, of the class that the model
            says. auto: of a ViT the attention of its last block, as the paper takes it from DINO; of a Swin attention
            through all windows; of a model without attention Grad-CAM, or removal where its last map is one place.

    Raises:
        ConfigError: there is no such method.
    """
    name = best_method(model.backbone, model.size) if method == "auto" else method
    chosen, classifier = find_method(name), model.predictor.model
    fill = None if model.backbone.can_leave_patches_out else mean_fill

    def maps(images: Tensor) -> Tensor:
        if chosen.explains_class:
            target = target_of(classifier, images)
        else:
            target = Target(torch.zeros(len(images), dtype=torch.int64))
        return explain(name, Request(classifier, images, target, fill)).values.float().cpu()

    return Saliency(f"{chosen.title} ({name}) of each model itself", name, maps, model.predictor.module.normalise)


def best_method(backbone: Backbone, image_size: tuple[int, int]) -> str:
    """Return how a model itself says what matters in images of a size in pixels, where nothing else is asked for."""
    if not backbone.attention_layers():
        return "grad-cam" if max(image_size) > backbone.strides[-1] else "leave-one-out"
    return "rollout" if backbone.has_windows else "attention"


def saliency_by_encoder(encoder: nn.Module, normalise: Normalise, name: str) -> Saliency:
    """Return what says what matters, by another encoder for all models alike; one trained as DINO marks objects.

    Args:
        encoder: a ViT or a Swin, under a head or not.
        normalise: its normalisation.
        name: what people call it.

    Raises:
        ConfigError: it has no attention.
    """
    backbone = backbone_of(encoder)
    if not backbone.attention_layers():
        raise ConfigError(f"--saliency-encoder {name} has no attention; give a ViT, best one trained as DINO")

    def maps(images: Tensor) -> Tensor:
        if backbone.has_windows:
            return window_rollout(encoder, images).cpu()
        return attention_maps(encoder, images).heads.mean(dim=1).cpu()

    about = repr((digest_of(encoder), normalise.mean.flatten().tolist(), normalise.std.flatten().tolist()))
    return Saliency(f"attention of {name}, for all models alike", f"encoder {about}", maps, normalise)


__all__ = ["Saliency", "best_method", "saliency_by_encoder", "saliency_of"]
