"""Cells filled in by a masked autoencoder are its reconstruction, and what is visible stays to the bit."""

from __future__ import annotations

import torch

from vitrail.config import Preprocessing
from vitrail.explain.cells import Cells
from vitrail.heads.names import build_model
from vitrail.tasks.fill import MAEFill
from vitrail.visualize.reconstruction import reconstruct


def test_hidden_patches_are_the_reconstruction_in_the_classifiers_own_normalisation() -> None:
    torch.manual_seed(3)
    options = {"image_size": (16, 24), "patch_size": 8, "width": 16, "depth": 1, "num_heads": 2}
    mae = build_model("mae_vit_ti16", **options, decoder_width=16, decoder_depth=1, target="pixels")
    own = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    given = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    images = torch.randn(2, 3, 16, 24)
    hidden = torch.rand(2, 5, 6) < 0.5
    hidden[0, 0], hidden[1, 1] = True, False
    cells = Cells(16, 24, 8)
    found = MAEFill(mae, own, given)(images, hidden, cells)
    assert found.shape == (2, 5, 3, 16, 24)
    for image in range(2):
        for variant in range(5):
            mask = hidden[image, variant]
            covered = cells.over_pixels(mask)
            assert torch.equal(found[image, variant][:, ~covered], images[image][:, ~covered])
            pixels = torch.empty(3, 16, 24)
            for c in range(3):
                pixels[c] = (images[image, c] * given.std[c] + given.mean[c] - own.mean[c]) / own.std[c]
            if mask.all():
                expected = torch.zeros_like(pixels)
            elif mask.any():
                expected = reconstruct(mae, pixels[None], mask[None]).pasted[0]
            else:
                continue
            for c in range(3):
                back = (expected[c] * own.std[c] + own.mean[c] - given.mean[c]) / given.std[c]
                torch.testing.assert_close(found[image, variant, c][covered], back[covered], atol=1e-5, rtol=1e-4)
