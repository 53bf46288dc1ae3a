import pytest
import torch

from tests.models.test_resnet import disturb
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.hybrid import SIZES, HybridConfig, hybrid

TIMM_NAMES = {
    "r_vit_ti16": "vit_tiny_r_s16_p8_224",
    "r26_vit_s32": "vit_small_r26_s32_224",
    "r26_vit_b32": "vit_base_r26_s32_224",
    "r50_vit_b16": "vit_base_r50_s16_224",
    "r50_vit_l32": "vit_large_r50_s32_224",
}
SMALL = HybridConfig(width=32, num_heads=2, depth=2, patch_size=16, stem_depths=(1, 1, 1), image_size=(64, 64))


def from_timm(state: dict, name: str) -> dict:
    """Rename timm's bare stem of R+Ti; all other hybrids have the same names."""
    if name != "r_vit_ti16":
        return state
    return {key.replace("patch_embed.backbone.", "patch_embed.backbone.stem."): v for key, v in state.items()}


@pytest.mark.parametrize(("name", "depth"), [("r_vit_ti16", 12), ("r26_vit_s32", 12), ("r50_vit_b16", 2)])
def test_hybrids_compute_what_timms_do(name: str, depth: int) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(TIMM_NAMES[name], num_classes=7, img_size=96, depth=depth).eval()
    disturb(theirs)
    ours = build_model(name, num_classes=7, image_size=96, depth=depth).eval()
    state = from_timm(theirs.state_dict(), name)
    ours.load_state_dict({k if k.startswith("head.") else f"backbone.{k}": v for k, v in state.items()})
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("name", TIMM_NAMES)
def test_names_and_shapes_of_every_hybrid_are_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = build_model(name, num_classes=0).state_dict()
        theirs = from_timm(timm.create_model(TIMM_NAMES[name], num_classes=0).state_dict(), name)
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", SIZES)
def test_the_grid_is_that_of_the_tokens(name: str) -> None:
    shape = SIZES[name]
    model = build_model(name, num_classes=0, width=32, num_heads=2, depth=1)
    images = torch.randn(1, 3, 70, 129)
    h, w = -(-70 // shape.patch_size), -(-129 // shape.patch_size)
    assert model.forward_features(images).shape == (1, 1 + h * w, 32)
    assert model.feature_maps(images)[0].shape == (1, 32, h, w)
    assert model.strides == (shape.patch_size,)


def test_every_parameter_learns() -> None:
    model = hybrid(SMALL)
    torch.nn.init.ones_(model.patch_embed.get_parameter("backbone.stages.2.blocks.0.norm3.weight"))
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    dead = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # Silent branches wake after one step: only what lies before their zero norm has no gradient yet.
    assert all(".blocks.0." in name and not name.endswith("norm3.weight") for name in dead)
    assert not any(name.startswith("patch_embed.backbone.stages.2.") for name in dead)


def test_branches_of_the_resnet_start_silent() -> None:
    stages = hybrid(SMALL).patch_embed.get_submodule("backbone.stages")
    for name, parameter in stages.named_parameters():
        if name.endswith("blocks.0.norm3.weight"):
            assert not parameter.any()


def test_visible_patches_are_those_of_the_whole() -> None:
    model, visible = hybrid(SMALL).eval(), torch.tensor([[0, 5, 7]])
    images = torch.randn(1, 3, 64, 64)
    whole = model.tokens(images)
    torch.testing.assert_close(model.tokens(images, visible), whole[:, [0, 1, 6, 8]])


def test_the_whole_resnet_belongs_to_the_lowest_layer() -> None:
    model = hybrid(SMALL)
    assert {model.layer_of(n) for n, _ in model.named_parameters() if n.startswith("patch_embed.")} == {0}


def test_a_patch_that_does_not_fit_the_stride_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 16"):
        build_model("r50_vit_b16", patch_size=24)
