import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.heads.pyramid import Pyramid
from vitrail.models.vit_windows import from_windows, to_windows, windowed_map

SHAPES: dict[str, dict] = {
    "swin_t": {"embed_width": 32, "depths": (1, 1, 1, 1)},
    "bit_r50x1": {"depths": (1, 1, 1, 1)},
    "vit_ti16": {"width": 64, "depth": 4, "num_heads": 2},
    "r_vit_ti16": {"width": 64, "depth": 4, "num_heads": 2},
    "vit_h14": {"width": 64, "depth": 4, "num_heads": 2},
}


def backbone(name: str):
    torch.manual_seed(0)
    return build_model(name, num_classes=0, image_size=64, **SHAPES[name])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("swin_t", "fpn"),
        ("bit_r50x1", "fpn"),
        ("vit_ti16", "simple"),
        ("vit_ti16", "blocks"),
        ("r_vit_ti16", "simple"),
        ("r_vit_ti16", "blocks"),
        ("vit_h14", "simple"),
        ("vit_h14", "blocks"),
    ],
)
def test_maps_have_strides_4_to_32_of_images_of_any_size_and_every_parameter_learns(name: str, kind: str) -> None:
    pyramid = Pyramid(backbone(name), 32, kind)  # type: ignore[arg-type]
    for height, width in ((64, 96), (33, 70)):
        maps = pyramid(torch.randn(2, 3, height, width))
        tall, wide = -(-height // 32) * 32, -(-width // 32) * 32
        assert [tuple(level.shape) for level in maps] == [(2, 32, tall // s, wide // s) for s in (4, 8, 16, 32)]
    sum(level.square().sum() for level in maps).backward()
    assert not [n for n, p in pyramid.named_parameters() if p.requires_grad and p.grad is None]


def test_a_pyramid_that_does_not_fit_the_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes the pyramid fpn"):
        Pyramid(backbone("swin_t"), 32, "simple")
    with pytest.raises(ConfigError, match="simple and blocks"):
        Pyramid(backbone("vit_ti16"), 32, "fpn")


def test_layers_of_the_backbone_keep_their_numbers_and_the_pyramid_is_above_them() -> None:
    pyramid = Pyramid(backbone("vit_ti16"), 32)
    assert pyramid.layer_of("backbone.patch_embed.proj.weight") == 0
    assert pyramid.layer_of("backbone.blocks.2.attn.qkv.weight") == 3
    assert pyramid.layer_of("join.levels.0.0.weight") == pyramid.depth + 1


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
def test_windows_are_put_together_as_they_were_cut(h: int, w: int, window: int) -> None:
    tokens = torch.randn(2, h * w, 3)
    cut = to_windows(tokens, h, w, window)
    assert cut.shape[1] == window * window
    assert torch.equal(from_windows(cut, h, w, window), tokens)


def test_one_window_over_everything_is_global_attention() -> None:
    vit = build_model("vit_ti16", num_classes=0, image_size=64, class_token=False, pool="mean", **SHAPES["vit_ti16"])
    images = torch.randn(1, 3, 64, 64)
    assert torch.allclose(windowed_map(vit, images, 4), vit.feature_maps(images)[-1], atol=1e-5)  # type: ignore[operator]


def test_blocks_with_windows_see_nothing_beyond_them() -> None:
    vit = build_model("vit_ti16", num_classes=0, image_size=128, **{**SHAPES["vit_ti16"], "depth": 8})
    images = torch.randn(1, 3, 128, 128)
    other = images.clone()
    other[..., 64:, 64:] += 1.0
    with torch.no_grad():
        inside = to_windows(vit.tokens(images)[:, 1:], 8, 8, 4), to_windows(vit.tokens(other)[:, 1:], 8, 8, 4)  # type: ignore[operator]
        first, changed = (vit.blocks[0](windows) for windows in inside)  # type: ignore[index,operator]
    assert torch.equal(first[:3], changed[:3])
    assert not torch.allclose(first[3], changed[3])


def test_positions_inside_blocks_take_no_windows() -> None:
    vit = build_model("vit_ti16", num_classes=0, image_size=64, positions="relative_bias", **SHAPES["vit_ti16"])
    with pytest.raises(ConfigError, match="positions are in the stem"):
        windowed_map(vit, torch.randn(1, 3, 64, 64), 2)
