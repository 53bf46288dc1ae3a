"""Removal against models run on what is left, patch after patch, and Shapley values against every coalition."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tests.explain.naive import NaiveViT, classifier, log_probability, noise
from vitrail.errors import ConfigError
from vitrail.explain.cells import Cells, cells_of, fit_map
from vitrail.explain.fill import FILLS, blur_fill, blurred, mean_fill
from vitrail.explain.removal import Removal, draw_permutations, entering, leave_one_out, shapley
from vitrail.explain.target import Target

BIT = {"image_size": 32, "depths": (1, 1)}


def target(*classes):
    return Target(torch.tensor(classes))


def naive_scores(model, image, chosen, against=None):
    """The score of any patches of an image, counted once for each coalition."""
    naive = NaiveViT(model)

    def score(patches):
        logits = naive.logits(image.numpy(), sorted(patches))
        return log_probability(logits, chosen) - (0 if against is None else log_probability(logits, against))

    return score


def test_what_is_lost_without_a_patch_is_the_difference_of_two_runs():
    model, images = classifier(), noise(2, 8, 12)
    found = leave_one_out(Removal(model, images, target(1, 0)))
    for number, chosen in enumerate([1, 0]):
        score = naive_scores(model, images[number], chosen)
        for patch in range(6):
            expected = score(range(6)) - score(set(range(6)) - {patch})
            assert float(found[number, patch]) == pytest.approx(expected, abs=1e-6)


def test_between_two_classes_it_is_what_the_difference_of_their_logits_loses():
    model, images = classifier(), noise(1, 8, 12)
    found = leave_one_out(Removal(model, images, Target(torch.tensor([1]), torch.tensor([2]))))
    naive = NaiveViT(model)
    for patch in range(6):
        rest = [other for other in range(6) if other != patch]
        whole, less = naive.logits(images[0].numpy()), naive.logits(images[0].numpy(), rest)
        expected = (whole[1] - whole[2]) - (less[1] - less[2])
        assert float(found[0, patch]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("patches", [(8, 8), (4, 20)])
def test_over_every_permutation_shapley_values_are_those_of_all_coalitions(patches):
    model, images = classifier(image_size=patches), noise(1, *patches)
    count = patches[0] * patches[1] // 16
    score = naive_scores(model, images[0], 1)
    values = {some: score(some) for size in range(count + 1) for some in itertools.combinations(range(count), size)}
    expected = np.zeros(count)
    for patch in range(count):
        for coalition, before in values.items():
            if patch not in coalition:
                weight = math.factorial(len(coalition)) * math.factorial(count - len(coalition) - 1)
                after = values[tuple(sorted((*coalition, patch)))]
                expected[patch] += weight / math.factorial(count) * (after - before)
    permutations = torch.tensor(list(itertools.permutations(range(count))))
    found, _ = shapley(Removal(model, images, target(1)), permutations)
    assert found[0].numpy() == pytest.approx(expected, abs=1e-6)
    assert expected.sum() == pytest.approx(values[tuple(range(count))] - values[()], abs=1e-9)


def test_drawn_orders_estimate_shapley_values_within_their_standard_errors():
    model, images = classifier(image_size=8), noise(2, 8, 8)
    removal = Removal(model, images, target(1, 2))
    exact, _ = shapley(removal, torch.tensor(list(itertools.permutations(range(4)))))
    found, errors = shapley(removal, draw_permutations(4, 100, seed=8))
    assert errors.shape == found.shape == (2, 4)
    assert errors.min() > 0
    assert ((found - exact).abs() < 4 * errors).all()
    quarter, wider = shapley(removal, draw_permutations(4, 25, seed=8))
    assert wider.mean() == pytest.approx(2 * float(errors.mean()), rel=0.3)
    whole = torch.ones(2, 2, 4, dtype=torch.bool)
    whole[:, 1] = False
    ends = removal.scores(whole)
    for estimate in (found, quarter):
        torch.testing.assert_close(estimate.sum(dim=1), ends[:, 0] - ends[:, 1], atol=1e-5, rtol=1e-5)
    assert shapley(removal, draw_permutations(4, 1, seed=8))[1] is None


def test_patches_come_in_one_by_one_in_their_order():
    assert entering(torch.tensor([2, 0, 1])).int().tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]


def test_variants_with_different_numbers_of_patches_keep_their_places():
    model, images = classifier(), noise(2, 8, 12)
    generator = torch.Generator().manual_seed(4)
    present = torch.rand(2, 9, 6, generator=generator) < 0.5
    found = Removal(model, images, target(1, 0)).scores(present)
    for number, chosen in enumerate([1, 0]):
        score = naive_scores(model, images[number], chosen)
        for variant in range(9):
            expected = score(present[number, variant].nonzero().flatten().tolist())
            assert float(found[number, variant]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("fill", FILLS)
def test_filled_cells_are_scored_as_the_filled_image(fill):
    model, images = classifier("bit_r50x1", **BIT), noise(2, 32, 40)
    removal = Removal(model, images, target(1, 0), FILLS[fill], side=16)
    assert removal.cells.grid == (2, 3)
    generator = torch.Generator().manual_seed(4)
    present = torch.rand(2, 40, 6, generator=generator) < 0.5
    found = removal.scores(present, "probability")
    for number, variant in ((0, 0), (1, 7), (1, 39)):
        shown = images[number].clone()
        for cell in (~present[number, variant]).nonzero().flatten().tolist():
            place = (slice(cell // 3 * 16, cell // 3 * 16 + 16), slice(cell % 3 * 16, cell % 3 * 16 + 16))
            for channel in range(3):
                filled = images[number, channel].mean()
                if fill == "blur":
                    softened = gaussian_filter(images[number, channel].numpy(), 16, mode="nearest", truncate=3)
                    filled = torch.from_numpy(softened)[place]
                shown[channel][place] = filled
        with torch.no_grad():
            expected = model(shown[None]).softmax(1)[0, [1, 0][number]]
        assert float(found[number, variant]) == pytest.approx(float(expected), abs=1e-6)


def test_a_blur_is_that_of_scipy():
    images = noise(1, 20, 30)
    expected = gaussian_filter(images[0, 1].numpy(), 2.5, mode="nearest", radius=8)
    assert blurred(images, 2.5)[0, 1].numpy() == pytest.approx(expected, abs=1e-12)


def test_what_is_not_hidden_is_not_filled():
    images, cells = noise(2, 10, 14), Cells(10, 14, 4)
    hidden = torch.zeros(2, 2, cells.count, dtype=torch.bool)
    hidden[0, 1, 11] = True
    for fill in (mean_fill, blur_fill):
        shown = fill(images, hidden, cells)
        assert torch.equal(shown[1], images[1].expand(2, -1, -1, -1))
        changed = (shown[0, 1] != images[0]).all(dim=0)
        assert changed.sum() == 4  # the last cell has two rows and two columns within the image
        assert changed[8:, 12:].all()


def test_models_that_cannot_do_without_patches_say_what_to_choose():
    bit = classifier("bit_r50x1", **BIT)
    with pytest.raises(ConfigError, match="cannot be taken out of this ResNet; choose what stands in their place"):
        Removal(bit, noise(1, 32, 32), target(1))
    hybrid = classifier("r_vit_ti16", image_size=64, width=16, depth=1, num_heads=2)
    with pytest.raises(ConfigError, match="choose what stands"):
        Removal(hybrid, noise(1, 64, 64), target(1))
    mean = classifier(pool="mean")
    assert leave_one_out(Removal(mean, noise(1, 8, 12), target(1))).shape == (1, 6)
    with pytest.raises(ConfigError, match="no patch at all"):
        shapley(Removal(mean, noise(1, 8, 12), target(1)), draw_permutations(6, 2, 0))
    with pytest.raises(ConfigError, match="patches of 4 pixels are taken out whole"):
        Removal(mean, noise(1, 8, 12), target(1), side=2)
    with pytest.raises(ConfigError, match="cells of 99 pixels"):
        Removal(bit, noise(1, 32, 32), target(1), mean_fill, side=99)


def test_sums_over_cells_and_fitted_maps_keep_what_there_is():
    cells = Cells(5, 7, 3)
    pixels = torch.arange(35.0).view(1, 5, 7)
    expected = [[pixels[0, y : y + 3, x : x + 3].sum() for x in (0, 3, 6)] for y in (0, 3)]
    assert torch.equal(cells.sums(pixels)[0], torch.tensor(expected))
    bit = classifier("bit_r50x1", **BIT).backbone
    assert [cells_of(bit, 2 * side, side).side for side in (500, 128, 50, 3)] == [16, 16, 6, 1]
    assert cells_of(classifier().backbone, 8, 12).side == 4
    values = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(fit_map(values, (4, 6)), values)
    torch.testing.assert_close(fit_map(values, (2, 3))[1, 1, 2], values[1, 2:, 4:].mean())
    assert fit_map(values, (8, 12)).shape == (2, 8, 12)
