"""Where a detector looks for an object."""

from typing import Any

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.dense import dense_options
from vitrail.heads.names import build_model
from vitrail.heads.registry import put_head
from vitrail.settings import Dense
from vitrail.visualize.object_attention import has_attention, object_attention, within

BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_ti16", {"width": 64, "depth": 2, "num_heads": 2}),
    "swin": ("swin_t", {"embed_width": 32, "depths": (2, 1, 1, 1), "window": 4}),
    "bit": ("bit_r50x1", {"depths": (1, 1, 1, 1)}),
}
IMAGES = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[0.0, 0.0, 30.0, 30.0], [64.0, 32.0, 90.0, 60.0]])


def detector(kind: str, head: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    name, shape = BACKBONES[kind]
    dense = Dense(head, width=32, hidden=32, proposals=20, regions=8, queries=5, layers=2, **changes)  # type: ignore[arg-type]
    backbone = build_model(name, num_classes=0, image_size=64, **shape)
    return put_head(backbone, dense.head, dense_options(dense, 3)).eval()


def test_a_map_within_a_box_has_even_shares_that_add_up_to_one() -> None:
    shares = within(torch.tensor([16.0, 0.0, 48.0, 32.0]), 4, 6, 16)
    assert shares[:2, 1:3].eq(0.25).all()
    assert shares.sum() == 1
    tiny = within(torch.tensor([17.0, 33.0, 18.0, 34.0]), 4, 6, 16)
    assert tiny[2, 1] == 1


def test_a_vit_tells_where_the_patches_within_the_box_look() -> None:
    model = detector("vit", "mask_rcnn")
    maps, _ = object_attention(model, IMAGES, BOXES)
    assert maps.shape == (2, 64, 96)
    # A class token takes the rest of what adds up to 1 over the patches.
    totals = maps.sum(dim=(1, 2)) / 16**2
    assert (totals < 1).all()
    assert (totals > 0.8).all()
    assert not torch.equal(maps[0], maps[1])


def test_windows_leave_the_last_block_global_and_without_a_class_token() -> None:
    maps, _ = object_attention(detector("vit", "faster_rcnn", windows=2), IMAGES, BOXES)
    torch.testing.assert_close(maps.sum(dim=(1, 2)) / 16**2, torch.ones(2))


@pytest.mark.parametrize("head", ["mask_rcnn", "cascade_mask_rcnn"])
def test_what_a_swin_holds_within_a_small_box_comes_from_its_windows(head: str) -> None:
    model = detector("swin", head)
    assert model.level_of(BOXES).tolist() == [0, 0]
    maps, _ = object_attention(model, IMAGES, BOXES)
    torch.testing.assert_close(maps.sum(dim=(1, 2)) / 4**2, torch.ones(2))
    # Two blocks with windows of 4 patches of 4 pixels, the second shifted by half of that.
    assert maps[0, :32, :32].sum() > maps[0].sum() / 2
    assert maps[0, 48:].sum() == 0
    assert maps[0, :, 48:].sum() == 0


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_detr_tells_where_it_looks_for_each_object_in_the_order_of_what_it_finds(kind: str) -> None:
    model = detector(kind, "detr")
    assert has_attention(model)
    looks = model.cross_attention(IMAGES, [(64, 96)])
    stride = model.backbone.strides[-1]
    assert looks.shape == (1, 5, 64 // stride, 96 // stride)
    torch.testing.assert_close(looks.sum(dim=(2, 3)), torch.ones(1, 5))
    found = model(IMAGES, [(64, 96)])[0]
    # With one query alone the map is that of the object found by it.
    _, boxes = model.decode(IMAGES, [(64, 96)])
    best = (boxes[-1, 0, :, 0] * 96 - (found.boxes[0, 0] + found.boxes[0, 2]) / 2).abs().argmin()
    recorded: list[torch.Tensor] = []
    model.decoder_layers[-1].observe = recorded.append
    model.decode(IMAGES, [(64, 96)])
    assert torch.equal(recorded[0][0, best].view_as(looks[0, 0]), looks[0, 0])


def test_a_region_detector_on_convolutions_has_no_attention() -> None:
    model = detector("bit", "mask_rcnn")
    assert not has_attention(model)
    with pytest.raises(ConfigError, match="no attention"):
        object_attention(model, IMAGES, BOXES)
