"""Cells filled in by a masked autoencoder are its reconstruction, and what is visible stays to the bit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.explain.cells import Cells
from vitrail.heads.names import build_model
from vitrail.models.mae import MAE
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


def small_mae(**options: object) -> MAE:
    torch.manual_seed(3)
    shape = {"image_size": (16, 16), "patch_size": 8, "width": 16, "depth": 1, "num_heads": 2}
    return build_model("mae_vit_ti16", **{**shape, **options}, decoder_width=16, decoder_depth=1, target="pixels")


def test_an_autoencoder_of_another_size_sees_images_at_its_own_and_fills_hidden_cells_alone() -> None:
    mae, same = small_mae(), Preprocessing()
    images, cells = torch.randn(2, 3, 48, 66), Cells(48, 66, 6)
    hidden = torch.zeros(2, 2, cells.count, dtype=torch.bool)
    hidden[0, 0, 13:17] = hidden[1, 1, 70:] = True
    found = MAEFill(mae, same, same)(images, hidden, cells)
    # Its own shorter side has 16 pixels, so it sees 48x66 as 16x22, in whole patches 16x24: two rows, three columns.
    small = F.interpolate(images, (16, 24), mode="bilinear", align_corners=False, antialias=True)
    for image in range(2):
        for variant in range(2):
            covered = cells.over_pixels(hidden[image, variant])
            assert torch.equal(found[image, variant][:, ~covered], images[image][:, ~covered])
            if not covered.any():
                continue
            touched = [
                bool(covered[row * 24 : row * 24 + 24, column * 22 : column * 22 + 22].any())
                for row in range(2)
                for column in range(3)
            ]
            made = reconstruct(mae, small[image : image + 1], torch.tensor([touched])).pasted
            large = F.interpolate(made, (48, 66), mode="bilinear", align_corners=False)[0]
            torch.testing.assert_close(found[image, variant][:, covered], large[:, covered], atol=1e-5, rtol=1e-4)


def test_other_fillings_come_from_other_visible_patches_and_from_no_more_than_in_training() -> None:
    mae, same = small_mae(image_size=(32, 32)), Preprocessing()
    shown: list[list[int]] = []
    encode = mae.forward

    def recorded(images: Tensor, mask: Tensor) -> object:
        shown.extend((~mask).nonzero()[:, 1].view(len(mask), -1).tolist())
        return encode(images, mask)

    mae.forward = recorded  # type: ignore[method-assign]
    images, cells = torch.randn(1, 3, 32, 32), Cells(32, 32, 8)
    hidden = torch.zeros(1, 2, 16, dtype=torch.bool)
    hidden[0, 0, [5, 6]] = hidden[0, 1, 1:] = True
    fills = [MAEFill(mae, same, same).again(seed)(images, hidden, cells) for seed in range(5)]
    assert len({tuple(sorted(some)) for some in shown if len(some) == 4}) > 1  # a quarter of 16, as in training
    assert [some for some in shown if len(some) != 4] == [[0]] * 5  # only one is left
    assert all(5 not in some and 6 not in some for some in shown)
    assert not torch.equal(fills[0][0, 0], fills[1][0, 0])
    alone = MAEFill(mae, same, same, seed=3)(images, hidden[:, :1], cells)
    torch.testing.assert_close(alone[0, 0], fills[3][0, 0])  # whatever is filled beside it
