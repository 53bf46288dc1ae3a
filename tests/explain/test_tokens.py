"""Outlier tokens, tokens as colours, nearest patches and groups, where the truth is planted or counted by hand."""

import numpy as np
import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain.outlier_tokens import OutlierTokens, outlier_tokens, without_outliers
from vitrail.explain.patch_tokens import nearest_patches, patch_tokens, token_colours, token_groups


def randn(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_norms_are_those_of_the_patches_after_the_last_block():
    model, images = classifier(), noise(2, 8, 12)
    seen = []
    handle = model.backbone.blocks[-1].register_forward_hook(lambda *call: seen.append(call[-1]))
    found = outlier_tokens(model, images)
    handle.remove()
    for image, patch in np.ndindex(2, 6):
        norm = sum(float(value) ** 2 for value in seen[0][image, 1 + patch]) ** 0.5
        assert float(found.norms[image, patch // 3, patch % 3]) == pytest.approx(norm, rel=1e-5)
    assert found.threshold == pytest.approx(3 * float(found.norms.median()))
    with pytest.raises(ConfigError, match="among the patches of a ViT, not in a Swin"):
        outlier_tokens(classifier("swin_t", image_size=32, embed_width=32, depths=(1, 1)), noise(1, 32, 32))


def test_outliers_are_named_and_left_out_of_maps():
    norms = torch.ones(2, 2, 3)
    norms[1, 0, 2], norms[0, 1, 1] = 12.0, 5.0
    found = OutlierTokens(norms, 3.0)
    assert found.sentence() == (
        "2 of 12 patch tokens have 3 times the median norm or more: image 2, row 0, column 2 (12.0x); "
        "image 1, row 1, column 1 (5.0x)."
    )
    assert OutlierTokens(torch.ones(1, 2, 2), 3.0).sentence().startswith("None of 4 patch tokens")
    values = randn(2, 4, 2, 3)
    left = without_outliers(values, found.found)
    changed = (left != values).nonzero()[:, [0, 2, 3]].unique(dim=0).tolist()
    assert changed == [[0, 1, 1], [1, 0, 2]]
    for head in range(4):
        rest = [float(values[1, head, y, x]) for y, x in np.ndindex(2, 3) if (y, x) != (0, 2)]
        assert float(left[1, head, 0, 2]) == pytest.approx(min(rest))
    everywhere = torch.ones(2, 2, 3, dtype=torch.bool)
    assert torch.equal(without_outliers(values, everywhere), values)


def planted(images=3, side=6, width=8):
    """Tokens with a square of another direction in the middle of each image, and three directions within it."""
    tokens = 0.01 * randn(images, width, side, side)
    tokens[:, 0] += 5
    tokens[:, 0, 1:5, 1:5] -= 10
    for direction in range(3):
        tokens[:, 1 + direction, 1:5, 1:5] += (2 - 0.5 * direction) * randn(images, 4, 4, seed=10 + direction)
    return tokens


def test_the_foreground_is_what_stands_apart_from_the_borders():
    found = token_colours(planted())
    expected = torch.zeros(3, 6, 6, dtype=torch.bool)
    expected[:, 1:5, 1:5] = True
    assert torch.equal(found.foreground, expected)
    assert torch.equal(token_colours(-planted()).foreground, expected)
    assert found.colours[~expected].abs().max() == 0
    assert found.colours[expected].amax() == 1
    assert found.shares.sum() > 0.99


def test_colours_are_the_components_of_the_foreground_alone():
    tokens = planted()
    found = token_colours(tokens)
    chosen = tokens.permute(0, 2, 3, 1)[found.foreground].double().numpy()
    centred = chosen - chosen.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    for channel in range(3):
        values = centred @ directions[:, -1 - channel]
        shown = found.colours[found.foreground][:, channel].numpy()
        inside = (shown > 0) & (shown < 1)
        assert abs(np.corrcoef(values[inside], shown[inside])[0, 1]) == pytest.approx(1, abs=1e-6)
        assert float(found.shares[channel]) == pytest.approx(variances[-1 - channel] / variances.sum(), abs=1e-9)
    with pytest.raises(ConfigError, match="3 patches with 8 channels"):
        token_colours(tokens[:1, :, :1, :3])


def test_the_nearest_patch_of_every_other_image_is_that_of_largest_cosine():
    tokens = randn(4, 5, 2, 3)
    found = nearest_patches(tokens, (1, 0, 2), count=2)
    query, rows = tokens[1, :, 0, 2].double().numpy(), []
    for image, y, x in np.ndindex(4, 2, 3):
        if image != 1:
            other = tokens[image, :, y, x].double().numpy()
            rows.append((query @ other / np.linalg.norm(query) / np.linalg.norm(other), image, y, x))
    best = sorted((max(row for row in rows if row[1] == image) for image in (0, 2, 3)), reverse=True)
    for one, (cosine, *place) in zip(found, best[:2], strict=True):
        assert [one.image, one.row, one.column] == place
        assert one.similarity == pytest.approx(cosine, abs=1e-6)
    assert len(nearest_patches(tokens, (0, 0, 0), count=99)) == 3
    with pytest.raises(ConfigError, match="images go from 0 to 3, rows from 0 to 1"):
        nearest_patches(tokens, (0, 2, 0))


def test_groups_are_those_that_were_planted_the_largest_first():
    centres, truth = 4 * torch.eye(5)[:3], torch.tensor([0] * 20 + [1] * 12 + [2] * 4)
    rows = centres[truth] + 0.1 * randn(36, 5)
    order = torch.randperm(36, generator=torch.Generator().manual_seed(2))
    tokens = rows[order].view(2, 3, 6, 5).permute(0, 3, 1, 2)
    found = token_groups(tokens, 3, seed=4)
    assert torch.equal(found.flatten(), truth[order])
    with pytest.raises(ConfigError, match="36 patches cannot be parted into 37 groups"):
        token_groups(tokens, 37, seed=4)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("vit_ti16", {}, (2, 8, 2, 3)),
        ("swin_t", {"image_size": 32, "embed_width": 32, "depths": (1, 1)}, (2, 64, 1, 2)),
        ("bit_r50x1", {"image_size": 32, "depths": (1, 1)}, (2, 512, 1, 2)),
    ],
)
def test_every_backbone_has_tokens_on_a_grid(name, options, shape):
    assert patch_tokens(classifier(name, **options), noise(2, 8, 12)).shape == shape
