"""Masked patch prediction against the paper's appendix B.1.2 and against plain loops."""

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.mpp import MASKED, colour_of

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}


def model(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("mpp_vit_ti16", **{**SMALL, **options}).eval()


def test_colours_are_numbered_by_three_bits_of_each_channel() -> None:
    assert colour_of(torch.tensor([0.0, 0.0, 0.0])) == 0
    assert colour_of(torch.tensor([1.0, 1.0, 1.0])) == 511
    assert colour_of(torch.tensor([0.5, 0.25, 0.99])) == 4 * 64 + 2 * 8 + 7
    every = torch.cartesian_prod(*[torch.arange(8)] * 3)
    assert colour_of((every + 0.5) / 8).tolist() == list(range(512))


def test_the_target_is_the_mean_colour_of_each_patch_counted_pixel_by_pixel() -> None:
    pixels = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    target = model().target(pixels)
    for b in range(2):
        for n in range(12):
            y, x = 8 * (n // 3), 8 * (n % 3)
            red, green, blue = (int(pixels[b, c, y : y + 8, x : x + 8].double().mean() * 8) for c in range(3))
            assert target[b, n, 0] == 64 * red + 8 * green + blue


def test_the_downsized_target_is_a_small_copy_of_the_patch_in_row_order() -> None:
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    target = model(target="downsized").target(pixels)
    assert target.shape == (1, 4, 16)
    red, green, blue = (int(pixels[0, c, 8 + 2 : 8 + 4, 4:6].mean() * 8) for c in range(3))
    assert target[0, 2, 1 * 4 + 2] == 64 * red + 8 * green + blue


def test_the_full_target_is_every_pixel() -> None:
    pixels = torch.rand(1, 3, 16, 16)
    target = model(target="full").target(pixels)
    assert target.shape == (1, 4, 64, 3)
    assert torch.equal(target[0, 3, 8 * 2 + 5], pixels[0, :, 8 + 2, 8 + 5])


def test_three_channels_have_512_colours_and_grey_has_eight() -> None:
    assert model().predictor.head.out_features == 512
    assert model(target="downsized").predictor.head.out_features == 16 * 512
    assert model(target="full").predictor.head.out_features == 64 * 3
    assert model(channels=1).predictor.head.out_features == 8


def test_without_corruption_the_encoder_sees_what_a_plain_vit_sees() -> None:
    mpp, images = model(), torch.randn(2, 3, 32, 32)
    own = torch.arange(16).expand(2, -1)
    assert torch.equal(mpp(images), mpp(images, own))
    tokens = mpp.encoder.forward_features(images)[:, 1:]
    assert torch.equal(mpp(images)[:, :, 0], mpp.predictor.head(tokens))


def test_a_masked_patch_cannot_be_seen_and_a_replaced_one_shows_the_other() -> None:
    mpp, images = model(), torch.randn(1, 3, 32, 32)
    source = torch.arange(16).unsqueeze(0).clone()
    source[0, 5], source[0, 9] = MASKED, 2
    changed = images.clone()
    changed[..., 8:16, 8:16] += 1.0  # patch 5
    changed[..., 16:24, 8:16] -= 1.0  # patch 9, in whose place patch 2 stands
    assert torch.equal(mpp(images, source), mpp(changed, source))
    moved = images.clone()
    moved[..., 16:24, 8:16] = images[..., 0:8, 16:24]  # patch 2 itself put into the place of patch 9
    masked = torch.arange(16).unsqueeze(0).clone()
    masked[0, 5] = MASKED
    torch.testing.assert_close(mpp(images, source), mpp(moved, masked))


def test_the_loss_counts_corrupted_patches_only() -> None:
    for target in ("color", "downsized", "full"):
        mpp, pixels = model(target=target), torch.rand(2, 3, 32, 32)
        mask = torch.zeros(2, 16, dtype=torch.bool)
        mask[0, 3] = mask[1, 7] = True
        source = torch.where(mask, MASKED, torch.arange(16))
        changed = pixels.clone()
        changed[..., 24:, 24:] = 0.3  # patch 15 is not corrupted: neither loss nor target of the others moves
        before, after = (mpp.loss(torch.zeros(2, 3, 32, 32), p, mask, source) for p in (pixels, changed))
        assert torch.equal(before, after)
        assert before.isfinite()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        model(mask_ratio=1.0)
    with pytest.raises(ConfigError, match="'downsized'"):
        model(target="downsize")
    with pytest.raises(ConfigError, match="4 divides"):
        model(target="downsized", patch_size=6)
    with pytest.raises(ConfigError, match="mask_ratio"):
        model(mask_rato=0.5)
