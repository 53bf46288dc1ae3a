"""Faster R-CNN and Mask R-CNN over a pyramid, put together from torchvision's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from vitrail.errors import ConfigError
from vitrail.heads.convolution import new_norm
from vitrail.heads.detections import Detections
from vitrail.heads.pyramid import STRIDES, Pyramid
from vitrail.models.backbone import Backbone
from vitrail.settings import Dense

ASPECTS = (0.5, 1.0, 2.0)
BOX_POOL, MASK_POOL = 7, 14
CANONICAL_SIZE = 224
"""A region of this side, in pixels, is looked at on the map of stride 16 (Lin et al. 2017, equation 1)."""
USUAL_ANCHOR = 8.0
CONVOLUTIONS = 4


class RegionDetector(nn.Module):
    """Pyramid, region proposals, and heads that classify regions and refine their boxes.

    Args:
        pyramid: images to maps.
        proposals: maps to regions worth a look.
        heads: regions to classes, boxes and masks, called like torchvision's ``RoIHeads``.
    """

    has_cross_attention = False

    def __init__(self, pyramid: Pyramid, proposals: RegionProposalNetwork, heads: Any) -> None:
        super().__init__()
        self.pyramid, self.proposals, self.heads = pyramid, proposals, heads

    def forward(
        self, images: Tensor, sizes: Sequence[tuple[int, int]], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Return losses in training mode, else what is found in each image.

        Args:
            images: ``(B, C, H, W)``, normalised, filled up beyond each image.
            sizes: height and width of each image.
            targets: for training, of each image ``boxes`` (n, 4), ``labels`` (n,) from 1 and ``masks`` (n, H, W).
        """
        features = self.features(images)
        regions, region_losses = self.proposals(ImageList(images, list(sizes)), features, targets)
        detections, losses = self.heads(features, regions, list(sizes), targets)
        if self.training:
            return region_losses | losses
        return [
            Detections(one["boxes"], one["scores"], one["labels"] - 1, one["masks"][:, 0] if "masks" in one else None)
            for one in detections
        ]

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps of the pyramid by number, and one more of stride 64 for large proposals."""
        # Boxes need more digits than half precision has; convolutions choose their own precision again.
        maps = [level.float() for level in self.pyramid(images)]
        maps.append(F.max_pool2d(maps[-1], 1, 2))
        return {str(number): level for number, level in enumerate(maps)}

    def level_of(self, boxes: Tensor) -> Tensor:
        """Return the map, 0 the finest, that each box ``(n, 4)`` in pixels is judged on: ``(n,)``."""
        return self.heads.box_roi_pool.map_levels([boxes])

    @property
    def finds_masks(self) -> bool:
        """Whether masks are found, not boxes alone."""
        return self.heads.has_mask()

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.pyramid.depth

    @property
    def backbone(self) -> Backbone:
        """The backbone inside."""
        return self.pyramid.backbone

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; all heads are above the backbone."""
        return self.pyramid.layer_of(name.removeprefix("pyramid."))

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"pyramid.{name}" for name in self.pyramid.no_weight_decay()}


class Float32Output(nn.Module):
    """A part whose results leave it as float32, whatever it computes in: boxes and losses are made of them."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Any) -> Any:
        """Run the part."""
        return _floats(self.part(*inputs))


def _floats(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else type(value)(_floats(item) for item in value)


def build(backbone: Backbone, dense: Dense, num_classes: int) -> RegionDetector:
    """Put a Faster R-CNN or, with masks, a Mask R-CNN on a backbone (He et al. 2017)."""
    box_head, box_predictor = new_box_head(dense, num_classes)
    heads = RoIHeads(
        region_pool(dense, BOX_POOL),
        box_head,
        box_predictor,
        **SAMPLING,
        batch_size_per_image=dense.regions,
        **mask_parts(dense, num_classes if dense.head == "mask_rcnn" else 0),
    )
    return RegionDetector(new_pyramid(backbone, dense), new_proposals(dense), heads)


# Of Fast R-CNN as published with feature pyramids (Lin et al. 2017, section 5; He et al. 2017, section 3.1).
SAMPLING: dict[str, Any] = {
    "fg_iou_thresh": 0.5,
    "bg_iou_thresh": 0.5,
    "positive_fraction": 0.25,
    "bbox_reg_weights": None,
    "score_thresh": 0.05,
    "nms_thresh": 0.5,
    "detections_per_img": 100,
}


def new_pyramid(backbone: Backbone, dense: Dense) -> Pyramid:
    """Return the pyramid that the settings ask for.

    Raises:
        ConfigError: they ask for what cannot be.
    """
    if dense.norm == "batch":
        raise ConfigError("--dense.norm batch is for a segmenter; the few images a detector sees at once take group")
    return Pyramid(backbone, dense.width, dense.pyramid, dense.norm == "group", dense.windows)


def new_proposals(dense: Dense) -> RegionProposalNetwork:
    """Return a region proposal network with one size of anchor for each stride, in three aspects."""
    strides = (*STRIDES, 2 * STRIDES[-1])
    anchors = AnchorGenerator(tuple((round(dense.anchor_size * stride),) for stride in strides), (ASPECTS,) * 5)
    head = Float32Output(RPNHead(dense.width, len(ASPECTS), conv_depth=2 if dense.box_head == "conv" else 1))
    most = {"training": 2 * dense.proposals, "testing": dense.proposals}
    return RegionProposalNetwork(
        anchors,
        head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n=most,
        post_nms_top_n=most,
        nms_thresh=0.7,
    )


def region_pool(dense: Dense, side: int) -> MultiScaleRoIAlign:
    """Return what cuts a region out of the map that fits its size: ``(R, C, side, side)``."""
    size = round(CANONICAL_SIZE * dense.anchor_size / USUAL_ANCHOR)
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], side, sampling_ratio=dense.samples, canonical_scale=size)
    # torchvision would guess them from the first images it sees, wrongly where those are small.
    pool.scales = [1 / stride for stride in STRIDES]
    pool.map_levels = initLevelMapper(2, 5, canonical_scale=size)
    return pool


def new_box_head(dense: Dense, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """Return what describes a region, and what tells its class and box."""
    if dense.box_head == "conv":
        shape = (dense.width, BOX_POOL, BOX_POOL)
        head: nn.Module = FastRCNNConvFCHead(shape, [dense.width] * CONVOLUTIONS, [dense.hidden], norm_layer(dense))
    else:
        head = TwoMLPHead(dense.width * BOX_POOL**2, dense.hidden)
    return head, Float32Output(FastRCNNPredictor(dense.hidden, num_classes + 1))


def mask_parts(dense: Dense, num_classes: int) -> dict[str, Any]:
    """Return what finds the mask of a region; nothing without classes."""
    if not num_classes:
        return {}
    layers = (dense.width,) * CONVOLUTIONS
    return {
        "mask_roi_pool": region_pool(dense, MASK_POOL),
        "mask_head": MaskRCNNHeads(dense.width, layers, 1, norm_layer(dense)),
        "mask_predictor": Float32Output(MaskRCNNPredictor(dense.width, dense.width, num_classes + 1)),
    }


def norm_layer(dense: Dense) -> Callable[[int], nn.Module] | None:
    """Return the norm of the heads' convolutions, or None for none."""
    return partial(new_norm, "group") if dense.norm == "group" else None


__all__ = ["RegionDetector", "build"]
