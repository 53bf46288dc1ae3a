"""Mixup and cutmix: images and targets are shared out alike."""

import pytest
import torch

from vitrail.data.mixing import mix


def batch(size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one constant value each, which is also the number of their class."""
    values = torch.arange(float(size))
    return values[:, None, None, None].expand(size, 3, 12, 10).clone(), torch.eye(size)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_each_target_holds_each_class_by_its_exact_share_of_the_image(mixup: float, cutmix: float):
    images, targets = batch()
    for seed in range(50):
        torch.manual_seed(seed)
        mixed, shares = mix(images, targets, mixup, cutmix)
        torch.testing.assert_close(shares.sum(1), torch.ones(8))
        # The mean of an image of constant parts is the mean of their class numbers.
        torch.testing.assert_close(mixed.mean((1, 2, 3)), shares @ torch.arange(8.0))


def test_mixup_blends_and_cutmix_pastes_one_rectangle():
    images, targets = batch()
    torch.manual_seed(1)
    blended, _ = mix(images, targets, mixup_alpha=0.8)
    pasted, shares = mix(images, targets, cutmix_alpha=1.0)
    assert (blended == blended[:, :1, :1, :1]).all()
    for image, share in zip(pasted, shares, strict=True):
        own = share.argmax() if share.max() == 1 else None
        assert set(image.unique().tolist()) == set(share.nonzero().flatten().tolist())
        if own is None:
            stranger = image[0] != image[0].flatten().mode().values
            rows, columns = stranger.any(1).nonzero(), stranger.any(0).nonzero()
            assert stranger.sum() == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)


def test_what_goes_in_is_not_changed():
    images, targets = batch()
    for seed in range(10):
        torch.manual_seed(seed)
        mix(images, targets, 0.8, 1.0)
    for value, expected in zip((images, targets), batch(), strict=True):
        assert torch.equal(value, expected)


def test_the_global_generator_alone_decides():
    torch.manual_seed(3)
    first = mix(*batch(), 0.8, 1.0)
    torch.manual_seed(3)
    second = mix(*batch(), 0.8, 1.0)
    third = mix(*batch(), 0.8, 1.0)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(second[0], third[0])


def test_probability_and_switch_are_odds():
    images, targets = batch()
    torch.manual_seed(0)
    untouched = pasted = 0
    for _ in range(1000):
        mixed, _ = mix(images, targets, 0.8, 1.0, probability=0.6, switch=0.25)
        untouched += mixed is images
        pasted += mixed is not images and bool((mixed != mixed[:, :, :1, :1]).any())
    assert abs(untouched - 400) < 50
    assert abs(pasted - 150) < 45


def test_without_alphas_nothing_is_mixed_and_nothing_is_drawn():
    images, targets = batch()
    state = torch.get_rng_state()
    assert mix(images, targets)[0] is images
    assert torch.equal(torch.get_rng_state(), state)


def test_mixup_shares_follow_beta():
    torch.manual_seed(0)
    images, targets = batch(2)
    shares = []
    for _ in range(2000):
        _, mixed = mix(images, targets, mixup_alpha=0.4)
        if mixed[0, 1] > 0:
            shares.append(float(mixed[0, 0]))
    variance = torch.tensor(shares).var()
    # Beta(a, a) has the variance 1 / (4 (2 a + 1)).
    assert abs(variance - 1 / (4 * 1.8)) < 0.012
