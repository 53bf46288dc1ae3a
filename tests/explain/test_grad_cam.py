"""Grad-CAM against its formula in loops, with gradients by central differences."""

import numpy as np
import pytest
import torch

from tests.explain.naive import NaiveViT, classifier, noise, slope
from vitrail.errors import ConfigError
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.target import Target


@pytest.mark.parametrize("against", [None, 2])
def test_of_a_vit_it_is_the_formula_over_the_tokens_before_the_last_block(against):
    model, images = classifier(), noise(2, 8, 12)
    naive, found = NaiveViT(model), grad_cam(model, images, Target(torch.tensor([1, 0]), _same(against)))
    for number, chosen in enumerate([1, 0]):
        tokens, _ = naive.block(naive.tokens(images[number].numpy()), 0)

        def score(added, tokens=tokens, chosen=chosen):
            disturbed = tokens.copy()
            disturbed[1:] += added
            logits = naive.answer(naive.block(disturbed, 1)[0])
            return logits[chosen] - (logits[against] if against is not None else 0)

        gradient = slope(score, (6, 8))
        expected = np.zeros(6)
        for patch in range(6):
            for channel in range(8):
                mean = sum(gradient[other, channel] for other in range(6)) / 6
                expected[patch] += mean * tokens[1 + patch, channel]
        assert found[number].flatten().numpy() == pytest.approx(np.maximum(expected, 0), abs=1e-6)
    assert found.max() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("swin_t", {"image_size": 48, "embed_width": 32, "depths": (1, 2), "window": 4}),
        ("bit_r50x1", {"image_size": 48, "depths": (1, 1)}),
    ],
)
def test_over_a_mean_it_is_the_weights_of_the_head(name, options):
    # The gradient of a mean is the same everywhere, so the weight of a channel is that of the head (CAM).
    model, images = classifier(name, **options), noise(2, 40, 56)
    found = grad_cam(model, images, Target(torch.tensor([1, 0])))
    with torch.no_grad():
        features = model.backbone.forward_features(images)
    maps = (features.permute(0, 3, 1, 2) if name == "swin_t" else features).numpy()
    weight = model.head.weight.detach().numpy()
    for number, chosen in enumerate([1, 0]):
        for y, x in np.ndindex(*maps.shape[2:]):
            total = sum(weight[chosen, c] * maps[number, c, y, x] for c in range(maps.shape[1]))
            assert float(found[number, y, x]) == pytest.approx(max(total / maps[0, 0].size, 0), abs=1e-9)
    assert found.max() > 0


def test_a_single_place_is_refused():
    model = classifier("bit_r50x1", image_size=48, depths=(1, 1))
    with pytest.raises(ConfigError, match="last map of 8x8 pixels is a single place"):
        grad_cam(model, noise(1, 8, 8), Target(torch.tensor([1])))


def test_a_hybrid_has_a_map_over_its_tokens_and_gradients_are_left_nowhere():
    model = classifier("r_vit_ti16", image_size=64, width=16, depth=2, num_heads=2).train()
    images = noise(1, 64, 96)
    assert grad_cam(model, images, Target(torch.tensor([1]))).shape == (1, 2, 3)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not images.requires_grad


def _same(against):
    return None if against is None else torch.tensor([against, against])
