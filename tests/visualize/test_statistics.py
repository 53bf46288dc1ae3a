import math

import pytest
import torch
from torch import Tensor

from vitrail.layers.patches import patchify
from vitrail.models.targets import patch_statistics
from vitrail.visualize.mask_variants import seeded_mask
from vitrail.visualize.statistics import estimate_statistics, interpolate_statistics


@pytest.fixture
def patches() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape, scale, shift = (torch.randn(2, 12, n, generator=generator) for n in (27, 1, 1))
    return shape * scale + shift


def test_visible_patches_keep_their_own_statistics(patches):
    mask = seeded_mask(12, 0.75, 2, seed=0)
    own = patch_statistics(patches)
    for guess in (
        interpolate_statistics(patches, mask, (3, 4)),
        estimate_statistics(torch.randn_like(patches), patches, mask, (3, 4), 3),
    ):
        for true, estimated in zip(own, guess, strict=True):
            assert torch.equal(estimated[~mask], true[~mask])


def test_interpolated_values_lie_between_those_of_visible_patches(patches):
    mask = seeded_mask(12, 0.75, 2, seed=0)
    for true, guess in zip(patch_statistics(patches), interpolate_statistics(patches, mask, (3, 4)), strict=True):
        for sample in range(2):
            seen, guessed = true[sample][~mask[sample]], guess[sample][mask[sample]]
            assert seen.min() - 1e-5 <= guessed.min()
            assert guessed.max() <= seen.max() + 1e-5


def test_the_nearest_visible_patch_counts_most():
    patches = torch.zeros(1, 5, 4)
    patches[0, 0], patches[0, 4] = 1.0, 2.0
    mask = torch.tensor([[False, True, True, True, False]])
    mean, _ = interpolate_statistics(patches, mask, (1, 5))
    # Inverse cubes of the distances 1 and 3, 2 and 2, 3 and 1.
    assert torch.allclose(mean[0, 1:4, 0], torch.tensor([29 / 28, 1.5, 55 / 28]))


@pytest.mark.parametrize("value", [-1e6, 0.0, float("nan"), float("inf")])
def test_what_hidden_patches_hold_has_no_influence(patches, value):
    mask = seeded_mask(12, 0.75, 2, seed=0)
    predicted = torch.randn_like(patches)
    other = patches.masked_fill(mask.unsqueeze(-1), value)
    for before, after in zip(
        estimate_statistics(predicted, patches, mask, (3, 4), 3),
        estimate_statistics(predicted, other, mask, (3, 4), 3),
        strict=True,
    ):
        assert torch.equal(before, after)


def test_what_is_predicted_for_visible_patches_has_no_influence(patches):
    mask = seeded_mask(12, 0.75, 2, seed=0)
    predicted = torch.randn_like(patches)
    other = torch.where(mask.unsqueeze(-1), predicted, torch.full_like(predicted, float("nan")))
    for before, after in zip(
        estimate_statistics(predicted, patches, mask, (3, 4), 3),
        estimate_statistics(other, patches, mask, (3, 4), 3),
        strict=True,
    ):
        assert torch.equal(before, after)


def smooth_image(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    waves = [torch.sin(2 * math.pi * (x * a + y * b) / 64) for a, b in ((1, 0.5), (0.3, 1.2), (-0.7, 1))]
    return torch.stack(waves).unsqueeze(0)


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_seams_tell_the_statistics_of_a_smooth_image_when_patterns_are_right(size):
    patches, grid = patchify(smooth_image(*size), 8), (size[0] // 8, size[1] // 8)
    mask = seeded_mask(grid[0] * grid[1], 0.75, 1, seed=0)
    own = patch_statistics(patches)
    patterns = (patches - own[0]) / own[1]
    around = interpolate_statistics(patches, mask, grid)
    seams = estimate_statistics(patterns, patches, mask, grid, 8)
    for true, guess, better in zip(own, around, seams, strict=True):
        assert (better - true)[mask].abs().mean() < 0.5 * (guess - true)[mask].abs().mean()


def test_a_diverged_prediction_still_gives_finite_statistics(patches):
    mask = seeded_mask(12, 0.75, 2, seed=0)
    for value in (float("nan"), float("inf")):
        found = estimate_statistics(torch.full_like(patches, value), patches, mask, (3, 4), 3)
        assert all(part.isfinite().all() for part in found)


def test_contrast_is_never_turned_round():
    # Every seam asks for the pattern upside down; no contrast at all is as far as an estimate may go.
    ramp = torch.linspace(-1, 1, 4).repeat(4, 1).flatten()
    patches = torch.stack([ramp + 8, ramp, ramp - 8]).unsqueeze(0)
    mask = torch.tensor([[False, True, False]])
    predicted = 10 * ramp.expand(1, 3, -1)
    _, deviation = estimate_statistics(predicted, patches, mask, (1, 3), 4)
    assert deviation[0, 1, 0] == 0.0
