"""The head of a probe is the regression it says it is, whatever is scaled, mirrored or missing."""

import numpy as np
import pytest
import torch

from vitrail.training.fit_head import STRENGTHS, fit_head


def blobs(count: int = 90, classes: int = 3, width: int = 5, seed: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2.0 * generator.normal(size=(classes, width))
    return torch.tensor(centres[labels] + generator.normal(size=(count, width))).float(), torch.tensor(labels)


def test_the_head_minimises_the_penalised_cross_entropy_of_standardised_features():
    features, labels = blobs()
    fitted = fit_head(features, labels, 3, torch.arange(90), seed=2)
    assert fitted.strength in STRENGTHS
    mean, std = features.double().mean(0), features.double().std(0, unbiased=False)
    weight = (fitted.weight.double() * std).requires_grad_()
    bias = (fitted.bias.double() + fitted.weight.double() @ mean).requires_grad_()
    scores = ((features.double() - mean) / std) @ weight.T + bias
    # scikit-learn's objective: C times the summed cross-entropy plus half the squared weights.
    loss = (
        fitted.strength * torch.nn.functional.cross_entropy(scores, labels, reduction="sum") + weight.square().sum() / 2
    )
    slopes = torch.autograd.grad(loss, (weight, bias))
    assert max(float(slope.abs().max()) for slope in slopes) < 2e-3


def test_the_scale_and_place_of_features_change_no_answer():
    features, labels = blobs()
    images = torch.arange(90)
    plain = fit_head(features, labels, 3, images)
    moved = fit_head(100 * features + 7, labels, 3, images)
    one = features @ plain.weight.T + plain.bias
    other = (100 * features + 7) @ moved.weight.T + moved.bias
    torch.testing.assert_close(one, other, atol=2e-2, rtol=1e-2)


def test_views_of_an_image_are_never_learned_from_while_it_is_held_out():
    """Labels are noise, and each image is there twice: who held one copy out alone would be right all the time."""
    generator = torch.Generator().manual_seed(9)
    features, labels = torch.randn(120, 40, generator=generator), torch.randint(0, 4, (120,), generator=generator)
    twice = fit_head(torch.cat([features, features]), torch.cat([labels, labels]), 4, torch.arange(120).repeat(2))
    assert twice.top1 is not None
    assert twice.top1 < 0.45


def test_a_class_without_images_is_never_answered_and_two_classes_get_two_rows():
    features, labels = blobs(classes=2)
    fitted = fit_head(features, labels, 4, torch.arange(90))
    scores = features @ fitted.weight.T + fitted.bias
    assert fitted.weight.shape == (4, 5)
    assert (scores.argmax(1) == labels).float().mean() > 0.9
    assert float(scores.softmax(1)[:, 2:].max()) < 1e-20


@pytest.mark.parametrize("count", [3, 4])
def test_too_few_images_to_hold_any_out_still_make_a_head(count):
    features, labels = blobs(count)
    assert fit_head(features, labels, 3, torch.arange(count)).top1 is None
