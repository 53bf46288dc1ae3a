"""Where a detector looks when it finds an object."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import evaluating, record_attention
from vitrail.explain.stitched import rolled_out
from vitrail.models.backbone import Backbone


def object_attention(model: Any, images: Tensor, boxes: Tensor) -> tuple[Tensor, str]:
    """Map where a detector looks for each of the objects it found in one image.

    A DETR says so itself: its last decoder layer's attention to the map (Carion et al. 2020, section 4.4). Below a
    region detector the backbone does: of a ViT the attention of the patches within the box in the last block, mean over
    patches and heads; of a Swin what reaches the places within the box of the map that the box is judged on, rolled out
    through all windows and mergings.

    Args:
        model: a `vitrail.heads.mask_rcnn.RegionDetector` or `vitrail.heads.detr.Detr`.
        images: ``(1, C, H, W)``, normalised; height and width are multiples of 32.
        boxes: ``(n, 4)``: left, top, right, bottom, in pixels; of a DETR those of its first n objects.

    Returns:
        ``(n, H, W)``, every pixel with its place's value, and what it is, half a sentence.

    Raises:
        ConfigError: neither the head nor the backbone has attention.
    """
    maps, what, _ = _looked(model, images, boxes)
    return maps, what


def object_multiples(model: Any, images: Tensor, boxes: Tensor) -> tuple[Tensor, str]:
    """Return the maps of `object_attention` in multiples of an even share among all tokens, and what they are."""
    maps, what, tokens = _looked(model, images, boxes)
    return maps * tokens, what


def _looked(model: Any, images: Tensor, boxes: Tensor) -> tuple[Tensor, str, int]:
    """Return maps, what they are, and among how many tokens the attention is shared."""
    backbone: Backbone = model.backbone
    if not has_attention(model):
        raise ConfigError(f"a {type(backbone).__name__} has no attention to look at")
    height, width = images.shape[-2:]
    if model.has_cross_attention:
        with evaluating(model):
            looked = model.cross_attention(images, [(height, width)])[0, : len(boxes)]
        what = "where the last decoder layer looks, mean over heads"
        tokens = looked.shape[-2] * looked.shape[-1]
        return _to_pixels(looked.cpu(), backbone.strides[-1], height, width), what, tokens
    if backbone.has_windows:
        what = "what reaches the map that the box is judged on, there, through all windows and mergings"
        first = backbone.windows(height, width)[0][0]
        return torch.stack([_rolled_out(model, images, box) for box in boxes]), what, first.h * first.w
    with evaluating(model), record_attention(backbone, [-1]) as recording:
        model.pyramid(images)
    h, w = backbone.token_grid(height, width) or (0, 0)
    # Mean over heads, and without a class token, which has no place.
    weights = recording[-1][0].mean(dim=0)
    among = weights[-h * w :, -h * w :]
    start = torch.stack([within(box, h, w, backbone.strides[0]).flatten() for box in boxes])
    what = "where the patches within the box look in the last block, mean over heads"
    maps = _to_pixels((start @ among).unflatten(-1, (h, w)), backbone.strides[0], height, width)
    return maps, what, weights.shape[-1]


def _rolled_out(model: Any, images: Tensor, box: Tensor) -> Tensor:
    """Follow what a Swin's stage holds within a box back to the image: ``(H, W)``."""
    swin: Backbone = model.backbone
    height, width = images.shape[-2:]
    stages = int(model.level_of(box[None])) + 1
    partitions = swin.windows(height, width)[:stages]
    with evaluating(model), record_attention(swin, range(sum(map(len, partitions)))) as recording:
        model.pyramid(images)
    last = partitions[-1][-1]
    flow = rolled_out(recording, partitions, within(box, last.h, last.w, swin.strides[stages - 1])[None])
    return _to_pixels(flow, swin.strides[0], height, width)[0]


def has_attention(model: Any) -> bool:
    """Whether `object_attention` can be asked: a DETR always can, a region detector on a ViT or Swin."""
    return model.has_cross_attention or bool(model.backbone.attention_layers())


def within(box: Tensor, h: int, w: int, stride: int) -> Tensor:
    """Return even shares, adding up to 1, of the places of a map whose middle lies in a box: ``(h, w)``.

    A box that holds no middle has the share of the place in which its own middle lies.
    """
    left, top, right, bottom = (box.cpu() / stride).tolist()
    rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
    inside = ((rows >= top) & (rows <= bottom))[:, None] & ((columns >= left) & (columns <= right))
    if not inside.any():
        inside[min(h - 1, max(0, int((top + bottom) / 2))), min(w - 1, max(0, int((left + right) / 2)))] = True
    return inside / inside.sum()


def _to_pixels(maps: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Give every pixel its place's value: ``(n, h, w)`` to ``(n, height, width)``."""
    fine = maps.repeat_interleave(stride, dim=-2).repeat_interleave(stride, dim=-1)
    return fine[..., :height, :width]
