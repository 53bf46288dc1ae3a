"""Cascade Mask R-CNN: three heads in a row, each for better boxes than the one before."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference, maskrcnn_loss
from torchvision.ops import clip_boxes_to_image

from vitrail.heads.mask_rcnn import (
    BOX_POOL,
    SAMPLING,
    Float32Output,
    RegionDetector,
    mask_parts,
    new_box_head,
    new_proposals,
    new_pyramid,
    region_pool,
)
from vitrail.models.backbone import Backbone
from vitrail.settings import Dense

# Cai and Vasconcelos 2018, Cascade R-CNN, sections 4.2 and 5.1: overlap that counts as an object, and weight of the
# loss, of each stage; the deviations that boxes are measured in shrink likewise.
OVERLAPS = (0.5, 0.6, 0.7)
LOSS_WEIGHTS = (1.0, 0.5, 0.25)
BOX_WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))
SMOOTH_BELOW = 1 / 9


def build(backbone: Backbone, dense: Dense, num_classes: int) -> RegionDetector:
    """Put a Cascade Mask R-CNN on a backbone."""
    return RegionDetector(new_pyramid(backbone, dense), new_proposals(dense), CascadeHeads(dense, num_classes))


class CascadeHeads(nn.Module):
    """Three box heads in a row, the later ones looking at the boxes of the earlier, and one mask head.

    The mask head learns from the first stage's regions, which are the most varied; when the detector is used it looks
    at the last stage's boxes. A box's class is the mean of what the three stages say of it.
    """

    def __init__(self, dense: Dense, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stages = nn.ModuleList(
            _stage(dense, num_classes, overlap, weights, masks=number == 0)
            for number, (overlap, weights) in enumerate(zip(OVERLAPS, BOX_WEIGHTS, strict=True))
        )

    @property
    def box_roi_pool(self) -> nn.Module:
        """What cuts a region out of the map that fits its size, the same in every stage."""
        return self._stages()[0].box_roi_pool

    def has_mask(self) -> bool:
        """Whether masks are found: they are."""
        return True

    def forward(
        self,
        features: dict[str, Tensor],
        regions: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Judge regions; arguments and result are those of torchvision's ``RoIHeads``."""
        if self.training:
            return [], self._learn(features, regions, sizes, targets or [])
        return self._find(features, regions, sizes), {}

    def _learn(
        self,
        features: dict[str, Tensor],
        regions: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for number, (stage, weight) in enumerate(zip(self._stages(), LOSS_WEIGHTS, strict=True), start=1):
            regions, matched, labels, box_targets = stage.select_training_samples(regions, targets)
            scores, boxes = self._score_regions(stage, features, regions, sizes)
            every_label = torch.cat(labels)
            foreground = every_label > 0
            box_loss = F.smooth_l1_loss(
                boxes[foreground], torch.cat(box_targets)[foreground], beta=SMOOTH_BELOW, reduction="sum"
            )
            losses[f"loss_classifier_{number}"] = weight * F.cross_entropy(scores, every_label)
            losses[f"loss_box_reg_{number}"] = weight * box_loss / max(1, len(every_label))
            if number == 1:
                losses["loss_mask"] = _mask_loss(stage, features, regions, sizes, targets, matched, labels)
            regions = _refined(stage, boxes, regions, sizes)
        return losses

    def _find(
        self, features: dict[str, Tensor], regions: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        class_probabilities = []
        last, boxes = self._stages()[-1], torch.empty(0)
        for stage in self._stages():
            scores, boxes = self._score_regions(stage, features, regions, sizes)
            class_probabilities.append(scores.softmax(dim=-1))
            if stage is not last:
                regions = _refined(stage, boxes, regions, sizes)
        scores = torch.stack(class_probabilities).mean(dim=0).log()
        every_class = boxes.repeat(1, self.num_classes + 1)
        found = zip(*last.postprocess_detections(scores, every_class, regions, sizes), strict=True)
        results = [{"boxes": b, "scores": s, "labels": k} for b, s, k in found]
        first = self._stages()[0]
        masks = first.mask_roi_pool(features, [one["boxes"] for one in results], sizes)
        masks = first.mask_predictor(first.mask_head(masks))
        probabilities = maskrcnn_inference(masks, [one["labels"] for one in results])
        for one, mask in zip(results, probabilities, strict=True):
            one["masks"] = mask
        return results

    def _score_regions(
        self, stage: Any, features: dict[str, Tensor], regions: list[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        return stage.box_predictor(stage.box_head(stage.box_roi_pool(features, regions, sizes)))

    def _stages(self) -> list[Any]:
        return list(self.stages)


class AnyClass(nn.Module):
    """Scores of every class, and one box whatever the class: ``(R, D)`` to ``(R, K + 1)`` and ``(R, 4)``."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, num_classes + 1)
        self.box = nn.Linear(width, 4)

    def forward(self, described: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the class and box of each region."""
        described = described.flatten(1)
        return self.classify(described), self.box(described)


def _stage(dense: Dense, num_classes: int, overlap: float, weights: tuple[float, ...], masks: bool) -> RoIHeads:
    head, _ = new_box_head(dense, num_classes)
    sampling = {**SAMPLING, "fg_iou_thresh": overlap, "bg_iou_thresh": overlap, "bbox_reg_weights": weights}
    return RoIHeads(
        region_pool(dense, BOX_POOL),
        head,
        Float32Output(AnyClass(dense.hidden, num_classes)),
        **sampling,
        batch_size_per_image=dense.regions,
        **mask_parts(dense, num_classes if masks else 0),
    )


def _refined(stage: Any, boxes: Tensor, regions: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Return the regions as a stage would have them, within their images."""
    moved = stage.box_coder.decode(boxes.detach(), regions)[:, 0].split([len(part) for part in regions])
    return [clip_boxes_to_image(part, size) for part, size in zip(moved, sizes, strict=True)]


def _mask_loss(
    stage: Any,
    features: dict[str, Tensor],
    regions: list[Tensor],
    sizes: list[tuple[int, int]],
    targets: list[dict[str, Tensor]],
    matched: list[Tensor],
    labels: list[Tensor],
) -> Tensor:
    foreground = [torch.where(own > 0)[0] for own in labels]
    kept = [part[which] for part, which in zip(regions, foreground, strict=True)]
    logits = stage.mask_predictor(stage.mask_head(stage.mask_roi_pool(features, kept, sizes)))
    return maskrcnn_loss(
        logits,
        kept,
        [target["masks"] for target in targets],
        [target["labels"] for target in targets],
        [part[which] for part, which in zip(matched, foreground, strict=True)],
    )


__all__ = ["CascadeHeads", "build"]
