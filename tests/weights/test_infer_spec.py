"""A model is told from its tensors alone, so that any file can be opened, converted and prepared for."""

import pytest
import torch

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model, parse_model
from vitrail.heads.registry import build
from vitrail.heads.spec import ModelSpec
from vitrail.models.registry import BACKBONES
from vitrail.weights.detect import LAYOUTS, translate
from vitrail.weights.infer_spec import spec_of
from vitrail.weights.preprocessing import default_preprocessing
from vitrail.weights.shape import shape_of, title_of

SMALL = {"width": 64, "depth": 2, "num_heads": 4, "patch_size": 8, "image_size": 32}


def plain_state(name: str, **options: object) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return translate(build_model(name, **options).state_dict(), name)[0]


def shapes(spec: ModelSpec) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in build(spec).state_dict().items()}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_named_model_is_told_from_its_tensors(name: str) -> None:
    state = plain_state(name, num_classes=10)
    spec = spec_of(state)
    assert spec == ModelSpec(name, {}, "classifier", {"num_classes": 10})
    assert shape_of(state)["name"] == name
    assert name in title_of(state)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_s16", {**SMALL, "num_classes": 0}),
        ("vit_s16", {**SMALL, "num_classes": 3, "representation": 20, "channels": 1}),
        ("vit_s16", {**SMALL, "pool": "mean", "class_token": False, "mlp_ratio": 2.0}),
        ("vit_s16", {**SMALL, "pool": "attention", "positions": "none"}),
        ("vit_s16", {**SMALL, "positions": "learned_2d", "image_size": (32, 48)}),
        ("vit_s16", {**SMALL, "positions": "learned", "positions_at": "layers"}),
        ("vit_s16", {**SMALL, "positions": "relative", "positions_at": "layers_shared"}),
        ("vit_s16", {**SMALL, "positions": "relative_bias"}),
        ("beit_b16", {**SMALL, "num_classes": 3}),
        ("beit_b16", {**SMALL, "relative_bias": "shared", "positions": "learned", "pool": "class"}),
        ("deit_s16_distilled", {**SMALL, "num_classes": 3, "channels": 1}),
        ("deit3_s16", {**SMALL, "qk_norm": True}),
        ("dinov2_vit_s14", {**SMALL, "pool": "class_mean", "num_classes": 5}),
        ("dinov2_vit_s14_reg", {**SMALL, "registers": 2, "mlp": "swiglu"}),
        ("dinov3_vit_s16", {**SMALL, "qkv_bias": "none", "image_size": 224}),
        ("clip_vit_b16", {**SMALL, "mlp_ratio": 3.0}),
        ("siglip_vit_b16", {**SMALL, "num_classes": 2}),
        ("swinv2_t", {"embed_width": 32, "head_width": 8, "depths": (2, 1), "window": 4, "image_size": 128}),
        ("swinv2_t", {"depths": (1, 1, 1), "window": 8, "image_size": 64, "pretrained_windows": (6, 6, 3)}),
        ("r50_vit_b16", {"stem_depths": (1, 2), "patch_size": 16, "width": 32, "num_heads": 2, "depth": 1}),
        ("r_vit_ti16", {"width": 32, "num_heads": 2, "depth": 1, "image_size": 96}),
        ("bit_r50x1", {"depths": (1, 2), "widen": 2, "channels": 1}),
        ("swin_t", {"embed_width": 32, "head_width": 8, "depths": (2, 1), "window": 4, "image_size": 128}),
        ("swin_t", {"depths": (1, 1), "positions": "both", "image_size": 64}),
        ("mae_vit_s16", {**SMALL, "decoder_width": 32, "decoder_depth": 1, "decoder_heads": 1}),
        ("mpp_vit_s16", {**SMALL, "target": "downsized"}),
        ("mpp_vit_s16", {**SMALL, "target": "full"}),
        ("simmim_swin_t", {"embed_width": 32, "depths": (2, 1), "window": 4, "image_size": 128}),
    ],
)
def test_a_model_of_any_shape_is_built_again_from_its_tensors(name: str, options: dict) -> None:
    spec = spec_of(plain_state(name, **options), options.get("num_heads"))
    asked = parse_model(name, options)
    assert shapes(spec) == shapes(asked)
    assert spec.head == asked.head


def test_an_image_size_that_has_another_grid_than_the_positions_is_not_believed() -> None:
    state = plain_state("vit_s16", **SMALL)
    assert spec_of(state, 4, (64, 64)).backbone_options["image_size"] == (32, 32)
    wide = plain_state("vit_s16", **{**SMALL, "image_size": (16, 64)})
    assert spec_of(wide, 4, (16, 64)).backbone_options["image_size"] == (16, 64)


def test_what_belongs_to_no_model_is_one_error() -> None:
    for state in ({}, {"norm.weight": torch.ones(3)}, {"patch_embed.proj.weight": torch.ones(0, 3, 0, 0)}):
        with pytest.raises(WeightsError, match="belong to no model"):
            spec_of(state)
        assert shape_of(state)["name"] is None


@pytest.mark.parametrize(
    ("layout", "name", "options"),
    [
        ("google", "vit_b32", {"image_size": 384}),
        ("google", "r50_vit_b16", {"image_size": 384}),
        ("huggingface", "vit_b16", {"image_size": 384}),
        ("torchvision", "vit_h14", {"image_size": 518}),
        ("timm", "r26_vit_s32", {"image_size": 384}),
        ("swin_timm", "swin_b_384", {}),
        ("swin_huggingface", "swin_l_384", {}),
    ],
)
def test_a_file_for_384_pixels_does_not_say_224(layout: str, name: str, options: dict) -> None:
    plain = plain_state(name, **options)
    again = translate(LAYOUTS[layout].from_plain(plain, 4), "x")[0] if not layout.startswith("swin") else plain
    again = {key: torch.ones(tensor.shape) if key == "pos_embed" else tensor for key, tensor in again.items()}
    expected = options.get("image_size", 384)
    preprocessing, _ = default_preprocessing(layout, again)
    assert preprocessing.image_size == (expected, expected)
    assert preprocessing.crop_fraction == 1.0
