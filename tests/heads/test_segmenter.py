"""Every head on every kind of backbone, for images of any size."""

from typing import Any

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.multi_scale import MultiScaleFeatures
from vitrail.heads.names import build_model
from vitrail.heads.segmenter import KINDS, Segmenter, build
from vitrail.models.backbone import spread
from vitrail.settings import Dense

CLASSES = 3
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_ti16", {"width": 32, "depth": 4, "num_heads": 2, "image_size": 64}),
    "vit of one block and no class token": (
        "vit_ti16",
        {"width": 32, "depth": 1, "num_heads": 2, "pool": "mean", "class_token": False, "image_size": 64},
    ),
    "vit of fine patches": ("vit_ti16", {"width": 32, "depth": 4, "num_heads": 2, "patch_size": 4, "image_size": 32}),
    "vit of 14": ("vit_ti16", {"width": 32, "depth": 4, "num_heads": 2, "patch_size": 14, "image_size": 56}),
    "swin": ("swin_t", {"embed_width": 32, "depths": (1, 1, 1, 1), "window": 4, "image_size": 64}),
    "swin of two stages": ("swin_t", {"embed_width": 32, "depths": (1, 2), "window": 4, "image_size": 64}),
    "hybrid": ("r50_vit_b16", {"width": 32, "depth": 4, "num_heads": 2, "stem_depths": (1, 1, 1), "image_size": 64}),
    "bit": ("bit_r50x1", {"depths": (1, 1, 1, 1), "image_size": 64}),
}
SIZES = [(64, 64), (1, 1), (37, 70), (96, 33)]


def backbone(kind: str) -> Any:
    name, options = BACKBONES[kind]
    torch.manual_seed(0)
    return build_model(name, num_classes=0, **options)


def segmenter(kind: str, head: str) -> Segmenter:
    return Segmenter(backbone(kind), CLASSES, Dense(head, width=32, norm="group"))  # type: ignore[arg-type]


def fits(kind: str, head: str) -> bool:
    return head != "setr_mla" or len(backbone(kind).strides) == 1


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("kind", BACKBONES)
def test_every_pixel_of_an_image_of_any_size_is_scored(kind: str, head: str) -> None:
    if not fits(kind, head):
        with pytest.raises(ConfigError, match="use upernet"):
            segmenter(kind, head)
        return
    model = segmenter(kind, head).eval()
    for size in SIZES:
        with torch.no_grad():
            scores = model(torch.randn(1, 3, *size))
        assert scores.shape == (1, CLASSES, *size)
        assert scores.isfinite().all()


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("kind", BACKBONES)
def test_every_trainable_parameter_gets_a_gradient(kind: str, head: str) -> None:
    if not fits(kind, head):
        return
    model = segmenter(kind, head).train()
    scores, extra = model.all_scores(torch.randn(2, 3, 64, 64))
    sum(((part**2).sum() for part in extra), (scores**2).sum()).backward()
    lacking = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking  # or two processes would wait for it for ever
    assert all(0 <= model.layer_of(name) <= model.depth + 1 for name, _ in model.named_parameters())


def test_a_plain_backbone_gives_strides_4_to_32_and_a_staged_one_its_own() -> None:
    assert MultiScaleFeatures(backbone("vit")).strides == (4, 8, 16, 32)
    assert MultiScaleFeatures(backbone("vit of fine patches")).strides == (4, 8, 16, 32)
    assert MultiScaleFeatures(backbone("vit of 14")).strides == (3.5, 7, 14, 28)
    assert MultiScaleFeatures(backbone("vit"), rescale=False).strides == (16,) * 4
    assert MultiScaleFeatures(backbone("swin")).strides == (4, 8, 16, 32)
    assert MultiScaleFeatures(backbone("swin")).channels == (32, 64, 128, 256)


@pytest.mark.parametrize("kind", ["vit", "swin", "bit", "hybrid"])
def test_a_level_has_the_size_its_stride_says(kind: str) -> None:
    body = backbone(kind)
    levels = MultiScaleFeatures(body).eval()
    for stride, level in zip(levels.strides, levels(body, torch.randn(1, 3, 64, 96)), strict=True):
        assert level.shape[-2:] == (64 / stride, 96 / stride)


@pytest.mark.parametrize(
    ("depth", "count", "blocks"), [(12, 4, (2, 5, 8, 11)), (24, 4, (5, 11, 17, 23)), (12, 1, (11,)), (5, 2, (1, 4))]
)
def test_blocks_are_spread_evenly_up_to_the_last(depth: int, count: int, blocks: tuple[int, ...]) -> None:
    assert spread(depth, count) == blocks


def test_maps_after_blocks_are_the_tokens_on_their_way() -> None:
    body = backbone("vit").eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        *_, last = body.feature_maps(images, (0, 3))
        normalised = body.norm(last.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(last.shape)
        assert torch.allclose(normalised, body.feature_maps(images)[0], atol=1e-6)


def test_what_an_image_is_padded_with_does_not_shift_its_scores() -> None:
    model = segmenter("swin", "upernet").eval()
    image = torch.randn(1, 3, 40, 50)
    padded = torch.nn.functional.pad(image, (0, 14, 0, 24))
    with torch.no_grad():
        assert torch.equal(model(image), model(padded)[..., :40, :50])


def test_an_unknown_head_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'upernet'"):
        segmenter("vit", "uppernet")


@pytest.mark.parametrize("setting", [{"windows": 4}, {"pyramid": "simple"}])
def test_a_setting_of_detection_is_refused_and_not_passed_over(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="for detection"):
        build(backbone("vit"), Dense("upernet", **setting), CLASSES)
