"""Gradient-weighted attention against matrices over all tokens, in loops, with gradients by central differences."""

import numpy as np
import pytest
import torch

from tests.explain.naive import STEP, NaiveViT, classifier, noise, slope
from vitrail.errors import ConfigError
from vitrail.explain.attention_gradients import class_relevance
from vitrail.explain.target import Target
from vitrail.layers import attention as attention_module
from vitrail.layers.window_layout import token_index


def through(matrices):
    """R, which starts as the identity and becomes R + A R with every block."""
    size = len(matrices[0])
    relevance = np.eye(size)
    for matrix in matrices:
        following = relevance.copy()
        for i, j in np.ndindex(size, size):
            following[i, j] += sum(matrix[i, k] * relevance[k, j] for k in range(size))
        relevance = following
    return relevance


@pytest.mark.parametrize("pool", ["class", "mean"])
@pytest.mark.parametrize("against", [None, 2])
def test_of_a_vit_it_is_the_papers_product_over_all_tokens(pool, against):
    model, images = classifier(pool=pool), noise(2, 8, 12)
    other = None if against is None else torch.tensor([against, against])
    found = class_relevance(model, images, Target(torch.tensor([1, 0]), other))
    naive = NaiveViT(model)
    for number, chosen in enumerate([1, 0]):
        image = images[number].numpy()

        def score(added, block, image=image, chosen=chosen):
            logits = naive.logits(image, disturb={block: added})
            return logits[chosen] - (logits[against] if against is not None else 0)

        tokens, matrices = naive.tokens(image), []
        for block in range(2):
            tokens, weights = naive.block(tokens, block)
            gradient = slope(lambda added, block=block: score(added, block), (2, 7, 7))
            matrices.append(np.maximum(weights * gradient, 0).mean(axis=0))
        relevance = through(matrices)
        expected = relevance[0, 1:] if pool == "class" else (relevance - np.eye(7))[1:, 1:].mean(axis=0)
        assert found[number].flatten().numpy() == pytest.approx(expected, abs=1e-6)
    assert found.max() > 1e-3


def test_of_a_swin_it_goes_through_the_windows_of_the_last_stage(monkeypatch):
    options = {"image_size": 48, "embed_width": 32, "depths": (1, 2), "head_width": 16, "window": 2}
    model, images = classifier("swin_t", **options), noise(1, 24, 16)
    chosen, other = torch.tensor([2]), torch.tensor([0])
    found = class_relevance(model, images, Target(chosen, other))[0]

    stage = model.backbone.windows(24, 16)[-1]
    seen, plain = [], attention_module.plain_attention
    disturbed = {"call": -1, "added": 0.0}
    calls = []

    def disturbing(q, k, v, bias=None, dropout=0.0):
        _, weights = plain(q, k, v, bias, dropout)
        added = disturbed["added"] if len(calls) == disturbed["call"] else 0.0
        calls.append(weights)
        return (weights + added) @ v, weights

    monkeypatch.setattr(attention_module, "plain_attention", disturbing)

    def score(call=-1, added=0.0):
        disturbed.update(call=call, added=added)
        calls.clear()
        with torch.no_grad():
            logits = model(images)[0]
        return float(logits[2] - logits[0])

    score()
    seen = [weights.clone() for weights in calls]
    assert len(seen) == 3
    matrices = []
    for call, partition in zip((1, 2), stage, strict=True):
        weights, gradient = seen[call], torch.zeros_like(seen[call])
        for place in np.ndindex(*weights.shape):
            added = torch.zeros_like(weights)
            added[place] = STEP
            gradient[place] = (score(call, added) - score(call, -added)) / (2 * STEP)
        windows = (weights * gradient).clamp(min=0).view(partition.windows, -1, partition.area, partition.area)
        held = token_index(partition).reshape(partition.windows, partition.area)
        matrix = np.zeros((6, 6))
        for window, i, j in np.ndindex(partition.windows, partition.area, partition.area):
            if held[window, i] < 6 and held[window, j] < 6:
                matrix[held[window, i], held[window, j]] = windows[window, :, i, j].mean()
        matrices.append(matrix)
    expected = (through(matrices) - np.eye(6)).mean(axis=0)
    assert found.flatten().numpy() == pytest.approx(expected, abs=1e-6)
    assert found.shape == (3, 2)
    assert found.max() > 1e-4


def test_frozen_weights_and_observers_stay_as_they_were(classifier, images):
    for parameter in classifier.parameters():
        parameter.requires_grad_(False)
    found = class_relevance(classifier, images, Target(torch.tensor([1, 2, 3])))
    assert found.shape == (3, 3, 2)
    assert found.max() > 0
    assert all(layer.observe is None for layer in classifier.backbone.attention_layers())


def test_models_without_attention_and_with_attention_pooling_are_refused():
    target = Target(torch.tensor([1]))
    with pytest.raises(ConfigError, match="needs attention, which a ResNet has not"):
        class_relevance(classifier_of("bit_r50x1", image_size=48, depths=(1, 1)), noise(1, 48, 48), target)
    with pytest.raises(ConfigError, match="attention pooling"):
        class_relevance(classifier_of("vit_ti16", pool="attention"), noise(1, 8, 12), target)


classifier_of = classifier
