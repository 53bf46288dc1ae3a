"""How far attention reaches, against what geometry gives."""

import math

import pytest
import torch

from vitrail.explain.attention_distance import mean_attention_distance


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
