import math

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model, list_models
from vitrail.models.vit import ViT, ViTConfig

# The papers' counts with 1000 classes at 224 pixels.
PARAMETERS = {
    "vit_ti16": 5_717_416,
    "vit_s16": 22_050_664,
    "vit_b16": 86_567_656,
    "vit_b32": 88_224_232,
    "vit_l16": 304_326_632,
    "vit_l32": 306_535_400,
    "vit_h14": 632_045_800,
}
SMALL = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "num_classes": 5}


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_logits_equal_timm_with_the_same_weights(pool: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("vit_tiny_patch16_224", global_pool="token" if pool == "class" else "avg").eval()
    torch.nn.init.normal_(theirs.head.weight, std=0.05)
    ours = build_model("vit_ti16", pool=pool).eval()
    state = theirs.state_dict()
    ours.load_state_dict({n if n.startswith("head.") else f"backbone.{n}": v for n, v in state.items()})
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert relative_error(ours(images), theirs(images)) < 1e-5


def test_any_height_and_width_works_and_leaves_no_trace() -> None:
    model = build_model("vit_ti16", **SMALL).eval()
    square = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        before = model(square)
        for size in [(16, 72), (40, 8), (33, 47)]:
            assert model(torch.randn(2, 3, *size)).shape == (2, 5)
        assert torch.equal(model(square), before)


def test_feature_maps_have_the_promised_channels_and_strides() -> None:
    backbone = build_model("vit_ti16", **{**SMALL, "num_classes": 0})
    (features,) = backbone.feature_maps(torch.randn(2, 3, 32, 48))
    assert features.shape == (2, backbone.channels[0], 32 // backbone.strides[0], 48 // backbone.strides[0])


def test_layers_of_parameters_rise_from_embeddings_to_head() -> None:
    model = build_model("vit_ti16", **SMALL)
    layers = {name: model.layer_of(name) for name, _ in model.named_parameters()}
    assert layers["backbone.cls_token"] == layers["backbone.patch_embed.proj.weight"] == 0
    assert layers["backbone.blocks.1.mlp.fc2.bias"] == 2
    assert layers["backbone.norm.weight"] == layers["head.weight"] == 3
    assert sorted(set(layers.values())) == [0, 1, 2, 3]


def test_dropout_and_drop_path_act_in_training_only() -> None:
    model = build_model("vit_ti16", **SMALL, dropout=0.2, drop_path=0.5)
    images = torch.randn(4, 3, 32, 32)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_an_image_with_the_wrong_channels_is_told_from_a_right_one() -> None:
    with pytest.raises(ValueError, match="expected images"):
        build_model("vit_ti16", **SMALL)(torch.randn(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("name", "options", "hint"),
    [
        ("vit_b61", {}, "vit_b16"),
        ("vit_base_patch61_224", {}, "vit_base_patch16_224"),
        ("vit_ti16", {"dpth": 2}, "depth"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(name: str, options: dict, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        build_model(name, **options)


def test_every_name_builds() -> None:
    with torch.device("meta"):
        for name in list_models():
            build_model(name)


def test_an_impossible_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_heads"):
        ViT(ViTConfig(width=100, num_heads=3))


@pytest.mark.parametrize(
    ("name", "options", "answer"),
    [
        ("vit_ti16", {"patch_size": 0}, "patch_size must be 1 or more, not 0"),
        ("vit_ti16", {"image_size": (32, -1)}, "image_size must be 1 or more, not 32, -1"),
        ("vit_ti16", {"dropout": 1.5}, "dropout is a probability"),
        ("vit_ti16", {"mlp_ratio": 0.0}, "mlp_ratio must be above 0"),
        ("mae_vit_ti16", {"depth": 0}, "depth must be 1 or more"),
        ("mae_vit_ti16", {"target": "tokens", "vocabulary": 1}, "leaves nothing to predict"),
        ("r50_vit_b16", {"stem_depths": (3, 0, 9)}, "stem_depths must be 1 or more, not 3, 0, 9"),
        ("bit_r50x1", {"widen": 0}, "widen must be 1 or more"),
        ("swin_t", {"patch_size": -4}, "patch_size must be 1 or more"),
        ("swin_t", {"positions": "sincos_2d"}, "positions must be one of relative"),
    ],
)
def test_a_value_no_model_has_is_refused_whatever_the_family(name: str, options: dict, answer: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=answer):
        build_model(name, **options)


def test_initial_scores_are_nearly_even_so_that_training_starts_at_chance() -> None:
    torch.manual_seed(0)
    model = build_model("vit_ti16", **SMALL)
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 3, 32, 32)), torch.arange(8) % 5)
    assert loss.item() == pytest.approx(math.log(5), abs=0.1)
