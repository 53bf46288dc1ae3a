"""Attention inside windows, stitched over the whole image: of one place, of all, and rolled out to the patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import Recording, device_of, evaluating, record_attention, windowed_encoder_of
from vitrail.explain.rollout import HEAD_FUSIONS
from vitrail.layers.window_layout import Partition, regions, token_index
from vitrail.models.backbone import Backbone

Place = tuple[int, int]
"""Row and column of a token on its map."""


def lay_out(values: Tensor, partition: Partition) -> Tensor:
    """Bring what belongs to slots back to their places on the map: ``(..., T)`` to ``(..., h, w)``, without padding."""
    held = torch.from_numpy(token_index(partition))
    real = held < partition.h * partition.w
    image = values.new_zeros(*values.shape[:-1], partition.h * partition.w)
    image[..., held[real]] = values[..., real]
    return image.unflatten(-1, (partition.h, partition.w))


def cut_up(image: Tensor, partition: Partition) -> Tensor:
    """Invert `lay_out`: ``(..., h, w)`` to ``(..., T)``, zero in the padding."""
    held = torch.from_numpy(token_index(partition))
    count = partition.h * partition.w
    return image.flatten(-2)[..., held.clamp(max=count - 1)] * (held < count)


def by_window(weights: Tensor, partition: Partition) -> Tensor:
    """Separate images and windows again: ``(B * G, K, A, A)`` to ``(B, G, K, A, A)``."""
    return weights.unflatten(0, (-1, partition.windows))


def attention_from(weights: Tensor, partition: Partition, place: Place) -> Tensor:
    """Where one token looks.

    Args:
        weights: ``(B * G, K, A, A)``, as recorded.
        partition: how that block cut its map.
        place: the token's.

    Returns:
        ``(B, K, h, w)``: shares that add up to 1, zero outside the token's window and region.
    """
    windows = by_window(weights, partition)
    slot = int((token_index(partition) == place[0] * partition.w + place[1]).argmax())
    window, query = divmod(slot, partition.area)
    looked = windows.new_zeros(windows.shape[0], windows.shape[2], partition.windows, partition.area)
    looked[:, :, window] = windows[:, window, :, query]
    return lay_out(looked.flatten(2), partition)


def seen_from(partition: Partition, place: Place) -> int:
    """Return how many tokens one token can attend to: those of its window and region, itself among them."""
    slot = int((token_index(partition) == place[0] * partition.w + place[1]).argmax())
    region = regions(partition)[slot // partition.area]
    return int((region == region[slot % partition.area]).sum())


def attention_received(weights: Tensor, partition: Partition) -> Tensor:
    """How much all tokens of the map together look at each: ``(B * G, K, A, A)`` to ``(B, K, h, w)``, sums of 1."""
    looking = torch.from_numpy(token_index(partition) < partition.h * partition.w).view(1, partition.windows, 1, -1, 1)
    received = (by_window(weights, partition) * looking).sum(dim=-2) / (partition.h * partition.w)
    return lay_out(received.transpose(1, 2).flatten(2), partition)


def through_block(flow: Tensor, weights: Tensor, partition: Partition, head_fusion: str = "mean") -> Tensor:
    """Follow a flow from the tokens after a block to those before it.

    The residual connection counts as half (Abnar & Zuidema 2020, section 3), as in
    `vitrail.explain.rollout.rollout`; inside windows the product of all layers never has to be written out.

    Args:
        flow: ``(B, h, w)``.
        weights, partition: as in `attention_from`.
        head_fusion: how heads become one: ``mean``, ``max`` or ``min``.

    Returns:
        ``(B, h, w)`` with the same sum.
    """
    windows = by_window(HEAD_FUSIONS[head_fusion](weights), partition)
    mixed = 0.5 * windows + 0.5 * torch.eye(partition.area)
    mixed = mixed / mixed.sum(dim=-1, keepdim=True)
    slots = cut_up(flow, partition).unflatten(-1, (partition.windows, 1, partition.area))
    return lay_out((slots @ mixed).flatten(1), partition)


def through_merging(flow: Tensor, fine: tuple[int, int]) -> Tensor:
    """Follow a flow back through a patch merging: what reaches a token is shared evenly by those that it joins.

    Args:
        flow: ``(B, h, w)`` on the merged map.
        fine: size of the map before.

    Returns:
        ``(B, *fine)`` with the same sum.
    """
    joined = torch.ones(fine).new_zeros(2 * flow.shape[-2], 2 * flow.shape[-1])
    joined[: fine[0], : fine[1]] = 1
    count = joined.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).sum(dim=(1, 3))
    spread = (flow / count).repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
    return spread[..., : fine[0], : fine[1]]


def rolled_out(recording: Recording, partitions: Sequence[Sequence[Partition]], start: Tensor) -> Tensor:
    """Follow a flow from the last map through all windows and mergings to the patches.

    Args:
        recording: of all blocks.
        partitions: as `Swin.windows` gives them for the images' size.
        start: ``(B, h, w)`` on the last map.

    Returns:
        ``(B, h, w)`` of the first map, with the same sum.
    """
    flow, layer = start, len(recording)
    for stage in reversed(partitions):
        if flow.shape[-2:] != (stage[0].h, stage[0].w):
            flow = through_merging(flow, (stage[0].h, stage[0].w))
        for partition in reversed(stage):
            layer -= 1
            flow = through_block(flow, recording[layer], partition)
    return flow


def record_windows(model: nn.Module, images: Tensor) -> tuple[Recording, list[list[Partition]]]:
    """Run a Swin over images ``(B, C, H, W)`` and return what it attended to and how each block cut its map."""
    swin = windowed_encoder_of(model)
    with evaluating(swin), record_attention(swin) as recording:
        swin(images.to(device_of(swin)))
    return recording, swin.windows(images.shape[-2], images.shape[-1])


def window_rollout(model: nn.Module, images: Tensor, pixel: tuple[int, int] | None = None) -> Tensor:
    """Roll the attention of a Swin out to its patches.

    Args:
        model: an `ImageClassifier` with a `Swin`, a bare one, or what pretrains it.
        images: ``(B, C, H, W)``, normalised.
        pixel: row and column; what reaches the place of the last map above it. By default what reaches the answer,
            the mean over the last map.

    Returns:
        ``(B, h, w)`` of the first map; adds up to 1 for each image.

    Raises:
        ConfigError: the model has no windows, or the pixel lies outside.
    """
    recording, partitions = record_windows(model, images)
    last = partitions[-1][-1]
    start = torch.full((len(images), last.h, last.w), 1 / (last.h * last.w))
    if pixel is not None:
        y, x = place_of(windowed_encoder_of(model), pixel, images, stage=-1)
        start = torch.zeros_like(start)
        start[:, y, x] = 1
    return rolled_out(recording, partitions, start)


def place_of(swin: Backbone, pixel: tuple[int, int], images: Tensor, stage: int) -> Place:
    """Return the token of a stage's map in which a pixel lies.

    Raises:
        ConfigError: the pixel lies outside the images ``(B, C, H, W)``.
    """
    height, width = images.shape[-2:]
    if not (0 <= pixel[0] < height and 0 <= pixel[1] < width):
        raise ConfigError(f"there is no pixel {pixel[0]}, {pixel[1]} in an image of {height}x{width}")
    return pixel[0] // swin.strides[stage], pixel[1] // swin.strides[stage]
