"""The check that a map changes with the weights, and the rank correlation that it is told by."""

import pytest
import torch
from scipy.stats import spearmanr

from tests.explain.naive import classifier, noise
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.sanity import maps_of_check, rank_correlation, sanity_check
from vitrail.explain.target import Target


def test_rank_correlation_is_that_of_scipy_with_ties_and_0_without_an_order():
    generator = torch.Generator().manual_seed(3)
    first, second = (torch.randint(0, 6, (4, 5, 7), generator=generator).double() for _ in range(2))
    second[3] = 2.0
    found = rank_correlation(first, second)
    for number in range(3):
        expected = spearmanr(first[number].flatten(), second[number].flatten()).statistic
        assert float(found[number]) == pytest.approx(expected, abs=1e-12)
    assert found[3] == 0
    assert rank_correlation(first, 3 * first + 1).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize(
    ("name", "options"), [("vit_ti16", {}), ("swin_t", {"image_size": 24, "embed_width": 32, "depths": (1, 1)})]
)
def test_layers_are_randomised_from_the_head_down_and_the_model_is_left_alone(name, options):
    model, images = classifier(name, **options), noise(2, 24, 24)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    seen = []

    def explain(shown):
        weights = shown.state_dict()
        seen.append({key for key, tensor in weights.items() if not torch.equal(tensor, before[key])})
        for key, tensor in weights.items():
            assert torch.equal(tensor.flatten().sort().values, before[key].flatten().sort().values)
        return grad_cam(shown, images, Target(torch.tensor([1, 2])))

    found = list(sanity_check(model, explain, seed=5))
    assert [one.layer for one in found] == list(range(model.depth + 1, -1, -1))
    assert len(seen) == maps_of_check(model)
    assert not seen[0]
    for one, changed in zip(found, seen[1:], strict=True):
        assert {model.layer_of(key) for key in changed} == set(range(one.layer, model.depth + 2))
        assert one.correlation.shape == (2,)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert found[-1].correlation.max() < 0.99


def test_a_map_that_looks_at_the_image_alone_is_found_out():
    model, images = classifier(), noise(2, 8, 12)
    found = sanity_check(model, lambda _: images.abs().sum(dim=1), seed=5)
    assert all(one.correlation.tolist() == pytest.approx([1, 1]) for one in found)
