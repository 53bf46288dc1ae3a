import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitrail.errors import ConfigError
from vitrail.layers.masking import random_mask, split, visible_count
from vitrail.layers.patches import take


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(1, 4), st.integers(0, 2**31))
def test_split_and_restore_are_exact_permutations(patches: int, ratio: float, batch: int, seed: int) -> None:
    try:
        visible = visible_count(patches, ratio)
    except ConfigError:
        return
    torch.manual_seed(seed)
    mask = random_mask(patches, ratio, batch)
    parts = split(mask)
    assert (mask.sum(dim=1) == patches - visible).all()
    tokens = torch.arange(patches).expand(batch, -1).unsqueeze(-1)
    shuffled = torch.cat([take(tokens, parts.visible), take(tokens, parts.hidden)], dim=1)
    assert torch.equal(take(shuffled, parts.restore), tokens)
    assert not mask.gather(1, parts.visible).any()
    assert mask.gather(1, parts.hidden).all()


@pytest.mark.parametrize(("patches", "ratio", "visible"), [(196, 0.75, 49), (256, 0.75, 64), (10, 0.9, 1)])
def test_visible_counts_are_the_published_ones(patches: int, ratio: float, visible: int) -> None:
    assert visible_count(patches, ratio) == visible


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.999])
def test_hiding_nothing_or_everything_is_refused_in_one_sentence(ratio: float) -> None:
    with pytest.raises(ConfigError, match="mask_ratio"):
        random_mask(16, ratio)


def test_every_patch_is_hidden_equally_often() -> None:
    torch.manual_seed(0)
    share = random_mask(16, 0.75, 20_000).float().mean(dim=0)
    assert (share - 0.75).abs().max() < 0.02


def test_uneven_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="same number"):
        split(torch.tensor([[True, False], [False, False]]))
