"""Learning which class every pixel shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.segments import VOID
from vitrail.heads.segmenter import Segmenter
from vitrail.heads.sliding_window import Limit, class_probabilities, classes_of
from vitrail.tasks.loss import SupervisedLoss

SMALLEST_SHARE = 1e-12


class Segmentation(SupervisedLoss):
    """Cross-entropy of every pixel that is not void, and that of auxiliary heads beside it.

    Args:
        model: images to scores of every pixel.
        preprocessing: how its images are normalised.
        auxiliary: weight of each auxiliary head's loss; 0.4 in the published UperNets and SETRs.
        smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        **test: how images are measured, as `vitrail.heads.sliding_window.class_probabilities` takes it.
    """

    def __init__(
        self,
        model: Segmenter,
        preprocessing: Preprocessing,
        auxiliary: float = 0.4,
        smoothing: float = 0.0,
        **test: Any,
    ) -> None:
        super().__init__(model, preprocessing)
        self.auxiliary = auxiliary
        self.smoothing = smoothing
        self.in_windows = 0
        """How many images were so large that they were scored window by window without being asked."""
        self.watch: Callable[[Tensor, Tensor], None] | None = None
        """Is given the classes ``(1, H, W)`` and the probabilities ``(1, K, H, W)`` of each image that is measured."""
        self.limit = Limit.of(model.backbone.strides, preprocessing.image_size)
        self.has_own_window = test.get("window") is not None
        self.probabilities: Callable[..., Tensor] = partial(class_probabilities, model, limit=self.limit, **test)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for ``image`` (B, C, H, W) uint8 and ``semantic`` (B, H, W) uint8, `VOID` for void."""
        scores, extra = self.model.all_scores(self.normalise(batch["image"]))
        target = batch["semantic"]
        loss = pixel_loss(scores, target, self.smoothing)
        for auxiliary in extra:
            loss = loss + self.auxiliary * pixel_loss(auxiliary, target, self.smoothing)
        return {"loss": loss}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``mean_iou``, ``pixel_accuracy``, ``mean_accuracy`` and ``loss``.

        ``mean_iou`` and ``mean_accuracy`` are vectors with one sum and one count for each class: what is true of a
        class over all images is known only once they are all added up. Every image is scored by itself, at its
        own size, so that no figure depends on what else is in a batch.
        """
        device = batch["image"].device
        table = torch.zeros(self.model.num_classes, self.model.num_classes, dtype=torch.int64, device=device)
        loss = torch.zeros((), device=device)
        for image, target in own_sizes(batch):
            found = self.predict(image, (target.shape[-2], target.shape[-1]))
            if self.watch is not None:
                self.watch(target, found)
            table += confusion(target, classes_of(found), self.model.num_classes)
            counted = target != VOID
            right = found.gather(1, target.long().where(counted, 0)[:, None])[:, 0][counted]
            loss -= right.clamp(min=SMALLEST_SHARE).log().sum()
        return {**figures(table), "loss": (loss, table.sum())}

    def predict(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return every class's probability at every pixel: uint8 ``(B, C, h, w)`` to ``(B, K, *size)``."""
        self.in_windows += len(images) if self.window_of(images) else 0
        return self.probabilities(self.normalise(images), size)

    def window_of(self, images: Tensor) -> tuple[int, int] | None:
        """Return the windows by which images ``(B, C, h, w)`` are scored since they are large; None if they are not."""
        return None if self.has_own_window else self.limit.window_for(images.shape[-2], images.shape[-1])


def own_sizes(batch: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Take a batch apart into images ``(1, C, h, w)`` and classes ``(1, H, W)`` as they were before its padding."""
    images, semantic = batch["image"], batch["semantic"]
    sizes, shapes = batch["size"].tolist(), batch["shape"].tolist()
    for number, ((h, w), (height, width)) in enumerate(zip(sizes, shapes, strict=True)):
        yield images[number : number + 1, :, :h, :w], semantic[number : number + 1, :height, :width]


def pixel_loss(scores: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy over the pixels that are not void; 0 where all are.

    Args:
        scores: ``(B, K, H, W)``.
        target: ``(B, H, W)``, classes or `VOID`.
        smoothing: share of the target that is spread evenly over all classes.
    """
    total = F.cross_entropy(
        scores.float(), target.long(), ignore_index=VOID, reduction="sum", label_smoothing=smoothing
    )
    return total / (target != VOID).sum().clamp(min=1)


def confusion(target: Tensor, found: Tensor, num_classes: int) -> Tensor:
    """Count pixels: ``table[i, j]`` of class i were called class j; int64 ``(K, K)``, void left out."""
    counted = target != VOID
    pairs = target[counted].long() * num_classes + found[counted].long()
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def figures(table: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return sums and counts of the usual figures from a table of `confusion`.

    Intersection over union of a class is its pixels rightly found over those that are it or are called it (PASCAL VOC,
    Everingham et al. 2010, section 4.4); its accuracy is the former over those that are it.
    """
    right, are, called = table.diagonal(), table.sum(dim=1), table.sum(dim=0)
    return {
        "mean_iou": (right, are + called - right),
        "pixel_accuracy": (right.sum(), are.sum()),
        "mean_accuracy": (right, are),
    }
