import dataclasses

import numpy as np
import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.layers.patches import patchify
from vitrail.visualize.draw import HIDDEN, to_image
from vitrail.visualize.mask_variants import given_mask, mask_variants, seeded_mask
from vitrail.visualize.reconstruction import panel, reconstruct, to_pixels, without_hidden

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def changed_where_hidden(images, mask, value=1e6):
    hidden = mask.view(len(images), 1, 3, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return torch.where(hidden, torch.full_like(images, value), images)


def test_a_perfect_prediction_gives_the_original_back(mae, images):
    patches = patchify(images, 4)
    mask = seeded_mask(6, 0.5, 3, seed=0)
    pixels = to_pixels(mae.target(images), patches, mask, (3, 2), 4, "true")
    assert torch.allclose(pixels, patches, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_model_that_knows_the_answer_reconstructs_every_byte_of_the_image(mae, images, normalize, monkeypatch):
    mae.config = dataclasses.replace(mae.config, target="normalized" if normalize else "pixels")
    mae.decoder.target.normalize = normalize
    perfect = mae.target(images)
    forward = mae.forward
    monkeypatch.setattr(mae, "forward", lambda *args: dataclasses.replace(forward(*args), predicted=perfect))
    result = reconstruct(mae, images, seeded_mask(6, 0.5, 3, seed=0), "true")
    for index in range(3):
        original = to_image(images[index], MEAN, STD)
        assert to_image(result.predicted[index], MEAN, STD).tobytes() == original.tobytes()
        assert to_image(result.pasted[index], MEAN, STD).tobytes() == original.tobytes()


@pytest.mark.parametrize("value", [-1e6, 0.0, float("nan"), float("inf")])
def test_estimated_reconstruction_does_not_depend_on_hidden_pixels(mae, images, value):
    mask = seeded_mask(6, 0.5, 3, seed=3)
    other = changed_where_hidden(images, mask, value)
    before, after = reconstruct(mae, images, mask), reconstruct(mae, other, mask)
    assert torch.equal(before.pasted, after.pasted)
    assert torch.equal(before.predicted, after.predicted)


def test_true_statistics_do_depend_on_hidden_pixels_and_are_labelled(mae, images):
    mask = seeded_mask(6, 0.5, 3, seed=3)
    other = changed_where_hidden(images, mask, 5.0)
    before, after = reconstruct(mae, images, mask, "true"), reconstruct(mae, other, mask, "true")
    assert not torch.equal(before.pasted, after.pasted)
    assert "hidden patch's true mean and contrast" in before.label
    assert "without looking at what is hidden" in reconstruct(mae, images, mask).label


def test_visible_patches_are_pasted_and_hidden_pixels_marked(mae, images):
    mask = seeded_mask(6, 0.5, 3, seed=0)
    result = reconstruct(mae, images, mask)
    visible = ~result.hidden.unsqueeze(1).expand_as(images)
    assert torch.equal(result.pasted[visible], images[visible])
    assert torch.equal(result.pasted[~visible], result.predicted[~visible])
    assert torch.equal(result.hidden[:, ::4, ::4].flatten(1), mask)


def test_images_that_patches_do_not_fit_come_back_at_their_size(mae):
    images = torch.randn(1, 3, 11, 13)
    result = reconstruct(mae, images, seeded_mask(12, 0.5, 1, seed=0))
    assert result.pasted.shape == images.shape
    assert result.hidden.shape == (1, 11, 13)


def test_hidden_pixels_are_one_flat_grey_and_visible_ones_untouched(images):
    image = to_image(images[0], MEAN, STD)
    hidden = torch.zeros(12, 8, dtype=torch.bool)
    hidden[4:8, :4] = True
    pixels = np.array(without_hidden(image, hidden))
    assert (pixels[hidden.numpy()] == HIDDEN).all()
    assert (pixels[~hidden.numpy()] == np.array(image)[~hidden.numpy()]).all()


def test_a_seed_gives_the_same_masks_whatever_was_drawn_before():
    first = seeded_mask(16, 0.75, 4, seed=5)
    state = torch.get_rng_state()
    torch.rand(7)
    assert torch.equal(first, seeded_mask(16, 0.75, 4, seed=5))
    assert not torch.equal(first, seeded_mask(16, 0.75, 4, seed=6))
    torch.set_rng_state(state)
    seeded_mask(16, 0.75, 4, seed=5)
    assert torch.equal(state, torch.get_rng_state())


def test_an_image_keeps_its_mask_when_more_images_follow():
    assert torch.equal(seeded_mask(196, 0.75, 1, seed=5)[0], seeded_mask(196, 0.75, 9, seed=5)[0])


def test_panel_is_the_same_twice_and_leaves_the_model_in_training(mae, images):
    mae.train()
    hidden = mask_variants((3, 2), 3, maskings=("random", "block"), ratios=(0.5, 0.75), seeds=(0, 1))
    options = {"hidden": hidden, "captions": ["a", "b", "c"]}
    first, second = (panel(mae, images, MEAN, STD, **options) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert mae.training


def test_panel_without_a_look_at_hidden_pixels_differs_from_the_one_with_it(mae, images):
    estimated = panel(mae, images, MEAN, STD)
    true = panel(mae, images, MEAN, STD, statistics="true")
    assert estimated.tobytes() != true.tobytes()


def test_wrong_settings_are_named(mae, images):
    with pytest.raises(ConfigError, match="'estimated' or 'true'"):
        reconstruct(mae, images, seeded_mask(6, 0.5, 3, seed=0), "guessed")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"mask_ratio 0\.99"):
        mask_variants((3, 2), 3, ratios=(0.99,))


def test_the_grid_comes_once_and_at_its_own_ratio_alone():
    captions = [
        h.caption for h in mask_variants((4, 4), 1, maskings=("random", "grid"), ratios=(0.5, 0.75), seeds=(0, 1))
    ]
    assert [c for c in captions if "grid" in c] == ["75.0 % hidden, grid"]
    assert len(captions) == 5
    with pytest.raises(ConfigError, match="one of every four"):
        mask_variants((4, 4), 1, maskings=("grid",), ratios=(0.5,))


def test_a_mask_of_the_users_hides_the_same_patches_of_every_image(mae, images):
    mask = torch.tensor([True, False, False, True, False, False])
    result = reconstruct(mae, images, given_mask(mask, 3).mask)
    assert torch.equal(result.hidden[:, ::4, ::4].flatten(1), mask.expand(3, -1))


def with_target(target, **options):
    torch.manual_seed(0)
    shape = {"image_size": (12, 8), "patch_size": 4, "width": 16, "depth": 2, "num_heads": 2, "mask_ratio": 0.5}
    mae = build_model("mae_vit_ti16", **shape, decoder_width=16, decoder_depth=1, target=target, **options)
    mae.decoder.target.fit(torch.randn(200, 48))
    return mae


def test_coefficients_are_drawn_as_the_image_they_add_up_to(images):
    mae = with_target("pca", components=48)
    result = reconstruct(mae, images, seeded_mask(6, 0.5, 3, seed=0))
    torch.testing.assert_close(result.sayable, images, rtol=1e-4, atol=1e-4)
    few = reconstruct(with_target("pca", components=8), images, seeded_mask(6, 0.5, 3, seed=0))
    assert (few.sayable - images).square().mean() > 0.1
    assert "8 coefficients" in few.label


def test_tokens_are_drawn_as_the_patches_they_stand_for(images):
    mae = with_target("tokens", vocabulary=5)
    result = reconstruct(mae, images, seeded_mask(6, 0.5, 3, seed=0))
    centres = mae.decoder.target.tokenizer.centres
    for drawn in (result.predicted, result.sayable):
        assert torch.cdist(patchify(drawn, 4).flatten(0, 1), centres).min(dim=1).values.max() < 1e-5
    plain = dataclasses.replace(mae.config, target="pixels")
    wider = panel(mae, images, MEAN, STD).width
    narrower = panel(type(mae)(mae.encoder, plain), images, MEAN, STD).width
    assert wider > narrower, "what tokens could say has a column of its own"


def test_a_tokenizer_that_cannot_draw_is_one_sentence(images):
    class Dark(torch.nn.Module):
        vocabulary = 2

        def forward(self, images):
            return (patchify(images, 4).mean(-1) > 0).long()

    torch.manual_seed(0)
    shape = {"image_size": (12, 8), "patch_size": 4, "width": 16, "depth": 2, "num_heads": 2, "mask_ratio": 0.5}
    mae = build_model("mae_vit_ti16", **shape, decoder_width=16, target="tokens", vocabulary=2, tokenizer="own")
    with pytest.raises(ConfigError, match="tokenizer is not part of vitrail"):
        mae(images)
    mae.decoder.target.use(Dark())
    assert mae(images).loss.isfinite()
    with pytest.raises(ConfigError, match="no way to draw"):
        reconstruct(mae, images, seeded_mask(6, 0.5, 3, seed=0))
