import pytest
import torch
from safetensors.torch import save_file

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.models.registry import ALIASES
from vitrail.models.resnet import SIZES as RESNETS
from vitrail.weights.formats import timm as layout
from vitrail.weights.formats.plain import plain_name
from vitrail.weights.load import load_weights

from .random_weights import randomise, relative_difference

timm = pytest.importorskip("timm")

SHARED = [name for name in ALIASES if timm.is_model(name) and not name.startswith("swin")]


def as_timm_has_it(name):
    """The options that make vitrail's model timm's, where timm's differs from the one that was published."""
    if "reg4_dinov2" in name:
        return {"prefix_positions": False}  # added to the class token
    if "dinov3" in name:
        return {"qkv_bias": "none", "pool": "norm_mean"}  # biases of zeros are left out
    return {"mlp": "gelu"} if name in EXACT_GELU else {}


EXACT_GELU = [name for name in ALIASES if ("siglip" in name and "patch14" in name) or "patch16_siglip_224" in name]
"""SigLIP was trained with GELU by tanh, as vitrail computes it; timm computes its first versions with the exact one."""

TRANSFORMERS = [name for name in SHARED if ALIASES[name] not in RESNETS]


def test_timm_has_the_models_these_tests_are_about():
    assert len(SHARED) >= 20
    assert {"vit_base_patch16_224", "vit_base_r50_s16_224", "resnetv2_50x1_bit"} <= set(SHARED)


@pytest.mark.parametrize("name", SHARED)
def test_names_and_shapes_of_every_model_are_timms_there_and_back(name):
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=1000).state_dict()
        ours = build_model(name, **as_timm_has_it(name)).state_dict()
    plain = layout.to_plain(theirs)
    assert {n: t.shape for n, t in plain.items()} == {plain_name(n): t.shape for n, t in ours.items()}
    back = layout.from_plain(plain, 1)
    assert {n: t.shape for n, t in back.items()} == {n: t.shape for n, t in theirs.items()}


LARGEST = ("gigantic", "giant", "huge")
"""Seconds each, and like the others but for their widths."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if any(size in name for size in LARGEST) else name
        for name in TRANSFORMERS
    ],
)
def test_two_blocks_of_every_size_give_timms_features_and_logits(name, tmp_path):
    patches = {"patch14": 14, "p8": 32, "s32": 32, "patch32": 32, "patch8": 8}
    size = 4 * next((side for part, side in patches.items() if part in name.split("_")), 16)
    theirs = randomise(timm.create_model(name, depth=2, img_size=size, num_classes=7))
    ours = build_model(name, depth=2, image_size=size, num_classes=7, **as_timm_has_it(name)).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    report = load_weights(ours, tmp_path / "model.safetensors")
    assert report.layout == "timm"
    assert not report.missing
    assert not report.dropped
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
        assert relative_difference(ours.backbone.embed(images), features) < 1e-5
        assert relative_difference(ours(images), theirs(images)) < 1e-5


@pytest.mark.parametrize("pool", ["avg", "map"])
def test_other_ways_of_pooling_give_timms_logits(pool, tmp_path):
    options = {"embed_dim": 64, "depth": 2, "num_heads": 4, "img_size": 64, "num_classes": 7}
    theirs = randomise(timm.create_model("vit_small_patch16_224", global_pool=pool, **options))
    ours = build_model(
        "vit_s16",
        width=64,
        depth=2,
        num_heads=4,
        image_size=64,
        num_classes=7,
        pool={"avg": "mean", "map": "attention"}[pool],
    ).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    assert not load_weights(ours, tmp_path / "model.safetensors").missing
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5


def test_a_resnet_gives_timms_logits(tmp_path):
    theirs = randomise(timm.create_model("resnetv2_50x1_bit", num_classes=7))
    ours = build_model("bit_r50x1", num_classes=7).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    assert not load_weights(ours, tmp_path / "model.safetensors").missing
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5


@pytest.mark.parametrize("widen", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_one_block_a_stage_of_a_bit_of_every_width_gives_timms_features_and_logits(widen, tmp_path):
    build = timm.models.resnetv2._create_resnetv2_bit  # the named ones fix their depths
    theirs = randomise(build("resnetv2_50x1_bit", layers=[1, 1, 1, 1], width_factor=widen, num_classes=7))
    ours = build_model("bit_r50x1", widen=widen, num_classes=7, depths=(1, 1, 1, 1)).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    report = load_weights(ours, tmp_path / "model.safetensors")
    assert not (report.missing + report.dropped + report.unexpected)
    images = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        features = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
        assert relative_difference(ours.backbone.embed(images), features.flatten(1)) < 1e-5
        assert relative_difference(ours(images), theirs(images)) < 1e-5


def test_what_the_model_cannot_compute_is_refused_not_ignored(tmp_path):
    options = {"embed_dim": 64, "depth": 2, "num_heads": 4, "img_size": 64, "num_classes": 7}
    ours = build_model("vit_s16", width=64, depth=2, num_heads=4, image_size=64, num_classes=7)
    for name, extra in (
        ("vit_small_patch16_224", {"init_values": 1e-5}),  # layer scale
        ("vit_small_patch16_224", {"qk_norm": True}),
        ("vit_small_patch16_224", {"reg_tokens": 2}),
        ("deit_small_distilled_patch16_224", {}),
    ):
        save_file(timm.create_model(name, **options, **extra).state_dict(), tmp_path / "model.safetensors")
        with pytest.raises(WeightsError, match="no place for"):
            load_weights(ours, tmp_path / "model.safetensors")


def test_positions_without_the_class_token_get_a_zero_for_it(tmp_path):
    options = {"embed_dim": 64, "depth": 1, "num_heads": 4, "img_size": 64, "num_classes": 7}
    theirs = randomise(timm.create_model("vit_small_patch16_224", no_embed_class=True, **options))
    ours = build_model("vit_s16", width=64, depth=1, num_heads=4, image_size=64, num_classes=7).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    load_weights(ours, tmp_path / "model.safetensors")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5


def test_the_old_representation_layer_and_linear_patch_embedding_are_understood():
    kernel = torch.randn(8, 3 * 4 * 4)
    plain = layout.to_plain(
        {"patch_embed.proj.weight": kernel, "pre_logits.fc.weight": torch.ones(2, 2), "norm.weight": torch.ones(8)}
    )
    assert torch.equal(plain["patch_embed.proj.weight"], kernel.view(8, 3, 4, 4))
    assert "pre_logits.weight" in plain
