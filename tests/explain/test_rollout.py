"""Rollout against a naive loop, and attention laid out over the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.rollout import attention_maps, class_attention, rollout
from vitrail.heads.names import build_model


def random_attention(layers: int, batch: int, heads: int, tokens: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(2 * torch.randn(batch, heads, tokens, tokens, generator=generator)).softmax(-1) for _ in range(layers)]


def naive_rollout(weights: list[Tensor], head_fusion: str, discard: float) -> np.ndarray:
    """One sample, one row and one entry at a time, in float64."""
    fuse = {"mean": np.mean, "max": np.max, "min": np.min}[head_fusion]
    batch, _, tokens, _ = weights[0].shape
    results = []
    for sample in range(batch):
        flow = np.eye(tokens)
        for layer in weights:
            fused = fuse(layer[sample].double().numpy(), axis=0)
            smallest = np.argsort(fused, axis=None)[: int(discard * tokens * tokens)]
            for flat in smallest:
                fused[flat // tokens, flat % tokens] = 0.0
            mixed = np.zeros((tokens, tokens))
            for i in range(tokens):
                row = [0.5 * fused[i, j] + (0.5 if i == j else 0.0) for j in range(tokens)]
                for j in range(tokens):
                    mixed[i, j] = row[j] / sum(row)
            flow = mixed @ flow
        results.append(flow)
    return np.stack(results)


@settings(max_examples=40, deadline=None)
@given(
    layers=st.integers(1, 4),
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    tokens=st.integers(2, 8),
    head_fusion=st.sampled_from(["mean", "max", "min"]),
    discard=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 10**6),
)
def test_rollout_equals_a_naive_loop(layers, batch, heads, tokens, head_fusion, discard, seed):
    weights = random_attention(layers, batch, heads, tokens, seed)
    result = rollout(weights, head_fusion, discard)
    # The smallest are chosen in float32 by one and float64 by the other: a near tie may fall either way.
    expected = naive_rollout(weights, head_fusion, discard)
    assert np.allclose(result.numpy(), expected, atol=1e-5)
    assert torch.allclose(result.sum(-1), torch.ones(batch, tokens), atol=1e-5)


def test_rollout_multiplies_later_layers_from_the_left():
    # Layer 1: every token looks at token 2. Layer 2: every token looks at token 1.
    first, second = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    first[..., 2], second[..., 1] = 1.0, 1.0
    # Half of token 0's answer comes from token 1, half of which came from token 2.
    assert torch.allclose(rollout([first, second])[0, 0], torch.tensor([0.25, 0.25, 0.5]))


def test_rollout_of_a_sample_does_not_depend_on_its_neighbours():
    weights = random_attention(3, 4, 2, 6, seed=0)
    together = rollout(weights, "max", 0.5)
    alone = rollout([layer[2:3] for layer in weights], "max", 0.5)
    assert torch.equal(together[2:3], alone)


def test_rollout_names_a_mistyped_head_fusion_and_a_wrong_share():
    weights = random_attention(1, 1, 1, 2, seed=0)
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        rollout(weights, "maen")
    with pytest.raises(ConfigError, match="discard"):
        rollout(weights, discard=1.0)
    with pytest.raises(ConfigError, match="at least one layer"):
        rollout([])


def test_class_attention_puts_every_patch_in_its_place():
    # The class token gives patch (row, column) the weight 10 * row + column; every other row is noise.
    weights = torch.rand(2, 3, 7, 7) + 100
    weights[:, :, 0, 1:] = torch.tensor([0.0, 1, 10, 11, 20, 21])
    found = class_attention(weights, grid=(3, 2))
    assert found.shape == (2, 3, 3, 2)
    assert torch.equal(found, torch.tensor([[0.0, 1], [10, 11], [20, 21]]).expand(2, 3, 3, 2))


def test_without_class_token_the_patches_are_averaged():
    weights = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(class_attention(weights, (2, 2), prefix=0)[0, 0], torch.tensor([[6.0, 7], [8, 9]]))


def test_mean_pooling_with_a_class_token_leaves_the_class_token_out():
    weights = torch.zeros(1, 1, 5, 5)
    weights[..., 0, :] = 7.0  # what the class token looks at must not show
    weights[..., 1:, 3] = 1.0
    found = class_attention(weights, (2, 2), prefix=1, by="mean")
    assert torch.equal(found[0, 0], torch.tensor([[0.0, 0], [1, 0]]))


def test_class_attention_refuses_another_grid_and_a_missing_class_token():
    with pytest.raises(ValueError, match="3x3 grid after 1 prefix tokens makes 10 tokens"):
        class_attention(torch.rand(1, 1, 7, 7), (3, 3))
    with pytest.raises(ValueError, match="without a class token"):
        class_attention(torch.rand(1, 1, 6, 6), (3, 2), prefix=0, by="class")


@pytest.mark.parametrize("options", [{}, {"pool": "mean"}, {"pool": "mean", "class_token": False}])
def test_maps_cover_the_grid_of_images_of_any_size_and_batch(options):
    model = build_model(
        "vit_ti16", num_classes=2, image_size=8, patch_size=4, width=16, depth=2, num_heads=2, **options
    ).train()
    images = torch.randn(10, 3, 8, 20)
    maps = attention_maps(model, images, layer=-2)
    assert maps.rollout.shape == (10, 2, 5)
    assert maps.heads.shape == (10, 2, 2, 5)
    assert (maps.layer, maps.by) == (0, options.get("pool", "class"))
    assert maps.tokens == 10 + options.get("class_token", True)
    assert model.training
    alone = attention_maps(model, images[9:], layer=-2)
    assert torch.allclose(maps.rollout[9:], alone.rollout, atol=1e-6)
