"""DETR over any backbone (Carion et al. 2020, End-to-End Object Detection with Transformers)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import box_convert, clip_boxes_to_image, generalized_box_iou

from vitrail.errors import ConfigError
from vitrail.heads.detections import Detections
from vitrail.layers.positions import sincos_2d
from vitrail.models.backbone import Backbone, freeze_unused
from vitrail.settings import Dense

# Section 3.1 and appendix A.4: weights of the losses, also those of matching, and that of "no object".
L1_WEIGHT, GIOU_WEIGHT, NO_OBJECT_WEIGHT = 5.0, 2.0, 0.1
HEAD_WIDTH = 32
DROPOUT = 0.1
MAX_DETECTIONS = 100


def build(backbone: Backbone, dense: Dense, num_classes: int) -> Detr:
    """Put a DETR on a backbone's last map."""
    return Detr(backbone, dense, num_classes)


class Detr(nn.Module):
    """A transformer that turns a backbone's last map into a set of objects, without anchors or suppression.

    Args:
        backbone: any of vitrail's.
        dense: ``width``, ``hidden``, ``layers`` and ``queries`` are its own.
        num_classes: K.

    Raises:
        ConfigError: the width cannot be shared among heads, or a setting is for region detectors.
    """

    finds_masks = False
    has_cross_attention = True

    def __init__(self, backbone: Backbone, dense: Dense, num_classes: int) -> None:
        super().__init__()
        if dense.width % HEAD_WIDTH:
            raise ConfigError(f"a DETR has {HEAD_WIDTH} channels a head; --dense.width must be a multiple of that")
        if dense.windows or dense.pyramid != "auto":
            raise ConfigError("--dense.windows and --dense.pyramid are for region detectors; a DETR takes the last map")
        self.backbone = backbone
        width, heads = dense.width, dense.width // HEAD_WIDTH
        self.project = nn.Conv2d(backbone.channels[-1], width, 1)
        self.encoder_layers = nn.ModuleList(
            Layer(width, heads, dense.hidden, crosses=False) for _ in range(dense.layers)
        )
        self.decoder_layers = nn.ModuleList(
            Layer(width, heads, dense.hidden, crosses=True) for _ in range(dense.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(dense.queries, width))
        self.classify = nn.Linear(width, num_classes + 1)
        self.box = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4)
        )
        freeze_unused(backbone)

    def forward(
        self, images: Tensor, sizes: Sequence[tuple[int, int]], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Return losses in training mode, else what is found; arguments as for `RegionDetector`."""
        scores, boxes = self.decode(images, sizes)
        if self.training:
            return set_losses(scores, boxes, sizes, targets or [])
        return [_found(*one) for one in zip(scores[-1], boxes[-1], sizes, strict=True)]

    def decode(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return what each decoder layer says of each query.

        Returns:
            Scores ``(L, B, Q, K + 1)``, "no object" first, and boxes ``(L, B, Q, 4)``: middle, width and height as
            shares of the image.
        """
        level = self.project(self.backbone.feature_maps(images)[-1])
        h, w = level.shape[-2:]
        positions = sincos_2d((h, w), level.shape[1]).to(level.device)
        padding = key_padding_mask(sizes, images.shape[-2:], h, w).to(level.device)
        memory = level.flatten(2).transpose(1, 2).float()
        for layer in self.encoder_layers:
            memory = layer(memory, positions, memory, positions, padding)
        queries = self.queries.expand(len(images), -1, -1)
        hidden_states, outputs = torch.zeros_like(queries), []
        for layer in self.decoder_layers:
            hidden_states = layer(hidden_states, queries, memory, positions, padding)
            outputs.append(self.norm(hidden_states))
        decoder_outputs = torch.stack(outputs)
        return self.classify(decoder_outputs).float(), self.box(decoder_outputs).float().sigmoid()

    @torch.no_grad()
    def cross_attention(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return where the last decoder layer looks for each object, the mean over its heads.

        Args:
            images: as for `forward`, in evaluation mode.
            sizes: likewise.

        Returns:
            ``(B, n, h, w)``, the objects in the order of `forward`; each map adds up to 1 over the filled-up image.
        """
        last: Any = self.decoder_layers[-1]
        recorded: list[Tensor] = []
        last.observe = recorded.append
        try:
            scores, _ = self.decode(images, sizes)
        finally:
            last.observe = None
        h, w = (math.ceil(side / self.backbone.strides[-1]) for side in images.shape[-2:])
        maps = recorded[0].unflatten(-1, (h, w))
        return torch.stack([own[_best(queries)[0]] for own, queries in zip(maps, scores[-1], strict=True)])

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; the transformer is above the backbone."""
        if name.startswith("backbone."):
            return self.backbone.layer_of(name.removeprefix("backbone."))
        return self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {"queries", *(f"backbone.{name}" for name in self.backbone.no_weight_decay())}


class Layer(nn.Module):
    """Attention among the tokens themselves, then to another sequence if it ``crosses``, and an MLP; norms come after.

    Positions are added to queries and keys of every attention (appendix A.3).

    Attributes:
        observe: when set, called with the weights ``(B, N, M)`` of the attention to the other sequence.
    """

    observe: Callable[[Tensor], None] | None = None

    def __init__(self, width: int, heads: int, hidden: int, crosses: bool) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(width, heads, DROPOUT, batch_first=True)
        self.norm1 = nn.LayerNorm(width)
        self.cross = nn.MultiheadAttention(width, heads, DROPOUT, batch_first=True) if crosses else None
        self.norm2 = nn.LayerNorm(width) if crosses else None
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(hidden, width))
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(
        self, tokens: Tensor, positions: Tensor, memory: Tensor, memory_positions: Tensor, padding: Tensor
    ) -> Tensor:
        """``(B, N, D)`` to the same; ``padding`` ``(B, M)`` is True where the memory is no image."""
        placed = tokens + positions
        mixed, _ = self.own(placed, placed, tokens, padding if self.cross is None else None, need_weights=False)
        tokens = self.norm1(tokens + self.dropout(mixed))
        if self.cross is not None and self.norm2 is not None:
            watched = self.observe is not None
            seen, weights = self.cross(
                tokens + positions, memory + memory_positions, memory, padding, need_weights=watched
            )
            if self.observe is not None:
                self.observe(weights)
            tokens = self.norm2(tokens + self.dropout(seen))
        return self.norm3(tokens + self.dropout(self.mlp(tokens)))


def set_losses(
    scores: Tensor, boxes: Tensor, sizes: Sequence[tuple[int, int]], targets: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the losses of all decoder layers: of classes, of box coordinates, and of boxes' overlap (section 3.1).

    Args:
        scores: ``(L, B, Q, K + 1)``, "no object" first.
        boxes: ``(L, B, Q, 4)``: middle, width and height as shares of the image.
        sizes: height and width of each image.
        targets: ``boxes`` in pixels and ``labels`` from 1 of each image.
    """
    box_targets = [
        box_convert(target["boxes"] / _scale(target["boxes"], size), "xyxy", "cxcywh")
        for target, size in zip(targets, sizes, strict=True)
    ]
    labels = [t["labels"] for t in targets]
    count = max(1, sum(map(len, labels)))
    weights = torch.ones(scores.shape[-1], device=scores.device)
    weights[0] = NO_OBJECT_WEIGHT
    totals = {"loss_class": scores.new_zeros(()), "loss_l1": scores.new_zeros(()), "loss_giou": scores.new_zeros(())}
    for layer_scores, layer_boxes in zip(scores, boxes, strict=True):
        matched_labels = torch.zeros(layer_scores.shape[:2], dtype=torch.int64, device=scores.device)
        for b, (own_labels, own_boxes) in enumerate(zip(labels, box_targets, strict=True)):
            rows, columns = match(layer_scores[b], layer_boxes[b], own_labels, own_boxes)
            matched_labels[b, rows] = own_labels[columns]
            predicted, matched_boxes = layer_boxes[b, rows], own_boxes[columns]
            totals["loss_l1"] = totals["loss_l1"] + L1_WEIGHT * (predicted - matched_boxes).abs().sum() / count
            overlap = generalized_box_iou(_corners(predicted), _corners(matched_boxes)).diagonal()
            totals["loss_giou"] = totals["loss_giou"] + GIOU_WEIGHT * (1 - overlap).sum() / count
        loss = F.cross_entropy(layer_scores.flatten(0, 1), matched_labels.flatten(), weights)
        totals["loss_class"] = totals["loss_class"] + loss
    return totals


@torch.no_grad()
def match(scores: Tensor, boxes: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Give each object a query of its own, at the least cost altogether (equation 1; Hungarian algorithm).

    Args:
        scores: ``(Q, K + 1)``, "no object" first.
        boxes: ``(Q, 4)``: middle, width, height.
        labels: ``(n,)``, from 1.
        targets: ``(n, 4)`` likewise.

    Returns:
        Queries and objects, ``(m,)`` each with m the lesser of Q and n.
    """
    cost = -scores.softmax(dim=-1)[:, labels] + L1_WEIGHT * torch.cdist(boxes, targets, p=1)
    cost = cost - GIOU_WEIGHT * generalized_box_iou(_corners(boxes), _corners(targets))
    # A query whose values are not finite makes every assignment as bad as any other.
    rows, columns = linear_sum_assignment(cost.nan_to_num(1e4, 1e4, 1e4).cpu().numpy())
    return torch.as_tensor(rows, device=boxes.device), torch.as_tensor(columns, device=boxes.device)


def _found(scores: Tensor, boxes: Tensor, size: tuple[int, int]) -> Detections:
    best, confidences, classes = _best(scores)
    corners = _corners(boxes[best])
    return Detections(clip_boxes_to_image(corners * _scale(corners, size), size), confidences, classes)


def _best(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the queries ``(Q, K + 1)`` that are most sure of something, best first, how sure, and of which class."""
    confidences, classes = scores.softmax(dim=-1)[:, 1:].max(dim=-1)
    best = confidences.argsort(descending=True)[:MAX_DETECTIONS]
    return best, confidences[best], classes[best]


def key_padding_mask(sizes: Sequence[tuple[int, int]], padded: Sequence[int], h: int, w: int) -> Tensor:
    """Return which places of a map are padding and no image: bool ``(B, h * w)``."""
    rows = torch.tensor([[(y + 0.5) * padded[0] / h >= height for y in range(h)] for height, _ in sizes])
    columns = torch.tensor([[(x + 0.5) * padded[1] / w >= width for x in range(w)] for _, width in sizes])
    padding = (rows[:, :, None] | columns[:, None, :]).flatten(1)
    padding[:, 0] = False  # an image smaller than half a place still is somewhere
    return padding


def _corners(boxes: Tensor) -> Tensor:
    return box_convert(boxes, "cxcywh", "xyxy")


def _scale(like: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    return like.new_tensor([width, height, width, height])


__all__ = ["Detr", "build", "match", "set_losses"]
