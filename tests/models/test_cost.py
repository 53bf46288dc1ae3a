import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vitrail.heads.names import build_model
from vitrail.models.cost import cost

SMALL = {"width": 48, "num_heads": 3, "depth": 2, "image_size": 48}
MODELS = [
    ("vit_ti16", SMALL),
    ("vit_ti16", {**SMALL, "pool": "mean", "class_token": False, "patch_size": 5}),
    ("vit_ti16", {**SMALL, "positions": "relative", "representation": 20}),
    ("vit_ti16", {**SMALL, "positions": "relative_bias", "pool": "attention"}),
    ("r_vit_ti16", SMALL),
    ("r26_vit_s32", {**SMALL, "image_size": 64}),
    ("bit_r50x1", {"depths": (1, 1, 1, 1), "image_size": 50, "channels": 1}),
    ("mae_vit_ti16", {**SMALL, "patch_size": 8, "decoder_width": 32, "decoder_heads": 2, "decoder_depth": 1}),
]


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_every_multiplication_is_counted_once(name: str, options: dict) -> None:
    model = build_model(name, **options).eval()
    size = options["image_size"]
    images = torch.randn(1, options.get("channels", 3), size, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    assert 2 * cost(model).multiply_accumulates == counter.get_total_flops()


# GMACs of timm's benchmark table, in which a norm counts a little too.
TIMM_GMACS = {
    ("vit_ti16", 224): 1.26,
    ("vit_ti16", 384): 4.70,
    ("vit_s32", 224): 1.15,
    ("vit_s16", 384): 15.52,
    ("vit_b32", 224): 4.41,
    ("vit_b16", 224): 17.58,
    ("vit_b16", 384): 55.54,
    ("vit_b8", 224): 78.22,
    ("vit_l16", 384): 191.21,
    ("vit_l14", 224): 81.08,
    ("vit_h14", 224): 167.40,
    ("r_vit_ti16", 224): 0.44,
    ("r26_vit_s32", 224): 3.56,
    ("r50_vit_b16", 224): 21.66,
    ("r50_vit_l32", 384): 57.43,
}


@pytest.mark.parametrize(("name", "size"), TIMM_GMACS)
def test_the_count_is_near_timms_table(name: str, size: int) -> None:
    with torch.device("meta"):
        found = cost(build_model(name, image_size=size)).multiply_accumulates / 1e9
    assert found == pytest.approx(TIMM_GMACS[name, size], rel=0.03)


def test_another_image_size_is_counted_without_changing_the_model() -> None:
    model = build_model("vit_ti16", **SMALL)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small, large = cost(model), cost(model, (96, 48))
    assert (small.tokens, large.tokens) == (10, 19)
    assert small.parameters == large.parameters
    assert large.multiply_accumulates > 1.9 * small.multiply_accumulates
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_resnet_has_no_tokens() -> None:
    assert cost(build_model("bit_r50x1", depths=(1, 1, 1, 1))).tokens == 0
