"""How far attention reaches, against what geometry gives."""

import math

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain import attention_distance
from vitrail.explain.attention_distance import (
    attention_entropy,
    attention_reach,
    mean_attention_distance,
    window_distance,
    window_entropy,
)
from vitrail.layers.window_layout import Partition, regions, token_index


def test_distance_of_attention_to_the_right_neighbour_is_one_patch():
    weights = torch.zeros(1, 1, 4, 4)  # a 1x3 grid after a class token
    weights[..., 1, 2] = weights[..., 2, 3] = weights[..., 3, 2] = 0.5  # the rest goes to the class token
    weights[..., 1:, 0] = 0.5
    assert mean_attention_distance(weights, (1, 3), patch_size=16).item() == pytest.approx(16.0)


def test_distance_of_even_attention_is_the_mean_distance_of_all_pairs():
    weights = torch.full((2, 3, 4, 4), 0.25)
    expected = 8 * (0 + 1 + 1 + math.sqrt(2)) / 4
    found = mean_attention_distance(weights, (2, 2), patch_size=8, prefix=0)
    assert torch.allclose(found, torch.full((2, 3), expected))


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_distance_and_entropy_equal_a_loop_over_pairs(prefix):
    generator = torch.Generator().manual_seed(4)
    weights = torch.randn(2, 3, prefix + 6, prefix + 6, generator=generator, dtype=torch.float64).softmax(dim=-1)
    found = mean_attention_distance(weights, (2, 3), 16, prefix)
    entropy = attention_entropy(weights, prefix)
    for image in range(2):
        for head in range(3):
            total, spread = 0.0, 0.0
            for q in range(6):
                row = weights[image, head, prefix + q]
                among = float(row[prefix:].sum())
                for k in range(6):
                    away = math.hypot(q // 3 - k // 3, q % 3 - k % 3)
                    total += float(row[prefix + k]) / among * away * 16 / 6
                spread -= sum(float(share) * math.log(float(share)) for share in row) / 6
            assert float(found[image, head]) == pytest.approx(total, abs=1e-6)
            assert float(entropy[image, head]) == pytest.approx(spread, abs=1e-6)


@pytest.mark.parametrize("partition", [Partition(5, 4, 3, 3, 1, 1), Partition(4, 6, 2, 3), Partition(3, 7, 4, 4, 0, 2)])
def test_within_windows_they_equal_a_loop_over_the_tokens_of_each_window(partition):
    generator = torch.Generator().manual_seed(4)
    apart = torch.from_numpy(regions(partition))
    scores = torch.randn(2, partition.windows, 3, partition.area, partition.area, generator=generator).double()
    scores = scores.masked_fill((apart.unsqueeze(2) != apart.unsqueeze(1)).unsqueeze(1), -math.inf)
    weights = scores.softmax(dim=-1)
    distance = window_distance(weights.flatten(0, 1), partition, 8)
    entropy = window_entropy(weights.flatten(0, 1), partition)
    held = token_index(partition).reshape(partition.windows, partition.area)
    tokens = partition.h * partition.w
    for image in range(2):
        for head in range(3):
            total, spread = 0.0, 0.0
            for window in range(partition.windows):
                for q in range(partition.area):
                    if held[window, q] >= tokens:
                        continue
                    for k in range(partition.area):
                        share = float(weights[image, window, head, q, k])
                        if share == 0:
                            continue
                        (y, x), (v, u) = (divmod(int(held[window, one]), partition.w) for one in (q, k))
                        total += share * math.hypot(y - v, x - u) * 8 / tokens
                        spread -= share * math.log(share) / tokens
            assert float(distance[image, head]) == pytest.approx(total, abs=1e-6)
            assert float(entropy[image, head]) == pytest.approx(spread, abs=1e-6)


def silenced(model):
    """Make all scores equal: queries of zero, and no biases."""
    for layer in model.backbone.attention_layers():
        width = layer.qkv.weight.shape[1]
        layer.qkv.weight.data[:width] = 0
        layer.qkv.bias.data[:width] = 0
        if (table := getattr(layer, "relative_position_bias_table", None)) is not None:
            table.data.zero_()
    return model


def test_a_vit_with_even_attention_reaches_as_far_as_geometry_gives():
    model = silenced(classifier(image_size=(8, 12))).float()
    reach = attention_reach(model, noise(3, 8, 12).float())
    places = [(y, x) for y in range(2) for x in range(3)]
    mean = 4 * sum(math.dist(one, other) for one in places for other in places) / 36
    for layer in range(2):
        assert reach.distance[layer].shape == (3, 2)
        assert reach.distance[layer].flatten().tolist() == pytest.approx([mean] * 6, abs=1e-5)
        assert reach.entropy[layer].flatten().tolist() == pytest.approx([math.log(7)] * 6, abs=1e-5)
    assert reach.even_distance == pytest.approx((mean, mean), abs=1e-5)
    assert reach.even_entropy == pytest.approx((math.log(7),) * 2, abs=1e-5)


def test_a_swin_with_even_attention_reaches_as_far_as_its_windows_give():
    options = {"image_size": 32, "embed_width": 32, "depths": (2, 1), "window": 2}
    model = silenced(classifier("swin_t", **options)).float()
    reach = attention_reach(model, noise(2, 16, 16).float())
    within = (2 + math.sqrt(2)) / 4  # of a 2x2 square: two neighbours at 1 and one at the corner
    assert reach.distance[0].flatten().tolist() == pytest.approx([4 * within] * 2, abs=1e-5)
    assert reach.distance[2].flatten().tolist() == pytest.approx([8 * within] * 4, abs=1e-5)
    # Shifted by one on a 4x4 map: a 2x2 square in the middle, four pairs at the sides, four single corners.
    assert reach.distance[1].flatten().tolist() == pytest.approx([4 * (4 * within + 8 * 0.5) / 16] * 2, abs=1e-5)
    for layer in range(3):
        assert float(reach.distance[layer].mean()) == pytest.approx(reach.even_distance[layer], abs=1e-5)
        assert float(reach.entropy[layer].mean()) == pytest.approx(reach.even_entropy[layer], abs=1e-5)


def test_images_in_several_batches_are_measured_as_one_by_one_and_a_bit_is_refused(monkeypatch):
    model, images = classifier().float(), noise(5, 8, 12).float()
    together = attention_reach(model, images)
    monkeypatch.setattr(attention_distance, "IMAGES_AT_ONCE", 2)
    apart = attention_reach(model, images)
    for layer in range(2):
        torch.testing.assert_close(together.distance[layer], apart.distance[layer])
        assert together.distance[layer].std(dim=0).min() > 0
    with pytest.raises(ConfigError, match="not in a ResNet"):
        attention_reach(classifier("bit_r50x1", image_size=32, depths=(1, 1)), noise(1, 32, 32))
