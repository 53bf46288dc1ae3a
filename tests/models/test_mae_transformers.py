"""vitrail's masked autoencoder and transformers' ViTMAEForPreTraining, number by number."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.weights.random_weights import randomise, relative_difference
from vitrail.heads.names import build_model
from vitrail.layers.positions import resize_positions, sincos_2d
from vitrail.weights.load import load_weights

hf = pytest.importorskip("transformers")

CLOSE = 1e-5


def theirs(size: int, patch_size: int, normalised: bool) -> Any:
    config = hf.ViTMAEConfig(
        hidden_size=96,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=384,
        image_size=size,
        patch_size=patch_size,
        decoder_hidden_size=64,
        decoder_num_hidden_layers=2,
        decoder_num_attention_heads=4,
        decoder_intermediate_size=256,
        layer_norm_eps=1e-6,
        norm_pix_loss=normalised,
    )
    model = randomise(hf.ViTMAEForPreTraining(config))
    # Random positions would hide nothing, but those of the published files are sines and cosines.
    grid = (size // patch_size,) * 2
    for table, width in ((model.vit.embeddings.position_embeddings, 96), (model.decoder.decoder_pos_embed, 64)):
        table.data.copy_(F.pad(sincos_2d(grid, width), (0, 0, 1, 0)))
    return model


def ours(model: Any, size: int, patch_size: int, normalised: bool, folder: Path) -> Any:
    model.save_pretrained(folder)
    shape = {"width": 96, "depth": 3, "num_heads": 3, "image_size": size, "patch_size": patch_size}
    decoder = {"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4}
    own = build_model("mae_vit_s16", **shape, **decoder, normalize_target=normalised).eval()
    report = load_weights(own, folder)
    assert not (report.missing + report.dropped + report.unexpected)
    return own


@pytest.mark.parametrize("normalised", [False, True])
def test_loss_and_predictions_are_equal_at_224(normalised: bool, tmp_path: Path) -> None:
    other = theirs(224, 16, normalised)
    own = ours(other, 224, 16, normalised, tmp_path)
    images, noise = torch.randn(2, 3, 224, 224), torch.rand(2, 196)
    with torch.no_grad():
        expected = other(images, noise=noise)
        got = own(images, expected.mask)
    assert expected.mask.sum() == 2 * 147
    assert relative_difference(got.predicted, expected.logits) < CLOSE
    assert got.loss.item() == pytest.approx(expected.loss.item(), rel=CLOSE)
    assert own.loss(images, expected.mask).item() == pytest.approx(expected.loss.item(), rel=CLOSE)


@pytest.mark.parametrize("normalised", [False, True])
def test_gradients_are_equal_too(normalised: bool, tmp_path: Path) -> None:
    other = theirs(32, 8, normalised)
    own = ours(other, 32, 8, normalised, tmp_path)
    images, noise = torch.randn(2, 3, 32, 32), torch.rand(2, 16)
    expected = other(images, noise=noise)
    expected.loss.backward()
    own.loss(images, expected.mask).backward()
    for mine, his in (
        (own.encoder.patch_embed.proj.weight, other.vit.embeddings.patch_embeddings.projection.weight),
        (own.encoder.cls_token, other.vit.embeddings.cls_token),
        (own.decoder.mask_token, other.decoder.mask_token),
        (own.decoder.predict.weight, other.decoder.decoder_pred.weight),
    ):
        assert relative_difference(mine.grad, his.grad) < 1e-4


WIDE = (48, 80)
"""A grid of 6x10 of patches of 8, from weights of 4x4."""


def as_image(table: torch.Tensor) -> torch.Tensor:
    """Resize positions of 4x4 places to 6x10 the way their encoder does: bicubic, as an image."""
    places = table[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    places = F.interpolate(places, (6, 10), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], places.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def wide(normalised: bool, folder: Path) -> tuple[Any, Any, torch.Tensor, torch.Tensor]:
    """Both models, ours with the positions that theirs would have on the wide grid."""
    other = theirs(32, 8, normalised)
    own = ours(other, 32, 8, normalised, folder)
    shape = build_model(
        "mae_vit_s16",
        **{"width": 96, "depth": 3, "num_heads": 3, "image_size": WIDE, "patch_size": 8},
        **{"decoder_width": 64, "decoder_depth": 2, "decoder_heads": 4},
        normalize_target=normalised,
    )
    state = own.state_dict()
    for name in ("encoder.pos_embed", "decoder.pos_embed"):
        state[name] = as_image(state[name])
    shape.load_state_dict(state)
    return other, shape.eval(), torch.randn(2, 3, *WIDE), torch.rand(2, 60)


def test_encoders_are_equal_on_images_that_are_not_square(tmp_path: Path) -> None:
    other, own, images, noise = wide(False, tmp_path)
    with torch.no_grad():
        seen = other.vit(images, noise=noise, interpolate_pos_encoding=True)
        got = own.encoder.forward_features(images, own.split(images, seen.mask).visible)
    # Theirs come in the order of the noise, ours in that of the image.
    order = seen.ids_restore.argsort(dim=1)[:, :15].argsort(dim=1)
    expected = seen.last_hidden_state[:, 1:].gather(1, order.unsqueeze(-1).expand(-1, -1, 96))
    assert relative_difference(got[:, 1:], expected) < CLOSE


def test_their_decoder_resizes_positions_as_a_line_and_ours_as_an_image(tmp_path: Path) -> None:
    other = theirs(32, 8, False)
    own = ours(other, 32, 8, False, tmp_path)
    table = own.decoder.pos_embed
    assert torch.equal(table, other.decoder.decoder_pos_embed)
    line = other.decoder.interpolate_pos_encoding(torch.empty(1, 61, 64))
    image = resize_positions(table, (4, 4), (6, 10))
    assert line.shape == image.shape
    # Half of the channels tell the column alone, and must be the same in every row: in theirs they are not.
    columns = [places[0, 1:, :32].unflatten(0, (6, 10)) for places in (line, image)]
    differing = [(places - places[:1]).abs().max().item() for places in columns]
    assert differing[0] > 0.5
    assert differing[1] < 1e-5


@pytest.mark.parametrize("normalised", [False, True])
def test_with_positions_resized_as_an_image_theirs_agrees_on_other_shapes_as_well(
    normalised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, own, images, noise = wide(normalised, tmp_path)
    with torch.no_grad():
        wrong = other(images, noise=noise, interpolate_pos_encoding=True)
        monkeypatch.setattr(other.decoder, "interpolate_pos_encoding", lambda embeddings: own.decoder.pos_embed)
        right = other(images, noise=noise, interpolate_pos_encoding=True)
        got = own(images, right.mask)
    assert relative_difference(got.predicted, right.logits) < CLOSE
    assert got.loss.item() == pytest.approx(right.loss.item(), rel=CLOSE)
    assert relative_difference(got.predicted, wrong.logits) > 0.01, "as it comes, theirs predicts something else"
