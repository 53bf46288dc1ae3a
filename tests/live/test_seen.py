"""What the window says of an image against `vitrail predict`, a naive ViT and timm on what is left of it."""

import io

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image

import vitrail
from tests.live.conftest import noise_file
from vitrail.errors import ConfigError
from vitrail.explain.attention_gradients import class_relevance
from vitrail.explain.fill import mean_fill
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.rollout import attention_maps
from vitrail.explain.stitched import window_rollout
from vitrail.explain.target import Target
from vitrail.live.seen import Seen

HIDDEN = [0, 5, 6, 15]
LEFT = [n for n in range(16) if n not in HIDDEN]


def seen(window, name, hidden=(), precision="fp32"):
    session = window(name, precision=precision)
    held = session.images.add(noise_file(), "noise.png")
    return Seen(session.models[0], held.pixels[0], hidden)


def as_timm(model):
    """The same small ViT, built and run by timm."""
    other = timm.models.VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=3)
    state = {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}
    other.load_state_dict(state)
    return other.eval()


@pytest.mark.parametrize("name", ["vit", "mean", "swin", "bit", "hybrid"])
def test_of_a_whole_image_the_prediction_is_that_of_predict(window, models, name):
    image = Image.open(io.BytesIO(noise_file()))
    (expected,) = vitrail.predict(models[name], image, top=3)
    found = seen(window, name, precision="auto").probabilities
    assert dict(expected.classes) == pytest.approx({f"class {n}": float(found[n]) for n in range(3)}, abs=1e-7)


def test_without_patches_the_prediction_is_that_of_timm_on_the_shorter_sequence(window):
    one = seen(window, "vit", HIDDEN)
    other = as_timm(one.model.model)
    with torch.no_grad():
        tokens = other._pos_embed(other.patch_embed(one.whole))
        kept = tokens[:, [0, *(1 + n for n in LEFT)]]
        expected = other.head(other.norm(other.blocks(kept))[:, 0]).softmax(dim=1)[0]
        whole = other(one.whole).softmax(dim=1)[0]
    torch.testing.assert_close(one.probabilities, expected, rtol=1e-5, atol=1e-7)
    assert (one.probabilities - whole).abs().max() > 1e-6


def test_where_no_patch_can_be_taken_out_the_model_sees_the_mean_colour(window):
    for name in ("swin", "bit", "hybrid"):
        one = seen(window, name, [3])
        height, width = one.whole.shape[-2:]
        side = one.model.cells.side
        expected = one.whole.clone()
        row, column = divmod(3, width // side)
        for channel in range(3):
            mean = one.whole[0, channel].mean()
            expected[0, channel, row * side : (row + 1) * side, column * side : (column + 1) * side] = mean
        assert height // side > 1
        torch.testing.assert_close(one.inputs, expected)
        with torch.no_grad():
            logits = one.model.model(expected)
        torch.testing.assert_close(one.probabilities, logits.softmax(dim=1)[0], rtol=1e-5, atol=1e-7)


def test_attention_and_rollout_of_a_whole_image_are_those_that_look_draws(window):
    one = seen(window, "vit")
    for layer in range(2):
        expected = attention_maps(one.model.model, one.whole, layer)
        torch.testing.assert_close(one.attention.layers[layer], expected.heads[0])
    torch.testing.assert_close(one.attention.rollout, expected.rollout[0])
    assert one.attention.even == (1 / 17, 1 / 17)


def test_attention_of_a_painted_image_leaves_nothing_for_what_is_not_there(window):
    one = seen(window, "vit", HIDDEN)
    for layer in (*one.attention.layers, one.attention.rollout):
        flat = layer.flatten(-2)
        assert flat[..., HIDDEN].isnan().all()
        assert (flat[..., LEFT] > 0).all()
    assert one.attention.even_rollout == 1 / (1 + len(LEFT))


def test_of_a_swin_each_layer_shares_one_out_over_its_own_map(window):
    one = seen(window, "swin")
    for layer in one.attention.layers:
        assert layer.sum(dim=(-2, -1)).tolist() == pytest.approx([1.0] * len(layer), abs=1e-5)
    torch.testing.assert_close(one.attention.rollout, window_rollout(one.model.model, one.whole)[0])


@pytest.mark.parametrize("hidden", [(), HIDDEN])
def test_attention_of_a_patch_is_its_row_among_the_tokens_that_are_there(window, hidden):
    one = seen(window, "vit", hidden)
    left = [n for n in range(16) if n not in hidden]
    expected = []
    one.model.backbone.blocks[1].attn.observe = expected.append
    with torch.no_grad():
        one.model.backbone.forward_features(one.whole, torch.tensor([left]))
    one.model.backbone.blocks[1].attn.observe = None
    found, even = one.attention_of_cell(1, left[3])
    torch.testing.assert_close(found.flatten(1)[:, left], expected[0][0, :, 1 + 3, 1:], rtol=1e-5, atol=1e-7)
    assert found.flatten(1)[:, list(hidden)].isnan().all()
    assert even == 1 / (1 + len(left))
    other, _ = one.attention_of_cell(1, left[5])
    torch.testing.assert_close(other.flatten(1)[:, left], expected[0][0, :, 1 + 5, 1:], rtol=1e-5, atol=1e-7)


def test_attention_of_a_place_in_a_swin_stays_in_its_window_and_adds_up_to_one(window):
    one = seen(window, "swin")
    found, even = one.attention_of_cell(0, 0)
    assert found.sum(dim=(1, 2)).tolist() == pytest.approx([1.0] * len(found), abs=1e-5)
    assert (found[:, 4:] == 0).all()
    assert (found[:, :, 4:] == 0).all()
    assert even == 1 / 16


def test_similarity_is_the_cosine_of_the_tokens_of_the_last_layer(window):
    one = seen(window, "vit", HIDDEN)
    with torch.no_grad():
        tokens = one.model.backbone.forward_features(one.whole, torch.tensor([LEFT]))[0, 1:].double().numpy()
    found = one.similarity(LEFT[3]).flatten()
    for place, number in enumerate(LEFT):
        a, b = tokens[place], tokens[3]
        assert float(found[number]) == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    assert found[HIDDEN].isnan().all()


def test_similarity_on_a_coarser_map_is_to_the_place_the_cell_lies_in(window):
    one = seen(window, "bit")
    rows, columns = one.model.cells.grid
    h, w = one.tokens.shape[-2:]
    assert h < rows
    last = one.similarity(rows * columns - 1)
    assert float(last[h - 1, w - 1]) == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(last, F.cosine_similarity(one.tokens, one.tokens[:, -1:, -1:], dim=0))


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_explanations_are_those_of_explain(window, name):
    for hidden in [(), (2, 3)]:
        one = seen(window, name, hidden)
        if hidden and name == "vit":
            continue  # against a naive ViT in tests/explain/test_visible.py
        target = Target(torch.tensor([1]))
        expected = class_relevance(one.model.model, one.inputs.clone(), target)[0]
        torch.testing.assert_close(one.explanation("chefer", 1), expected)
        if name == "vit":
            torch.testing.assert_close(one.explanation("grad-cam", 1), grad_cam(one.model.model, one.inputs, target)[0])


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_what_a_class_loses_is_the_difference_of_two_predictions(window, name):
    one = seen(window, name, [0, 1])
    found = one.removal(2, [4, 9])
    for value, cell in zip(found, [4, 9], strict=True):
        less = Seen(one.model, one.pixels, [0, 1, cell])
        expected = one.probabilities[2].log() - less.probabilities[2].log()
        assert float(value) == pytest.approx(float(expected), abs=1e-5)


def test_a_mask_of_everything_leaves_the_class_token_alone_and_is_refused_where_patches_are_pooled(window):
    every = range(16)
    assert float(seen(window, "vit", every).probabilities.sum()) == pytest.approx(1)
    with pytest.raises(ConfigError, match="every patch is painted away"):
        _ = seen(window, "vit", every).attention
    with pytest.raises(ConfigError, match="pools its patches"):
        _ = seen(window, "mean", every).probabilities


def test_what_stands_in_the_place_of_painted_squares_is_the_mean_of_the_whole_image(window):
    one = seen(window, "bit", [0, 1, 2])
    hidden = one.hidden.view(1, 1, -1)
    torch.testing.assert_close(one.inputs, mean_fill(one.whole, hidden, one.model.cells)[:, 0])


@pytest.mark.parametrize("cell", [-1, 16])
def test_a_patch_that_does_not_exist_is_refused(window, cell):
    with pytest.raises(ConfigError, match=f"there is no patch {cell}; they go from 0 to 15"):
        seen(window, "vit", [cell])


def test_beside_a_vit_the_squares_of_a_model_that_is_filled_are_its_patches(window):
    assert window("bit").models[0].cells.side == 4
    one, other = window("bit", "vit").models
    assert one.cells.side == other.cells.side == 8
    held = window("bit", "vit").images.add(noise_file(), "noise.png")
    (fall,) = Seen(one, held.pixels[0], []).removal(1, [3]).tolist()
    less = Seen(one, held.pixels[0], [3]).probabilities[1].log() - Seen(one, held.pixels[0], []).probabilities[1].log()
    assert fall == pytest.approx(-float(less), abs=1e-5)
