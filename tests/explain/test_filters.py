"""Principal components of filters, and similarities of positions, against loops and formulas."""

import math

import numpy as np
import pytest
import torch

from tests.explain.naive import classifier
from vitrail.explain.filters import principal_filters
from vitrail.explain.position_similarity import position_similarity
from vitrail.heads.names import build_model
from vitrail.layers.positions import sincos_2d


def test_components_are_eigenvectors_of_the_covariance_in_falling_order():
    filters = torch.randn(40, 3, 2, 2, generator=torch.Generator().manual_seed(3)) * torch.linspace(1, 4, 12).view(
        3, 2, 2
    )
    found = principal_filters(filters, 5)
    rows = filters.double().flatten(1).numpy()
    covariance = np.zeros((12, 12))
    for i in range(12):
        for j in range(12):
            covariance[i, j] = sum((row[i] - rows[:, i].mean()) * (row[j] - rows[:, j].mean()) for row in rows)
    for number, component in enumerate(found.components.flatten(1).numpy()):
        variance = component @ covariance @ component
        assert covariance @ component == pytest.approx(variance * component, abs=1e-6)
        assert np.linalg.norm(component) == pytest.approx(1)
        assert component[np.abs(component).argmax()] > 0
        assert float(found.shares[number]) == pytest.approx(variance / np.trace(covariance), abs=1e-9)
    assert found.shares.tolist() == sorted(found.shares.tolist(), reverse=True)


def test_there_are_no_more_components_than_numbers_or_filters_and_a_constant_has_no_variance():
    assert principal_filters(torch.randn(3, 1, 2, 2)).components.shape == (3, 1, 2, 2)
    assert principal_filters(torch.randn(30, 1, 2, 2)).components.shape == (4, 1, 2, 2)
    assert principal_filters(torch.ones(6, 1, 2, 2)).shares.abs().max() == 0


def test_the_first_filters_of_each_family_are_what_meets_the_pixels():
    bit = classifier("bit_r50x1", image_size=32, depths=(1, 1)).backbone
    filters = bit.input_filters().detach()
    assert filters.flatten(1).mean(dim=1).abs().max() < 1e-9  # standardised
    images = torch.randn(1, 3, 21, 21, dtype=torch.float64)
    expected = (images[0, :, 7:14, 7:14] * filters[5]).sum()
    assert float(bit.stem.conv(images)[0, 5, 5, 5].detach()) == pytest.approx(float(expected), abs=1e-9)
    swin = classifier("swin_t", image_size=32, embed_width=32, depths=(1, 1)).backbone
    assert swin.input_filters().shape == (32, 3, 4, 4)
    hybrid = classifier("r_vit_ti16", image_size=32, width=16, depth=1, num_heads=2).backbone
    assert hybrid.input_filters().shape == (64, 3, 7, 7)


def test_similarities_are_cosines_place_by_place():
    table = torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    found = position_similarity(table, (2, 3))
    rows = table.double().numpy()
    for a, b in np.ndindex(6, 6):
        cosine = sum(rows[a] * rows[b]) / math.sqrt(sum(rows[a] ** 2) * sum(rows[b] ** 2))
        assert float(found[a // 3, a % 3, b // 3, b % 3]) == pytest.approx(cosine, abs=1e-12)
    with pytest.raises(ValueError, match="2x2 grid has 4 places; this table has 6"):
        position_similarity(table, (2, 2))


def test_fixed_sines_and_cosines_are_as_alike_as_their_formula_says():
    # sin a sin b + cos a cos b = cos(a - b): only the offset counts, and each axis has half of the channels.
    found = position_similarity(sincos_2d((5, 7), 32), (5, 7))
    for y, x, v, u in np.ndindex(5, 7, 5, 7):
        frequencies = [10000 ** -(i / 8) for i in range(8)]
        expected = sum(math.cos(f * (y - v)) + math.cos(f * (x - u)) for f in frequencies) / 16
        assert float(found[y, x, v, u]) == pytest.approx(expected, abs=1e-6)


def test_a_models_table_is_that_of_its_patches_at_the_size_of_the_image():
    model = build_model(
        "vit_ti16",
        num_classes=0,
        image_size=(8, 12),
        patch_size=4,
        width=32,
        depth=1,
        num_heads=2,
        positions="sincos_2d",
    )
    table = model.position_table(8, 12)
    assert torch.equal(table[0], sincos_2d((2, 3), 32))
    assert model.position_table(16, 16).shape == (1, 16, 32)
    none = build_model(
        "vit_ti16", num_classes=0, image_size=8, patch_size=4, width=32, depth=1, num_heads=2, positions="none"
    )
    assert none.position_table(8, 8) is None


def test_biases_are_laid_out_by_where_the_key_lies_from_its_query():
    swin = classifier("swin_t", image_size=32, embed_width=32, depths=(1, 1), window=3).backbone
    attention = swin.attention_layers()[0]
    pairs, table = attention.bias().detach(), swin.position_biases()[0].detach()
    vit = build_model(
        "vit_ti16",
        num_classes=0,
        image_size=(8, 12),
        patch_size=4,
        width=32,
        depth=1,
        num_heads=2,
        positions="relative_bias",
    )
    bias = vit.relative[0](torch.zeros(1, 2, 7, 16), (2, 3))[0, :, 1:, 1:].detach()
    for found, expected, (h, w) in ((table, pairs, (3, 3)), (vit.position_biases()[0].detach(), bias, (2, 3))):
        for query, key in np.ndindex(h * w, h * w):
            down, right = key // w - query // w, key % w - query % w
            assert torch.equal(found[:, down + h - 1, right + w - 1], expected[:, query, key])
