"""The ViT paper's ablations as switches: positions and where they come in, pooling, head."""

import itertools
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import nn

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.mae import MAE, MAEConfig
from vitrail.models.vit import ViT, ViTConfig

HINTS = get_type_hints(ViTConfig)
POSITIONS = get_args(HINTS["positions"])
PLACES = get_args(HINTS["positions_at"])
POOLS = get_args(HINTS["pool"])
SMALL: dict[str, Any] = {"image_size": (32, 32), "patch_size": 8, "width": 16, "num_heads": 2, "depth": 3}
EVERY_KIND = list(itertools.product(POSITIONS, PLACES))


def small(**options: Any) -> ViT:
    torch.manual_seed(0)
    model = ViT(ViTConfig(**{**SMALL, **options})).double()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name.startswith(("pos_embed", "relative", "cls_token")):
            nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize(("kind", "at"), EVERY_KIND)
def test_every_position_takes_any_image_size(kind, at) -> None:
    model = small(positions=kind, positions_at=at)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert model(torch.randn(2, 3, 32, 32).double()).shape == (2, 16)
    assert model.forward_features(torch.randn(2, 3, 24, 45).double()).shape == (2, 1 + 3 * 6, 16)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("kind", "at"), EVERY_KIND)
@pytest.mark.parametrize("class_token", [True, False])
def test_an_image_seen_whole_is_the_same_by_its_visible_patches(kind, at, class_token: bool) -> None:
    """Positions must follow the patches, in whatever order these are gathered."""
    model = small(positions=kind, positions_at=at, class_token=class_token, pool="mean")
    images, order = torch.randn(2, 3, 32, 32).double(), torch.stack([torch.randperm(16) for _ in range(2)])
    prefix = int(class_token)
    whole, shuffled = model.forward_features(images), model.forward_features(images, order)
    for b in range(2):
        torch.testing.assert_close(shuffled[b, prefix:], whole[b, prefix:][order[b]])
        torch.testing.assert_close(shuffled[b, :prefix], whole[b, :prefix])


@pytest.mark.parametrize(("kind", "at"), EVERY_KIND)
def test_only_a_model_without_positions_is_blind_to_order(kind, at) -> None:
    model = small(positions=kind, positions_at=at, pool="mean")
    images = torch.randn(1, 3, 32, 32).double()
    moved = images.roll(8, dims=3)  # the same patches at other places
    assert torch.allclose(model(images), model(moved)) == (kind == "none")


@pytest.mark.parametrize(("kind", "at"), EVERY_KIND)
def test_every_position_and_pool_learns(kind, at) -> None:
    for pool in POOLS:
        model = small(positions=kind, positions_at=at, pool=pool)
        model(torch.randn(2, 3, 32, 32).double()).pow(3).sum().backward()
        learned = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        expected = {n for n, p in model.named_parameters() if p.requires_grad}
        assert learned == expected


@pytest.mark.parametrize("kind", ["learned", "learned_2d", "relative", "relative_bias"])
def test_every_layer_has_its_own_unless_shared(kind) -> None:
    def positions(at) -> int:
        model = small(positions=kind, positions_at=at)
        return sum(p.numel() for n, p in model.named_parameters() if n.startswith(("pos_embed", "relative")))

    assert positions("layers") == 3 * positions("layers_shared")


def test_positions_at_every_layer_are_added_before_every_block() -> None:
    model, images = small(positions_at="layers"), torch.randn(2, 3, 32, 32).double()
    tokens = torch.cat([model.cls_token.expand(2, -1, -1), model.patch_embed(images)], dim=1)
    for layer, block in enumerate(model.blocks):
        tokens = block(tokens + model.pos_embed[layer])
    torch.testing.assert_close(model.forward_features(images), model.norm(tokens))


def test_layers_that_all_hold_the_same_equal_shared_ones() -> None:
    own, shared = small(positions_at="layers"), small(positions_at="layers_shared")
    state = shared.state_dict()
    own.load_state_dict(state | {"pos_embed": state["pos_embed"].expand(3, -1, -1)})
    images = torch.randn(1, 3, 40, 32).double()
    torch.testing.assert_close(own(images), shared(images))


@pytest.mark.parametrize(("kind", "at"), EVERY_KIND)
def test_positions_and_tokens_do_not_decay(kind, at) -> None:
    model = small(positions=kind, positions_at=at, pool="attention")
    tables = {n for n, _ in model.named_parameters() if n.startswith(("pos_embed", "relative"))}
    assert model.no_weight_decay() == {"cls_token", "attn_pool.latent"} | tables


@pytest.mark.parametrize("kind", POSITIONS)
def test_a_masked_autoencoder_takes_every_position(kind) -> None:
    encoder = ViTConfig(**SMALL, positions=kind)
    model = MAE(ViT(encoder), MAEConfig(decoder_width=16, decoder_depth=1, decoder_heads=2))
    loss = model(torch.randn(2, 3, 32, 32)).loss
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize("name", ["relative", "relative_bias"])
def test_layers_of_relative_positions_are_those_of_their_blocks(name) -> None:
    model = small(positions=name)
    assert {model.layer_of(n) for n, _ in model.named_parameters() if n.startswith("relative.2.")} == {3}


def test_attention_pooling_is_timms() -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=64, depth=2, global_pool="map", class_token=False
    ).eval()
    ours = build_model("vit_ti16", num_classes=0, image_size=64, depth=2, pool="attention", class_token=False).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.1)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_resizing_can_be_the_originals() -> None:
    bicubic, bilinear = small(), small(position_resize="bilinear")
    images = torch.randn(1, 3, 48, 48).double()
    assert not torch.allclose(bicubic(images), bilinear(images))
    corners = bilinear.positions.fitted(bilinear.pos_embed, (6, 6))
    torch.testing.assert_close(corners[0, [1, 6, 31, 36]], bilinear.pos_embed[0, [1, 4, 13, 16]])


@pytest.mark.parametrize(("option", "wrong"), [("positions", "learnt"), ("pool", "clas"), ("positions_at", "stm")])
def test_a_misspelt_switch_names_the_right_ones(option: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} must be one of .*did you mean"):
        ViTConfig(**{option: wrong})


@pytest.mark.parametrize("kind", ["relative", "none"])
def test_the_residual_stream_keeps_its_precision_under_autocast(kind) -> None:
    model = small(positions=kind).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.tokens(torch.randn(1, 3, 32, 32)).dtype == torch.float32
