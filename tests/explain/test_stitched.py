"""Stitched attention against matrices over the whole map, written out window by window."""

import pytest
import torch
from torch import Tensor

from tests.weights.random_weights import randomise
from vitrail.errors import ConfigError
from vitrail.explain.record import record_attention
from vitrail.explain.stitched import (
    attention_from,
    attention_received,
    by_window,
    cut_up,
    lay_out,
    record_windows,
    through_merging,
    window_rollout,
)
from vitrail.heads.names import build_model
from vitrail.layers.window_layout import Partition, regions, token_index

PARTITIONS = [
    Partition(8, 8, 4, 4, 2, 2),
    Partition(5, 7, 4, 4, 2, 2),
    Partition(3, 9, 2, 4),
    Partition(6, 3, 4, 5, 2, 0),
]


@pytest.fixture
def swin() -> torch.nn.Module:
    model = build_model("swin_t", num_classes=3, patch_size=2, embed_width=8, head_width=4, depths=(2, 3), window=4)
    return randomise(model).eval()


def random_images(*size: int) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def whole(weights: Tensor, partition: Partition) -> Tensor:
    """Write the windows' weights ``(B * G, K, A, A)`` into one matrix over the map, ``(B, K, N, N)``."""
    count, held = partition.h * partition.w, token_index(partition).reshape(partition.windows, -1)
    windows = by_window(weights, partition)
    matrix = torch.zeros(windows.shape[0], windows.shape[2], count, count)
    for g in range(partition.windows):
        for i, query in enumerate(held[g]):
            for j, key in enumerate(held[g]):
                if query < count and key < count:
                    matrix[:, :, query, key] = windows[:, g, :, i, j]
    return matrix


@pytest.mark.parametrize("partition", PARTITIONS)
def test_laying_out_undoes_cutting_up(partition: Partition) -> None:
    image = torch.randn(2, 3, partition.h, partition.w)
    assert torch.equal(lay_out(cut_up(image, partition), partition), image)


def test_attention_of_a_place_is_its_row_of_the_whole_matrix(swin: torch.nn.Module) -> None:
    recording, partitions = record_windows(swin, random_images(14, 22))
    flat = [partition for stage in partitions for partition in stage]
    for layer in range(len(recording)):
        partition, matrix = flat[layer], whole(recording[layer], flat[layer])
        for place in ((0, 0), (partition.h - 1, partition.w - 1), (partition.h // 2, 1)):
            row = matrix[:, :, place[0] * partition.w + place[1]].unflatten(-1, (partition.h, partition.w))
            looked = attention_from(recording[layer], partition, place)
            assert torch.equal(looked, row)
            torch.testing.assert_close(looked.sum(dim=(-2, -1)), torch.ones(looked.shape[:2]))
        received = attention_received(recording[layer], partition).flatten(2)
        torch.testing.assert_close(received, matrix.mean(dim=2))


def test_no_place_looks_across_the_seam(swin: torch.nn.Module) -> None:
    recording, partitions = record_windows(swin, random_images(32, 32))
    shifted = partitions[0][1]
    assert (shifted.shift_h, shifted.shift_w) == (2, 2)
    region = lay_out(torch.from_numpy(regions(shifted)).reshape(-1), shifted)
    looked = attention_from(recording[1], shifted, (0, 5))
    assert looked[:, :, region != region[0, 5]].eq(0).all()
    assert (looked > 0).sum(dim=(-2, -1)).eq(2 * 4).all()


@pytest.mark.parametrize("pixel", [None, (3, 9)])
def test_rollout_is_the_product_of_all_whole_matrices(swin: torch.nn.Module, pixel: tuple[int, int] | None) -> None:
    images = random_images(14, 22)
    recording, partitions = record_windows(swin, images)
    flat = [partition for stage in partitions for partition in stage]
    fine, merged = flat[0], flat[-1]
    product = torch.eye(fine.h * fine.w).expand(2, -1, -1)
    for layer, partition in enumerate(flat):
        if layer == 2:
            merging = torch.zeros(merged.h * merged.w, fine.h * fine.w)
            for y in range(fine.h):
                for x in range(fine.w):
                    merging[(y // 2) * merged.w + x // 2, y * fine.w + x] = 1
            product = merging / merging.sum(dim=1, keepdim=True) @ product
        matrix = whole(recording[layer], partition).mean(dim=1)
        product = (0.5 * matrix + 0.5 * torch.eye(matrix.shape[-1])) @ product
    place = None if pixel is None else (pixel[0] // 4) * merged.w + pixel[1] // 4
    expected = product.mean(dim=1) if place is None else product[:, place]
    found = window_rollout(swin, images, pixel)
    torch.testing.assert_close(found.flatten(1), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2))


def test_merging_back_loses_nothing_at_odd_edges() -> None:
    flow = torch.rand(2, 2, 3)
    spread = through_merging(flow, (3, 5))
    torch.testing.assert_close(spread.sum(dim=(1, 2)), flow.sum(dim=(1, 2)))
    assert spread[0, 2, 4] == flow[0, 1, 2]


def test_recording_leaves_the_model_as_it_was(swin: torch.nn.Module) -> None:
    images = random_images(14, 22)
    before = swin(images)
    with record_attention(swin, [-1, 0]) as recording:
        torch.testing.assert_close(swin(images), before)
    assert list(recording) == [0, 4]
    assert all(block.attn.observe is None for stage in swin.backbone.layers for block in stage.blocks)


def test_a_pixel_outside_and_a_model_without_windows_are_refused(swin: torch.nn.Module) -> None:
    with pytest.raises(ConfigError, match="there is no pixel 14, 0 in an image of 14x22"):
        window_rollout(swin, random_images(14, 22), (14, 0))
    vit = build_model("vit_ti16", image_size=32, width=16, depth=1, num_heads=1)
    with pytest.raises(ConfigError, match="windows are there in a Swin"):
        window_rollout(vit, random_images(32, 32))
