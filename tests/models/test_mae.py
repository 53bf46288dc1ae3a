import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.layers.masking import random_mask, split
from vitrail.layers.patches import patchify, take, unpatchify
from vitrail.models.mae import MAE

SMALL = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "decoder_width": 32, "decoder_depth": 1}


@pytest.fixture
def mae() -> MAE:
    torch.manual_seed(0)
    return build_model("mae_vit_ti16", **SMALL)  # type: ignore[return-value]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "count"),
    [("mae_vit_b16", 111_907_840), ("mae_vit_l16", 329_541_888), ("mae_vit_h14", 657_074_508)],
)
def test_parameter_counts_are_the_published_ones(name: str, count: int) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_encoder_runs_on_a_quarter_of_the_tokens(mae: MAE, images: torch.Tensor) -> None:
    seen = []
    mae.encoder.blocks[0].register_forward_hook(lambda block, given, result: seen.append(given[0].shape[1]))
    mae(images)
    assert seen == [1 + 16 // 4]


def test_gradients_at_visible_targets_are_zero_and_at_hidden_ones_are_not(mae: MAE, images: torch.Tensor) -> None:
    mask = random_mask(16, 0.75, 3)
    target = patchify(images, 8).requires_grad_()
    mae.target = lambda images, places: take(target, places)  # type: ignore[method-assign]
    mae(images, mask).loss.backward()
    assert target.grad is not None
    touched = target.grad.abs().sum(dim=-1) > 0
    assert torch.equal(touched, mask)


def test_hidden_pixels_do_not_reach_the_prediction(mae: MAE, images: torch.Tensor) -> None:
    mask = random_mask(16, 0.75, 3)
    patches = patchify(images, 8)
    patches[mask] += torch.randn_like(patches[mask])
    changed = unpatchify(patches, 8, (4, 4))
    assert torch.equal(mae(images, mask).predicted, mae(changed, mask).predicted)


def test_the_prediction_is_in_the_order_of_the_patches(mae: MAE, images: torch.Tensor) -> None:
    """Naive order: put mask tokens in their places before the decoder instead of after it."""
    mask = random_mask(16, 0.5, 3)
    parts = split(mask)
    tokens = mae.decoder.embed(mae.encoder.forward_features(images, parts.visible))
    full = mae.decoder.mask_token.expand(3, 16, -1).clone()
    for row in range(3):
        full[row, parts.visible[row]] = tokens[row, 1:]
    full = torch.cat([tokens[:, :1], full], dim=1) + mae.decoder.pos_embed
    for block in mae.decoder.blocks:
        full = block(full)
    naive = mae.decoder.predict(mae.decoder.norm(full))[:, 1:]
    torch.testing.assert_close(mae(images, mask).predicted, naive, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_loss_is_the_mean_squared_error_over_hidden_patches(images: torch.Tensor, normalize: bool) -> None:
    mae = build_model("mae_vit_ti16", **SMALL, normalize_target=normalize)
    mask = random_mask(16, 0.75, 3)
    out = mae(images, mask)
    patches = patchify(images, 8).double()
    if normalize:
        patches = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    naive = [(out.predicted[b, n].double() - patches[b, n]).square().mean() for b, n in mask.nonzero().tolist()]
    assert out.loss.item() == pytest.approx(torch.stack(naive).mean().item(), rel=1e-5)
    assert mae.loss(images, mask).item() == pytest.approx(out.loss.item(), rel=1e-5)


def test_the_encoder_alone_never_hides_anything(mae: MAE, images: torch.Tensor) -> None:
    assert mae.encoder.forward_features(images).shape == (3, 17, 64)


def test_images_of_any_shape_are_reconstructed(mae: MAE) -> None:
    out = mae(torch.randn(2, 3, 24, 56))
    assert out.predicted.shape == (2, 3 * 7, 8 * 8 * 3)


def test_fixed_positions_are_not_trained_and_the_rest_is(mae: MAE, images: torch.Tensor) -> None:
    mae(images).loss.backward()
    without = {name for name, parameter in mae.named_parameters() if parameter.grad is None}
    assert without == {"encoder.pos_embed", "decoder.pos_embed"}


def test_a_mask_of_the_wrong_shape_says_which_is_right(mae: MAE, images: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match=r"\(3, 16\)"):
        mae(images, torch.ones(3, 9, dtype=torch.bool))


@pytest.mark.parametrize("ratio", [0.0, 1.0, -1.0, 2.0])
def test_an_impossible_ratio_is_refused_when_the_model_is_built(ratio: float) -> None:
    with pytest.raises(ConfigError, match="mask_ratio"):
        build_model("mae_vit_ti16", **SMALL, mask_ratio=ratio)


def test_mask_tokens_in_the_encoder_stand_where_patches_are_hidden(images: torch.Tensor) -> None:
    """Naive: embed everything, put the token in place, run all blocks, decode in the image's order."""
    torch.manual_seed(0)
    mae: MAE = build_model("mae_vit_ti16", **SMALL, mask_tokens_in="encoder")  # type: ignore[assignment]
    assert mae.decoder.mask_token is None
    mask = random_mask(16, 0.75, 3)
    tokens = mae.encoder.patch_embed(images)
    tokens[mask] = mae.encoder_mask_token[0, 0]  # type: ignore[index]
    tokens = torch.cat([mae.encoder.cls_token.expand(3, -1, -1), tokens], dim=1) + mae.encoder.pos_embed  # type: ignore
    for block in mae.encoder.blocks:
        tokens = block(tokens)
    tokens = mae.decoder.embed(mae.encoder.norm(tokens)) + mae.decoder.pos_embed
    for block in mae.decoder.blocks:
        tokens = block(tokens)
    naive = mae.decoder.predict(mae.decoder.norm(tokens))[:, 1:]
    torch.testing.assert_close(mae(images, mask).predicted, naive, rtol=1e-4, atol=1e-5)
    mae.loss(images, mask).backward()
    without = {name for name, parameter in mae.named_parameters() if parameter.grad is None}
    assert without == {"encoder.pos_embed", "decoder.pos_embed"}


@pytest.mark.parametrize("mask_tokens_in", ["decoder", "encoder"])
def test_hidden_pixels_reach_the_prediction_of_no_variant(images: torch.Tensor, mask_tokens_in: str) -> None:
    mae = build_model("mae_vit_ti16", **SMALL, mask_tokens_in=mask_tokens_in)
    mask = random_mask(16, 0.75, 3)
    patches = patchify(images, 8)
    patches[mask] = float("nan")
    changed = unpatchify(patches, 8, (4, 4))
    assert torch.equal(mae(images, mask).predicted, mae(changed, mask).predicted)


@pytest.mark.parametrize("positions", ["learned", "learned_2d", "sincos_2d", "relative", "relative_bias", "none"])
@pytest.mark.parametrize("mask_tokens_in", ["decoder", "encoder"])
def test_every_kind_of_position_can_be_masked(images: torch.Tensor, positions: str, mask_tokens_in: str) -> None:
    mae = build_model("mae_vit_ti16", **SMALL, positions=positions, mask_tokens_in=mask_tokens_in)
    assert mae(images).loss.isfinite()


def test_an_encoder_without_a_class_token_learns_all_it_has(images: torch.Tensor) -> None:
    mae: MAE = build_model("mae_vit_ti16", **SMALL, class_token=False, pool="mean")  # type: ignore[assignment]
    mae(images).loss.backward()
    without = {name for name, parameter in mae.named_parameters() if parameter.grad is None}
    assert without == {"encoder.pos_embed", "decoder.pos_embed"}, "its norm is the one that stays when it is fine-tuned"
    assert mae.encoder.embed(images).shape == (3, 64)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_any_number_of_channels_is_predicted_on_images_of_any_shape(channels: int) -> None:
    mae = build_model("mae_vit_ti16", **{**SMALL, "image_size": (24, 40)}, channels=channels)
    out = mae(torch.randn(2, channels, 24, 40))
    assert out.predicted.shape == (2, 15, 64 * channels)


@pytest.mark.parametrize(("depth", "width"), [(1, 128), (12, 128), (1, 1024)])
def test_decoders_of_every_size_of_the_paper_can_be_built(images: torch.Tensor, depth: int, width: int) -> None:
    mae = build_model("mae_vit_ti16", **{**SMALL, "decoder_depth": depth, "decoder_width": width})
    assert len(mae.decoder.blocks) == depth
    assert mae.decoder.blocks[0].attn.num_heads == width // 32
    assert mae(images).loss.isfinite()


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"decoder_depth": 0}, "decoder_depth must be 1 or more"),
        ({"decoder_width": 30}, "divisible by 4"),
        ({"decoder_width": 64, "decoder_heads": 5}, "decoder_heads 5"),
        ({"pool": "attention"}, 'pool "class" or "mean"'),
        ({"masking": "grids"}, "did you mean 'grid'"),
        ({"masking": "grid", "mask_ratio": 0.5}, "one of every four"),
        ({"mask_tokens_in": "both"}, "mask_tokens_in must be one of"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(options: dict[str, object], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        build_model("mae_vit_ti16", **{**SMALL, **options})


@pytest.mark.parametrize("masking", ["block", "grid"])
def test_a_model_draws_the_masks_it_is_configured_for(images: torch.Tensor, masking: str) -> None:
    mask = build_model("mae_vit_ti16", **SMALL, masking=masking)(images).mask
    assert (mask.sum(dim=1) == 12).all()
    if masking == "grid":
        assert (~mask).view(3, 4, 4)[:, ::2, ::2].all()


@pytest.mark.parametrize("mask_tokens_in", ["decoder", "encoder"])
def test_what_visible_patches_alone_would_need_is_left_out_and_not_missed(
    images: torch.Tensor, mask_tokens_in: str
) -> None:
    """`loss` and its gradients are those of `forward`, which predicts every patch."""
    torch.manual_seed(0)
    mae = build_model("mae_vit_ti16", **{**SMALL, "decoder_depth": 2}, mask_tokens_in=mask_tokens_in).double()
    mask = random_mask(16, 0.75, 3)
    gradients = []
    for loss in (mae.loss(images.double(), mask), mae(images.double(), mask).loss):
        mae.zero_grad()
        loss.backward()
        gradients.append({name: p.grad.clone() for name, p in mae.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-9, atol=1e-12)
