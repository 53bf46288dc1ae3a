"""CKA and k-NN by layer against loops over images."""

import math

import numpy as np
import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain.layers import layer_vectors, neighbour_accuracy, similarities, similarity


def randn(*shape, seed=3):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive_hsic(k, m):
    """Song et al. 2012, equation 5, entry by entry."""
    n = len(k)
    product = sum(k[i, j] * m[j, i] for i in range(n) for j in range(n) if i != j)
    sums = [sum(a[i, j] for i in range(n) for j in range(n) if i != j) for a in (k, m)]
    triples = np.ndindex(n, n, n)
    chain = sum(k[a, b] * m[b, c] for a, b, c in triples if a != b and b != c)
    return (product + sums[0] * sums[1] / (n - 1) / (n - 2) - 2 / (n - 2) * chain) / (n * (n - 3))


def test_similarity_is_the_ratio_of_unbiased_estimates():
    first, second = randn(7, 4), randn(7, 6, seed=5) + 3
    second[:, :4] += first
    grams = [rows.numpy() @ rows.numpy().T for rows in (first, second)]
    expected = naive_hsic(*grams) / math.sqrt(naive_hsic(grams[0], grams[0]) * naive_hsic(grams[1], grams[1]))
    assert similarity(first, second) == pytest.approx(expected, abs=1e-6)


def test_similarity_does_not_mind_turns_scales_and_shifts():
    first, second = randn(9, 4), randn(9, 4, seed=5)
    turn, _ = torch.linalg.qr(randn(4, 4, seed=6))
    assert similarity(first, 7 * first @ turn + 100) == pytest.approx(1)
    assert similarity(first, second) == pytest.approx(similarity(1e-3 * second @ turn - 5, first))
    assert similarity(first, second) < 0.6
    assert similarity(first, torch.ones(9, 2)) == 0


def test_unrelated_descriptions_of_few_images_are_not_alike():
    found = [similarity(randn(6, 50, seed=2 * seed), randn(6, 50, seed=2 * seed + 1)) for seed in range(1, 60)]
    assert abs(np.mean(found)) < 0.15
    with pytest.raises(ConfigError, match="4 images or more, not 3"):
        similarity(randn(3, 2), randn(3, 2))


@pytest.mark.parametrize(
    ("name", "options"),
    [("vit_ti16", {}), ("swin_t", {"image_size": 32, "embed_width": 32, "depths": (1, 2)})],
)
def test_each_block_is_described_by_the_mean_over_its_map(name, options):
    model, images = classifier(name, **options), noise(5, 8, 12)
    vectors = layer_vectors(model, images)
    with torch.no_grad():
        maps = model.backbone.feature_maps(images, after=range(model.backbone.depth))
    assert len(vectors) == model.backbone.depth
    for layer, places in zip(vectors, maps, strict=True):
        for image in range(5):
            assert layer[image].tolist() == pytest.approx(places[image].flatten(1).mean(dim=1).tolist(), abs=1e-9)
    table = similarities(vectors, vectors)
    assert torch.allclose(table, table.T)
    assert table.diag().tolist() == pytest.approx([1] * len(vectors))
    assert table[0, 1] == similarity(vectors[0], vectors[1])


def test_each_image_is_named_by_the_others():
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 3, (20,), generator=generator)
    vectors = [randn(20, 4), torch.nn.functional.one_hot(labels, 3).double() + 0.1 * randn(20, 3, seed=8)]
    found = neighbour_accuracy(vectors, labels, k=5)
    for layer, accuracy in zip(vectors, found.tolist(), strict=True):
        right, unit = 0, layer / layer.norm(dim=1, keepdim=True)
        for image in range(20):
            cosines = sorted((float(unit[image] @ unit[other]), other) for other in range(20) if other != image)[-5:]
            votes = [sum(math.exp(c / 0.07) for c, other in cosines if labels[other] == label) for label in range(3)]
            right += int(np.argmax(votes)) == int(labels[image])
        assert accuracy == pytest.approx(right / 20)
    assert found[1] == 1
    with pytest.raises(ConfigError, match="show two or more"):
        neighbour_accuracy([vectors[0][:1]], labels[:1])
