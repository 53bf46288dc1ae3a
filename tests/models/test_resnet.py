import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.resnet import SIZES, ResNet, ResNetConfig

SMALL = ResNetConfig(depths=(1, 2, 1, 1))


def disturb(model: torch.nn.Module) -> None:
    """Give every parameter a value of its own, so that no norm or bias hides behind ones and zeros."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = noise * 0.05 if parameter.ndim > 1 else 1 + 0.3 * noise


@pytest.fixture(scope="module")
def pair_with_timm():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("resnetv2_50x1_bit", num_classes=0).eval()
    disturb(theirs)
    ours = ResNet(SIZES["bit_r50x1"]).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("size", [(64, 64), (97, 70)])
def test_bit_computes_what_timms_does(pair_with_timm, size: tuple[int, int]) -> None:
    ours, theirs = pair_with_timm
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_the_map_of_every_stage_is_timms(pair_with_timm) -> None:
    ours, theirs = (model.double() for model in pair_with_timm)
    images = torch.randn(1, 3, 70, 97, dtype=torch.float64)
    with torch.no_grad():
        maps = ours.feature_maps(images)
        expected = theirs.forward_intermediates(images, norm=True, intermediates_only=True)[1:]
    for found, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(found, other, rtol=1e-10, atol=1e-10)
    ours.float()
    theirs.float()


@pytest.mark.parametrize("name", SIZES)
def test_names_and_shapes_of_every_size_are_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = build_model(name, num_classes=0)
        theirs = timm.create_model(f"resnetv2_{name.removeprefix('bit_r')}_bit", num_classes=0)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.parametrize("size", [(64, 64), (65, 63), (31, 100), (8, 8)])
def test_maps_have_the_strides_and_channels_they_claim(size: tuple[int, int]) -> None:
    model = ResNet(SMALL)
    maps = model.feature_maps(torch.randn(1, 3, *size))
    for features, channels, stride in zip(maps, model.channels, model.strides, strict=True):
        assert features.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))
    assert model.embed(torch.randn(1, 3, *size)).shape == (1, model.width)


def test_every_parameter_learns() -> None:
    model = build_model("bit_r50x1", depths=(1, 1, 1, 1), num_classes=3, channels=1)
    model(torch.randn(2, 1, 64, 64)).square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_layers_rise_from_stem_to_norm() -> None:
    model = ResNet(SMALL)
    layers = [model.layer_of(name) for name, _ in model.named_parameters()]
    assert layers == sorted(layers)
    assert set(layers) == set(range(model.depth + 2))
    assert model.layer_of("stages.2.blocks.0.conv1.weight") == 4


def test_drop_path_rises_over_all_stages() -> None:
    model = ResNet(ResNetConfig(depths=(1, 2, 1, 1), drop_path=0.4))
    rates = [block.drop_path for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_samples_of_a_batch_do_not_touch_each_other() -> None:
    model, images = ResNet(SMALL).train(), torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-4)


def test_an_impossible_depth_is_refused() -> None:
    with pytest.raises(ConfigError, match="depths"):
        build_model("bit_r50x1", depths=(1, 0, 1, 1))


def test_wrong_channels_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        ResNet(SMALL)(torch.randn(1, 1, 32, 32))
